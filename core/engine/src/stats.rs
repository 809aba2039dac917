//! Figures that the control plane pulls without asking a shard: atomics, written by one shard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wire::codec::{PayloadTypes, VideoCodec};

/// A counter with one writer: a locked addition would wait for every store before it, and on the
/// packets' way those go to memory that no cache holds.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Only by its one writer.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// By anyone.
    pub fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name { $(pub $field: Counter),* }
        impl $name {
            /// Every figure with its name, in declaration order.
            pub fn read(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field.get())),*]
            }
        }
    };
}

counters! {
    /// Of one shard, its one writer. Unit: counts unless the name says otherwise.
    Totals {
        wakes, datagrams_in, datagrams_unrouted, datagrams_sent, messages_sent, bytes_sent,
        send_blocked, send_failed, gso_refused, sources_open, viewers_open, worker_faults, shards_ended,
        commands_refused, viewer_datagrams_refused, camera_packets_refused, camera_desyncs, tcp_refused,
        rtsp_refused, rtsp_tickets_refused, rtsps_accepted, rtsps_handshakes_failed,
    }
}

counters! {
    /// Of one stream, over all the sources it has had. `state`: see [`SourceState`]; `codec`: see
    /// [`SourceFigures::announce`]. `by_udp`: the last source that sent, sent by UDP; the two before
    /// it are of such sources only.
    SourceFigures {
        bytes, packets, access_units, keyframes, packets_lost, packets_malformed, units_dropped,
        units_with_b_slices, packets_reordered, packets_late, by_udp, audio_packets, last_packet_unix_ms, width, height, state,
        codec,
    }
}

counters! {
    /// Of one viewer. `packets_lost_remote`, `lost_permille_remote`, `jitter_us_remote` and `rtt_us`
    /// are its receiver reports' (RFC 3550 section 6.4.1); no report yet is 0. Of the packets asked
    /// for again (`nacked`) some are `retransmitted`, the others not held any more (`repair_gone`) or
    /// too many (`repair_over_budget`). `replays`: cached GOPs sent again for a lost decoder.
    /// `transport`: see [`ViewerTransport`].
    ViewerFigures {
        bytes, packets, units_dropped, keyframe_requests, nacked, retransmitted, repair_gone,
        repair_over_budget, replays, packets_lost_remote, lost_permille_remote, jitter_us_remote,
        rtt_us, remb_bps, audio_on, audio_packets, last_sent_unix_ms, connected, transport, until_unix_ms, shard,
    }
}

/// How packets reach a viewer, as the figure `transport` holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewerTransport {
    Udp = 0,
    Tcp = 1,
    Rtsp = 2,
    Rtsps = 3,
}

impl ViewerTransport {
    pub fn name(figure: u64) -> &'static str {
        match figure {
            1 => "tcp",
            2 => "rtsp",
            3 => "rtsps",
            _ => "udp",
        }
    }
}

/// Where a source stands, as the figure `state` holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    Opening = 0,
    Live = 1,
    Lost = 2,
}

impl SourceState {
    pub fn name(figure: u64) -> &'static str {
        match figure {
            1 => "live",
            2 => "lost",
            _ => "opening",
        }
    }
}

impl SourceFigures {
    /// The codec of the source, before its first packet.
    pub fn announce(&self, codec: VideoCodec) {
        self.codec.set(codec as u64 + 1);
    }
    /// What was announced; 0 is nothing yet.
    pub fn codec(&self) -> Option<VideoCodec> {
        let place = usize::try_from(self.codec.get()).ok()?.checked_sub(1)?;
        VideoCodec::ALL.get(place).copied()
    }
}

/// One viewer's row: the stream it watches and its figures.
#[derive(Debug, Default)]
pub struct ViewerRow {
    stream_id: Mutex<String>,
    /// What its answer promised.
    pub payload_types: PayloadTypes,
    pub figures: ViewerFigures,
    /// It was to be closed while it was on its way to its shard.
    closing: AtomicBool,
}

impl ViewerRow {
    pub fn stream_id(&self) -> String {
        lock(&self.stream_id).clone()
    }
    pub fn close(&self) {
        self.closing.store(true, Relaxed);
    }
    pub fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }
    pub fn watches(&self, stream_id: &str) {
        stream_id.clone_into(&mut lock(&self.stream_id));
    }
}

/// What the shard writes and the control plane reads, by id.
#[derive(Debug, Default)]
pub struct Figures {
    totals: Vec<Arc<Totals>>,
    sources: Mutex<HashMap<String, Arc<SourceFigures>>>,
    /// Why a source was lost, until it is dialled again or closed.
    lost: Mutex<HashMap<String, &'static str>>,
    viewers: Mutex<HashMap<String, Arc<ViewerRow>>>,
    /// Of closed sources, and when they were closed.
    codecs: Mutex<HashMap<String, (VideoCodec, Instant)>>,
}

/// How long a closed stream's codec is believed: viewers who do not take it are refused before the
/// camera is dialled. Longer, and a camera that was set to another codec would seem not to be.
const CODEC_BELIEVED: Duration = Duration::from_secs(300);
/// Streams that are remembered: both of each of some thousand cameras, opened and closed in that time.
const CODECS_REMEMBERED: usize = 16_384;

impl Figures {
    /// For `shards` shards, each with totals of its own.
    pub fn new(shards: usize) -> Self {
        Self {
            totals: (0..shards).map(|_| Arc::default()).collect(),
            ..Self::default()
        }
    }
    pub fn totals_of(&self, shard: usize) -> Arc<Totals> {
        self.totals[shard].clone()
    }
    /// Of the whole process: each figure with its name, in declaration order.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        let mut sums = Totals::default().read();
        for totals in &self.totals {
            for (sum, (_, value)) in sums.iter_mut().zip(totals.read()) {
                sum.1 += value;
            }
        }
        sums
    }
    /// What a stream's source has announced, or the one before that was closed not long ago.
    pub fn codec(&self, stream_id: &str) -> Option<VideoCodec> {
        let open = lock(&self.sources)
            .get(stream_id)
            .and_then(|source| source.codec());
        open.or_else(|| {
            let codecs = lock(&self.codecs);
            let (codec, closed) = codecs.get(stream_id)?;
            (closed.elapsed() < CODEC_BELIEVED).then_some(*codec)
        })
    }
    pub fn add_source(&self, id: &str) -> Arc<SourceFigures> {
        lock(&self.lost).remove(id);
        lock(&self.sources)
            .entry(id.to_owned())
            .or_default()
            .clone()
    }
    pub fn add_viewer(
        &self,
        id: &str,
        stream_id: &str,
        payload_types: PayloadTypes,
    ) -> Arc<ViewerRow> {
        let row = Arc::new(ViewerRow {
            stream_id: Mutex::new(stream_id.to_owned()),
            payload_types,
            figures: ViewerFigures::default(),
            closing: AtomicBool::new(false),
        });
        lock(&self.viewers).insert(id.to_owned(), row.clone());
        row
    }
    pub fn viewer(&self, id: &str) -> Option<Arc<ViewerRow>> {
        lock(&self.viewers).get(id).cloned()
    }
    pub fn count_viewers(&self) -> usize {
        lock(&self.viewers).len()
    }
    pub fn count_sources(&self) -> usize {
        lock(&self.sources).len()
    }
    pub fn remove_source(&self, id: &str) {
        let removed = lock(&self.sources).remove(id);
        lock(&self.lost).remove(id);
        let Some(codec) = removed.and_then(|source| source.codec()) else {
            return;
        };
        let mut codecs = lock(&self.codecs);
        if codecs.len() >= CODECS_REMEMBERED {
            codecs.retain(|_, (_, closed)| closed.elapsed() < CODEC_BELIEVED);
        }
        if codecs.len() < CODECS_REMEMBERED {
            codecs.insert(id.to_owned(), (codec, Instant::now()));
        }
    }
    /// Marks a source as lost; without effect when it was closed meanwhile.
    pub fn lose_source(&self, id: &str, cause: &'static str) {
        if let Some(figures) = lock(&self.sources).get(id) {
            figures.state.set(SourceState::Lost as u64);
            lock(&self.lost).insert(id.to_owned(), cause);
        }
    }
    /// Why a source is lost; `None` when it is not.
    pub fn lost_cause(&self, id: &str) -> Option<&'static str> {
        lock(&self.lost).get(id).copied()
    }
    pub fn remove_viewer(&self, id: &str) {
        lock(&self.viewers).remove(id);
    }
    /// Rows of the named sources, or of all where `ids` is `None`; unknown ids are left out.
    pub fn sources(&self, ids: Option<&[String]>) -> Vec<(String, Arc<SourceFigures>)> {
        rows(&self.sources, ids)
    }
    /// As [`Figures::sources`], for viewers.
    pub fn viewers(&self, ids: Option<&[String]>) -> Vec<(String, Arc<ViewerRow>)> {
        rows(&self.viewers, ids)
    }
}

fn rows<T>(
    table: &Mutex<HashMap<String, Arc<T>>>,
    ids: Option<&[String]>,
) -> Vec<(String, Arc<T>)> {
    let table = lock(table);
    match ids {
        None => table.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        Some(ids) => ids
            .iter()
            .filter_map(|id| table.get(id).map(|v| (id.clone(), v.clone())))
            .collect(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the Unix epoch.
pub fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis().try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_codec_is_known_while_it_is_pulled_and_a_while_after() {
        let figures = Figures::default();
        assert_eq!(figures.codec("c/main"), None);
        figures.add_source("c/main").announce(VideoCodec::H265);
        assert_eq!(figures.codec("c/main"), Some(VideoCodec::H265));
        figures.remove_source("c/main");
        assert_eq!(figures.codec("c/main"), Some(VideoCodec::H265));
        // The next dial has not been answered yet; then it says something else.
        let again = figures.add_source("c/main");
        assert_eq!(figures.codec("c/main"), Some(VideoCodec::H265));
        again.announce(VideoCodec::H264);
        assert_eq!(figures.codec("c/main"), Some(VideoCodec::H264));
        figures.remove_source("c/main");
        let long_ago = Instant::now()
            .checked_sub(CODEC_BELIEVED)
            .expect("an old machine");
        lock(&figures.codecs).insert("c/main".to_owned(), (VideoCodec::H264, long_ago));
        assert_eq!(figures.codec("c/main"), None);
    }

    #[test]
    fn closed_streams_are_remembered_within_a_bound() {
        let figures = Figures::default();
        for number in 0..CODECS_REMEMBERED + 10 {
            let id = number.to_string();
            figures.add_source(&id).announce(VideoCodec::H264);
            figures.remove_source(&id);
        }
        assert_eq!(lock(&figures.codecs).len(), CODECS_REMEMBERED);
    }
}
