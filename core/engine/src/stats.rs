//! Figures that the control plane pulls without asking a shard: atomics, written by one shard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Of the whole process. Unit: counts unless the name says otherwise.
    Totals {
        wakes, datagrams_in, datagrams_unrouted, datagrams_sent, messages_sent, bytes_sent,
        send_blocked, send_failed, gso_refused, sources_open, viewers_open, worker_faults,
        commands_refused, viewer_datagrams_refused, camera_packets_refused, camera_desyncs, tcp_refused,
    }
}

counters! {
    /// Of one stream, over all the sources it has had. `state`: see [`SourceState`].
    SourceFigures {
        bytes, packets, access_units, keyframes, packets_lost, packets_malformed, units_dropped,
        units_with_b_slices, last_packet_unix_ms, width, height, state,
    }
}

counters! {
    /// Of one viewer. `packets_lost_remote`, `lost_permille_remote`, `jitter_us_remote` and `rtt_us`
    /// are its receiver reports' (RFC 3550 section 6.4.1); no report yet is 0. Of the packets asked
    /// for again (`nacked`) some are `retransmitted`, the others not held any more (`repair_gone`) or
    /// too many (`repair_over_budget`). `replays`: cached GOPs sent again for a lost decoder.
    ViewerFigures {
        bytes, packets, units_dropped, keyframe_requests, nacked, retransmitted, repair_gone,
        repair_over_budget, replays, packets_lost_remote, lost_permille_remote, jitter_us_remote,
        rtt_us, last_sent_unix_ms, connected, by_tcp, until_unix_ms,
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

/// One viewer's row: the stream it watches and its figures.
#[derive(Debug, Default)]
pub struct ViewerRow {
    pub stream_id: String,
    pub figures: ViewerFigures,
}

/// What the shard writes and the control plane reads, by id.
#[derive(Debug, Default)]
pub struct Figures {
    pub totals: Totals,
    sources: Mutex<HashMap<String, Arc<SourceFigures>>>,
    viewers: Mutex<HashMap<String, Arc<ViewerRow>>>,
}

impl Figures {
    pub fn add_source(&self, id: &str) -> Arc<SourceFigures> {
        lock(&self.sources)
            .entry(id.to_owned())
            .or_default()
            .clone()
    }
    pub fn add_viewer(&self, id: &str, stream_id: &str) -> Arc<ViewerRow> {
        let row = Arc::new(ViewerRow {
            stream_id: stream_id.to_owned(),
            figures: ViewerFigures::default(),
        });
        lock(&self.viewers).insert(id.to_owned(), row.clone());
        row
    }
    pub fn count_viewers(&self) -> usize {
        lock(&self.viewers).len()
    }
    pub fn count_sources(&self) -> usize {
        lock(&self.sources).len()
    }
    pub fn remove_source(&self, id: &str) {
        lock(&self.sources).remove(id);
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
