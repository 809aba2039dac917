//! The access unit in the making.

use std::time::Instant;

use bytes::Bytes;
use wire::h264::{
    NalType, SEI_RECOVERY_POINT, has_start_code, nal_type, sei_payload_types, slice_info,
    trim_trailing_zeros,
};

use crate::NalUnits;

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
    /// Some slice begins at macroblock 0.
    pub(super) begins_picture: bool,
    has_idr: bool,
    pub(super) has_sps: bool,
    has_recovery_point: bool,
    has_b_slices: bool,
    pub(super) changed_sets: ChangedSets,
    /// Size of the last unit with an IDR: room for the next one at once, not by doubling.
    last_idr_bytes: usize,
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
    pub(super) has_idr: bool,
    pub(super) has_sps: bool,
    pub(super) has_recovery_point: bool,
    pub(super) has_b_slices: bool,
}

impl Assembly {
    /// Forgets all but the time, which the rest of the unit may still carry.
    pub(super) fn clear(&mut self) {
        let nals = std::mem::take(&mut self.nals);
        *self = Self {
            ts: self.ts,
            last_idr_bytes: self.last_idr_bytes,
            ..Self::default()
        };
        self.reuse(nals);
    }

    /// Hands over what was gathered; the time stays, for units that share it.
    pub(super) fn take(&mut self) -> Finished {
        let was = std::mem::take(self);
        self.ts = was.ts;
        self.last_idr_bytes = if was.has_idr {
            was.nals.size_bytes()
        } else {
            was.last_idr_bytes
        };
        Finished {
            nals: was.nals,
            changed_sets: was.changed_sets.0,
            ts: was.ts,
            recv_time: was.recv_time,
            begins_picture: was.begins_picture,
            has_idr: was.has_idr,
            has_sps: was.has_sps,
            has_recovery_point: was.has_recovery_point,
            has_b_slices: was.has_b_slices,
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

    pub(super) fn open_fragment(&mut self, header: u8, body: &[u8]) {
        self.open = true;
        if NalType::from_header(header) == NalType::IdrSlice {
            self.nals.make_room(self.last_idr_bytes);
        }
        self.nals.extend_open(&[header]);
        self.nals.extend_open(body);
    }

    pub(super) fn append(&mut self, body: &[u8]) {
        self.nals.extend_open(body);
    }

    /// Whether what fragments built is one NAL unit of picture data.
    pub(super) fn is_plain_vcl(&self) -> bool {
        let nal = self.nals.open();
        nal_type(nal).is_some_and(NalType::is_vcl) && !has_start_code(nal)
    }

    /// Takes out what fragments built, for whoever takes it apart.
    pub(super) fn take_fragment(&mut self) -> Vec<u8> {
        let nal = self.nals.open().to_vec();
        self.nals.truncate_open(0);
        nal
    }

    /// Keeps what fragments built where it lies; `false` when it was too short to be anything.
    pub(super) fn accept_fragment(&mut self) -> bool {
        let kept = trim_trailing_zeros(self.nals.open()).len();
        self.nals.truncate_open(kept);
        self.accept()
    }

    pub(super) fn take_vcl(&mut self, nal: &[u8]) -> bool {
        self.nals.extend_open(nal);
        self.accept()
    }

    pub(super) fn take_sei(&mut self, nal: &[u8]) {
        self.has_recovery_point |= sei_payload_types(nal).contains(&SEI_RECOVERY_POINT);
        self.nals.push(nal);
    }

    fn accept(&mut self) -> bool {
        let nal = self.nals.open();
        if nal.len() < 2 {
            self.nals.truncate_open(0);
            return false;
        }
        if let Some(slice) = slice_info(nal) {
            self.begins_picture |= slice.begins_picture();
            self.has_b_slices |= slice.is_b();
        }
        self.has_idr |= nal_type(nal) == Some(NalType::IdrSlice);
        self.has_vcl = true;
        self.vcl_count += 1;
        self.nals.close_open();
        true
    }
}
