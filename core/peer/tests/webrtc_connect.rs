//! From the first check to media keys: over good and bad links, and only for the right client.

#[path = "support/webrtc.rs"]
mod support;

use peer::webrtc::{CloseCause, DatagramError, Fingerprint, FingerprintHash, PeerEvent};
use std::time::Instant;
use support::{
    CALM, CONTROLLING, Jar, Random, Weather, addr, browser_fingerprint, check_datagram, check_for,
    home, ms, viewer,
};
use wire::srtp::SrtpProfile;
use wire::stun::{BindingResponse, IceRole, IntegrityKey};

#[test]
fn connects_and_media_and_reports_pass() {
    let mut jar = Jar::connected();
    let events: Vec<&PeerEvent> = jar.events.iter().map(|(_, event)| event).collect();
    let profile = SrtpProfile::AeadAes256Gcm;
    assert_eq!(
        events,
        [
            &PeerEvent::AddrValidated(home()),
            &PeerEvent::IceConnected(home()),
            &PeerEvent::DtlsConnected { profile },
        ]
    );
    assert_eq!(jar.server.remote_addr(), Some(home()));

    let header = [0x80, 96, 0, 9, 0, 0, 0, 1, 0, 0, 0, 7];
    let mut run = Vec::new();
    let sealer = jar.server.sealer_mut().expect("ready");
    sealer.seal(&header, b"picture", &mut run).expect("sealed");
    let mut clear = Vec::new();
    jar.browser
        .opener
        .as_mut()
        .expect("keys")
        .open(&run, &mut clear)
        .expect("opens");
    assert_eq!(clear[12..], *b"picture");

    let mut report = Vec::new();
    wire::rtcp::write_bye(7, &mut report);
    let mut sealed = Vec::new();
    assert!(jar.server.seal_rtcp(&report, &mut sealed));
    jar.browser
        .opener
        .as_mut()
        .expect("keys")
        .open_rtcp(&sealed, &mut clear)
        .expect("opens");
    assert_eq!(clear, report);

    let mut pli = Vec::new();
    wire::rtcp::write_pli(1, 7, &mut pli);
    jar.browser.send_rtcp(&pli);
    jar.run_for(ms(50));
    let items = vec![wire::rtcp::RtcpItem::Pli { media_ssrc: 7 }];
    assert!(jar.has_event(|event| *event == PeerEvent::Rtcp(items.clone())));
}

#[test]
fn connects_over_lossy_reordering_links() {
    let weather = Weather {
        loss_percent: 15,
        min_delay_ms: 1,
        max_delay_ms: 60,
    };
    for seed in 0..20 {
        let mut jar = Jar::new(seed, weather, browser_fingerprint());
        jar.run_until(ms(9_900), |jar| {
            jar.server.is_ready() && jar.browser.opener.is_some()
        });
        assert!(jar.server.is_ready(), "seed {seed}: {:?}", jar.events);
        // What is still under way, or is repeated, disturbs nothing.
        jar.run_for(ms(5_000));
        assert!(jar.server.is_ready(), "seed {seed}: {:?}", jar.events);
    }
}

#[test]
fn handshake_datagrams_that_come_again_or_damaged_do_not_end_a_connection() {
    let mut jar = Jar::new(5, CALM, browser_fingerprint());
    let caught = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = caught.clone();
    jar.drop_to_server = Box::new(move |datagram| {
        if (20..=63).contains(&datagram[0]) {
            keep.borrow_mut().push(datagram.to_vec());
        }
        false
    });
    jar.run_until(ms(2_000), |jar| jar.server.is_ready());
    let mut random = Random::new(11);
    for datagram in caught.borrow().iter() {
        for round in 0..200 {
            let mut copy = datagram.clone();
            if round > 0 {
                let at = random.below(copy.len() as u64) as usize;
                copy[at] = random.next() as u8;
            }
            let _refused = jar.server.handle_datagram(jar.now, home(), &copy);
            assert_eq!(jar.server.closed(), None, "round {round}: {copy:?}");
        }
    }
    jar.run_for(ms(1_000));
    assert!(jar.server.is_ready());
}

#[test]
fn a_lost_client_hello_fragment_is_made_good() {
    for lost in 0..2 {
        let mut jar = Jar::with_mtu(3, CALM, browser_fingerprint(), 80);
        let seen = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = seen.clone();
        jar.drop_to_server = Box::new(move |datagram| {
            // A handshake record whose message is a ClientHello.
            let hello = datagram[0] == 22 && datagram.get(13) == Some(&1);
            count.set(count.get() + usize::from(hello));
            hello && count.get() == lost + 1
        });
        jar.run_until(ms(3_000), |jar| jar.server.is_ready());
        assert!(
            seen.get() > 3,
            "the ClientHello must come in fragments, and again: {}",
            seen.get()
        );
        assert!(jar.server.is_ready(), "fragment {lost}: {:?}", jar.events);
    }
}

#[test]
fn a_certificate_that_is_not_the_offers_ends_before_any_key() {
    let wrong = Fingerprint::of(FingerprintHash::Sha256, b"some other certificate");
    let mut jar = Jar::new(1, CALM, wrong);
    jar.run_until(ms(2_000), |jar| jar.server.closed().is_some());
    assert_eq!(jar.server.closed(), Some(CloseCause::FingerprintMismatch));
    assert_eq!(
        CloseCause::FingerprintMismatch.code(),
        "fingerprint_mismatch"
    );
    assert!(!jar.has_event(|event| matches!(event, PeerEvent::DtlsConnected { .. })));
    assert!(jar.server.sealer_mut().is_none() && !jar.server.is_ready());
    jar.run_for(ms(2_000));
    assert_eq!(
        jar.browser.dtls_profile, None,
        "the client never saw our Finished"
    );
}

#[test]
fn fingerprints_of_stronger_hashes_are_believed() {
    for hash in [FingerprintHash::Sha384, FingerprintHash::Sha512] {
        let told = Fingerprint::of(hash, &support::browser_certificate().certificate);
        let told = Fingerprint::parse(&told.to_string()).expect("our own text");
        let mut jar = Jar::new(1, CALM, told);
        jar.run_until(ms(2_000), |jar| jar.server.is_ready());
        assert!(jar.server.is_ready());
    }
}

#[test]
fn a_client_hello_before_its_time_waits_for_the_check_and_is_then_answered() {
    let now = Instant::now();
    let hello = first_client_hello();
    let mut server = viewer(now, browser_fingerprint());
    assert_eq!(
        server.handle_datagram(now, home(), &hello),
        Err(DatagramError::Early)
    );
    assert_eq!(
        server.poll_transmit(),
        None,
        "nothing is said to an unproven address"
    );
    let elsewhere = addr("198.51.100.1:9");
    for _ in 0..50 {
        let refused = server.handle_datagram(now, elsewhere, &vec![22; 1_501]);
        assert_eq!(refused, Err(DatagramError::UnknownAddress));
    }
    server
        .handle_datagram(now, home(), &check_datagram(1, false, CONTROLLING))
        .expect("checked");
    let (way, answer) = server.poll_transmit().expect("the check's answer");
    assert_eq!((way, answer[0]), (home().into(), 1));
    let (way, flight) = server.poll_transmit().expect("ServerHello");
    assert_eq!((way, flight[0]), (home().into(), 22));
}

#[test]
fn gcm_256_is_chosen_whatever_order_the_client_lists() {
    // use_srtp: type, length, list length, profiles, MKI length.
    let offered = [0, 14, 0, 9, 0, 6, 0, 8, 0, 7, 0, 1, 0];
    let chromium = [0, 14, 0, 9, 0, 6, 0, 1, 0, 8, 0, 7, 0];
    let mut hello = first_client_hello();
    let at = hello
        .windows(offered.len())
        .position(|window| window == offered)
        .expect("use_srtp");
    hello[at..at + offered.len()].copy_from_slice(&chromium);
    let now = Instant::now();
    let mut server = viewer(now, browser_fingerprint());
    server
        .handle_datagram(now, home(), &check_datagram(1, false, CONTROLLING))
        .expect("checked");
    server
        .handle_datagram(now, home(), &hello)
        .expect("answered");
    let chosen = [0, 14, 0, 5, 0, 2, 0, 8, 0];
    let mut found = false;
    while let Some((_, datagram)) = server.poll_transmit() {
        found |= datagram
            .windows(chosen.len())
            .any(|window| window == chosen);
    }
    assert!(found, "ServerHello must name AEAD_AES_256_GCM");
}

#[test]
fn checks_of_others_are_not_answered() {
    let now = Instant::now();
    let mut server = viewer(now, browser_fingerprint());
    let other = check_for("somebody", support::SERVER_PWD, 1, true, CONTROLLING);
    let forged = check_for(
        support::SERVER_UFRAG,
        "guessed password of 22+",
        1,
        true,
        CONTROLLING,
    );
    assert_eq!(
        server.handle_datagram(now, home(), &other),
        Err(DatagramError::OtherUfrag)
    );
    let refused = server.handle_datagram(now, home(), &forged);
    assert!(
        matches!(refused, Err(DatagramError::Stun(_))),
        "{refused:?}"
    );
    assert_eq!(server.poll_transmit(), None);
    assert_eq!(server.poll_event(), None);
    assert_eq!(server.remote_addr(), None);
}

#[test]
fn a_client_in_the_controlled_role_is_told_487_and_proves_nothing() {
    let now = Instant::now();
    let mut server = viewer(now, browser_fingerprint());
    let check = check_datagram(9, true, IceRole::Controlled(5));
    server
        .handle_datagram(now, home(), &check)
        .expect("answered");
    let (_, answer) = server.poll_transmit().expect("an answer");
    let parsed = BindingResponse::parse(&answer, &IntegrityKey::new(support::SERVER_PWD));
    assert_eq!(
        parsed,
        Ok(BindingResponse::Error {
            transaction_id: [9; 12],
            code: 487
        })
    );
    assert_eq!(server.remote_addr(), None);
}

/// The first datagram of a client's DTLS, caught on the way.
fn first_client_hello() -> Vec<u8> {
    let mut jar = Jar::new(1, CALM, browser_fingerprint());
    let caught = std::rc::Rc::new(std::cell::RefCell::new(None));
    let keep = caught.clone();
    jar.drop_to_server = Box::new(move |datagram| {
        let dtls = (20..=63).contains(&datagram[0]);
        if dtls {
            keep.borrow_mut().get_or_insert_with(|| datagram.to_vec());
        }
        dtls
    });
    jar.run_until(ms(500), |_| caught.borrow().is_some());
    let hello = caught.borrow_mut().take();
    hello.expect("a ClientHello")
}
