//! The access unit in the making: one buffer, and where its NAL units lie in it.

use std::ops::Range;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use wire::h264::{
    NalType, SEI_RECOVERY_POINT, has_start_code, nal_type, sei_payload_types, slice_info,
    trim_trailing_zeros,
};

/// Changed sets kept of one unit; more is noise.
const MAX_CHANGED_SETS: usize = 8;
/// First capacity of a unit's buffer: most pictures of a sub stream fit.
const FIRST_BUFFER_BYTES: usize = 8 * 1024;
/// A dropped unit's buffer is used again up to this; a monster's is given back.
const KEPT_BUFFER_BYTES: usize = 512 * 1024;

#[derive(Debug, Default)]
pub(super) struct Assembly {
    buffer: BytesMut,
    nals: Vec<Range<usize>>,
    /// Where the NAL unit begins that fragments are building.
    pub(super) open: Option<usize>,
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
    pub(super) nals: Vec<Bytes>,
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
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        if buffer.capacity() > KEPT_BUFFER_BYTES {
            buffer = BytesMut::new();
        }
        *self = Self {
            buffer,
            ts: self.ts,
            last_idr_bytes: self.last_idr_bytes,
            ..Self::default()
        };
    }

    /// Hands over what was gathered; the time stays, for units that share it.
    pub(super) fn take(&mut self) -> Finished {
        let was = std::mem::take(self);
        let whole = was.buffer.freeze();
        self.buffer = BytesMut::with_capacity(FIRST_BUFFER_BYTES);
        self.ts = was.ts;
        self.last_idr_bytes = if was.has_idr {
            whole.len()
        } else {
            was.last_idr_bytes
        };
        Finished {
            nals: was
                .nals
                .into_iter()
                .map(|range| whole.slice(range))
                .collect(),
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

    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn nal_count(&self) -> usize {
        self.nals.len()
    }

    pub(super) fn open_fragment(&mut self, header: u8, body: &[u8]) {
        self.open = Some(self.buffer.len());
        if NalType::from_header(header) == NalType::IdrSlice {
            let room = self.last_idr_bytes.saturating_sub(self.buffer.len());
            self.buffer.reserve(room);
        }
        self.buffer.extend_from_slice(&[header]);
        self.buffer.extend_from_slice(body);
    }

    pub(super) fn append(&mut self, body: &[u8]) {
        self.buffer.extend_from_slice(body);
    }

    /// Whether what fragments built is one NAL unit of picture data.
    pub(super) fn is_plain_vcl(&self, start: usize) -> bool {
        let nal = &self.buffer[start..];
        nal_type(nal).is_some_and(NalType::is_vcl) && !has_start_code(nal)
    }

    pub(super) fn split_off(&mut self, start: usize) -> BytesMut {
        self.buffer.split_off(start)
    }

    /// Keeps what fragments built where it lies; `false` when it was too short to be anything.
    pub(super) fn accept_fragment(&mut self, start: usize) -> bool {
        let kept = trim_trailing_zeros(&self.buffer[start..]).len();
        self.buffer.truncate(start + kept);
        self.accept(start)
    }

    pub(super) fn take_vcl(&mut self, nal: &[u8]) -> bool {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(nal);
        self.accept(start)
    }

    pub(super) fn take_sei(&mut self, nal: &[u8]) {
        self.has_recovery_point |= sei_payload_types(nal).contains(&SEI_RECOVERY_POINT);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(nal);
        self.nals.push(start..self.buffer.len());
    }

    fn accept(&mut self, start: usize) -> bool {
        let nal = &self.buffer[start..];
        if nal.len() < 2 {
            self.buffer.truncate(start);
            return false;
        }
        if let Some(slice) = slice_info(nal) {
            self.begins_picture |= slice.begins_picture();
            self.has_b_slices |= slice.is_b();
        }
        self.has_idr |= nal_type(nal) == Some(NalType::IdrSlice);
        self.has_vcl = true;
        self.vcl_count += 1;
        self.nals.push(start..self.buffer.len());
        true
    }
}
