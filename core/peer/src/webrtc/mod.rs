//! One browser that watches: offer to answer, then ICE-lite, DTLS-SRTP and RTCP of one viewer.
//!
//! Belongs here: what must be remembered about one remote end of WebRTC. Not here: what is sent to
//! it (`fanout`), sockets and shards (`engine`), who may watch and until when (the control plane).
//! Called by `engine` alone, with the time handed in.
//!
//! The order that must hold: a datagram's sender is validated by an authenticated STUN check before
//! DTLS or SRTCP from it is looked at, and the client's certificate is compared with the offer's
//! fingerprint before there is a sealer to send media with.

mod addresses;
pub mod answer;
mod audio;
mod dtls;
mod identity;
mod offer;
mod viewer;

pub use addresses::{MAX_ADDRESSES, Way};
pub use answer::{AnswerParams, NegotiateError, Negotiated, negotiate};
pub use audio::AudioFormats;
pub use identity::{
    DtlsIdentity, Fingerprint, FingerprintHash, IceCredentials, IdentityError, random_ice_text,
};
pub use viewer::{
    CONSENT_TIMEOUT, CloseCause, DatagramError, Origin, PeerConfig, PeerEvent, WebrtcPeer,
};
