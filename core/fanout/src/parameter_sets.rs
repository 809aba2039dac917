//! The latest parameter sets of one stream, each by its id.

use bytes::Bytes;
use wire::h264::{NalType, Sps, annexb_nals, nal_type, pps_ids, sps_id};

/// Cameras use one or two SPS ids and as many PPS ids; more than these is noise.
const MAX_SPS: usize = 4;
const MAX_PPS: usize = 16;
/// A real set is 10 to 60 bytes, with scaling lists a few hundred.
const MAX_SET_BYTES: usize = 2_048;

#[derive(Debug, Clone)]
struct Set {
    id: u32,
    nal: Bytes,
    in_band: bool,
}

/// SPS and PPS by id. What came inside the stream wins over what the SDP said.
#[derive(Debug, Clone, Default)]
pub struct ParameterSets {
    sps: Vec<Set>,
    pps: Vec<Set>,
    generation: u64,
    video: Option<Sps>,
}

impl ParameterSets {
    /// Takes sets from the SDP: Annex B, in the wrong order or invalid, as cameras have it. One that
    /// arrived in-band since the last [`Self::source_changed`] stays.
    pub fn offer(&mut self, sets: &[Bytes]) {
        for set in sets {
            for nal in annexb_nals(set) {
                self.put(nal, false);
            }
        }
    }

    /// Takes a set from the stream; `true` when it is new or differs from the last of its id.
    pub fn learn(&mut self, nal: &[u8]) -> bool {
        self.put(nal, true)
    }

    /// The next SDP may replace what the previous source sent in-band.
    pub fn source_changed(&mut self) {
        for set in self.sps.iter_mut().chain(&mut self.pps) {
            set.in_band = false;
        }
    }

    /// At least one of each, without which no decoder starts.
    pub fn is_complete(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// All SPS, then all PPS, in order of first arrival.
    pub fn all(&self) -> Vec<Bytes> {
        self.sps
            .iter()
            .chain(&self.pps)
            .map(|set| set.nal.clone())
            .collect()
    }

    /// Grows with every change of any set.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The latest SPS that could be read.
    pub fn video(&self) -> Option<&Sps> {
        self.video.as_ref()
    }

    fn put(&mut self, nal: &[u8], in_band: bool) -> bool {
        if nal.len() > MAX_SET_BYTES {
            return false;
        }
        let (list, id, limit) = match nal_type(nal) {
            Some(NalType::Sps) => (&mut self.sps, sps_id(nal), MAX_SPS),
            Some(NalType::Pps) => (&mut self.pps, pps_ids(nal).map(|ids| ids.0), MAX_PPS),
            _ => return false,
        };
        let Some(id) = id else { return false };
        if let Some(known) = list.iter_mut().find(|set| set.id == id) {
            if known.in_band && !in_band {
                return false;
            }
            known.in_band = in_band;
            if known.nal == nal {
                return false;
            }
            known.nal = Bytes::copy_from_slice(nal);
        } else {
            if list.len() == limit {
                list.remove(0);
            }
            list.push(Set {
                id,
                nal: Bytes::copy_from_slice(nal),
                in_band,
            });
        }
        self.generation += 1;
        if let Some(sps) = Sps::parse(nal) {
            self.video = Some(sps);
        }
        true
    }
}
