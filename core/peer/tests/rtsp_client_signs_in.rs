//! The client and passwords: never more failed attempts than needed, never a password shown.

mod rtsp_client_support;

use peer::rtsp_client::{ClientConfig, RtspClient, Secret};
use rtsp_client_support::{SDP, SETUP_FIELDS, Scene, URL, config, with_password};
use wire::digest::Authorization;
use wire::rtsp::Request;

const MD5: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\"\r\n";
const MD5_NEXT: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n2\"\r\n";
const SHA: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"s1\", algorithm=SHA-256\r\n";
const BASIC: &str = "WWW-Authenticate: Basic realm=\"r\"\r\n";

fn at_describe(config: ClientConfig) -> Scene {
    let mut scene = Scene::new(config);
    scene.asked("OPTIONS");
    scene.answer(200, "Public: OPTIONS\r\n");
    assert_eq!(scene.asked("DESCRIBE").headers.get("Authorization"), None);
    scene
}

fn proof(request: &Request) -> Authorization {
    Authorization::parse(request.headers.get("Authorization").unwrap()).unwrap()
}

fn assert_proves(request: &Request, password: &str) {
    let answer = proof(request);
    assert!(answer.verify("admin", password, "r", &request.method));
    assert_eq!(answer.uri(), Some(request.uri.as_str()));
}

#[test]
fn a_challenge_is_answered_and_the_nonce_kept_for_what_follows() {
    let mut scene = at_describe(with_password());
    scene.answer(401, &format!("{BASIC}{MD5}"));
    assert_proves(&scene.asked("DESCRIBE"), "pass@word");
    scene.describe(SDP);
    assert_proves(&scene.asked("SETUP"), "pass@word");
    scene.answer(200, SETUP_FIELDS);
    assert_proves(&scene.asked("PLAY"), "pass@word");
    scene.answer(200, "");
    assert!(scene.is_playing());
    scene.client.teardown();
    assert_proves(&scene.asked("TEARDOWN"), "pass@word");
}

#[test]
fn credentials_in_the_address_are_decoded_and_never_sent_in_a_request_line() {
    let mut scene = at_describe(config("rtsp://admin:p%40ss@10.0.0.5/live"));
    scene.answer(401, MD5);
    let request = scene.asked("DESCRIBE");
    assert_proves(&request, "p@ss");
    assert_eq!(request.uri, "rtsp://10.0.0.5/live");
}

#[test]
fn a_wrong_password_is_tried_once_even_if_the_nonce_is_new() {
    let mut scene = at_describe(with_password());
    scene.answer(401, MD5);
    scene.asked("DESCRIBE");
    scene.answer(401, MD5_NEXT);
    assert_eq!(scene.failed(), ("auth_failed", "describe"));
    assert!(!scene.failure().retryable());
    assert_eq!(scene.failure().status, Some(401));
    assert!(scene.sent().is_empty());
}

#[test]
fn a_challenge_to_options_costs_no_attempt() {
    let mut scene = Scene::new(with_password());
    scene.asked("OPTIONS");
    scene.answer(401, MD5);
    assert_eq!(scene.asked("DESCRIBE").headers.get("Authorization"), None);
}

#[test]
fn without_credentials_a_challenge_says_so() {
    let mut scene = at_describe(config(URL));
    scene.answer(401, MD5);
    assert_eq!(scene.failed(), ("auth_failed", "describe"));
    assert!(scene.failure().detail.contains("none is set"));
}

#[test]
fn a_stale_nonce_is_renewed_once_per_request() {
    let stale = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n9\", stale=true\r\n";
    let mut scene = at_describe(with_password());
    scene.answer(401, MD5);
    scene.asked("DESCRIBE");
    scene.answer(401, stale);
    assert_eq!(proof(&scene.asked("DESCRIBE")).nonce(), Some("n9"));
    scene.answer(401, stale);
    assert_eq!(scene.failed().0, "auth_failed");
}

#[test]
fn a_nonce_that_worked_and_was_replaced_is_renewed() {
    let mut scene = at_describe(with_password());
    scene.answer(401, MD5);
    scene.asked("DESCRIBE");
    scene.describe(SDP);
    scene.asked("SETUP");
    scene.answer(401, MD5_NEXT);
    assert_eq!(proof(&scene.asked("SETUP")).nonce(), Some("n2"));
    scene.answer(200, SETUP_FIELDS);
    scene.asked("PLAY");
}

#[test]
fn sha_256_comes_first_and_md5_after_it_failed() {
    let mut scene = at_describe(with_password());
    scene.answer(401, &format!("{MD5}{SHA}"));
    assert_eq!(proof(&scene.asked("DESCRIBE")).nonce(), Some("s1"));
    scene.answer(401, &format!("{SHA}{MD5}"));
    assert_eq!(proof(&scene.asked("DESCRIBE")).nonce(), Some("n1"));
    scene.answer(401, &format!("{SHA}{MD5}"));
    assert_eq!(scene.failed().0, "auth_failed");
}

#[test]
fn basic_is_used_only_where_it_is_allowed() {
    let mut scene = at_describe(with_password());
    scene.answer(401, BASIC);
    assert_eq!(scene.failed().0, "auth_failed");

    let mut allowed = with_password();
    allowed.allow_basic = true;
    let mut scene = at_describe(allowed);
    scene.answer(401, BASIC);
    assert_proves_basic(&scene.asked("DESCRIBE"));
}

fn assert_proves_basic(request: &Request) {
    assert!(proof(request).verify("admin", "pass@word", "", "DESCRIBE"));
}

#[test]
fn qop_counts_the_requests_of_a_nonce_with_a_new_client_nonce_each() {
    let qop = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\n";
    let mut scene = at_describe(with_password());
    scene.answer(401, qop);
    let first = scene.asked("DESCRIBE");
    scene.describe(SDP);
    let second = scene.asked("SETUP");
    let field = |request: &Request, name: &str| {
        let value = request.headers.get("Authorization").unwrap().to_owned();
        let (_, rest) = value.split_once(name).unwrap();
        rest.split(',').next().unwrap().to_owned()
    };
    assert_eq!(field(&first, "nc="), "00000001");
    assert_eq!(field(&second, "nc="), "00000002");
    assert_ne!(field(&first, "cnonce="), field(&second, "cnonce="));
    assert_proves(&second, "pass@word");
}

#[test]
fn a_keep_alive_refused_for_its_nonce_is_sent_again_with_the_new_one() {
    let mut scene = at_describe(with_password());
    scene.answer(401, MD5);
    scene.asked("DESCRIBE");
    scene.describe(SDP);
    scene.asked("SETUP");
    scene.answer(200, "Session: 7;timeout=8\r\n");
    scene.asked("PLAY");
    scene.answer(200, "");
    scene.pass(std::time::Duration::from_secs(4));
    assert_eq!(proof(&scene.asked("OPTIONS")).nonce(), Some("n1"));
    scene.answer(401, MD5_NEXT);
    assert_eq!(proof(&scene.asked("OPTIONS")).nonce(), Some("n2"));
    scene.answer(401, MD5);
    assert!(
        scene.sent().is_empty(),
        "refused twice: no third attempt before its time"
    );
    assert!(scene.is_playing());
}

#[test]
fn the_password_is_in_no_debug_text_and_no_transcript() {
    let mut config = config("rtsp://admin:hunter2@10.0.0.5/user=admin&password=hunter2&channel=1");
    config.transcript = true;
    config.allow_basic = true;
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(
        format!("{} {:?}", Secret::new("x"), Secret::new("x")),
        "*** ***"
    );
    let mut scene = Scene::new(config);
    scene.asked("OPTIONS");
    scene.answer(200, "Public: OPTIONS\r\n");
    scene.asked("DESCRIBE");
    scene.answer(401, BASIC);
    scene.asked("DESCRIBE");
    scene.answer(302, "Location: rtsp://admin:hunter2@10.0.0.5/other\r\n");
    scene.asked("DESCRIBE");
    scene.answer(403, "");
    assert_eq!(scene.failed().0, "auth_failed");
    let mut lines = String::new();
    while let Some(entry) = scene.client.poll_transcript() {
        lines += if entry.sent { "> " } else { "< " };
        lines += &entry.text;
    }
    assert!(lines.contains("Authorization: Basic ***"), "{lines}");
    assert!(
        lines.contains("> DESCRIBE") && lines.contains("< RTSP/1.0 302"),
        "{lines}"
    );
    assert!(
        !lines.contains("hunter2") && !lines.contains("aHVudGVyMg"),
        "{lines}"
    );
    assert!(!format!("{:?} {:?}", scene.client, scene.events).contains("hunter2"));
    let _: RtspClient = scene.client;
}
