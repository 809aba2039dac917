//! Sans-IO machines, one per remote end: they take `(now, bytes | command)` and give transmits,
//! events and the next timeout. They own no socket, clock, thread or lock.
#![forbid(unsafe_code)]

pub mod rtsp_client;
pub mod rtsp_door;
pub mod rtsp_server;
pub mod tls;
pub mod webrtc;
