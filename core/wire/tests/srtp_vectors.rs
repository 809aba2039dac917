//! Key derivation and protection against vectors that are not ours: RFC 3711 appendix B, and
//! packets protected by libsrtp 2 with counting keys (key 01 02 .., salt a0 a1 ..).

use wire::srtp::{SrtpOpener, SrtpProfile, SrtpSealer, derive};

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let text = pairs.map(|pair| std::str::from_utf8(pair).expect("ascii"));
    text.map(|pair| u8::from_str_radix(pair, 16).expect("hex"))
        .collect()
}

fn header(seq: u16) -> [u8; 12] {
    let mut header = [0x80, 0xe6, 0, 0, 1, 2, 3, 4, 0xca, 0xfe, 0xba, 0xbe];
    header[2..4].copy_from_slice(&seq.to_be_bytes());
    header
}

struct Foreign {
    profile: SrtpProfile,
    last_before_rollover: &'static str,
    first_after_rollover: &'static str,
    srtcp_index_1: &'static str,
}

const FOREIGN: [Foreign; 3] = [
    Foreign {
        profile: SrtpProfile::Aes128CmSha1_80,
        last_before_rollover: "80e6fffe01020304cafebabe59e72219609b31af252917f34aa408f2f21b1686e1105f89a60f70ef8e686fbb903d086320836e799f6f2466cc512d7d7b91",
        first_after_rollover: "80e6000001020304cafebabe1d25b0466714b0a0b06f4c017d215b202bbec25201d7c808aeef007ece1ba2340bd72f26592bf5aea8b02cc2a35b79c57b84",
        srtcp_index_1: "80c80006cafebabeea2d9740a0a8274ecefb7b54a54457682a6291738000000160da7ac839d8ac8d5633",
    },
    Foreign {
        profile: SrtpProfile::AeadAes128Gcm,
        last_before_rollover: "80e6fffe01020304cafebabe4c4b246bbd4f546a653e2956fe662226bced076d989ed0af22cf0692c1f5cd7aee80c5e503a0217bf1bb01a2d378042e099c5ee6adfce5c7",
        first_after_rollover: "80e6000001020304cafebabecce18179a6d4be6706a982a052e19f786e218a901e70fe446651fde007acd3ecacc3fa0815ceb8b80cb785343233a8968023a9d9dc41486a",
        srtcp_index_1: "80c80006cafebabe08d67bd15ff3641a4af06a76bf38bdcdd44a181087579dc6f0f993eaaadedb6156bb88c180000001",
    },
    Foreign {
        profile: SrtpProfile::AeadAes256Gcm,
        last_before_rollover: "80e6fffe01020304cafebabe905e0c64dd2581ac8e0532a89c8900f39b9e956cf4d431e72cecb5837d000d8401cf24ae2ba1dfc8d9f37bcea1dceb7be793eccc8492d225",
        first_after_rollover: "80e6000001020304cafebabe603fd5248b536245c6bb9f883cc61de77e854a5ea11b61db03cfee67b969082d2b1f730ebffe0cd9481d99a2f5455daf00ca07b2e5c2b296",
        srtcp_index_1: "80c80006cafebabe8081ab583c07ee37470d1edb2e6359aba3adfca706c7135e21461a5282fd607af1b325c780000001",
    },
];

fn keys(profile: SrtpProfile) -> (Vec<u8>, Vec<u8>) {
    let key = (1..=profile.key_bytes() as u8).collect();
    let salt = (0xa0..0xa0 + profile.salt_bytes() as u8).collect();
    (key, salt)
}

#[test]
fn rfc_3711_appendix_b_3_key_derivation() {
    let key = bytes("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = bytes("0EC675AD498AFEEBB6960B3AABE6");
    let derived = |label: u8, length: usize| {
        let mut out = vec![0xFF; length];
        derive(&key, &salt, label, &mut out).expect("derived");
        out
    };
    assert_eq!(derived(0, 16), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(2, 14), bytes("30CBBC08863D8C85D49DB34A9AE1"));
    let auth = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4";
    assert_eq!(derived(1, 20), bytes(auth));
}

#[test]
fn rfc_3711_appendix_b_2_counter_mode_keystream() {
    // Label 0 leaves the salt as it is, so derivation is the bare key stream.
    let key = bytes("2B7E151628AED2A6ABF7158809CF4F3C");
    let salt = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let mut stream = vec![0; 48];
    derive(&key, &salt, 0, &mut stream).expect("derived");
    let expected = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB\
                    41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(stream, bytes(expected));
}

#[test]
fn seals_byte_for_byte_like_libsrtp_over_the_rollover() {
    let payload: Vec<u8> = (0..40).collect();
    for vector in &FOREIGN {
        let (key, salt) = keys(vector.profile);
        let mut sealer = SrtpSealer::new(vector.profile, &key, &salt).expect("sealer");
        let mut run = Vec::new();
        for seq in [65_534, 65_535, 0] {
            sealer
                .seal(&header(seq), &payload, &mut run)
                .expect("sealed");
        }
        // One contiguous run of equal segments, as one GSO message wants it.
        let segment = sealer.sealed_bytes(payload.len());
        assert_eq!(run.len(), 3 * segment);
        assert_eq!(
            run[..segment],
            bytes(vector.last_before_rollover),
            "{:?}",
            vector.profile
        );
        assert_eq!(
            run[2 * segment..],
            bytes(vector.first_after_rollover),
            "{:?}",
            vector.profile
        );
    }
}

#[test]
fn seals_rtcp_byte_for_byte_like_libsrtp() {
    let mut report = bytes("80c80006cafebabe");
    report.extend(0..20);
    for vector in &FOREIGN {
        let (key, salt) = keys(vector.profile);
        let mut sealer = SrtpSealer::new(vector.profile, &key, &salt).expect("sealer");
        let mut out = Vec::new();
        sealer.seal_rtcp(&report, &mut out).expect("index 0");
        out.clear();
        sealer.seal_rtcp(&report, &mut out).expect("index 1");
        assert_eq!(out, bytes(vector.srtcp_index_1), "{:?}", vector.profile);
    }
}

#[test]
fn opens_what_libsrtp_has_protected() {
    let payload: Vec<u8> = (0..40).collect();
    for vector in &FOREIGN {
        let (key, salt) = keys(vector.profile);
        let mut opener = SrtpOpener::new(vector.profile, &key, &salt).expect("opener");
        let mut clear = Vec::new();
        for (seq, packet) in [
            (65_534, vector.last_before_rollover),
            (0, vector.first_after_rollover),
        ] {
            opener.open(&bytes(packet), &mut clear).expect("authentic");
            assert_eq!(clear[..12], header(seq));
            assert_eq!(clear[12..], payload);
        }
        opener
            .open_rtcp(&bytes(vector.srtcp_index_1), &mut clear)
            .expect("authentic");
        assert_eq!(clear[8..], (0..20).collect::<Vec<u8>>());
    }
}
