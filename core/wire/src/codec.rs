//! The video codecs that are passed on.

/// A codec as its RTP payload format names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// ITU-T H.264, RFC 6184.
    #[default]
    H264,
    /// ITU-T H.265, RFC 7798.
    H265,
}

impl VideoCodec {
    /// All of them, the one that most viewers take first.
    pub const ALL: [Self; 2] = [Self::H264, Self::H265];

    /// The encoding name of `a=rtpmap`, which events and the API use too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
        }
    }

    /// By its encoding name, without regard to case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

/// Under which numbers a viewer takes a codec, as its offer gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadType {
    /// Of the media.
    pub media: u8,
    /// Of its retransmissions (RFC 4588), where the viewer asks for packets by number.
    pub rtx: Option<u8>,
}

/// The codecs that a viewer takes, each under numbers of its own. A stream may change its codec, and
/// a viewer its stream, without another offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PayloadTypes([Option<PayloadType>; VideoCodec::ALL.len()]);

impl PayloadTypes {
    /// One codec alone.
    #[must_use]
    pub const fn only(codec: VideoCodec, payload_type: PayloadType) -> Self {
        let mut table = [None; VideoCodec::ALL.len()];
        table[codec as usize] = Some(payload_type);
        Self(table)
    }

    /// This codec too.
    #[must_use]
    pub const fn with(mut self, codec: VideoCodec, payload_type: PayloadType) -> Self {
        self.0[codec as usize] = Some(payload_type);
        self
    }

    /// `None` when the viewer does not take the codec.
    #[must_use]
    pub const fn get(&self, codec: VideoCodec) -> Option<PayloadType> {
        self.0[codec as usize]
    }

    /// Those that are there, in the order of [`VideoCodec::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (VideoCodec, PayloadType)> + '_ {
        let all = VideoCodec::ALL.into_iter();
        all.filter_map(|codec| Some((codec, self.get(codec)?)))
    }
}
