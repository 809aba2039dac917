//! An input taken apart from its front: small numbers, and stretches of bytes.

use std::borrow::Cow;

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// 0 once there is nothing left.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// 0 in front where there is too little left.
    pub fn word(&mut self) -> u32 {
        let bytes = self.take(4);
        bytes.iter().fold(0, |word, b| word << 8 | u32::from(*b))
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A stretch behind its length, 16 bits in network order; shorter where the input ends.
    pub fn piece(&mut self) -> &'a [u8] {
        let (high, low) = (self.byte(), self.byte());
        self.take(usize::from(u16::from_be_bytes([high, low])))
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// What a piece looks like in an input: for seeds.
pub fn piece(bytes: &[u8]) -> Vec<u8> {
    let len_bytes = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&len_bytes.to_be_bytes(), &bytes[..usize::from(len_bytes)]].concat()
}

pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
