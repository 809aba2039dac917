//! Challenges answered and answers checked, against the RFCs' own examples.

use proptest::prelude::*;
use wire::digest::{
    Algorithm, Authorization, Challenge, DigestChallenge, base64_decode, base64_encode,
    basic_authorization, parse_challenges,
};

fn digest(value: &str) -> DigestChallenge {
    match Challenge::parse(value) {
        Some(Challenge::Digest(digest)) => digest,
        other => panic!("no digest challenge: {other:?}"),
    }
}

#[test]
fn the_example_of_rfc_2617_section_3_5() {
    let challenge = digest(
        "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    );
    let response = challenge.response(
        "Mufasa",
        "Circle Of Life",
        "GET",
        "/dir/index.html",
        "0a4f113b",
        1,
    );
    assert_eq!(response, "6629fae49393a05397450978507c4ef1");
}

#[test]
fn the_sha_256_example_of_rfc_7616_section_3_9_1() {
    let challenge = digest(
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=sha-256, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
    );
    assert_eq!(challenge.algorithm, Algorithm::Sha256);
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let response = challenge.response(
        "Mufasa",
        "Circle of Life",
        "GET",
        "/dir/index.html",
        cnonce,
        1,
    );
    assert_eq!(
        response,
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

#[test]
fn without_qop_neither_nc_nor_cnonce_is_sent() {
    let value = digest("Digest realm=\"r\",nonce=\"n\"").authorization(
        "admin",
        "12345",
        "DESCRIBE",
        "rtsp://h/a",
        "c",
        1,
    );
    assert!(!value.contains("nc=") && !value.contains("cnonce") && !value.contains("algorithm"));
    assert!(value.contains("uri=\"rtsp://h/a\""));
}

#[test]
fn the_strongest_challenge_comes_first_and_strange_ones_are_passed_over() {
    let lines = [
        "Basic realm=\"x\"",
        "Digest realm=\"x\", nonce=\"1\"",
        "Digest realm=\"x\", nonce=\"2\", algorithm=SHA-256",
        "Digest realm=\"x\", nonce=\"3\", algorithm=SHA-512-256",
        "Digest realm=\"no nonce\"",
        "Negotiate",
    ];
    let challenges = parse_challenges(lines.into_iter());
    let names: Vec<_> = challenges
        .iter()
        .map(|challenge| match challenge {
            Challenge::Digest(digest) => digest.algorithm.name(),
            Challenge::Basic(_) => "Basic",
        })
        .collect();
    assert_eq!(names, ["SHA-256", "MD5", "Basic"]);
}

#[test]
fn quotes_backslashes_and_missing_commas_survive() {
    let challenge = digest("Digest realm=\"a \\\"b\\\" c\" , nonce=n1, stale=TRUE");
    assert_eq!(
        (challenge.realm.as_str(), challenge.nonce.as_str()),
        ("a \"b\" c", "n1")
    );
    assert!(challenge.stale);
    assert_eq!(digest(&challenge.header_value()), challenge);
}

#[test]
fn a_server_takes_the_right_answer_and_no_other() {
    for (algorithm, qop_auth) in [
        (Algorithm::Md5, false),
        (Algorithm::Md5, true),
        (Algorithm::Md5Sess, true),
        (Algorithm::Sha256, true),
        (Algorithm::Sha256Sess, false),
    ] {
        let challenge = DigestChallenge {
            realm: "farm".to_owned(),
            nonce: "abc".to_owned(),
            algorithm,
            algorithm_named: true,
            qop_auth,
            ..DigestChallenge::default()
        };
        let value = challenge.authorization("admin", "p\"w", "PLAY", "rtsp://h/a", "cc", 3);
        let answer = Authorization::parse(&value).unwrap();
        assert_eq!(answer.nonce(), Some("abc"));
        assert_eq!(answer.uri(), Some("rtsp://h/a"));
        assert!(
            answer.verify("admin", "p\"w", "farm", "PLAY"),
            "{algorithm:?}"
        );
        assert!(!answer.verify("admin", "other", "farm", "PLAY"));
        assert!(!answer.verify("root", "p\"w", "farm", "PLAY"));
        assert!(!answer.verify("admin", "p\"w", "farm", "SETUP"));
        assert!(!answer.verify("admin", "p\"w", "elsewhere", "PLAY"));
        assert!(!format!("{answer:?}").contains("response"));
    }
}

#[test]
fn basic_is_written_and_checked() {
    let value = basic_authorization("Aladdin", "open sesame");
    assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let answer = Authorization::parse(&value).unwrap();
    assert!(answer.verify("Aladdin", "open sesame", "any", "PLAY"));
    assert!(!answer.verify("Aladdin", "open", "any", "PLAY"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn base64_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let text = base64_encode(&bytes);
        prop_assert_eq!(base64_decode(text.trim_end_matches('=')), Some(bytes.clone()));
        prop_assert_eq!(base64_decode(&text), Some(bytes));
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text in "\\PC{0,200}") {
        let _ = Challenge::parse(&format!("Digest {text}"));
        let _ = Authorization::parse(&format!("Digest {text}"));
        let _ = Authorization::parse(&text);
        let _ = base64_decode(&text);
    }
}
