//! Signing in: one wrong answer is one failed attempt at the camera, and a handful of those locks
//! the account, so nothing is tried twice without a reason.

use wire::digest::{Challenge, basic_authorization, parse_challenges};
use wire::rtsp::Response;

use super::config::{ClientConfig, Secret};

#[derive(Debug)]
pub(super) struct Auth {
    username: Option<String>,
    password: Secret,
    allow_basic: bool,
    nonce_seed: u64,
    challenge: Option<Challenge>,
    /// Requests answered with this challenge's nonce.
    nonce_count: u32,
    /// The challenge in use was accepted once: the password is right.
    proven: bool,
    /// SHA-256 was refused: do not offer it again on this connection.
    avoid_sha256: bool,
}

/// What a request has been through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attempts {
    /// It carried an Authorization header.
    pub credentialed: bool,
    /// It was sent again with a fresh nonce or the older algorithm.
    pub renewed: bool,
}

impl Auth {
    pub fn new(config: &ClientConfig) -> Self {
        Self {
            username: config.username.clone(),
            password: config.password.clone(),
            allow_basic: config.allow_basic,
            nonce_seed: config.nonce_seed,
            challenge: None,
            nonce_count: 0,
            proven: false,
            avoid_sha256: false,
        }
    }

    /// For another host: credentials are only for the one they were given for.
    pub fn forget(&mut self) {
        self.username = None;
        self.password = Secret::default();
        self.challenge = None;
    }

    /// The header for a request, once a challenge is known.
    pub fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let username = self.username.as_deref()?;
        let password = self.password.reveal();
        match self.challenge.as_ref()? {
            Challenge::Basic(_) => Some(basic_authorization(username, password)),
            Challenge::Digest(digest) => {
                self.nonce_count += 1;
                let mixed = mix(self.nonce_seed.wrapping_add(u64::from(self.nonce_count)));
                let cnonce = format!("{mixed:016x}");
                let count = self.nonce_count;
                Some(digest.authorization(username, password, method, uri, &cnonce, count))
            }
        }
    }

    pub fn on_success(&mut self, attempts: Attempts) {
        self.proven |= attempts.credentialed;
    }

    /// Takes a 401. `Ok` with what the repeated request has been through, or why it is the end.
    pub fn on_unauthorized(
        &mut self,
        response: &Response,
        attempts: Attempts,
    ) -> Result<Attempts, String> {
        if self.username.is_none() {
            return Err(
                "the camera asks for a user name and password; none is set for it".to_owned(),
            );
        }
        let mut offered = parse_challenges(response.headers.get_all("WWW-Authenticate"));
        offered.retain(|challenge| match challenge {
            Challenge::Basic(_) => self.allow_basic,
            Challenge::Digest(digest) => !(self.avoid_sha256 && digest.algorithm.is_sha256()),
        });
        let Some(best) = offered.first().cloned() else {
            return Err("the camera offers no way to sign in that is allowed here".to_owned());
        };
        if !attempts.credentialed {
            self.adopt(best);
            return Ok(Attempts::default());
        }
        let wrong = "the camera refuses this user name or password; correct them before it locks the account".to_owned();
        if attempts.renewed {
            return Err(wrong);
        }
        let renewed = Attempts {
            credentialed: true,
            renewed: true,
        };
        if self.is_expired(&best) {
            self.adopt(best);
            return Ok(renewed);
        }
        if is_sha256(self.challenge.as_ref()) {
            let older = offered.into_iter().find(|c| !is_sha256(Some(c)));
            if let Some(older @ Challenge::Digest(_)) = older {
                self.avoid_sha256 = true;
                self.adopt(older);
                return Ok(renewed);
            }
        }
        Err(wrong)
    }

    /// Our nonce ran out: the camera says so, or it took the password before and now has another
    /// nonce. A new nonce alone proves nothing: many send one with every refusal.
    fn is_expired(&self, fresh: &Challenge) -> bool {
        match (fresh, &self.challenge) {
            (Challenge::Digest(fresh), Some(Challenge::Digest(used))) => {
                fresh.stale || (self.proven && fresh.nonce != used.nonce)
            }
            _ => false,
        }
    }

    fn adopt(&mut self, challenge: Challenge) {
        self.challenge = Some(challenge);
        self.nonce_count = 0;
        // Client nonces must differ between nonces as well as within one.
        self.nonce_seed = mix(self.nonce_seed);
    }
}

fn is_sha256(challenge: Option<&Challenge>) -> bool {
    matches!(challenge, Some(Challenge::Digest(digest)) if digest.algorithm.is_sha256())
}

/// Spreads a seed over 64 bits (the finaliser of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
