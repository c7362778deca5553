//! TLS for devices with small buffers.
//!
//! BearSSL on the ESP8266 has a buffer of 16 KiB unless the sketch cuts it, down to 512 bytes. A longer record ends the
//! connection, and rustls does not negotiate the length (RFC 6066 4). So the server caps what every record carries. The
//! cap of rustls counts the five bytes of the record's header, and not what encryption adds: BearSSL has 325 bytes more
//! for that (esp8266/Arduino `WiFiClientSecureBearSSL.cpp`, `MAX_IN_OVERHEAD`).
//!
//! These clients speak TLS 1.0 to 1.2, never 1.3, and take ECDSA faster than RSA. A session that they resume saves them a
//! second of computing.

use std::sync::Arc;

use otaseal::format::digest::Sha256Digest;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use sha1::Digest;

/// Most bytes that a TLS record to a device carries, its header included, unless the caller says otherwise: the smallest
/// buffer that a sketch can set.
pub const RECORD_BYTES: usize = 512;

/// Sessions that are kept for clients that come back.
const SESSIONS: usize = 10_240;

/// A certificate and its key, ready for a server.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What rustls needs.
    pub config: Arc<ServerConfig>,
    /// SHA-1 of the certificate: what `setFingerprint` and the configuration of Homie 1 want.
    pub fingerprint: String,
    /// SHA-256 of the certificate.
    pub sha256: Sha256Digest,
    /// What a device may dislike, as sentences.
    pub doubts: Vec<String>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate.
    #[error("it has no certificate in PEM form")]
    NoCertificate,
    /// No key.
    #[error("it has no private key in PEM form")]
    NoKey,
    /// The two do not go together, or are of a kind that rustls does not know.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(rustls::Error),
    /// The cap is outside of what TLS allows.
    #[error("a TLS record has {0} bytes, from 37 to 16389: this is not possible")]
    Record(usize),
}

impl Tls {
    /// Takes a chain of certificates and its key in PEM form, and caps the records at `record` bytes.
    ///
    /// The key is the server's own. It signs no firmware.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(chain: &[u8], key: &[u8], record: usize) -> Result<Self, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate)?;
        let own = chain.first().ok_or(TlsError::NoCertificate)?.clone();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsError::Unusable)?;
        if !(37..=16389).contains(&record) {
            return Err(TlsError::Record(record));
        }
        config.max_fragment_size = Some(record);
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.alpn_protocols = Vec::new();
        let sha1: Vec<String> = sha1::Sha1::digest(&own).iter().map(|byte| format!("{byte:02X}")).collect();
        let sha256 = otaseal::format::digest::sha256(&own);
        let mut doubts = Vec::new();
        // An RSA key in a certificate: the algorithm identifier rsaEncryption, 1.2.840.113549.1.1.1.
        const RSA: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
        if own.windows(RSA.len()).any(|window| window == RSA) {
            doubts.push(
                "the key of the certificate is RSA: an ECDSA key (P-256) is fourteen times as fast here"
                    .into(),
            );
        }
        Ok(Self { config: Arc::new(config), fingerprint: sha1.join(":"), sha256, doubts })
    }
}
