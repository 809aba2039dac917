//! From RTP payloads to NAL units, and to where the next unit begins (RFC 6184 section 5).

use bytes::Bytes;
use wire::h264::{NalType, annexb_nals, nal_type, slice_info};

use super::{Intake, MarkerPolicy};

impl Intake {
    pub(super) fn payload(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let Some((&indicator, rest)) = payload.split_first() else {
            return Err("empty payload");
        };
        match NalType::from_header(indicator) {
            NalType::FuA => self.fragment(indicator, rest),
            NalType::StapA => {
                self.finish_fragment();
                self.aggregate(rest)
            }
            // A start code in front of the NAL unit reads as type 0.
            NalType::Other(25..=31) => Err("packetisation that is not in use"),
            _ => {
                self.finish_fragment();
                self.nals(payload);
                Ok(())
            }
        }
    }

    /// STAP-A (RFC 6184 section 5.7.1); zeros at the end are padding of some cameras.
    fn aggregate(&mut self, mut rest: &[u8]) -> Result<(), &'static str> {
        while let Some((len_bytes, after)) = rest.split_first_chunk::<2>() {
            let len_bytes = usize::from(u16::from_be_bytes(*len_bytes));
            let Some((nal, after)) = after.split_at_checked(len_bytes) else {
                self.abandon();
                return Err("aggregated NAL unit cut short");
            };
            self.nals(nal);
            rest = after;
        }
        Ok(())
    }

    /// FU-A (RFC 6184 section 5.8).
    fn fragment(&mut self, indicator: u8, rest: &[u8]) -> Result<(), &'static str> {
        let Some((&header, body)) = rest.split_first() else {
            return Err("fragment without a header");
        };
        let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
        if starts {
            if self.unit.open {
                self.counters.odd_fragments += 1;
                self.finish_fragment();
            }
            let nal_header = (indicator & 0xe0) | (header & 0x1f);
            let mut head = [0; 24];
            let known = body.len().min(head.len() - 1);
            head[0] = nal_header;
            head[1..=known].copy_from_slice(&body[..known]);
            self.boundary(&head[..=known]);
            self.unit.open_fragment(nal_header, body);
        } else if self.unit.open {
            if body.is_empty() {
                self.counters.odd_fragments += 1;
            }
            self.unit.append(body);
        } else {
            self.counters.orphan_fragments += 1;
            self.abandon();
            return Ok(());
        }
        if ends {
            self.finish_fragment();
        }
        Ok(())
    }

    /// Ends the NAL unit that fragments have built, if there is one.
    pub(super) fn finish_fragment(&mut self) {
        if !std::mem::take(&mut self.unit.open) {
            return;
        }
        if self.unit.is_plain_vcl() {
            if self.unit.accept_fragment() {
                self.note_vcl();
            }
        } else {
            // Rare: not picture data, or Annex B inside. Take it apart, at the price of a copy.
            let nal = self.unit.take_fragment();
            self.nals(&nal);
        }
    }

    /// One NAL unit, or several with start codes between.
    fn nals(&mut self, bytes: &[u8]) {
        for (place, nal) in annexb_nals(bytes).enumerate() {
            self.counters.annexb_inside += u64::from(place == 1);
            self.nal(nal);
        }
    }

    fn nal(&mut self, nal: &[u8]) {
        let Some(kind) = nal_type(nal) else { return };
        self.boundary(nal);
        match kind {
            NalType::Sps | NalType::Pps => {
                self.unit.has_sps |= kind == NalType::Sps;
                if self.sets.learn(nal) {
                    self.unit.changed_sets.push(Bytes::copy_from_slice(nal));
                }
            }
            NalType::Sei => self.unit.take_sei(nal),
            _ if kind.is_vcl() => {
                if self.unit.take_vcl(nal) {
                    self.note_vcl();
                }
            }
            NalType::Aud | NalType::Filler | NalType::End(_) => {}
            _ => self.counters.other_nals += 1,
        }
    }

    /// After picture data was added: a slice that goes on with a picture that the marker had ended
    /// shows that the marker cannot be trusted here.
    fn note_vcl(&mut self) {
        let goes_on = self.unit.vcl_count == 1
            && !self.unit.begins_picture
            && self.unit.ts.is_some()
            && self.unit.ts == self.marked_ts;
        if goes_on {
            self.marker_policy = MarkerPolicy::Ignored;
            self.counters.early_markers += 1;
            self.needs_keyframe = true;
        }
    }

    /// Ends the unit when this NAL unit clearly begins the next one.
    fn boundary(&mut self, nal: &[u8]) {
        if !self.unit.has_vcl {
            return;
        }
        let begins = match nal_type(nal) {
            Some(NalType::Aud | NalType::Sps) => true,
            // The second field of a picture begins at macroblock 0 too.
            Some(kind) if kind.is_vcl() => {
                self.sets.video().is_none_or(|sps| sps.frame_mbs_only)
                    && slice_info(nal).is_some_and(|slice| slice.begins_picture())
            }
            _ => false,
        };
        if begins {
            self.close();
            self.unit.recv_time = self.arrived;
        }
    }
}
