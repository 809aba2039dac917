//! The targets, by what they read.

pub mod h264;
pub mod h265;
pub mod intake;
pub mod rtsp;
pub mod rtsp_client;
pub mod rtsp_door;
pub mod rtsp_server;
pub mod sdp;
pub mod webrtc;
pub mod wire;
