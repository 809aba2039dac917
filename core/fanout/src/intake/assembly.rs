//! The access unit in the making.

use std::time::Instant;

use bytes::Bytes;
use wire::h264::{has_start_code, trim_trailing_zeros};

use crate::codec::{Kind, is_recovery_point, kind};
use crate::{NalUnits, ParameterSets};

/// Changed sets kept of one unit; more is noise.
const MAX_CHANGED_SETS: usize = 8;
/// A unit's buffer is used again up to this; a monster's is given back.
const KEPT_BUFFER_BYTES: usize = 512 * 1024;

#[derive(Debug, Default)]
pub(super) struct Assembly {
    nals: NalUnits,
    /// Fragments are building the NAL unit behind the last whole one.
    pub(super) open: bool,
    /// RTP time, extended.
    pub(super) ts: Option<u64>,
    pub(super) recv_time: Option<Instant>,
    pub(super) has_vcl: bool,
    pub(super) vcl_count: usize,
    /// Some slice is a picture's first.
    pub(super) begins_picture: bool,
    has_entry: bool,
    breaks_link: bool,
    needs_past: bool,
    pub(super) has_sps: bool,
    has_recovery_point: bool,
    has_b_slices: bool,
    order: Option<u32>,
    pub(super) changed_sets: ChangedSets,
    /// Size of the last unit where decoding may begin: room for the next one at once, not by doubling.
    last_entry_bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct ChangedSets(Vec<Bytes>);

impl ChangedSets {
    pub(super) fn push(&mut self, set: Bytes) {
        if self.0.len() < MAX_CHANGED_SETS {
            self.0.push(set);
        }
    }
}

/// An assembly taken at its end.
pub(super) struct Finished {
    pub(super) nals: NalUnits,
    pub(super) changed_sets: Vec<Bytes>,
    pub(super) ts: Option<u64>,
    pub(super) recv_time: Option<Instant>,
    pub(super) begins_picture: bool,
    /// Decoding may begin at its picture: an IDR, or an IRAP of H.265.
    pub(super) has_entry: bool,
    /// What leads it cannot be decoded by anyone (BLA).
    pub(super) breaks_link: bool,
    /// RASL.
    pub(super) needs_past: bool,
    pub(super) has_sps: bool,
    pub(super) has_recovery_point: bool,
    pub(super) has_b_slices: bool,
    /// Place in display order, where it is known.
    pub(super) order: Option<u32>,
}

impl Assembly {
    /// Forgets all but the time, which the rest of the unit may still carry.
    pub(super) fn clear(&mut self) {
        let nals = std::mem::take(&mut self.nals);
        *self = Self {
            ts: self.ts,
            last_entry_bytes: self.last_entry_bytes,
            ..Self::default()
        };
        self.reuse(nals);
    }

    /// Hands over what was gathered; the time stays, for units that share it.
    pub(super) fn take(&mut self) -> Finished {
        let was = std::mem::take(self);
        self.ts = was.ts;
        self.last_entry_bytes = if was.has_entry {
            was.nals.size_bytes()
        } else {
            was.last_entry_bytes
        };
        Finished {
            nals: was.nals,
            changed_sets: was.changed_sets.0,
            ts: was.ts,
            recv_time: was.recv_time,
            begins_picture: was.begins_picture,
            has_entry: was.has_entry,
            breaks_link: was.breaks_link,
            needs_past: was.needs_past,
            has_sps: was.has_sps,
            has_recovery_point: was.has_recovery_point,
            has_b_slices: was.has_b_slices,
            order: was.order,
        }
    }

    /// Takes back a buffer that is not needed any more, unless the next unit has begun without it.
    pub(super) fn reuse(&mut self, mut nals: NalUnits) {
        if self.nals.capacity_bytes() == 0 && nals.capacity_bytes() <= KEPT_BUFFER_BYTES {
            nals.clear();
            self.nals = nals;
        }
    }

    pub(super) fn exchange_buffer(&mut self, other: &mut NalUnits) {
        if self.nals.size_bytes() == 0 {
            std::mem::swap(&mut self.nals, other);
        }
    }

    pub(super) fn buffer_bytes(&self) -> usize {
        self.nals.size_bytes()
    }

    pub(super) fn nal_count(&self) -> usize {
        self.nals.len()
    }

    pub(super) fn open_fragment(&mut self, header: &[u8], body: &[u8], is_entry: bool) {
        self.open = true;
        if is_entry {
            self.nals.make_room(self.last_entry_bytes);
        }
        self.nals.extend_open(header);
        self.nals.extend_open(body);
    }

    pub(super) fn append(&mut self, body: &[u8]) {
        self.nals.extend_open(body);
    }

    /// Whether what fragments built is one NAL unit of picture data.
    pub(super) fn is_plain_vcl(&self, sets: &ParameterSets) -> bool {
        let nal = self.nals.open();
        kind(sets.codec(), nal) == Some(Kind::Picture) && !has_start_code(nal)
    }

    /// Takes out what fragments built, for whoever takes it apart.
    pub(super) fn take_fragment(&mut self) -> Vec<u8> {
        let nal = self.nals.open().to_vec();
        self.nals.truncate_open(0);
        nal
    }

    /// Keeps what fragments built where it lies; `false` when it was too short to be anything.
    pub(super) fn accept_fragment(&mut self, sets: &ParameterSets) -> bool {
        let kept = trim_trailing_zeros(self.nals.open()).len();
        self.nals.truncate_open(kept);
        self.accept(sets)
    }

    pub(super) fn take_vcl(&mut self, nal: &[u8], sets: &ParameterSets) -> bool {
        self.nals.extend_open(nal);
        self.accept(sets)
    }

    pub(super) fn take_sei(&mut self, nal: &[u8], sets: &ParameterSets) {
        self.has_recovery_point |= is_recovery_point(sets.codec(), nal);
        self.nals.push(nal);
    }

    fn accept(&mut self, sets: &ParameterSets) -> bool {
        let nal = self.nals.open();
        let Some(slice) = sets.slice(nal) else {
            self.nals.truncate_open(0);
            return false;
        };
        self.begins_picture |= slice.begins_picture;
        self.has_entry |= slice.is_entry;
        self.breaks_link |= slice.breaks_link;
        self.needs_past |= slice.needs_past;
        self.has_b_slices |= slice.is_b;
        self.order = self.order.or(slice.order);
        self.has_vcl = true;
        self.vcl_count += 1;
        self.nals.close_open();
        true
    }
}
