//! One client's TCP connection: its RTSP machine, what it plays, and what could not be sent yet.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use peer::rtsp_server::{ConnectionSeeds, MediaTarget, RtspServer, ServerConfig, ServerEvent};

use crate::catalog::{Catalog, Desk};
use crate::fault::{Fault, Later};
use crate::playback::{Playback, Start, WrittenUnit};
use crate::sound::Sound;
use crate::udp::{UdpPorts, UdpWay};

/// The rest of one access unit (the largest keyframe is 250 kB) and answers that a client does
/// not read; a client that lets more pile up is closed.
const MAX_PENDING_BYTES: usize = 512 * 1024;
/// Bytes taken from one connection before the others have their turn.
const READ_BUDGET_BYTES: usize = 64 * 1024;

/// The moment, on all the clocks that are needed.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    /// On the farm's clock.
    pub now_us: u64,
    pub wall_unix_us: u64,
}

/// What has become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lives,
    /// Close it.
    Ended,
    /// Close it with a TCP reset.
    Reset,
}

/// Sums over all connections since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub accepted: u64,
    pub packets: u64,
    pub units: u64,
    pub dropped_units: u64,
    pub bytes: u64,
    /// Reports of reception that came by UDP.
    pub receiver_reports: u64,
}

struct Play {
    playback: Playback,
    /// Silent for now, or for good when `silenced` by its URL.
    paused: bool,
    silenced: bool,
    later: Option<(u64, Later)>,
    /// Where the client did not ask for media in its connection.
    udp: Option<UdpWay>,
    /// Where it asked for that too.
    sound: Option<Sound>,
}

pub struct Connection {
    // given
    pub stream: TcpStream,
    seeds: ConnectionSeeds,
    // owned
    server: RtspServer,
    play: Option<Play>,
    asked: Option<u32>,
    pending: Vec<u8>,
    pending_start: usize,
    /// The picture whose last bytes have not been written yet.
    leaving: Option<WrittenUnit>,
    left: Option<(WrittenUnit, SystemTime)>,
    /// For the driver: the due time it has this connection scheduled for.
    pub scheduled_us: Option<u64>,
    /// For the driver: whether it waits for the socket to take bytes.
    pub wants_write: bool,
}

impl Connection {
    pub fn new(
        stream: TcpStream,
        config: Arc<ServerConfig>,
        seeds: ConnectionSeeds,
        now: Instant,
    ) -> Self {
        Self {
            stream,
            seeds,
            server: RtspServer::new(config, seeds, now),
            play: None,
            asked: None,
            pending: Vec::new(),
            pending_start: 0,
            leaving: None,
            left: None,
            scheduled_us: None,
            wants_write: false,
        }
    }

    pub fn is_playing(&self) -> bool {
        self.play.as_ref().is_some_and(|play| !play.paused)
    }

    pub fn has_pending(&self) -> bool {
        self.pending_start < self.pending.len()
    }

    /// The picture that has gone out whole since the last call, and the time just before the write
    /// that took its last bytes.
    pub fn take_left(&mut self) -> Option<(WrittenUnit, SystemTime)> {
        self.left.take()
    }

    /// When [`Self::on_due`] wants to be called.
    pub fn due_us(&self) -> Option<u64> {
        let play = self.play.as_ref()?;
        let picture = (!play.paused).then(|| play.playback.due_us());
        let fault = play.later.map(|(due_us, _)| due_us);
        let rest = play.udp.as_ref().and_then(UdpWay::due_us);
        let sound = play.sound.as_ref().filter(|_| !play.paused);
        let sound = sound.map(Sound::due_us);
        let times = [picture, fault, rest, sound];
        times.into_iter().flatten().min()
    }

    /// Read what came, answer it.
    pub fn on_readable(
        &mut self,
        at: Moment,
        catalog: &Catalog,
        counters: &mut Counters,
        scratch: &mut [u8],
    ) -> Fate {
        let mut taken_bytes = 0;
        while taken_bytes < READ_BUDGET_BYTES {
            match self.stream.read(scratch) {
                Ok(0) => return Fate::Ended,
                Ok(count) => {
                    taken_bytes += count;
                    let mut desk = Desk {
                        catalog,
                        asked: self.asked,
                    };
                    self.server.receive(at.now, &scratch[..count], &mut desk);
                    self.asked = desk.asked;
                    let fate = self.after_server(at, catalog, counters);
                    if fate != Fate::Lives || count < scratch.len() {
                        return fate;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Fate::Ended,
            }
        }
        Fate::Lives
    }

    /// The socket takes bytes again.
    pub fn on_writable(&mut self) -> Fate {
        let mut writing = SystemTime::now();
        while self.has_pending() {
            writing = SystemTime::now();
            match self.stream.write(&self.pending[self.pending_start..]) {
                Ok(0) => return Fate::Ended,
                Ok(count) => self.pending_start += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Fate::Lives,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Fate::Ended,
            }
        }
        // Most connections never need this buffer: give its memory back.
        self.pending = Vec::new();
        self.pending_start = 0;
        self.left = self.leaving.take().map(|unit| (unit, writing));
        Fate::Lives
    }

    /// Send the picture that is due, or do what the URL's fault says.
    pub fn on_due(
        &mut self,
        at: Moment,
        counters: &mut Counters,
        out: &mut Vec<u8>,
        ports: &UdpPorts,
    ) -> Fate {
        let mut has_pending = self.has_pending();
        let Some(play) = &mut self.play else {
            return Fate::Lives;
        };
        if let Some((due_us, later)) = play.later
            && at.now_us >= due_us
        {
            play.later = None;
            match later {
                Later::Reset(_) => return Fate::Reset,
                Later::Silent(_) => (play.paused, play.silenced) = (true, true),
            }
        }
        if let Some(way) = &mut play.udp {
            if way.due_us().is_some_and(|due_us| due_us <= at.now_us) {
                way.send(at.now_us, ports);
                self.left = left_by(way, &mut self.leaving);
            }
            has_pending = way.due_us().is_some();
        }
        if !play.paused
            && let Some(sound) = play.sound.as_mut().filter(|s| s.due_us() <= at.now_us)
        {
            out.clear();
            sound.write(at.now_us, out);
            if !has_pending {
                return self.send(out);
            }
            return Fate::Lives;
        }
        if play.paused || play.playback.due_us() > at.now_us {
            return Fate::Lives;
        }
        if has_pending {
            play.playback.drop_unit();
            counters.dropped_units += 1;
            return Fate::Lives;
        }
        out.clear();
        let packets = play.playback.write_unit(at.now_us, at.wall_unix_us, out);
        if packets == 0 {
            return Fate::Lives;
        }
        counters.packets += packets as u64;
        counters.units += 1;
        counters.bytes += out.len() as u64;
        self.leaving = play.playback.written;
        if let Some(way) = &mut play.udp {
            way.queue(at.now_us, out);
            way.send(at.now_us, ports);
            self.left = left_by(way, &mut self.leaving);
            return Fate::Lives;
        }
        self.send(out)
    }

    /// Once a second: keep-alive.
    pub fn on_tick(&mut self, at: Moment, catalog: &Catalog, counters: &mut Counters) -> Fate {
        if self.server.poll_timeout().is_some_and(|due| due <= at.now) {
            self.server.handle_timeout(at.now);
            return self.after_server(at, catalog, counters);
        }
        Fate::Lives
    }

    /// A control line changed the fault of a camera, or of all.
    pub fn on_fault(&mut self, at: Moment, camera: Option<u32>, fault: Option<Fault>) -> Fate {
        if self.asked.is_none() || (camera.is_some() && self.asked != camera) {
            return Fate::Lives;
        }
        let pauses = match fault {
            Some(Fault::Reset) => return Fate::Reset,
            Some(Fault::Unauthorized | Fault::NotFound | Fault::Mjpeg) => return Fate::Ended,
            Some(Fault::UdpOnly) if self.plays_by_tcp() => return Fate::Ended,
            Some(fault) => fault.silences(),
            None => false,
        };
        if let Some(play) = &mut self.play
            && play.paused != pauses
            && !play.silenced
        {
            play.paused = pauses;
            if !pauses {
                play.playback.resume(at.now_us);
            }
        }
        Fate::Lives
    }

    fn plays_by_tcp(&self) -> bool {
        self.play.as_ref().is_some_and(|play| play.udp.is_none())
    }

    /// Say goodbye, as far as the socket takes it.
    pub fn on_stop(&mut self, at: Moment, ports: &UdpPorts) {
        let has_pending = self.has_pending();
        if let Some(play) = &mut self.play
            && !has_pending
        {
            let mut out = Vec::new();
            play.playback.write_bye(&mut out);
            if let Some(way) = &mut play.udp {
                way.queue(at.now_us, &out);
                return way.send(at.now_us, ports);
            }
            let _gone_anyway = self.stream.write(&out);
        }
    }

    fn after_server(&mut self, at: Moment, catalog: &Catalog, counters: &mut Counters) -> Fate {
        let mut answers = Vec::new();
        while let Some(bytes) = self.server.poll_transmit() {
            answers.extend_from_slice(&bytes);
        }
        if !answers.is_empty() {
            counters.bytes += answers.len() as u64;
            if self.send(&answers) == Fate::Ended {
                return Fate::Ended;
            }
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Play {
                    path,
                    to,
                    audio_channel,
                } => {
                    self.begin(at, catalog, &path, to, audio_channel);
                }
                ServerEvent::Stop | ServerEvent::TornDown => {
                    if let Some(play) = &mut self.play {
                        (play.paused, play.silenced) = (true, true);
                    }
                }
                ServerEvent::Close(_) => return Fate::Ended,
                ServerEvent::Reset => return Fate::Reset,
            }
        }
        Fate::Lives
    }

    fn begin(
        &mut self,
        at: Moment,
        catalog: &Catalog,
        path: &str,
        to: MediaTarget,
        audio_channel: Option<u8>,
    ) {
        let Some(target) = catalog.resolve(path) else {
            return; // The machine asked the catalog for this path a moment ago.
        };
        let paused = catalog.fault(&target).is_some_and(Fault::silences);
        let silenced = target.fault.is_some_and(Fault::silences);
        if let Some(play) = &mut self.play {
            // A second PLAY: go on with the same numbers.
            (play.paused, play.silenced) = (paused, silenced);
            play.playback.resume(at.now_us);
            return;
        }
        let (rtp_channel, udp) = match to {
            MediaTarget::Interleaved { rtp_channel } => (rtp_channel, None),
            MediaTarget::Udp {
                rtp_port,
                rtcp_port,
            } => {
                let Ok(client) = self.stream.peer_addr() else {
                    return; // Gone already.
                };
                (0, Some(UdpWay::new(client.ip(), rtp_port, rtcp_port)))
            }
        };
        let start = Start {
            camera: target.camera,
            rtp_channel,
            ssrc: self.seeds.ssrc,
            first_seq: self.seeds.first_seq,
            first_rtp_ts: self.seeds.first_rtp_ts,
            joins_mid_gop: target.joins_mid_gop,
        };
        self.play = Some(Play {
            playback: Playback::new(target.clip, start, at.now_us),
            paused,
            silenced,
            later: target
                .later
                .map(|later| (at.now_us + later.after().as_micros() as u64, later)),
            udp,
            sound: target
                .sound
                .zip(audio_channel)
                .map(|(law, channel)| Sound::new(law, channel, !self.seeds.ssrc, at.now_us)),
        });
    }

    fn send(&mut self, bytes: &[u8]) -> Fate {
        if self.has_pending() {
            if self.pending.len() + bytes.len() > MAX_PENDING_BYTES {
                return Fate::Ended;
            }
            self.pending.extend_from_slice(bytes);
            return Fate::Lives;
        }
        let mut sent = 0;
        let mut writing = SystemTime::now();
        while sent < bytes.len() {
            writing = SystemTime::now();
            match self.stream.write(&bytes[sent..]) {
                Ok(0) => return Fate::Ended,
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Fate::Ended,
            }
        }
        if sent < bytes.len() {
            self.pending.clear();
            self.pending_start = 0;
            self.pending.extend_from_slice(&bytes[sent..]);
        } else {
            self.left = self.leaving.take().map(|unit| (unit, writing));
        }
        Fate::Lives
    }
}

/// The picture that has gone out whole by UDP, and when.
fn left_by(way: &UdpWay, leaving: &mut Option<WrittenUnit>) -> Option<(WrittenUnit, SystemTime)> {
    match way.due_us() {
        None => leaving.take().map(|unit| (unit, SystemTime::now())),
        Some(_) => None,
    }
}
