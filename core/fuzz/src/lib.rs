//! One function per parser of foreign bytes: any input, no panic, and what else must hold.
//!
//! Belongs here: the targets and their first inputs. Not here: libFuzzer, which `runner` links, a
//! workspace of its own so that nobody else builds it; `make fuzz` runs it. The replay test runs
//! every target over its seeds and over what was found before, by the ordinary toolchain.
#![forbid(unsafe_code)]

mod input;
pub mod seeds;
mod targets;

// The judge's own readers. It is a program, so its files are taken as they are.
#[allow(dead_code, reason = "the load generator uses the rest")]
#[path = "../../loadgen/src/assembly.rs"]
mod assembly;
#[allow(dead_code, reason = "the load generator uses the rest")]
#[path = "../../loadgen/src/sdp.rs"]
mod loadgen_sdp;
#[allow(dead_code, reason = "the load generator uses the rest")]
#[path = "../../loadgen/src/tally.rs"]
mod tally;

/// A parser under test.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Longer inputs find nothing new here and cost time.
    pub max_bytes: usize,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("rtp", 256, targets::wire::rtp),
    target("rtcp", 512, targets::wire::rtcp),
    target("stun", 512, targets::wire::stun),
    target("srtp", 512, targets::wire::srtp),
    target("framing", 4_096, targets::wire::framing),
    target("digest", 512, targets::wire::digest),
    target("h264", 1_024, targets::h264::h264),
    target("h265", 1_024, targets::h265::h265),
    target("sdp", 4_096, targets::sdp::sdp),
    target("loadgen", 2_048, targets::sdp::loadgen),
    target("rtsp_reader", 4_096, targets::rtsp::reader),
    target("rtsp_headers", 512, targets::rtsp::headers),
    target("rtsp_url", 512, targets::rtsp::url),
    target("rtsp_client", 8_192, targets::rtsp_client::client),
    target("rtsp_server", 4_096, targets::rtsp_server::server),
    target("rtsp_door", 4_096, targets::rtsp_door::door),
    target("ticket", 512, targets::rtsp_door::ticket),
    target("intake", 4_096, targets::intake::intake),
    target("webrtc_offer", 8_192, targets::webrtc::offer),
    target("webrtc_transport", 4_096, targets::webrtc::transport),
    target("webrtc_feedback", 1_024, targets::webrtc::feedback),
];

const fn target(name: &'static str, max_bytes: usize, run: fn(&[u8])) -> Target {
    Target {
        name,
        max_bytes,
        run,
    }
}

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
