//! The one place that drives the DTLS library, so that its rules are kept once: the clock is told
//! before every packet (a packet before the first clock would panic), output is drained after every
//! call, and every error is the end of the connection.

use std::time::Instant;

use dimpl::{Dtls, Output};
use wire::srtp::SrtpProfile;

use super::identity::DtlsIdentity;

/// Holds any record of our own MTU; a larger one is asked for by the library.
const OUTPUT_BYTES: usize = 2_048;

/// Why the handshake or the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DtlsFailure {
    Timeout,
    Failed,
}

impl From<dimpl::Error> for DtlsFailure {
    fn from(error: dimpl::Error) -> Self {
        match error {
            dimpl::Error::Timeout(_) => Self::Timeout,
            _ => Self::Failed,
        }
    }
}

/// What came out of one call, in order.
pub(super) enum DtlsOutput {
    Packet(Vec<u8>),
    /// The client's leaf certificate in DER; always before [`DtlsOutput::Keys`].
    PeerCertificate(Vec<u8>),
    Connected,
    Keys {
        profile: SrtpProfile,
        block: Vec<u8>,
    },
    ClosedByPeer,
}

/// DTLS 1.2 in the server role. 1.2 because only there does the library choose the SRTP profile in
/// our order, AES-256-GCM first.
pub(super) struct DtlsServer {
    dtls: Dtls,
    next_timeout: Option<Instant>,
}

impl DtlsServer {
    pub(super) fn new(identity: &DtlsIdentity, now: Instant) -> Result<Self, DtlsFailure> {
        let mut dtls = Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        dtls.handle_timeout(now)?;
        let mut server = Self {
            dtls,
            next_timeout: None,
        };
        server.drain(&mut Vec::new());
        Ok(server)
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        outputs: &mut Vec<DtlsOutput>,
    ) -> Result<(), DtlsFailure> {
        self.handle_timeout(now, outputs)?;
        let handled = self.dtls.handle_packet(datagram);
        self.drain(outputs);
        Ok(handled?)
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        outputs: &mut Vec<DtlsOutput>,
    ) -> Result<(), DtlsFailure> {
        let handled = self.dtls.handle_timeout(now);
        self.drain(outputs);
        Ok(handled?)
    }

    /// Says close_notify when a connection stands; else there is nobody to say it to.
    pub(super) fn close(&mut self, outputs: &mut Vec<DtlsOutput>) {
        // An error here means that the connection is already gone: nothing is left to do.
        if self.dtls.close().is_ok() {
            self.drain(outputs);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    fn drain(&mut self, outputs: &mut Vec<DtlsOutput>) {
        let mut stack_buffer = [0; OUTPUT_BYTES];
        let mut heap_buffer = Vec::new();
        loop {
            let buffer = if heap_buffer.is_empty() {
                &mut stack_buffer[..]
            } else {
                &mut heap_buffer[..]
            };
            match self.dtls.poll_output(buffer) {
                Output::Packet(packet) => outputs.push(DtlsOutput::Packet(packet.to_vec())),
                Output::PeerCert(der) => outputs.push(DtlsOutput::PeerCertificate(der.to_vec())),
                Output::Connected => outputs.push(DtlsOutput::Connected),
                Output::KeyingMaterial(block, profile) => {
                    if let Some(profile) = srtp_profile(profile) {
                        outputs.push(DtlsOutput::Keys {
                            profile,
                            block: block.to_vec(),
                        });
                    }
                }
                Output::CloseNotify => outputs.push(DtlsOutput::ClosedByPeer),
                Output::BufferTooSmall { needed } => heap_buffer = vec![0; needed],
                Output::Timeout(at) => {
                    self.next_timeout = Some(at);
                    return;
                }
                // Application data: a viewer without data channels has none to send.
                _ => {}
            }
        }
    }
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        _ => None,
    }
}
