//! Decides whom a secure connection to a broker trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Whose certificates are trusted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The authorities that the system trusts.
    System,
    /// The authorities of a PEM file alone: these are its bytes.
    Authorities(Vec<u8>),
}

/// The trusted authorities are unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadTrust {
    /// The file has no certificate.
    #[error("the file of authorities has no certificate in PEM form")]
    Empty,
    /// A certificate in the file is broken.
    #[error("the file of authorities has a broken certificate")]
    Broken,
    /// The system trusts nobody.
    #[error("this system has no trusted authorities: give a file of them")]
    NoneOnSystem,
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Library(#[from] rustls::Error),
}

impl Trust {
    /// Makes the configuration of a client.
    ///
    /// # Errors
    /// The authorities are unusable.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, BadTrust> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                // Some systems have broken certificates among good ones.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(BadTrust::NoneOnSystem);
                }
            }
            Self::Authorities(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|_| BadTrust::Broken)?;
                    roots.add(certificate).map_err(|_| BadTrust::Broken)?;
                }
                if roots.is_empty() {
                    return Err(BadTrust::Empty);
                }
            }
        }
        // The process may have no default provider, and other crates may set another one. So it is named.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
