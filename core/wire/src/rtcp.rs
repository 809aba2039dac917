//! RTCP (RFC 3550 section 6, RFC 4585, RFC 5104, REMB): compound and reduced-size packets are read
//! item by item, and what a sender says about itself is written.
//!
//! Belongs here: bytes. Not here: when to send, and what to do about a report.

/// The largest number of blocks one packet's 5-bit count can announce.
pub const MAX_REPORT_BLOCKS: usize = 31;
/// SDES items carry an 8-bit length.
pub const MAX_CNAME_BYTES: usize = 255;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Why a packet's rest could not be read; what came before it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    #[error("RTCP packet at offset {offset} is truncated")]
    Truncated { offset: usize },
    #[error("RTCP packet at offset {offset} has version {version}")]
    BadVersion { offset: usize, version: u8 },
    #[error("RTCP packet at offset {offset} has bad padding")]
    BadPadding { offset: usize },
    #[error("RTCP packet type {packet_type} at offset {offset} is malformed")]
    Malformed { offset: usize, packet_type: u8 },
}

/// A sender's clock pair and counters (RFC 3550 section 6.4.1). `ntp` is 32.32 fixed point seconds
/// since 1900.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    pub ntp: u64,
    pub rtp_ts: u32,
    pub packets: u32,
    pub octets: u32,
}

/// What a receiver saw of one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Share lost since the previous report, in 1/256.
    pub fraction_lost: u8,
    /// Signed 24-bit count since the start.
    pub cumulative_lost: i32,
    pub highest_seq: u32,
    /// In units of the source's rtp_ts clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report, 0 for none.
    pub last_sr: u32,
    /// Since that report, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// One packet of a compound, read. Report blocks are copied out: they outlive the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtcpItem {
    SenderReport {
        report: SenderReport,
        blocks: Vec<ReportBlock>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: Vec<ReportBlock>,
    },
    /// Generic NACK: pairs of (packet id, bitmask of the 16 following) (RFC 4585 section 6.2.1).
    Nack {
        media_ssrc: u32,
        pairs: Vec<(u16, u16)>,
    },
    Pli {
        media_ssrc: u32,
    },
    /// Full intra request, one per target SSRC (RFC 5104 section 4.3.1).
    Fir {
        targets: Vec<u32>,
    },
    Remb {
        bitrate_bps: u64,
        ssrcs: Vec<u32>,
    },
    Bye {
        ssrcs: Vec<u32>,
    },
    /// Well formed and of no interest here: SDES, XR, transport-wide feedback, APP...
    Other {
        packet_type: u8,
    },
}

/// Iterates over the packets of one compound or reduced-size datagram. Ends after the first error.
#[must_use]
pub fn items(datagram: &[u8]) -> Items<'_> {
    Items {
        datagram,
        offset: 0,
    }
}

/// See [`items`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    datagram: &'a [u8],
    offset: usize,
}

impl Iterator for Items<'_> {
    type Item = Result<RtcpItem, RtcpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.datagram.len() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.offset = self.datagram.len();
        }
        Some(item)
    }
}

impl Items<'_> {
    fn read(&mut self) -> Result<RtcpItem, RtcpError> {
        let offset = self.offset;
        let rest = &self.datagram[offset..];
        let [first, packet_type, l0, l1, ..] = *rest else {
            return Err(RtcpError::Truncated { offset });
        };
        let version = first >> 6;
        if version != 2 {
            return Err(RtcpError::BadVersion { offset, version });
        }
        let whole = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
        let mut body = rest.get(4..whole).ok_or(RtcpError::Truncated { offset })?;
        self.offset = offset + whole;
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last().ok_or(RtcpError::BadPadding { offset })?);
            if padding == 0 || padding > body.len() {
                return Err(RtcpError::BadPadding { offset });
            }
            body = &body[..body.len() - padding];
        }
        parse_body(packet_type, first & 0x1F, body).ok_or(RtcpError::Malformed {
            offset,
            packet_type,
        })
    }
}

fn parse_body(packet_type: u8, count: u8, body: &[u8]) -> Option<RtcpItem> {
    let item = match (packet_type, count) {
        (SENDER_REPORT, _) => RtcpItem::SenderReport {
            report: SenderReport {
                ssrc: word(body, 0)?,
                ntp: u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?),
                rtp_ts: word(body, 12)?,
                packets: word(body, 16)?,
                octets: word(body, 20)?,
            },
            blocks: report_blocks(body.get(24..)?, count)?,
        },
        (RECEIVER_REPORT, _) => RtcpItem::ReceiverReport {
            ssrc: word(body, 0)?,
            blocks: report_blocks(body.get(4..)?, count)?,
        },
        (TRANSPORT_FEEDBACK, 1) => RtcpItem::Nack {
            media_ssrc: word(body, 4)?,
            pairs: words(body.get(8..)?)
                .map(|pair| ((pair >> 16) as u16, pair as u16))
                .collect(),
        },
        (PAYLOAD_FEEDBACK, 1) => RtcpItem::Pli {
            media_ssrc: word(body, 4)?,
        },
        (PAYLOAD_FEEDBACK, 4) => RtcpItem::Fir {
            targets: words(body.get(8..)?).step_by(2).collect(),
        },
        (PAYLOAD_FEEDBACK, 15) if body.get(8..12)? == b"REMB" => {
            let packed = word(body, 12)?;
            let ssrcs: Vec<u32> = words(body.get(16..)?).collect();
            if ssrcs.len() != (packed >> 24) as usize {
                return None;
            }
            let mantissa = u64::from(packed & 0x3_FFFF);
            RtcpItem::Remb {
                // The exponent has 6 bits: saturate instead of shifting bits out.
                bitrate_bps: mantissa.saturating_mul(1 << ((packed >> 18) & 0x3F)),
                ssrcs,
            }
        }
        (BYE, _) => RtcpItem::Bye {
            ssrcs: words(body.get(..4 * usize::from(count))?).collect(),
        },
        _ => RtcpItem::Other { packet_type },
    };
    Some(item)
}

fn report_blocks(body: &[u8], count: u8) -> Option<Vec<ReportBlock>> {
    (0..usize::from(count))
        .map(|index| {
            let block = body.get(24 * index..24 * (index + 1))?;
            let loss = word(block, 4)?;
            Some(ReportBlock {
                ssrc: word(block, 0)?,
                fraction_lost: (loss >> 24) as u8,
                cumulative_lost: (loss << 8).cast_signed() >> 8,
                highest_seq: word(block, 8)?,
                jitter: word(block, 12)?,
                last_sr: word(block, 16)?,
                delay_since_last_sr: word(block, 20)?,
            })
        })
        .collect()
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks.iter().map(|chunk| u32::from_be_bytes(*chunk))
}

/// Appends a sender report followed by SDES with the CNAME, as one compound (RFC 3550 section 6.1).
/// A `cname` longer than [`MAX_CNAME_BYTES`] is cut.
pub fn write_sender_report(report: &SenderReport, cname: &str, out: &mut Vec<u8>) {
    write_header(SENDER_REPORT, 0, 24, out);
    out.extend_from_slice(&report.ssrc.to_be_bytes());
    out.extend_from_slice(&report.ntp.to_be_bytes());
    out.extend_from_slice(&report.rtp_ts.to_be_bytes());
    out.extend_from_slice(&report.packets.to_be_bytes());
    out.extend_from_slice(&report.octets.to_be_bytes());
    write_cname(report.ssrc, cname, out);
}

/// Appends a receiver report of at most [`MAX_REPORT_BLOCKS`] blocks followed by SDES.
pub fn write_receiver_report(ssrc: u32, blocks: &[ReportBlock], cname: &str, out: &mut Vec<u8>) {
    let blocks = &blocks[..blocks.len().min(MAX_REPORT_BLOCKS)];
    write_header(
        RECEIVER_REPORT,
        blocks.len() as u8,
        4 + 24 * blocks.len(),
        out,
    );
    out.extend_from_slice(&ssrc.to_be_bytes());
    for block in blocks {
        let lost = block
            .cumulative_lost
            .clamp(-0x80_0000, 0x7F_FFFF)
            .cast_unsigned()
            & 0xFF_FFFF;
        let loss = u32::from(block.fraction_lost) << 24 | lost;
        for value in [
            block.ssrc,
            loss,
            block.highest_seq,
            block.jitter,
            block.last_sr,
            block.delay_since_last_sr,
        ] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
    write_cname(ssrc, cname, out);
}

/// Appends a BYE. On its own it is a reduced-size packet: put a report before it where the other
/// side has not agreed to those (RFC 5506).
pub fn write_bye(ssrc: u32, out: &mut Vec<u8>) {
    write_header(BYE, 1, 4, out);
    out.extend_from_slice(&ssrc.to_be_bytes());
}

/// Appends a picture loss indication (RFC 4585 section 6.3.1); for clients.
pub fn write_pli(sender_ssrc: u32, media_ssrc: u32, out: &mut Vec<u8>) {
    write_header(PAYLOAD_FEEDBACK, 1, 8, out);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
}

/// `body_bytes` must be a multiple of four.
fn write_header(packet_type: u8, count: u8, body_bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x80 | count, packet_type]);
    out.extend_from_slice(&((body_bytes / 4) as u16).to_be_bytes());
}

fn write_cname(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    let cname = &cname.as_bytes()[..cname.len().min(MAX_CNAME_BYTES)];
    // SSRC, item type and length, the name, and at least one zero that ends the chunk.
    let body_bytes = (4 + 2 + cname.len() + 1).next_multiple_of(4);
    write_header(SOURCE_DESCRIPTION, 1, body_bytes, out);
    let end = out.len() + body_bytes;
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, cname.len() as u8]);
    out.extend_from_slice(cname);
    out.resize(end, 0);
}
