//! RTSP URLs, track URLs and the headers that carry structure.

use proptest::prelude::*;
use wire::rtsp::{
    Methods, RtspIdHeader, RtspUrl, Transport, UrlError, absolute_in, base_url, parse_rtp_info,
    redact_url, track_url,
};

fn url(text: &str) -> RtspUrl {
    RtspUrl::parse(text).unwrap()
}

fn userinfo(text: &str) -> Option<(String, String)> {
    url(text).userinfo
}

fn pair(user: &str, password: &str) -> Option<(String, String)> {
    Some((user.to_owned(), password.to_owned()))
}

#[test]
fn the_user_part_ends_at_the_last_at_sign_whatever_the_password_holds() {
    assert_eq!(userinfo("rtsp://10.0.0.1/a"), None);
    assert_eq!(
        userinfo("rtsp://admin:a%40b%2F@10.0.0.1/a"),
        pair("admin", "a@b/")
    );
    assert_eq!(
        userinfo("rtsp://admin:p@ss:w@10.0.0.1:8554/a"),
        pair("admin", "p@ss:w")
    );
    assert_eq!(
        userinfo("rtsp://admin:p/w?d#@10.0.0.1/a"),
        pair("admin", "p/w?d#")
    );
    assert_eq!(
        userinfo("rtsp://admin:12/34@10.0.0.1/a"),
        pair("admin", "12/34")
    );
    assert_eq!(userinfo("rtsp://admin@10.0.0.1/a"), pair("admin", ""));
    assert_eq!(userinfo("rtsp://10.0.0.1/live@main"), None);
    assert_eq!(userinfo("rtsp://a:%zz@h/"), pair("a", "%zz"));
}

#[test]
fn a_request_line_never_shows_the_user_part() {
    let parsed = url("RTSP://admin:secret@[fe80::1]:8554/a?x=1");
    assert_eq!(parsed.to_string(), "rtsp://[fe80::1]:8554/a?x=1");
    assert!(!format!("{parsed:?}").contains("secret"));
    assert_eq!(url("rtsp://h:554").to_string(), "rtsp://h");
    assert_eq!(url("rtsp://h?channel=1").to_string(), "rtsp://h/?channel=1");
}

#[test]
fn bad_addresses_say_what_is_wrong() {
    let refused = |text| RtspUrl::parse(text).unwrap_err();
    assert_eq!(refused("http://h/"), UrlError::Scheme);
    assert_eq!(refused("rtsp:///a"), UrlError::Host);
    assert_eq!(refused("rtsp://h:0/a"), UrlError::Port);
    assert_eq!(refused("rtsp://h:99999/a"), UrlError::Port);
    assert_eq!(refused("rtsp://h/a b"), UrlError::Character);
    assert_eq!(refused("rtsp://h/a\r\nX: y"), UrlError::Character);
}

#[test]
fn secrets_in_addresses_are_hidden_from_readers() {
    assert_eq!(redact_url("rtsp://u:p,w@h/a"), "rtsp://***@h/a");
    assert_eq!(
        redact_url("rtsp://h/user=admin&password=x&channel=1"),
        "rtsp://h/user=admin&password=***&channel=1"
    );
}

#[test]
fn only_the_path_of_what_a_camera_calls_itself_is_believed() {
    let dialled = url("rtsp://203.0.113.9:8554/live");
    let expected = "rtsp://203.0.113.9:8554/stream0/";
    for told in [
        "rtsp://192.168.1.10:554/stream0/",
        "192.168.1.10:554/stream0/",
        "rtsp://rtsp://192.168.1.10/stream0/",
        "rtsp://fe80::1/stream0/",
        "/stream0/",
        "stream0/",
    ] {
        assert_eq!(absolute_in(&dialled, told), expected, "{told}");
    }
}

#[test]
fn the_base_is_control_then_content_base_then_content_location_then_the_request() {
    let dialled = url("rtsp://h/live");
    let base =
        |control, content_base, location| base_url(&dialled, control, content_base, location);
    assert_eq!(
        base(Some("rtsp://h/c/"), Some("rtsp://h/b/"), None),
        "rtsp://h/c/"
    );
    assert_eq!(base(Some("*"), Some("rtsp://h/b/"), None), "rtsp://h/b/");
    assert_eq!(base(Some("*"), None, Some("rtsp://h/l/")), "rtsp://h/l/");
    assert_eq!(base(None, Some(" "), None), "rtsp://h/live");
}

#[test]
fn track_urls_are_glued_as_text() {
    let dialled = url("rtsp://h/live");
    let join = |base, control| track_url(&dialled, base, control);
    assert_eq!(
        join("rtsp://h/a", Some("trackID=1")),
        "rtsp://h/a/trackID=1"
    );
    assert_eq!(
        join("rtsp://h/a/", Some("trackID=1")),
        "rtsp://h/a/trackID=1"
    );
    assert_eq!(
        join("rtsp://h/a/", Some("/trackID=1")),
        "rtsp://h/a/trackID=1"
    );
    assert_eq!(
        join("rtsp://h/cam?channel=1&subtype=0", Some("trackID=0")),
        "rtsp://h/cam?channel=1&subtype=0/trackID=0"
    );
    assert_eq!(join("rtsp://h/a", Some("?track=1")), "rtsp://h/a?track=1");
    assert_eq!(join("rtsp://h/a/", None), "rtsp://h/a/");
    assert_eq!(join("rtsp://h/a/", Some("*")), "rtsp://h/a/");
    assert_eq!(
        join("rtsp://h/a/", Some("rtsp://10.0.0.9/t/1")),
        "rtsp://h/t/1"
    );
}

#[test]
fn transports_are_read_as_cameras_write_them() {
    let parsed =
        Transport::parse("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc= 0a 0b0c0D;mode=\"play\"");
    let parsed = parsed.unwrap();
    assert_eq!(
        (parsed.interleaved, parsed.ssrc),
        (Some((2, 3)), Some(0x0A0B_0C0D))
    );
    assert!(parsed.is_interleaved());
    let one = Transport::parse("RTP/AVP;ssrc=1;unicast;interleaved=0").unwrap();
    assert_eq!(one.interleaved, Some((0, 1)));
    let udp = Transport::parse("RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001");
    let udp = udp.unwrap();
    assert!(!udp.is_interleaved());
    assert_eq!(udp.server_port, Some((6000, 6001)));
    assert_eq!(Transport::parse("x"), None);
    assert_eq!(
        Transport::parse("RTP/AVP/TCP;interleaved=255")
            .unwrap()
            .interleaved,
        None
    );
    let list = Transport::parse_list("RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;interleaved=0-1");
    assert_eq!(list.len(), 2);
    assert_eq!(
        Transport::tcp(0).to_string(),
        "RTP/AVP/TCP;unicast;interleaved=0-1"
    );
}

#[test]
fn the_small_headers_are_read() {
    let header = RtspIdHeader::parse("12345 ; Timeout=90").unwrap();
    assert_eq!(
        (header.rtsp_session_id.as_str(), header.timeout_s),
        ("12345", Some(90))
    );
    assert_eq!(RtspIdHeader::parse(" ;timeout=1"), None);
    assert_eq!(header.to_string(), "12345;timeout=90");
    assert!(Methods::parse("OPTIONS, describe,GET_PARAMETER").contains("GET_PARAMETER"));
    let info = parse_rtp_info("url=rtsp://h/1;seq=7;rtptime=x,url=rtsp://h/2;seq=8;");
    assert_eq!(
        (info[0].seq, info[0].rtp_ts, info[1].seq),
        (Some(7), None, Some(8))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(
        text in "(rtsp://|\\[|\\]|@|:|/|\\?|=|;|,|password=|interleaved=|seq=|%4|[0-9]{1,3}|\\PC{0,6}){0,12}",
    ) {
        let dialled = url("rtsp://h/live");
        let base = absolute_in(&dialled, &text);
        let _ = track_url(&dialled, &base, Some(&text));
        let _ = (redact_url(&text), RtspIdHeader::parse(&text), Methods::parse(&text));
        let _ = (Transport::parse_list(&text), parse_rtp_info(&text));
        if let Ok(parsed) = RtspUrl::parse(&format!("rtsp://{text}")) {
            // What is shown is dialled the same when it is read again. But for an `@` in the path: with
            // the user part gone, what stands before it may look like one (rtsp://u@a/x@b.c).
            let shown = parsed.to_string();
            let again = RtspUrl::parse(&shown);
            if !shown.contains('@') {
                let again = again.unwrap();
                prop_assert_eq!((again.host, again.port), (parsed.host, parsed.port));
            }
        }
    }
}
