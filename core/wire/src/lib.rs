//! Pure formats: bytes in, typed values out, and back. No sockets, no clocks, no state about a
//! remote end (that is `peer`) and none about a stream (that is `fanout`).
#![forbid(unsafe_code)]

pub mod codec;
pub mod digest;
pub mod framing;
pub mod h264;
pub mod h265;
pub mod rtcp;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod srtp;
pub mod stun;
pub mod ticket;
