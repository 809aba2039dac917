//! TLS beneath a client of the RTSP door: the bytes of a connection on one side, its dialogue on
//! the other.
//!
//! Belongs here: which certificate is shown, which versions are spoken, when there is something to
//! send. Does not: sockets, clocks, what is said inside. The protocol is rustls'. Called by `engine`.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};

/// What is sealed at once, and so ahead of what the connection takes: one record (RFC 8446
/// section 5.1).
pub const RECORD_BYTES: usize = 16 << 10;

/// Why certificate and key can't be used. Never with a byte of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the certificate is not PEM, or there is none")]
    Certificate,
    #[error("the key is not PEM, or it has a passphrase")]
    Key,
    #[error("certificate and key can't be used together ({0})")]
    Refused(String),
}

/// A certificate with its chain, and its key. Cheap to copy; a connection keeps the one that it began
/// with.
#[derive(Clone)]
pub struct TlsIdentity(Arc<ServerConfig>);

impl TlsIdentity {
    /// Both are PEM, the certificate before those that signed it.
    ///
    /// # Errors
    /// [`IdentityError`], where they can't be read or do not fit.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| IdentityError::Certificate)?;
        if chain.is_empty() {
            return Err(IdentityError::Certificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Key)?;
        let refused = |error: rustls::Error| IdentityError::Refused(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(refused)?;
        // A view is one connection for hours: nothing is kept for taking one up again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity(***)")
    }
}

/// The connection has ended: by the client's word, or by what it sent. Then a last word may wait in
/// [`TlsServer::write_to`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// One connection's machine; see the module.
#[derive(Debug)]
pub struct TlsServer {
    connection: ServerConnection,
    closed: bool,
}

impl TlsServer {
    /// `None` where the system's random source fails.
    #[must_use]
    pub fn new(identity: &TlsIdentity) -> Option<Self> {
        let connection = ServerConnection::new(identity.0.clone()).ok()?;
        Some(Self {
            connection,
            closed: false,
        })
    }

    /// Takes bytes from the client and hands on what they say.
    ///
    /// # Errors
    /// [`Ended`].
    pub fn receive(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Ended> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.connection.read_tls(&mut rest).map_err(|_| Ended)?;
            let state = self.connection.process_new_packets().map_err(|_| Ended)?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            let read = self.connection.reader().read_exact(&mut plain);
            read.map_err(|_| Ended)?;
            if !plain.is_empty() {
                sink(&plain);
            }
            if state.peer_has_closed() {
                return Err(Ended);
            }
        }
        Ok(())
    }

    /// Nothing can be said yet.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Seals the beginning of `plain` and gives how much it was: at most [`RECORD_BYTES`], nothing
    /// before the handshake is over or while sealed bytes wait.
    pub fn seal(&mut self, plain: &[u8]) -> usize {
        if self.is_handshaking() || self.has_waiting() {
            return 0;
        }
        let record = &plain[..plain.len().min(RECORD_BYTES)];
        self.connection.writer().write(record).unwrap_or(0)
    }

    /// Says that nothing more comes (close_notify), once. True when that is to be sent.
    pub fn close(&mut self) -> bool {
        if std::mem::replace(&mut self.closed, true) {
            return false;
        }
        self.connection.send_close_notify();
        self.has_waiting()
    }

    /// Is there something for [`Self::write_to`]?
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.connection.wants_write()
    }

    /// Writes what waits, as much as `out` takes.
    ///
    /// # Errors
    /// Those of `out`; what it did not take waits on.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(out)
    }
}
