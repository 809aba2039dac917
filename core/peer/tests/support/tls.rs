//! The other end of TLS in memory, and certificates that nobody signed. The client trusts anyone: whose
//! certificate it was is what tests ask.
#![allow(dead_code)] // each test file uses its part

use std::io::{Read, Write};
use std::sync::Arc;

use peer::tls::TlsIdentity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
    SupportedProtocolVersion,
};
use wire::digest::base64_encode;

pub struct Made {
    /// DER.
    pub certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Made {
    pub fn new() -> Self {
        let made = dimpl::certificate::generate_self_signed_certificate().unwrap();
        Self {
            certificate: made.certificate,
            key: made.private_key,
        }
    }

    pub fn certificate_pem(&self) -> Vec<u8> {
        pem("CERTIFICATE", &self.certificate)
    }

    pub fn key_pem(&self) -> Vec<u8> {
        pem("PRIVATE KEY", &self.key)
    }

    pub fn identity(&self) -> TlsIdentity {
        TlsIdentity::from_pem(&self.certificate_pem(), &self.key_pem()).unwrap()
    }
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = base64_encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
}

pub struct TlsClient {
    connection: ClientConnection,
    read: Vec<u8>,
    ended: bool,
}

impl TlsClient {
    pub fn new(version: &'static SupportedProtocolVersion) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAnyone(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from("192.0.2.9").unwrap();
        Self {
            connection: ClientConnection::new(Arc::new(config), name).unwrap(),
            read: Vec::new(),
            ended: false,
        }
    }

    /// What it sends.
    pub fn say(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut out).unwrap();
        }
        out
    }

    pub fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.ended {
            self.connection.read_tls(&mut rest).unwrap();
            let state = self.connection.process_new_packets().unwrap();
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut plain).unwrap();
            self.read.extend(plain);
            self.ended = state.peer_has_closed();
        }
    }

    pub fn write(&mut self, plain: &[u8]) {
        self.connection.writer().write_all(plain).unwrap();
    }

    pub fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    pub fn is_through(&self) -> bool {
        !self.connection.is_handshaking()
    }

    pub fn has_heard_the_end(&self) -> bool {
        self.ended
    }

    /// The certificate that it was shown, DER.
    pub fn shown(&self) -> &[u8] {
        self.connection
            .peer_certificates()
            .map_or(&[], |all| &all[0])
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }
}

#[derive(Debug)]
struct TrustsAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
