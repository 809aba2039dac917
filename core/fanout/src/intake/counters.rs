//! What the intake has seen and dropped.

/// Counts of one stream's camera side, growing over reconnects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntakeCounters {
    /// Packets taken in.
    pub packets: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
    /// Not RTP, or not RFC 6184 (RFC 7798).
    pub malformed: u64,
    /// Of another payload type.
    pub unexpected_payload_type: u64,
    /// Of another SSRC than the one followed.
    pub foreign_ssrc: u64,
    /// Overtaken or repeated packets.
    pub late_or_repeated: u64,
    /// Missing by sequence number.
    pub packets_lost: u64,
    /// Times that the source began to count anew or changed its SSRC.
    pub resyncs: u64,
    /// Fragments whose beginning never came.
    pub orphan_fragments: u64,
    /// Fragments empty, or begun anew without an end.
    pub odd_fragments: u64,
    /// NAL units that held start codes.
    pub annexb_inside: u64,
    /// Markers in the middle of a picture.
    pub early_markers: u64,
    /// NAL units of kinds that are left out.
    pub other_nals: u64,
    /// Packets with payload content information (RFC 7798 section 4.4.4), which nobody is known to send.
    pub paci_packets: u64,
    /// Units handed out.
    pub units: u64,
    /// Units incomplete, or that needed one that was.
    pub units_dropped: u64,
    /// Keyframes handed out.
    pub keyframes: u64,
    /// Units that must be shown before an earlier one, handed out.
    pub b_slice_units: u64,
    /// Leading pictures dropped, because what they refer to was never there.
    pub leading_left_out: u64,
    /// Keyframes dropped for want of a parameter set.
    pub without_parameter_sets: u64,
    /// Units over their bound.
    pub oversize: u64,
}
