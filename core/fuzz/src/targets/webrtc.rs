//! A browser's offer, and what comes from its address.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output};
use peer::webrtc::{
    AnswerParams, CONSENT_TIMEOUT, DtlsIdentity, Fingerprint, FingerprintHash, MAX_ADDRESSES,
    Origin, PeerConfig, PeerEvent, Way, WebrtcPeer, negotiate,
};
use wire::codec::VideoCodec;
use wire::sdp::Sdp;
use wire::srtp::{KeyBlock, SrtpProfile, SrtpSealer};
use wire::stun::{self, CheckParams, Demux, IceRole, IntegrityKey};

use crate::input::{Input, text};
use crate::loadgen_sdp::Answer;

const UFRAG: &str = "srvA1234";
const PWD: &str = "a-server-password-of-32-ice-chars";
/// As the machine bounds what waits: 64 of each, and a flight of the handshake.
const MAX_WAITING: usize = 160;

/// Every section is answered, no line of ours is the offer's doing, and the judge takes the answer.
pub fn offer(bytes: &[u8]) {
    let (text, identity) = (text(bytes), identity());
    let params = AnswerParams {
        local_ufrag: UFRAG,
        local_pwd: PWD,
        fingerprint: identity.fingerprint(),
        candidates: &[([127, 0, 0, 1], 9).into()],
        tcp_candidates: &[([127, 0, 0, 1], 9).into()],
        video_ssrc: 1,
        rtx_ssrc: 2,
        audio_ssrc: 4,
        cname: "viewer",
        stream_id: "streamhub",
        track_id: "video",
        origin_id: 3,
        remb: bytes.len().is_multiple_of(2),
        profile_idc: Some(bytes.first().copied().unwrap_or(0)).filter(|idc| *idc > 100),
        extensions: &["urn:ietf:params:rtp-hdrext:sdes:mid"],
    };
    let Ok(negotiated) = negotiate(&text, &params) else {
        return;
    };
    let numbers: Vec<u8> = (negotiated.payload_types.iter())
        .flat_map(|(_, numbers)| std::iter::once(numbers.media).chain(numbers.rtx))
        .collect();
    assert!(!numbers.is_empty() && numbers.iter().all(|number| *number < 128));
    assert!(!negotiated.fingerprints.is_empty());
    let offered = Sdp::parse(&text).expect("it was answered");
    let answered = Sdp::parse(&negotiated.answer).expect("written by us");
    assert_eq!(answered.media.len(), offered.media.len());
    let ours = |media: &&wire::sdp::Media| media.port != 0;
    let accepted = 1 + usize::from(negotiated.audio.is_some());
    assert_eq!(answered.media.iter().filter(ours).count(), accepted);
    for line in negotiated.answer.split("\r\n").filter(|l| !l.is_empty()) {
        assert_eq!(line.chars().nth(1), Some('='), "{line}");
    }
    let h264 = negotiated.payload_types.get(VideoCodec::H264);
    if h264.is_some_and(|numbers| numbers.media == crate::loadgen_sdp::PAYLOAD_TYPE) {
        Answer::parse(&negotiated.answer).expect("the judge takes it");
    }
}

/// Checks, handshake records and anything else, from a few addresses: what waits stays bounded, no
/// unproven address is answered, and the end comes in its time.
pub fn transport(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut now = Instant::now();
    let mut peer = peer_at(now);
    let mut last_check = now;
    while !input.is_empty() {
        let (what, from) = (input.byte(), address(input.byte()));
        match what {
            0..=99 => {
                let datagram = input.piece();
                let proven = peer.known_addrs().any(|known| known == from);
                let _ = peer.handle_datagram(now, from, datagram);
                let asked = Demux::of(datagram) == Demux::Stun;
                while let Some((way, _)) = peer.poll_transmit() {
                    assert!(proven || asked || way.remote != from);
                }
            }
            100..=199 => {
                let check = check(input.byte());
                let local = Some([127, 0, 0, what].into());
                let origin = Origin {
                    from,
                    mapped: address(9),
                    local,
                };
                if peer.handle_from(now, origin, &check).is_ok() {
                    last_check = now;
                    let (way, _) = peer.poll_transmit().expect("the answer");
                    assert_eq!(
                        way,
                        Way {
                            remote: from,
                            local
                        }
                    );
                }
            }
            200..=219 => peer.forget(from),
            220 => peer.close(now),
            _ => {
                now += Duration::from_millis(u64::from(input.byte()) * 50);
                pass(&mut peer, now);
            }
        }
        check_bounds(&mut peer);
    }
    pass(&mut peer, last_check.max(now) + CONSENT_TIMEOUT);
    assert!(peer.closed().is_some());
}

/// A browser that has the keys and sends anything under them.
pub fn feedback(bytes: &[u8]) {
    let mut now = Instant::now();
    let (mut peer, mut sealer) = connected(&mut now);
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let what = input.byte();
        let piece = input.piece();
        match what % 4 {
            0 => {
                let _ = peer.handle_datagram(now, address(0), piece);
            }
            1 => {
                let mut sealed = vec![0x80, 206, 0, 2];
                sealed.extend_from_slice(piece);
                let clear = sealed.clone();
                sealed.clear();
                if sealer.seal_rtcp(&clear, &mut sealed).is_ok() {
                    let _ = peer.handle_datagram(now, address(0), &sealed);
                }
            }
            _ => {
                let mut sealed = Vec::new();
                if sealer.seal_rtcp(piece, &mut sealed).is_ok() {
                    let _ = peer.handle_datagram(now, address(0), &sealed);
                }
            }
        }
        while let Some(event) = peer.poll_event() {
            if let PeerEvent::Rtcp(items) = event {
                assert!(!items.is_empty() && 4 * items.len() <= piece.len() + 4);
            }
        }
        check_bounds(&mut peer);
    }
    assert!(peer.closed().is_some() || peer.is_ready());
}

fn check_bounds(peer: &mut WebrtcPeer) {
    let transmits = std::iter::from_fn(|| peer.poll_transmit()).count();
    let events = std::iter::from_fn(|| peer.poll_event()).count();
    assert!(transmits <= MAX_WAITING && events <= MAX_WAITING);
    assert!(peer.known_addrs().count() <= MAX_ADDRESSES);
    assert!(peer.closed().is_none() || peer.poll_timeout().is_none());
}

fn pass(peer: &mut WebrtcPeer, until: Instant) {
    let mut turns = 0;
    while let Some(due) = peer.poll_timeout().filter(|due| *due <= until) {
        peer.handle_timeout(due);
        check_bounds(peer);
        turns += 1;
        assert!(turns < 2_000, "due for ever");
    }
}

fn address(number: u8) -> SocketAddr {
    ([192, 0, 2, number % 12], 4_000).into()
}

pub(crate) fn check(options: u8) -> Vec<u8> {
    let username = format!("{UFRAG}:brow");
    let params = CheckParams {
        username: &username,
        priority: 1,
        role: match options & 2 {
            0 => IceRole::Controlling(7),
            _ => IceRole::Controlled(7),
        },
        use_candidate: options & 1 != 0,
    };
    stun::binding_request(&[options; 12], &params, &IntegrityKey::new(PWD))
}

fn identity() -> Arc<DtlsIdentity> {
    static IDENTITY: OnceLock<Arc<DtlsIdentity>> = OnceLock::new();
    let made = || Arc::new(DtlsIdentity::generate().expect("identity"));
    IDENTITY.get_or_init(made).clone()
}

fn certificate() -> DtlsCertificate {
    static CERTIFICATE: OnceLock<DtlsCertificate> = OnceLock::new();
    let made = || dimpl::certificate::generate_self_signed_certificate().expect("certificate");
    CERTIFICATE.get_or_init(made).clone()
}

fn peer_at(now: Instant) -> WebrtcPeer {
    let fingerprint = Fingerprint::of(FingerprintHash::Sha256, &certificate().certificate);
    let config = PeerConfig {
        local_ufrag: UFRAG.to_owned(),
        local_pwd: PWD.to_owned(),
        remote_fingerprints: vec![fingerprint],
        identity: identity(),
    };
    WebrtcPeer::new(config, now)
}

pub(crate) fn dtls_client(now: Instant) -> Dtls {
    let config = dimpl::Config::builder().mtu(1_150).build().expect("config");
    let mut client = Dtls::new_12(Arc::new(config), certificate(), now);
    client.set_active(true);
    client.handle_timeout(now).expect("clock");
    client
}

/// Everything a browser's DTLS says until it has the keys, and the keys.
fn connected(now: &mut Instant) -> (WebrtcPeer, SrtpSealer) {
    let mut peer = peer_at(*now);
    let mut client = dtls_client(*now);
    let _ = peer.handle_datagram(*now, address(0), &check(1));
    let mut buffer = vec![0; 4_096];
    let mut keys = None;
    for _ in 0..64 {
        loop {
            match client.poll_output(&mut buffer) {
                Output::Packet(packet) => {
                    let _ = peer.handle_datagram(*now, address(0), packet);
                }
                Output::KeyingMaterial(block, _) => keys = Some(block.to_vec()),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        if let (Some(block), true) = (&keys, peer.is_ready()) {
            let profile = SrtpProfile::AeadAes256Gcm;
            let block = KeyBlock::split(profile, block).expect("the profile we prefer");
            let sealer = SrtpSealer::new(profile, block.client_key, block.client_salt);
            check_bounds(&mut peer);
            return (peer, sealer.expect("lengths of the profile"));
        }
        while let Some((_, datagram)) = peer.poll_transmit() {
            if Demux::of(&datagram) == Demux::Dtls {
                client
                    .handle_packet(&datagram)
                    .expect("the server's records");
            }
        }
        *now += Duration::from_millis(10);
        client.handle_timeout(*now).expect("clock");
        peer.handle_timeout(*now);
    }
    panic!("two machines on a calm link do not connect");
}
