//! Tickets of the RTSP door.

use proptest::prelude::*;
use wire::ticket::{MAX_TICKET_BYTES, Ticket, TicketError, TicketKey};

const NOW: u64 = 1_800_000_000;

fn key() -> TicketKey {
    let mut bytes = [0; 32];
    for (place, byte) in (0u8..).zip(&mut bytes) {
        *byte = place;
    }
    TicketKey::new(&bytes)
}

fn ticket() -> Ticket {
    Ticket {
        expires_unix_s: NOW + 60,
        ticket_id: "aaaabbbb".to_owned(),
        profiles: vec!["main".to_owned(), "sub".to_owned()],
        channel_id: "ch_22223333444455556666".to_owned(),
        subject_id: "sub_qqqqwwwweeeerrrrtttt".to_owned(),
        subject_version: 7,
    }
}

/// The same text as `tests/unit/test_access_tickets.py` makes.
#[test]
fn a_ticket_of_the_control_plane_is_read() {
    let text = "rt1.live.1800000060.aaaabbbb.main-sub.ch_22223333444455556666.\
                sub_qqqqwwwweeeerrrrtttt.7.vRVM7p9y7ZdXZfrw4j680A";
    assert_eq!(key().seal(&ticket()), text);
    assert_eq!(key().open(text, NOW), Ok(ticket()));
    assert!(ticket().is_for("ch_22223333444455556666", "sub"));
    assert!(!ticket().is_for("ch_22223333444455556666", "third"));
    assert!(!ticket().is_for("ch_2222333344445555666", "sub"));
}

#[test]
fn it_ends_with_its_second() {
    let text = key().seal(&ticket());
    assert!(key().open(&text, NOW + 59).is_ok());
    assert_eq!(key().open(&text, NOW + 60), Err(TicketError::Expired));
}

#[test]
fn another_key_and_an_endless_text_are_refused() {
    let text = TicketKey::new(&[9; 32]).seal(&ticket());
    assert_eq!(key().open(&text, NOW), Err(TicketError::Forged));
    let long = format!("{text}.{}", "a".repeat(MAX_TICKET_BYTES));
    assert_eq!(key().open(&long, NOW), Err(TicketError::Malformed));
    assert_eq!(key().open("", NOW), Err(TicketError::Malformed));
    assert_eq!(format!("{:?}", key()), "TicketKey(***)");
}

proptest! {
    #[test]
    fn one_changed_character_makes_it_worthless(place in 0usize..120, with in "[a-z0-9._-]") {
        let text = key().seal(&ticket());
        let place = place % text.len();
        prop_assume!(text[place..=place] != with);
        let changed = format!("{}{with}{}", &text[..place], &text[place + 1..]);
        // The last character of the MAC holds two bits of nothing.
        prop_assume!(place + 1 != text.len());
        prop_assert!(key().open(&changed, NOW).is_err());
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,200}") {
        prop_assert!(key().open(&text, NOW).is_err());
    }
}
