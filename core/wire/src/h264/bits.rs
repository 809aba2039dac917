//! Bits of a NAL unit's payload, skipping emulation prevention bytes (H.264 section 7.3.1).

/// Reads bits, most significant first; every read past the end is `None`.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Next byte to take from `bytes`.
    next: usize,
    /// Zero bytes just before `next`, for finding 00 00 03.
    zeros: u8,
    current: u8,
    /// Bits of `current` not yet given.
    left: u8,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            next: 0,
            zeros: 0,
            current: 0,
            left: 0,
        }
    }

    fn refill(&mut self) -> Option<()> {
        let mut byte = *self.bytes.get(self.next)?;
        self.next += 1;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            byte = *self.bytes.get(self.next)?;
            self.next += 1;
        }
        self.zeros = if byte == 0 {
            self.zeros.saturating_add(1)
        } else {
            0
        };
        self.current = byte;
        self.left = 8;
        Some(())
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.refill()?;
        }
        self.left -= 1;
        Some((self.current >> self.left) & 1 == 1)
    }

    /// `count` bits, at most 32.
    pub(crate) fn bits(&mut self, count: u8) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count.min(32) {
            value = (value << 1) | u32::from(self.bit()?);
        }
        Some(value)
    }

    /// Unsigned Exp-Golomb (H.264 section 9.1); over 31 leading zeros is no number of this standard.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0u8;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        Some(((1u64 << zeros) - 1 + u64::from(rest)) as u32)
    }

    /// Signed Exp-Golomb (H.264 section 9.1.1).
    pub(crate) fn se(&mut self) -> Option<i32> {
        let value = i64::from(self.ue()?);
        let magnitude = (value + 1) / 2;
        i32::try_from(if value % 2 == 1 {
            magnitude
        } else {
            -magnitude
        })
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::BitReader;

    #[test]
    fn exp_golomb_reads_the_table_of_the_standard() {
        // 1 | 010 | 011 | 00100 | 00101 -> 0 1 2 3 4
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = BitReader::new(&bytes);
        assert_eq!(
            [bits.ue(), bits.ue(), bits.ue(), bits.ue(), bits.ue()].map(Option::unwrap),
            [0, 1, 2, 3, 4]
        );
        let mut signed = BitReader::new(&bytes);
        assert_eq!(
            [
                signed.se(),
                signed.se(),
                signed.se(),
                signed.se(),
                signed.se()
            ]
            .map(Option::unwrap),
            [0, 1, -1, 2, -2]
        );
    }

    #[test]
    fn emulation_prevention_bytes_are_not_data() {
        let mut bits = BitReader::new(&[0, 0, 3, 1]);
        assert_eq!(bits.bits(24), Some(1));
        assert_eq!(bits.bit(), None);
    }

    #[test]
    fn endless_zeros_are_no_number() {
        assert_eq!(BitReader::new(&[0; 64]).ue(), None);
        assert_eq!(BitReader::new(&[]).ue(), None);
    }
}
