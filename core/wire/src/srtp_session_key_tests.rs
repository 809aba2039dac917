//! RFC 7714's vectors start from session keys, below the key derivation: so they are tested here.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};

use super::{Half, SrtpProfile, SrtpSealer};

const SALT: [u8; 12] = *b"Quid pro quo";
const HEADER: [u8; 12] = [
    0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2,
];
const PAYLOAD: &[u8; 38] = b"Gallia est omnis divisa in partes tres";

fn seal(profile: SrtpProfile) -> Vec<u8> {
    let algorithm = match profile {
        SrtpProfile::AeadAes256Gcm => &AES_256_GCM,
        _ => &AES_128_GCM,
    };
    let key: Vec<u8> = (0..profile.key_bytes() as u8).collect();
    let half = || Half::Gcm {
        cipher: Box::new(LessSafeKey::new(
            UnboundKey::new(algorithm, &key).expect("key"),
        )),
        salt: SALT,
    };
    let mut sealer = SrtpSealer {
        profile,
        rtp: half(),
        rtcp: half(),
        spent: Vec::new(),
        next_srtcp_index: 0,
    };
    let mut out = Vec::new();
    sealer.seal(&HEADER, PAYLOAD, &mut out).expect("sealed");
    out
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
        .collect()
}

#[test]
fn rfc_7714_section_16_1_1_aes_128_gcm() {
    let expected = bytes(
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f
         42a5f47a 51c7d19b 36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce",
    );
    assert_eq!(seal(SrtpProfile::AeadAes128Gcm), expected);
}

#[test]
fn rfc_7714_section_16_2_1_aes_256_gcm() {
    let expected = bytes(
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3
         b50b2a02 76ffae0f 1ba63799 b87b 7aa3db36 dfffd6b0 f9bb7878 d7a76c13",
    );
    assert_eq!(seal(SrtpProfile::AeadAes256Gcm), expected);
}
