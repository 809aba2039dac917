//! The viewer's offer, and what it needs of the answer (RFC 9429, RFC 8839). Pure.

use std::net::{IpAddr, SocketAddr};

use wire::sdp::{Media, Sdp};

/// H.264, packetization-mode 1, as Chromium numbers it.
pub const PAYLOAD_TYPE: u8 = 108;

/// What of an answer a viewer goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub server: SocketAddr,
    pub ufrag: String,
    pub pwd: String,
    pub payload_type: u8,
    /// The server begins the DTLS handshake (RFC 8842); else we do.
    pub is_active: bool,
    /// SHA-256 of the server's certificate.
    pub fingerprint: [u8; 32],
}

/// A recvonly offer of H.264 alone; ICE with the credentials given, DTLS either way round.
pub fn offer(ufrag: &str, pwd: &str, fingerprint: &[u8; 32]) -> String {
    let hex: Vec<String> = fingerprint.iter().map(|b| format!("{b:02X}")).collect();
    let format = format!(
        "fmtp:{PAYLOAD_TYPE} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    );
    let media = Media::new(
        "video",
        9,
        "UDP/TLS/RTP/SAVPF",
        &[&PAYLOAD_TYPE.to_string()],
    )
    .line('c', "IN IP4 0.0.0.0")
    .line('a', "rtcp:9 IN IP4 0.0.0.0")
    .line('a', &format!("ice-ufrag:{ufrag}"))
    .line('a', &format!("ice-pwd:{pwd}"))
    .line('a', &format!("fingerprint:sha-256 {}", hex.join(":")))
    .line('a', "setup:actpass")
    .line('a', "mid:0")
    .line('a', "recvonly")
    .line('a', "rtcp-mux")
    .line('a', "rtcp-rsize")
    .line('a', &format!("rtpmap:{PAYLOAD_TYPE} H264/90000"))
    .line('a', &format!("rtcp-fb:{PAYLOAD_TYPE} nack"))
    .line('a', &format!("rtcp-fb:{PAYLOAD_TYPE} nack pli"))
    .line('a', &format);
    Sdp::default()
        .line('v', "0")
        .line('o', "- 1 2 IN IP4 127.0.0.1")
        .line('s', "-")
        .line('t', "0 0")
        .line('a', "group:BUNDLE 0")
        .line('a', "msid-semantic: WMS")
        .with_media(media)
        .to_string()
}

impl Answer {
    /// # Errors
    /// A sentence naming what the answer lacks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sdp = Sdp::parse(text).map_err(|error| format!("the answer is no SDP ({error})"))?;
        let video = sdp
            .media
            .iter()
            .find(|media| media.kind == "video" && media.port != 0)
            .ok_or("the answer has no video")?;
        let need = |name: &str| {
            let value = video.attribute(name).or_else(|| sdp.attribute(name));
            value.ok_or(format!("the answer has no {name}"))
        };
        let is_active = match need("setup")? {
            "active" => true,
            "passive" => false,
            _ => return Err("the answer is neither setup:active nor setup:passive".to_owned()),
        };
        let payload_type = video
            .payload_types()
            .find(|number| *number == PAYLOAD_TYPE)
            .ok_or("the answer has another payload type than the offer")?;
        Ok(Self {
            server: candidate(video).ok_or("the answer has no UDP host candidate")?,
            ufrag: need("ice-ufrag")?.to_owned(),
            pwd: need("ice-pwd")?.to_owned(),
            payload_type,
            is_active,
            fingerprint: fingerprint(need("fingerprint")?)
                .ok_or("the answer's fingerprint is no sha-256")?,
        })
    }
}

fn candidate(video: &Media) -> Option<SocketAddr> {
    video.attributes("candidate").find_map(|value| {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        match words[..] {
            [_, "1", protocol, _, ip, port, "typ", "host", ..]
                if protocol.eq_ignore_ascii_case("udp") =>
            {
                let ip: IpAddr = ip.parse().ok()?;
                // Our sockets are of IPv4.
                ip.is_ipv4()
                    .then_some(SocketAddr::new(ip, port.parse().ok()?))
            }
            _ => None,
        }
    })
}

fn fingerprint(value: &str) -> Option<[u8; 32]> {
    let (name, hex) = value.split_once(' ')?;
    if !name.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let bytes: Option<Vec<u8>> = hex
        .trim()
        .split(':')
        .map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(extra: &str) -> String {
        let hex = vec!["0A"; 32].join(":");
        format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 108\r\na=ice-ufrag:abcd\r\na=ice-pwd:secretsecret\r\n\
             a=fingerprint:sha-256 {hex}\r\na=setup:passive\r\n{extra}"
        )
    }

    #[test]
    fn an_answer_gives_all_that_is_needed() {
        let text = answer(
            "a=candidate:2 1 tcp 1518214911 192.0.2.9 9 typ host tcptype passive\r\n\
             a=candidate:1 1 udp 2130706431 127.0.0.1 5004 typ host\r\n",
        );
        let answer = Answer::parse(&text).unwrap();
        assert_eq!(answer.server, "127.0.0.1:5004".parse().unwrap());
        assert_eq!((answer.payload_type, answer.fingerprint), (108, [10; 32]));
        assert_eq!((&*answer.ufrag, &*answer.pwd), ("abcd", "secretsecret"));
        assert!(!answer.is_active);
        let active = text.replace("passive\r\na=cand", "active\r\na=cand");
        assert!(Answer::parse(&active).unwrap().is_active);
        let held = text.replace("setup:passive", "setup:holdconn");
        assert!(Answer::parse(&held).unwrap_err().contains("setup:active"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(
            Answer::parse(&answer(""))
                .unwrap_err()
                .contains("candidate")
        );
        assert!(Answer::parse("v=0\r\n").unwrap_err().contains("video"));
        assert!(Answer::parse("what").is_err());
    }

    #[test]
    fn the_offer_reads_back() {
        let text = offer("ufrag", "password", &[255; 32]);
        let sdp = Sdp::parse(&text).unwrap();
        let video = &sdp.media[0];
        assert_eq!(
            video.fmtp(PAYLOAD_TYPE).get("packetization-mode"),
            Some("1")
        );
        assert_eq!(
            fingerprint(video.attribute("fingerprint").unwrap()),
            Some([255; 32])
        );
    }
}
