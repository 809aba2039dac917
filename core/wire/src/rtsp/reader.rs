//! The stream reader: interleaved packets and messages out of arbitrary chunks.
//!
//! Packets that lie whole in the caller's chunk are handed out as slices of it; only an
//! unfinished tail is kept. What comes out does not depend on how the bytes were cut.

use super::{
    INTERLEAVED_HEADER_BYTES, INTERLEAVED_MAGIC, MAX_BODY_BYTES, MAX_HEAD_BYTES, Message,
    MessageError,
};

/// While a head is incomplete, this much is moved into the tail at a time; what turns out to
/// belong to the next item is given back to the caller's chunk.
const HEAD_STEP_BYTES: usize = 512;
/// Longest method name (or `RTSP/1.0`) of a start line before its first blank.
const MAX_FIRST_WORD_BYTES: usize = 24;
/// The shortest payload taken seriously while searching: an RTP header.
const MIN_PLAUSIBLE_BYTES: usize = 12;
const STATUS_LINE: &[u8] = b"RTSP/1.";

/// Why the reader lost its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesyncCause {
    /// A byte that starts neither a packet nor a message.
    UnexpectedByte(u8),
    /// No blank line within `MAX_HEAD_BYTES`.
    HeadTooLong,
    /// A head that is no RTSP message.
    Malformed(MessageError),
}

/// One thing read.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// RFC 2326 section 10.12. The payload may be empty and is not looked at.
    Interleaved {
        channel: u8,
        payload: &'a [u8],
    },
    Message(Message),
    /// Said once when the place is lost; the search for the next packet or message follows.
    Desync(DesyncCause),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub desyncs: u64,
    /// Bytes thrown away while searching.
    pub skipped_bytes: u64,
}

/// Incremental reader of one RTSP connection, for either end of it.
///
/// The tail never holds more than one unfinished item and the step that was read ahead for it:
/// [`Reader::MAX_BUFFERED_BYTES`].
#[derive(Debug, Default)]
pub struct Reader {
    known_channels: Option<Vec<u8>>,
    tail: Vec<u8>,
    /// Up to here the tail was handed out or skipped; dropped at the next call.
    tail_start: usize,
    /// So much of the unfinished head is known to hold no blank line.
    head_scanned: usize,
    searching: bool,
    counters: Counters,
}

/// What stands at the front of some bytes.
enum Front {
    /// At least this many more bytes are needed to tell.
    Need(usize),
    /// A head without its end yet.
    NeedHead,
    /// Bytes of no meaning here.
    Skip(usize),
    Lost(DesyncCause),
    Packet {
        channel: u8,
        end: usize,
    },
    Message {
        message: Box<Message>,
        end: usize,
    },
}

impl Reader {
    pub const MAX_BUFFERED_BYTES: usize = MAX_HEAD_BYTES + MAX_BODY_BYTES + HEAD_STEP_BYTES;

    pub fn new() -> Self {
        Self::default()
    }

    /// Channels that a search for the next packet believes in; without it, all.
    pub fn set_known_channels(&mut self, channels: &[u8]) {
        self.known_channels = Some(channels.to_vec());
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes kept for the next call.
    pub fn buffered_bytes(&self) -> usize {
        self.tail.len() - self.tail_start
    }

    /// The packet at the front of `input`, channel and payload, if it lies there whole and nothing is
    /// kept from before; else `None`, and [`Reader::next`] goes on. Unlike an [`Item`] it borrows
    /// nothing of the reader.
    pub fn next_whole<'i>(&mut self, input: &mut &'i [u8]) -> Option<(u8, &'i [u8])> {
        let nothing_kept = !self.searching && self.tail_start == self.tail.len();
        if !nothing_kept || input.first() != Some(&INTERLEAVED_MAGIC) {
            return None;
        }
        let Front::Packet { channel, end } = packet(input) else {
            return None;
        };
        let (whole, rest) = input.split_at(end);
        *input = rest;
        Some((channel, &whole[INTERLEAVED_HEADER_BYTES..]))
    }

    /// The next item of `input`, which is moved forward over what was read. `None` when all of
    /// `input` has been taken in; call until then.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Item<'a>> {
        self.tail.drain(..self.tail_start);
        self.tail_start = 0;
        loop {
            let from_tail = self.tail_start < self.tail.len();
            let bytes = if from_tail {
                &self.tail[self.tail_start..]
            } else if input.is_empty() {
                return None;
            } else {
                *input
            };
            let front = self.front_of(bytes);
            let scanned = bytes.len();
            self.head_scanned = if matches!(front, Front::NeedHead) {
                scanned
            } else {
                0
            };
            match front {
                Front::Need(more) => self.take_in(input, more)?,
                Front::NeedHead => self.take_in(input, HEAD_STEP_BYTES)?,
                Front::Skip(count) => {
                    self.counters.skipped_bytes += if self.searching { count as u64 } else { 0 };
                    self.skip(input, from_tail, count);
                }
                Front::Lost(cause) => {
                    self.searching = true;
                    self.counters.desyncs += 1;
                    self.counters.skipped_bytes += 1;
                    self.skip(input, from_tail, 1);
                    return Some(Item::Desync(cause));
                }
                Front::Packet { channel, end } => {
                    self.searching = false;
                    let whole: &'a [u8] = if from_tail {
                        let start = self.tail_start;
                        self.tail_start += end;
                        &self.tail[start..start + end]
                    } else {
                        let whole: &'i [u8] = &input[..end];
                        *input = &input[end..];
                        whole
                    };
                    let payload = &whole[INTERLEAVED_HEADER_BYTES..];
                    return Some(Item::Interleaved { channel, payload });
                }
                Front::Message { message, end } => {
                    self.searching = false;
                    self.skip(input, from_tail, end);
                    return Some(Item::Message(*message));
                }
            }
        }
    }

    fn skip(&mut self, input: &mut &[u8], from_tail: bool, count: usize) {
        if from_tail {
            self.tail_start += count;
        } else {
            *input = &input[count..];
        }
    }

    /// Moves `more` bytes of `input` into the tail, or all of it while the tail is empty.
    /// `None` when `input` had none left.
    fn take_in(&mut self, input: &mut &[u8], more: usize) -> Option<()> {
        if input.is_empty() {
            return None;
        }
        let first = self.tail_start == self.tail.len();
        self.tail.drain(..self.tail_start);
        self.tail_start = 0;
        let take = if first {
            input.len()
        } else {
            more.min(input.len())
        };
        self.tail.extend_from_slice(&input[..take]);
        *input = &input[take..];
        if first { None } else { Some(()) }
    }

    fn front_of(&self, bytes: &[u8]) -> Front {
        if self.searching {
            return self.search(bytes);
        }
        match bytes[0] {
            INTERLEAVED_MAGIC => packet(bytes),
            b'\r' | b'\n' => Front::Skip(leading(bytes, |byte| matches!(byte, b'\r' | b'\n'))),
            byte if byte.is_ascii_alphabetic() => self.message(bytes),
            byte => Front::Lost(DesyncCause::UnexpectedByte(byte)),
        }
    }

    fn search(&self, bytes: &[u8]) -> Front {
        let hopeless = leading(bytes, |byte| byte != INTERLEAVED_MAGIC && byte != b'R');
        if hopeless > 0 {
            return Front::Skip(hopeless);
        }
        if bytes[0] == INTERLEAVED_MAGIC {
            return match self.plausible(bytes) {
                Some(true) => packet(bytes),
                Some(false) => Front::Skip(1),
                None => Front::Need(1),
            };
        }
        let compared = bytes.len().min(STATUS_LINE.len());
        if bytes[..compared] != STATUS_LINE[..compared] {
            return Front::Skip(1);
        }
        if compared < STATUS_LINE.len() {
            return Front::Need(1);
        }
        match self.message(bytes) {
            Front::Lost(_) => Front::Skip(1),
            front => front,
        }
    }

    /// Whether a `$` starts a packet of a known channel with RTP or RTCP in it; `None` when more
    /// bytes are needed to tell.
    fn plausible(&self, bytes: &[u8]) -> Option<bool> {
        let channel = bytes.get(1)?;
        if let Some(known) = &self.known_channels
            && !known.contains(channel)
        {
            return Some(false);
        }
        let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        if length < MIN_PLAUSIBLE_BYTES {
            return Some(false);
        }
        Some(bytes.get(4)? >> 6 == 2)
    }

    fn message(&self, bytes: &[u8]) -> Front {
        let word = leading(bytes, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.')
        });
        match bytes.get(word) {
            Some(b' ') if word <= MAX_FIRST_WORD_BYTES => {}
            Some(b' ') | None if word > MAX_FIRST_WORD_BYTES => {
                return Front::Lost(DesyncCause::UnexpectedByte(bytes[0]));
            }
            Some(_) => return Front::Lost(DesyncCause::UnexpectedByte(bytes[0])),
            None => return Front::NeedHead,
        }
        let window = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
        let Some(head_bytes) = head_end(window, self.head_scanned) else {
            return if window.len() == MAX_HEAD_BYTES {
                Front::Lost(DesyncCause::HeadTooLong)
            } else {
                Front::NeedHead
            };
        };
        match Message::parse_head(&bytes[..head_bytes]) {
            Err(error) => Front::Lost(DesyncCause::Malformed(error)),
            Ok((mut message, body_bytes)) => {
                let end = head_bytes + body_bytes;
                if let Some(body) = bytes.get(head_bytes..end) {
                    message.set_body(body);
                    let message = Box::new(message);
                    Front::Message { message, end }
                } else {
                    Front::Need(end - bytes.len())
                }
            }
        }
    }
}

fn packet(bytes: &[u8]) -> Front {
    let [_, channel, high, low, ..] = bytes else {
        return Front::Need(INTERLEAVED_HEADER_BYTES - bytes.len());
    };
    let end = INTERLEAVED_HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
    if bytes.len() < end {
        Front::Need(end - bytes.len())
    } else {
        Front::Packet {
            channel: *channel,
            end,
        }
    }
}

fn leading(bytes: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !matches(*byte))
        .unwrap_or(bytes.len())
}

/// Where the blank line ends, with CR LF or bare LF line ends.
fn head_end(bytes: &[u8], scanned: usize) -> Option<usize> {
    // The blank line may have begun within the last two bytes that were looked at.
    let mut at = scanned.saturating_sub(2);
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
        at += found + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Appends one interleaved packet. False, with `out` untouched, when the payload does not fit
/// the 16-bit length.
#[must_use]
pub fn write_interleaved(out: &mut Vec<u8>, channel: u8, payload: &[u8]) -> bool {
    let Ok(length) = u16::try_from(payload.len()) else {
        return false;
    };
    let [high, low] = length.to_be_bytes();
    out.extend_from_slice(&[INTERLEAVED_MAGIC, channel, high, low]);
    out.extend_from_slice(payload);
    true
}
