//! What waits to leave by the UDP socket: sealed bytes and their messages.
//!
//! A datagram enters once and is handed to the kernel at most once: a full socket keeps the rest
//! here as it was sealed, so no (key, SSRC, index) is ever sealed again.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use peer::webrtc::{Origin, Way};

use crate::stats::Totals;
use crate::sys::{self, Message, SendScratch};
use crate::tcp::StreamAddress;

/// Sealed bytes kept while the socket is full. Above it no more media is sealed: the viewers'
/// cursors wait, and then drop whole access units. 1 MiB is about 50 viewers' share of one
/// millisecond at the pacing limit.
pub const OUTBOX_MEDIA_BYTES: usize = 1 << 20;
/// Above it answers to checks and handshakes are dropped too: their senders repeat themselves,
/// and a flood of checks must not grow the process.
const OUTBOX_MAX_BYTES: usize = 2 * OUTBOX_MEDIA_BYTES;
/// Sealed bytes after which a visit hands over what it has: the kernel then copies from a cache
/// that still holds them, and a system call still carries a dozen viewers' messages.
pub const OUTBOX_BATCH_BYTES: usize = 64 << 10;
/// The kernel's limit of one UDP GSO message.
const GSO_MAX_BYTES: usize = 65_000;
/// Segments in one GSO message that every kernel since 4.18 takes.
const GSO_MAX_SEGMENTS: usize = 64;

/// Who takes the messages: the socket, or a test's stand-in.
pub trait Sink {
    /// As [`sys::send_messages`].
    fn send(&mut self, buffer: &[u8], messages: &[Message]) -> io::Result<usize>;
}

pub struct UdpSink {
    pub socket: UdpSocket,
    scratch: SendScratch,
    /// Bound to all addresses of the machine, so each datagram says which one it came to.
    tells_local: bool,
}

impl UdpSink {
    pub fn new(socket: UdpSocket) -> Self {
        let bound = socket.local_addr();
        let to_all = bound.is_ok_and(|at| at.ip().is_unspecified());
        Self {
            tells_local: to_all && sys::tell_local_addresses(&socket).is_ok(),
            socket,
            scratch: SendScratch::default(),
        }
    }

    /// The next datagram, its size and where it came from.
    ///
    /// # Errors
    /// As `recv_from`: `WouldBlock` when there is none.
    pub fn receive(&self, datagram: &mut [u8]) -> io::Result<(usize, Origin)> {
        let (size, from, local) = if self.tells_local {
            sys::receive(&self.socket, datagram)?
        } else {
            let (size, from) = self.socket.recv_from(datagram)?;
            (size, from, None)
        };
        let origin = Origin {
            local,
            ..from.into()
        };
        Ok((size, origin))
    }
}

impl Sink for UdpSink {
    fn send(&mut self, buffer: &[u8], messages: &[Message]) -> io::Result<usize> {
        sys::send_messages(&self.socket, &mut self.scratch, buffer, messages)
    }
}

#[derive(Default)]
pub struct Outbox {
    // given
    gso_off: bool,
    /// Not yet taken by [`Outbox::take_gso_refusal`].
    gso_refusal: Option<io::Error>,
    // owned
    buffer: Vec<u8>,
    messages: Vec<Message>,
    /// Messages before this one have left.
    sent: usize,
    /// Datagrams for TCP connections, which take them from here before anything is sent.
    framed: Vec<Message>,
}

impl Outbox {
    /// May more media be sealed into it now?
    pub fn has_room(&self) -> bool {
        self.buffer.len() < OUTBOX_MEDIA_BYTES
    }

    /// Is anything in it?
    pub fn has_waiting(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Is there enough for a system call of its own?
    pub fn is_batch(&self) -> bool {
        self.buffer.len() >= OUTBOX_BATCH_BYTES
    }

    /// Where sealing appends; call [`Outbox::close_datagram`] after each datagram.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Makes the bytes since `start` one datagram, joined to the message before it where GSO allows:
    /// same way, contiguous, no shorter segment yet.
    pub fn close_datagram(&mut self, way: impl Into<Way>, start: usize) {
        let Way { remote: to, local } = way.into();
        let end = self.buffer.len();
        let size = end - start;
        if StreamAddress::is(&to) {
            self.framed.push(Message {
                to,
                local: None,
                start,
                end,
                segment_bytes: u16::try_from(size).unwrap_or(u16::MAX),
            });
            return;
        }
        let pending = self.messages.len() > self.sent;
        if let Some(last) = self.messages.last_mut()
            && pending
            && !self.gso_off
            && last.to == to
            && last.local == local
            && last.end == start
            && last.len().is_multiple_of(usize::from(last.segment_bytes))
            && size <= usize::from(last.segment_bytes)
            && last.datagrams() < GSO_MAX_SEGMENTS
            && end - last.start <= GSO_MAX_BYTES
        {
            last.end = end;
            return;
        }
        self.messages.push(Message {
            to,
            local,
            start,
            end,
            segment_bytes: u16::try_from(size).unwrap_or(u16::MAX),
        });
    }

    pub fn push(&mut self, way: impl Into<Way>, datagram: &[u8]) {
        if self.buffer.len() + datagram.len() > OUTBOX_MAX_BYTES {
            return;
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(datagram);
        self.close_datagram(way, start);
    }

    /// Why the kernel or the network card takes no GSO messages, once after it was found.
    pub fn take_gso_refusal(&mut self) -> Option<io::Error> {
        self.gso_refusal.take()
    }

    /// Does anything wait for a TCP connection?
    pub fn has_framed(&self) -> bool {
        !self.framed.is_empty()
    }

    /// Datagrams for TCP connections, in their order.
    pub fn framed(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let bytes = |message: &Message| &self.buffer[message.start..message.end];
        self.framed.iter().map(move |m| (m.to, bytes(m)))
    }

    /// They were handed over.
    pub fn forget_framed(&mut self) {
        self.framed.clear();
    }

    /// Hands over all it can. Returns true when the socket is full and the caller should wait for
    /// it to become writable. What is for TCP connections was taken before: its bytes go, too.
    pub fn flush(&mut self, sink: &mut impl Sink, totals: &Totals) -> bool {
        debug_assert!(!self.has_framed());
        while self.sent < self.messages.len() {
            match sink.send(&self.buffer, &self.messages[self.sent..]) {
                Ok(taken) => {
                    for message in &self.messages[self.sent..self.sent + taken] {
                        totals.datagrams_sent.add(message.datagrams() as u64);
                        totals.bytes_sent.add(message.len() as u64);
                    }
                    totals.messages_sent.add(taken as u64);
                    self.sent += taken;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    totals.send_blocked.add(1);
                    self.compact();
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.is_gso_refusal(&error) => {
                    totals.gso_refused.add(1);
                    self.turn_gso_off();
                    self.gso_refusal = Some(error);
                }
                // This destination's own trouble (unreachable, refused): its datagrams are lost on
                // the wire, the others' are not.
                Err(_) => {
                    totals.send_failed.add(1);
                    self.sent += 1;
                }
            }
        }
        self.buffer.clear();
        self.messages.clear();
        self.sent = 0;
        false
    }

    fn is_gso_refusal(&self, error: &io::Error) -> bool {
        !self.gso_off
            && self.messages[self.sent].is_segmented()
            && matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))
    }

    /// Drops what has left, so that a long-blocked socket does not grow the buffer.
    fn compact(&mut self) {
        let from = self.messages[self.sent].start;
        self.buffer.drain(..from);
        self.messages.drain(..self.sent);
        self.sent = 0;
        for message in &mut self.messages {
            message.start -= from;
            message.end -= from;
        }
    }

    fn turn_gso_off(&mut self) {
        self.gso_off = true;
        let rest = self.messages.split_off(self.sent);
        for message in rest {
            let step = usize::from(message.segment_bytes).max(1);
            let mut start = message.start;
            while start < message.end {
                let end = (start + step).min(message.end);
                self.messages.push(Message {
                    to: message.to,
                    local: message.local,
                    start,
                    end,
                    segment_bytes: message.segment_bytes,
                });
                start = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps every datagram it takes; fails as scripted.
    #[derive(Default)]
    struct FakeSink {
        calls: usize,
        block_every: usize,
        refuse_gso: bool,
        datagrams: Vec<Vec<u8>>,
    }

    impl Sink for FakeSink {
        fn send(&mut self, buffer: &[u8], messages: &[Message]) -> io::Result<usize> {
            self.calls += 1;
            if self.block_every != 0 && self.calls.is_multiple_of(self.block_every) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if self.refuse_gso && messages[0].is_segmented() {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            let first = messages[0];
            for chunk in buffer[first.start..first.end].chunks(first.segment_bytes.into()) {
                self.datagrams.push(chunk.to_vec());
            }
            Ok(1)
        }
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn fill(outbox: &mut Outbox, sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut expected = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            let datagram = vec![i as u8; *size];
            outbox.push(address(9), &datagram);
            expected.push(datagram);
        }
        expected
    }

    #[test]
    fn equal_datagrams_join_and_a_shorter_one_ends_the_run() {
        let mut outbox = Outbox::default();
        fill(&mut outbox, &[100, 100, 40, 40, 100]);
        let runs: Vec<usize> = outbox.messages.iter().map(Message::datagrams).collect();
        assert_eq!(runs, [3, 1, 1]);
    }

    #[test]
    fn a_socket_full_at_every_third_send_gets_each_datagram_once_and_in_order() {
        let mut outbox = Outbox::default();
        let totals = Totals::default();
        let mut sink = FakeSink {
            block_every: 3,
            ..FakeSink::default()
        };
        let mut expected = Vec::new();
        for round in 0..50 {
            expected.extend(fill(&mut outbox, &[100 + round, 90, 80, 110, 110]));
            outbox.flush(&mut sink, &totals);
        }
        while outbox.flush(&mut sink, &totals) {}
        assert_eq!(sink.datagrams, expected);
        assert!(totals.send_blocked.get() > 0);
    }

    #[test]
    fn a_flood_of_answers_to_a_full_socket_stays_bounded() {
        let mut outbox = Outbox::default();
        for _ in 0..100_000 {
            outbox.push(address(9), &[0; 100]);
        }
        assert!(outbox.buffer.len() <= OUTBOX_MAX_BYTES);
    }

    #[test]
    fn refused_gso_falls_back_to_single_datagrams_for_good() {
        let mut outbox = Outbox::default();
        let totals = Totals::default();
        let mut sink = FakeSink {
            refuse_gso: true,
            ..FakeSink::default()
        };
        let mut expected = fill(&mut outbox, &[100, 100, 100, 7]);
        assert!(!outbox.flush(&mut sink, &totals));
        expected.extend(fill(&mut outbox, &[50, 50]));
        assert!(!outbox.flush(&mut sink, &totals));
        assert_eq!(sink.datagrams, expected);
        assert_eq!(totals.gso_refused.get(), 1);
        let refusal = outbox.take_gso_refusal().unwrap();
        assert_eq!(refusal.raw_os_error(), Some(libc::EIO));
        assert!(outbox.take_gso_refusal().is_none(), "said once");
    }

    #[test]
    fn datagrams_that_leave_from_different_addresses_of_ours_do_not_join() {
        let mut outbox = Outbox::default();
        for local in [1, 1, 2].map(|last| Some([127, 0, 0, last].into())) {
            let remote = address(9);
            outbox.push(Way { remote, local }, &[0; 100]);
        }
        let runs: Vec<usize> = outbox.messages.iter().map(Message::datagrams).collect();
        assert_eq!(runs, [2, 1]);
    }

    /// The whole way of a viewer's packets: cursor, header, seal, outbox, a socket that is full at
    /// every third send. SRTP's own replay window is the judge.
    #[test]
    fn no_index_is_sealed_twice_when_the_socket_is_full_at_every_third_send() {
        use fanout::{AccessUnit, Packer, Ring, Subscriber, SubscriberConfig};
        use std::time::{Duration, Instant};
        use wire::codec::{PayloadType, PayloadTypes, VideoCodec};
        use wire::rtp::RTP_HEADER_BYTES;
        use wire::srtp::{SrtpOpener, SrtpProfile, SrtpSealer};

        let profile = SrtpProfile::AeadAes256Gcm;
        let (key, salt) = (vec![7; profile.key_bytes()], vec![9; profile.salt_bytes()]);
        let mut sealer = SrtpSealer::new(profile, &key, &salt).unwrap();
        let mut opener = SrtpOpener::new(profile, &key, &salt).unwrap();
        let numbers = PayloadType {
            media: 102,
            rtx: None,
        };
        let mut subscriber = Subscriber::new(SubscriberConfig {
            ssrc: 5,
            payload_types: PayloadTypes::only(VideoCodec::H264, numbers),
            first_seq: 0x7FF0,
            first_rtp_ts: 1,
            rtx: None,
        });
        let totals = Totals::default();
        let mut sink = FakeSink {
            block_every: 3,
            ..FakeSink::default()
        };
        let mut outbox = Outbox::default();
        let mut ring = Ring::default();
        let start = Instant::now();
        let mut sealed = 0;
        let mut blocked = false;
        for tick in 0..4_000u32 {
            let now = start + Duration::from_millis(tick.into());
            if tick % 40 == 0 {
                let keyframe = tick % 2_000 == 0;
                let mut slice = vec![if keyframe { 0x65 } else { 0x41 }; 16_000];
                slice[1] = 0x80;
                let unit = AccessUnit {
                    codec: VideoCodec::H264,
                    media_time: u64::from(tick) * 90,
                    recv_time: now,
                    keyframe,
                    has_b_slices: false,
                    needs_past: false,
                    source_epoch: 0,
                    parameter_sets: Vec::new(),
                    nals: [slice].iter().collect(),
                };
                ring.push(
                    Packer::default()
                        .pack(&unit, unit.media_time, ring.place())
                        .unwrap(),
                );
            }
            while !blocked && let Some(run) = subscriber.next_run(now, &ring, 32) {
                let mut header = [0; RTP_HEADER_BYTES];
                for packet in run.packets.clone() {
                    run.header_for(packet).write(&mut header);
                    let from = outbox.buffer.len();
                    sealer
                        .seal(&header, run.payload(packet), &mut outbox.buffer)
                        .unwrap();
                    outbox.close_datagram(address(9), from);
                    sealed += 1;
                }
                let all = run.packets.len();
                assert!(subscriber.commit(now, run, all));
            }
            blocked = outbox.flush(&mut sink, &totals);
        }
        while outbox.flush(&mut sink, &totals) {}
        let mut clear = Vec::new();
        for datagram in &sink.datagrams {
            opener.open(datagram, &mut clear).expect("each index once");
        }
        assert_eq!(sink.datagrams.len(), sealed);
        assert!(sealed > 1_000 && totals.send_blocked.get() > 20);
    }
}
