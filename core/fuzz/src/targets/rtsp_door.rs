//! The RTSP door: a client's bytes, time, and the control plane's word; and the tickets alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_door::{Description, DoorEvent, RtspDoor};
use peer::rtsp_server::ConnectionSeeds;
use wire::codec::VideoCodec;
use wire::ticket::{Ticket, TicketKey};

use crate::input::{Input, text};

const NOW_S: u64 = 1_800_000_000;

/// A genuine ticket of [`key`], for seeds.
pub fn ticket_text() -> String {
    key().seal(&Ticket {
        expires_unix_s: NOW_S + 60,
        ticket_id: "aaaabbbb".to_owned(),
        profiles: vec!["main".to_owned()],
        channel_id: "ch_a".to_owned(),
        subject_id: "sub_x".to_owned(),
        subject_version: 1,
    })
}

fn key() -> TicketKey {
    TicketKey::new(&[7; 32])
}

/// What is opened is what was sealed, whatever the text.
pub fn ticket(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(ticket) = key().open(&text, NOW_S) {
        // Not the MAC's own text: base64 has bits to spare.
        let claims = |text: &str| text.rsplit_once('.').map(|(claims, _)| claims.to_owned());
        assert_eq!(claims(&key().seal(&ticket)), claims(text.trim()));
        assert!(ticket.expires_unix_s > NOW_S);
    }
}

/// Nothing plays that was not asked about and accepted, no query is repeated, and it ends once.
pub fn door(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let seeds = ConnectionSeeds {
        nonce: 1,
        rtsp_session_id: 2,
        ssrc: 3,
        first_seq: 4,
        first_rtp_ts: 5,
    };
    let mut now = Instant::now();
    let mut door = RtspDoor::new(Arc::new(key()), seeds, now);
    let (mut asked, mut accepted, mut ends) = (false, false, 0);
    while !input.is_empty() {
        match input.byte() {
            0 => {
                now += Duration::from_secs(u64::from(input.byte()));
                door.handle_timeout(now);
            }
            1 => {
                accepted |= door.waits_for_word();
                door.accept();
            }
            2 => door.refuse(now, 404, u32::from(input.byte())),
            3 => door.describe(
                now,
                &Description {
                    codec: VideoCodec::H264,
                    payload_type: 96,
                    parameter_sets: vec![input.piece().to_vec().into()],
                },
            ),
            _ => door.receive(now, NOW_S, input.piece()),
        }
        while let Some(answer) = door.poll_transmit() {
            assert!(answer.starts_with(b"RTSP/1.0 "));
            let head = text(&answer);
            let addresses = ["Content-Base", "RTP-Info"];
            let mut named = (head.lines()).filter(|l| addresses.iter().any(|a| l.starts_with(a)));
            assert!(named.all(|line| !line.contains('?')));
        }
        while let Some(event) = door.poll_event() {
            match event {
                DoorEvent::Asked(told) => {
                    asked = true;
                    assert!(told.ticket.is_for(&told.channel_id, &told.profile));
                }
                DoorEvent::Play { .. } => assert!(asked && accepted),
                DoorEvent::Over(_) => ends += 1,
                DoorEvent::Pause | DoorEvent::TicketRefused(_) => {}
            }
        }
        assert!(ends <= 1);
    }
}
