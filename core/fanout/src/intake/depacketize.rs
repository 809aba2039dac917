//! From RTP payloads to NAL units, and to where the next unit begins (RFC 6184 section 5, RFC 7798
//! section 4.4).

use bytes::Bytes;
use wire::codec::VideoCodec;
use wire::h264::annexb_nals;
use wire::{h264, h265};

use super::{Intake, MarkerPolicy};
use crate::codec::{Kind, is_entry, kind};

impl Intake {
    pub(super) fn payload(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        match self.sets.codec() {
            VideoCodec::H264 => self.h264_payload(payload),
            VideoCodec::H265 => self.h265_payload(payload),
        }
    }

    fn h264_payload(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let Some((&indicator, rest)) = payload.split_first() else {
            return Err("empty payload");
        };
        match h264::NalType::from_header(indicator) {
            h264::NalType::FuA => {
                let Some((&header, body)) = rest.split_first() else {
                    return Err("fragment without a header");
                };
                self.fragment(header, [(indicator & 0xe0) | (header & 0x1f)], body);
                Ok(())
            }
            h264::NalType::StapA => self.aggregate(rest),
            // A start code in front of the NAL unit reads as type 0.
            h264::NalType::Other(25..=31) => Err("packetisation that is not in use"),
            _ => self.single(payload),
        }
    }

    /// Without DONL: cameras send in decoding order (`sprop-max-don-diff` 0).
    fn h265_payload(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let [first, second, rest @ ..] = payload else {
            return Err("payload without a header");
        };
        match h265::NalType::from_header(*first) {
            h265::NalType::Fu => {
                let Some((&header, body)) = rest.split_first() else {
                    return Err("fragment without a header");
                };
                self.fragment(
                    header,
                    [(first & 0x81) | (header & 0x3f) << 1, *second],
                    body,
                );
                Ok(())
            }
            h265::NalType::Ap => self.aggregate(rest),
            h265::NalType::Paci => {
                self.counters.paci_packets += 1;
                self.abandon();
                Ok(())
            }
            _ => self.single(payload),
        }
    }

    fn single(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        self.finish_fragment();
        self.nals(payload);
        Ok(())
    }

    /// STAP-A (RFC 6184 section 5.7.1) or AP (RFC 7798 section 4.4.2), behind its header; zeros at
    /// the end are padding of some cameras.
    fn aggregate(&mut self, mut rest: &[u8]) -> Result<(), &'static str> {
        self.finish_fragment();
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

    /// FU-A (RFC 6184 section 5.8) or FU (RFC 7798 section 4.4.3), of the NAL unit with that header.
    fn fragment<const N: usize>(&mut self, header: u8, nal_header: [u8; N], body: &[u8]) {
        let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
        if starts {
            if self.unit.open {
                self.counters.odd_fragments += 1;
                self.finish_fragment();
            }
            let mut head = [0; 24];
            let known = body.len().min(head.len() - N);
            head[..N].copy_from_slice(&nal_header);
            head[N..N + known].copy_from_slice(&body[..known]);
            self.boundary(&head[..N + known]);
            let is_entry = is_entry(self.sets.codec(), &nal_header);
            self.unit.open_fragment(&nal_header, body, is_entry);
        } else if self.unit.open {
            if body.is_empty() {
                self.counters.odd_fragments += 1;
            }
            self.unit.append(body);
        } else {
            self.counters.orphan_fragments += 1;
            return self.abandon();
        }
        if ends {
            self.finish_fragment();
        }
    }

    /// Ends the NAL unit that fragments have built, if there is one.
    pub(super) fn finish_fragment(&mut self) {
        if !std::mem::take(&mut self.unit.open) {
            return;
        }
        if self.unit.is_plain_vcl(&self.sets) {
            if self.unit.accept_fragment(&self.sets) {
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
        let Some(kind) = kind(self.sets.codec(), nal) else {
            return;
        };
        self.boundary(nal);
        match kind {
            Kind::SequenceSet | Kind::PictureSet => {
                self.unit.has_sps |= kind == Kind::SequenceSet;
                if self.sets.learn(nal) {
                    self.unit.changed_sets.push(Bytes::copy_from_slice(nal));
                }
            }
            Kind::Sei => self.unit.take_sei(nal, &self.sets),
            Kind::Picture => {
                if self.unit.take_vcl(nal, &self.sets) {
                    self.note_vcl();
                }
            }
            Kind::Delimiter | Kind::Filler => {}
            Kind::Other => self.counters.other_nals += 1,
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
        let begins = match kind(self.sets.codec(), nal) {
            Some(Kind::Delimiter | Kind::SequenceSet) => true,
            // The second field of a picture begins at macroblock 0 too.
            Some(Kind::Picture) => {
                !self.sets.may_hold_fields()
                    && self
                        .sets
                        .slice(nal)
                        .is_some_and(|slice| slice.begins_picture)
            }
            _ => false,
        };
        if begins {
            self.close();
            self.unit.recv_time = self.arrived;
        }
    }
}
