//! STUN against the vectors of RFC 5769, its own roundtrip, and bad bytes.

use std::net::SocketAddr;

use proptest::prelude::*;
use wire::stun::{
    self, BindingRequest, BindingResponse, CheckParams, Demux, IceRole, IntegrityKey, StunError,
};

const VECTOR_PWD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 section 2.1.
const VECTOR_REQUEST: [u8; 108] =
    *b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x10STUN test client\
\x00\x24\x00\x04\x6e\x00\x01\xff\
\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
\x00\x06\x00\x09evtj:h6vY   \
\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 section 2.2.
const VECTOR_RESPONSE: [u8; 80] =
    *b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x0btest vector \
\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
\x80\x28\x00\x04\xc0\x7d\x4c\x96";

const TID: [u8; 12] = *b"twelve bytes";

fn check(username: &str, use_candidate: bool) -> CheckParams<'_> {
    let role = IceRole::Controlling(0x0123_4567_89AB_CDEF);
    CheckParams {
        username,
        priority: 1_845_501_695,
        role,
        use_candidate,
    }
}

#[test]
fn rfc_5769_sample_request_is_understood() {
    let request = BindingRequest::parse(&VECTOR_REQUEST).expect("parsed");
    request
        .verify(&IntegrityKey::new(VECTOR_PWD))
        .expect("authentic");
    assert_eq!(
        (request.local_ufrag(), request.remote_ufrag()),
        ("evtj", "h6vY")
    );
    assert_eq!(
        request.role(),
        Some(IceRole::Controlled(0x932f_f9b1_5126_3b36))
    );
    assert_eq!(request.priority(), Some(0x6e00_01ff));
    assert!(!request.use_candidate());
    assert_eq!(stun::local_ufrag(&VECTOR_REQUEST), Some("evtj"));
    let other = request.verify(&IntegrityKey::new("another password entirely"));
    assert_eq!(other, Err(StunError::BadIntegrity));
}

#[test]
fn rfc_5769_sample_response_is_understood() {
    let response = BindingResponse::parse(&VECTOR_RESPONSE, &IntegrityKey::new(VECTOR_PWD));
    let Ok(BindingResponse::Success { mapped, .. }) = response else {
        panic!("expected a success, got {response:?}");
    };
    assert_eq!(mapped, Some("192.0.2.1:32853".parse().expect("address")));
}

#[test]
fn own_request_and_answers_roundtrip_in_both_families() {
    let key = IntegrityKey::new("a password of enough length");
    let message = stun::binding_request(&TID, &check("ours:theirs", true), &key);
    let request = BindingRequest::parse(&message).expect("parsed");
    request.verify(&key).expect("authentic");
    assert!(request.use_candidate());
    for addr in ["192.0.2.7:5000", "[2001:db8::7]:5000"] {
        let mapped: SocketAddr = addr.parse().expect("address");
        let answer = stun::binding_success(request.transaction_id(), mapped, &key);
        let parsed = BindingResponse::parse(&answer, &key).expect("parsed");
        assert_eq!(
            parsed,
            BindingResponse::Success {
                transaction_id: TID,
                mapped: Some(mapped)
            }
        );
    }
    let refusal = stun::role_conflict(&TID, &key);
    let parsed = BindingResponse::parse(&refusal, &key).expect("parsed");
    assert_eq!(
        parsed,
        BindingResponse::Error {
            transaction_id: TID,
            code: 487
        }
    );
}

#[test]
fn an_ipv4_sender_on_a_dual_stack_socket_is_told_its_ipv4_address() {
    let key = IntegrityKey::new("pwd");
    let seen: SocketAddr = "[::ffff:192.0.2.9]:7000".parse().expect("address");
    let answer = stun::binding_success(&TID, seen, &key);
    let Ok(BindingResponse::Success { mapped, .. }) = BindingResponse::parse(&answer, &key) else {
        panic!("not a success");
    };
    assert_eq!(mapped, Some("192.0.2.9:7000".parse().expect("address")));
}

#[test]
fn datagrams_are_told_apart_by_rfc_7983() {
    let of = |first: u8, second: u8| Demux::of(&[first, second, 0, 0]);
    assert_eq!(of(0, 1), Demux::Stun);
    assert_eq!(of(3, 0), Demux::Stun);
    assert_eq!(of(4, 0), Demux::Other);
    assert_eq!(of(20, 0), Demux::Dtls);
    assert_eq!(of(63, 0), Demux::Dtls);
    assert_eq!(of(64, 0), Demux::Other);
    assert_eq!(of(128, 96), Demux::Rtp);
    assert_eq!(of(144, 200), Demux::Rtcp);
    assert_eq!(of(191, 223), Demux::Rtcp);
    assert_eq!(of(128, 224), Demux::Rtp);
    assert_eq!(of(192, 200), Demux::Other);
    assert_eq!(Demux::of(&[]), Demux::Other);
}

#[test]
fn a_request_without_integrity_or_username_is_refused() {
    let bare = [&[0, 1, 0, 0][..], &stun::MAGIC_COOKIE.to_be_bytes(), &TID].concat();
    assert_eq!(
        BindingRequest::parse(&bare).err(),
        Some(StunError::Missing(8))
    );
    let no_colon = stun::binding_request(&TID, &check("nocolon", false), &IntegrityKey::new("k"));
    assert_eq!(
        BindingRequest::parse(&no_colon).err(),
        Some(StunError::BadAttribute(6))
    );
    assert_eq!(stun::local_ufrag(&no_colon), None);
}

#[test]
fn what_follows_the_integrity_is_not_believed() {
    let key = IntegrityKey::new("pwd");
    let mut message = stun::binding_request(&TID, &check("ours:theirs", false), &key);
    // Cut the fingerprint off and put USE-CANDIDATE behind the integrity.
    message.truncate(message.len() - 8);
    message.extend_from_slice(&[0, 0x25, 0, 0]);
    let length = (message.len() - stun::HEADER_BYTES) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let request = BindingRequest::parse(&message).expect("parsed");
    request.verify(&key).expect("the covered part is authentic");
    assert!(!request.use_candidate());
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(BindingRequest::parse(&bytes).is_err());
        let _kind = Demux::of(&bytes);
        let _ufrag = stun::local_ufrag(&bytes);
    }

    #[test]
    fn a_damaged_request_never_passes_for_authentic(
        at in any::<prop::sample::Index>(),
        value: u8,
        cut in any::<prop::sample::Index>(),
        shorten: bool,
    ) {
        let key = IntegrityKey::new("a password of enough length");
        let whole = stun::binding_request(&TID, &check("ours:theirs", true), &key);
        let mut damaged = whole.clone();
        // All but FINGERPRINT, which the integrity does not cover.
        damaged[at.index(whole.len() - 8)] = value;
        if shorten {
            damaged.truncate(cut.index(whole.len()));
        }
        let _ufrag = stun::local_ufrag(&damaged);
        // A length that ends before FINGERPRINT, and nothing behind it, is a whole request, too.
        let only_fingerprint_gone = damaged[4.min(damaged.len())..] == whole[4..whole.len() - 8];
        if damaged != whole && !only_fingerprint_gone {
            let passed = BindingRequest::parse(&damaged).is_ok_and(|r| r.verify(&key).is_ok());
            prop_assert!(!passed);
        }
    }

    #[test]
    fn attribute_soup_never_panics(
        attributes in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
    ) {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend_from_slice(&(kind % 64).to_be_bytes());
            body.extend_from_slice(&(value.len() as u16).to_be_bytes());
            body.extend_from_slice(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend_from_slice(&(body.len() as u16).to_be_bytes());
        message.extend_from_slice(&stun::MAGIC_COOKIE.to_be_bytes());
        message.extend_from_slice(&TID);
        message.extend_from_slice(&body);
        let key = IntegrityKey::new("pwd");
        let authentic = BindingRequest::parse(&message).is_ok_and(|r| r.verify(&key).is_ok());
        prop_assert!(!authentic);
        prop_assert!(BindingResponse::parse(&message, &key).is_err());
    }
}
