//! How a viewer's transport moves and ends, and that it cannot be hurt by noise.

#[path = "support/webrtc.rs"]
mod support;

use std::time::Instant;

use peer::webrtc::{CONSENT_TIMEOUT, CloseCause, DatagramError, MAX_ADDRESSES, Origin, PeerEvent};
use support::{
    CALM, CONTROLLING, Jar, Random, addr, browser_fingerprint, check_datagram, home, ms, viewer,
};
use wire::srtp::SrtpError;

#[test]
fn a_viewer_that_keeps_checking_lives_on() {
    let mut jar = Jar::connected();
    jar.run_for(ms(120_000));
    assert_eq!(jar.server.closed(), None);
    assert!(jar.server.is_ready());
}

#[test]
fn consent_is_lost_15_s_after_the_last_check() {
    let mut jar = Jar::connected();
    jar.browser.checking = false;
    jar.run_for(ms(100));
    let checks = jar.browser.answered_checks;
    assert!(checks >= 2);
    jar.run_for(ms(14_000));
    assert_eq!(jar.server.closed(), None);
    jar.run_for(ms(2_000));
    assert_eq!(jar.server.closed(), Some(CloseCause::ConsentLost));
    assert!(jar.server.sealer_mut().is_none());
    let closed_at = jar.closed_at().expect("closed");
    assert!(
        closed_at >= CONSENT_TIMEOUT && closed_at < CONSENT_TIMEOUT + ms(500),
        "{closed_at:?}"
    );
    assert_eq!(jar.server.poll_timeout(), None);
}

#[test]
fn a_viewer_that_never_checks_is_an_ice_timeout() {
    let now = Instant::now();
    let mut server = viewer(now, browser_fingerprint());
    assert_eq!(server.poll_timeout(), Some(now + CONSENT_TIMEOUT));
    server.handle_timeout(now + CONSENT_TIMEOUT);
    assert_eq!(
        server.poll_event(),
        Some(PeerEvent::Closed(CloseCause::IceTimeout))
    );
}

#[test]
fn a_viewer_that_only_checks_is_a_dtls_timeout() {
    let mut jar = Jar::new(1, CALM, browser_fingerprint());
    jar.drop_to_server = Box::new(|datagram| (20..=63).contains(&datagram[0]));
    jar.run_for(ms(20_000));
    assert_eq!(jar.server.closed(), Some(CloseCause::DtlsTimeout));
}

#[test]
fn half_a_handshake_is_a_dtls_timeout() {
    let mut jar = Jar::new(1, CALM, browser_fingerprint());
    let mut seen = 0;
    jar.drop_to_server = Box::new(move |datagram| {
        let dtls = (20..=63).contains(&datagram[0]);
        seen += usize::from(dtls);
        dtls && seen > 1
    });
    jar.run_until(ms(20_000), |jar| jar.server.closed().is_some());
    assert_eq!(jar.server.closed(), Some(CloseCause::DtlsTimeout));
    assert!(jar.closed_at().expect("closed") < ms(12_000));
}

#[test]
fn nat_rebinding_moves_at_the_nomination_and_media_goes_on() {
    let mut jar = Jar::connected();
    let moved = addr("203.0.113.5:51000");
    jar.browser.addr = moved;
    jar.browser.check_now(jar.now);
    jar.run_for(ms(100));
    assert!(jar.has_event(|event| *event == PeerEvent::AddrValidated(moved)));
    assert!(jar.has_event(|event| *event == PeerEvent::RemoteAddrChanged(moved)));
    assert_eq!(jar.server.remote_addr(), Some(moved));
    let mut pli = Vec::new();
    wire::rtcp::write_pli(1, 7, &mut pli);
    jar.browser.send_rtcp(&pli);
    jar.run_for(ms(100));
    assert!(jar.has_event(|event| matches!(event, PeerEvent::Rtcp(_))));
    jar.run_for(ms(40_000));
    assert!(jar.has_event(|event| *event == PeerEvent::AddrForgotten(home())));
    assert_eq!(jar.server.known_addrs().collect::<Vec<_>>(), [moved]);
    assert_eq!(jar.server.closed(), None);
}

#[test]
fn a_check_without_nomination_does_not_move() {
    let mut jar = Jar::connected();
    let second = addr("203.0.113.5:51000");
    let check = check_datagram(200, false, CONTROLLING);
    jar.server
        .handle_datagram(jar.now, second, &check)
        .expect("checked");
    assert_eq!(jar.server.remote_addr(), Some(home()));
    assert_eq!(jar.server.known_addrs().count(), 2);
}

#[test]
fn each_check_is_answered_from_where_it_came_to_and_media_from_where_the_nominated_one_did() {
    let now = Instant::now();
    let mut server = viewer(now, browser_fingerprint());
    let mut check = |last: u8, nominated| {
        let origin = Origin {
            local: Some([10, 0, 0, last].into()),
            ..home().into()
        };
        let check = check_datagram(last, nominated, CONTROLLING);
        server.handle_from(now, origin, &check).expect("checked");
        let (way, _) = server.poll_transmit().expect("an answer");
        let media = server.way().expect("a way").local;
        (way.local, media)
    };
    let local = |last: u8| Some([10, 0, 0, last].into());
    assert_eq!(check(1, false), (local(1), local(1)));
    assert_eq!(check(2, false), (local(2), local(1)), "not nominated");
    assert_eq!(check(2, true), (local(2), local(2)));
    assert_eq!(check(1, false), (local(1), local(2)));
    assert_eq!(check(1, true), (local(1), local(1)));
}

#[test]
fn addresses_are_bounded_and_the_one_in_use_is_kept() {
    let mut jar = Jar::connected();
    for port in 1..=40_u16 {
        let from = addr(&format!("203.0.113.9:{port}"));
        let check = check_datagram(port as u8, false, CONTROLLING);
        jar.server
            .handle_datagram(jar.now + ms(u64::from(port)), from, &check)
            .expect("checked");
    }
    assert_eq!(jar.server.known_addrs().count(), MAX_ADDRESSES);
    assert_eq!(jar.server.remote_addr(), Some(home()));
    let mut known: Vec<_> = Vec::new();
    jar.run_for(ms(1));
    for (_, event) in &jar.events {
        match event {
            PeerEvent::AddrValidated(from) => known.push(*from),
            PeerEvent::AddrForgotten(from) => known.retain(|addr| addr != from),
            _ => {}
        }
    }
    known.sort();
    let mut actual: Vec<_> = jar.server.known_addrs().collect();
    actual.sort();
    assert_eq!(known, actual, "a map kept by the two events is exact");
}

#[test]
fn close_says_close_notify() {
    let mut jar = Jar::connected();
    jar.server.close(jar.now);
    assert!(!jar.server.is_ready());
    jar.run_for(ms(50));
    assert!(jar.browser.saw_close_notify);
    assert!(jar.has_event(|event| *event == PeerEvent::Closed(CloseCause::Local)));
    let after = jar
        .server
        .handle_datagram(jar.now, home(), &check_datagram(1, true, CONTROLLING));
    assert_eq!(after, Err(DatagramError::Closed));
    jar.server.close(jar.now);
    assert_eq!(jar.server.poll_event(), None, "closing twice says it once");
}

#[test]
fn close_before_a_handshake_is_quiet() {
    let now = Instant::now();
    let mut server = viewer(now, browser_fingerprint());
    server.close(now);
    assert_eq!(server.poll_transmit(), None);
    assert_eq!(
        server.poll_event(),
        Some(PeerEvent::Closed(CloseCause::Local))
    );
}

#[test]
fn the_browsers_close_notify_closes() {
    let mut jar = Jar::connected();
    jar.browser.close_dtls();
    jar.run_for(ms(50));
    assert_eq!(jar.server.closed(), Some(CloseCause::ByPeer));
}

#[test]
fn reports_are_replayed_in_vain_and_strangers_are_not_heard() {
    let mut jar = Jar::connected();
    let mut pli = Vec::new();
    wire::rtcp::write_pli(1, 7, &mut pli);
    let mut sealed = Vec::new();
    jar.browser
        .sealer
        .as_mut()
        .expect("keys")
        .seal_rtcp(&pli, &mut sealed)
        .expect("sealed");
    let stranger = addr("203.0.113.77:1");
    let heard = jar.server.handle_datagram(jar.now, stranger, &sealed);
    assert_eq!(heard, Err(DatagramError::UnknownAddress));
    jar.server
        .handle_datagram(jar.now, home(), &sealed)
        .expect("authentic");
    let again = jar.server.handle_datagram(jar.now, home(), &sealed);
    assert_eq!(again, Err(DatagramError::Srtcp(SrtpError::Replayed)));
    let media = jar
        .server
        .handle_datagram(jar.now, home(), &[0x80, 96, 0, 1, 0, 0, 0, 0]);
    assert_eq!(media, Err(DatagramError::UnexpectedKind));
}

#[test]
fn ten_thousand_random_datagrams_harm_nobody() {
    let mut jar = Jar::connected();
    let mut fresh = viewer(jar.now, browser_fingerprint());
    let mut random = Random::new(2026);
    let stranger = addr("203.0.113.66:6666");
    for round in 0..10_000_u64 {
        let length = random.below(300) as usize;
        let mut noise = random.bytes(length);
        if let Some(first) = noise.first_mut() {
            // All kinds get their share.
            *first = [0, 1, 22, 23, 21, 20, 128, 144, 255, *first][(round % 10) as usize];
        }
        let from = if random.below(2) == 0 {
            home()
        } else {
            stranger
        };
        let _refused = jar.server.handle_datagram(jar.now, from, &noise);
        let _refused = fresh.handle_datagram(jar.now, from, &noise);
        assert_eq!(fresh.poll_transmit(), None, "noise is never answered");
    }
    assert_eq!(jar.server.closed(), None);
    assert_eq!(fresh.closed(), None);
    jar.run_for(ms(10_000));
    assert!(jar.server.is_ready());
    let mut pli = Vec::new();
    wire::rtcp::write_pli(1, 7, &mut pli);
    jar.browser.send_rtcp(&pli);
    jar.run_for(ms(50));
    assert!(jar.has_event(|event| matches!(event, PeerEvent::Rtcp(_))));
}

#[test]
fn damaged_handshakes_end_in_a_cause_and_never_in_a_panic() {
    for seed in 0..200_u64 {
        let mut jar = Jar::new(seed, CALM, browser_fingerprint());
        let mut random = Random::new(seed);
        // The damage goes straight into the server, beside the browser's own datagram.
        let damaged = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let keep = damaged.clone();
        jar.drop_to_server = Box::new(move |datagram| {
            let mut copy = datagram.to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(copy.len() as u64) as usize;
                copy[at] = random.next() as u8;
            }
            copy.truncate(1 + random.below(copy.len() as u64) as usize);
            keep.borrow_mut().push(copy);
            false
        });
        for _ in 0..40 {
            jar.run_for(ms(5));
            for datagram in damaged.borrow_mut().drain(..) {
                let _refused = jar.server.handle_datagram(jar.now, home(), &datagram);
            }
        }
        jar.run_for(ms(30_000));
        let ended = jar.server.closed().is_some();
        assert!(
            ended || jar.server.is_ready(),
            "seed {seed} hangs: {:?}",
            jar.events
        );
    }
}
