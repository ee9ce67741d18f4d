//! TLS to a PostgreSQL server: which certificates are trusted, and what is checked.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::account;
use crate::host::{Error, Look};
use crate::sql::{PgConn, SslMode};

/// What makes an encrypted connection of a plain one. [`Error::Path`] names a certificate file that cannot be used.
pub(super) fn connector(at: &PgConn) -> Look<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(at, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Unsupported(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&at.client_cert, &at.client_key) {
        (Some(cert), Some(key)) => {
            let certificates = certificates(Path::new(cert))?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(Path::new(key), error))?;
            builder.with_client_auth_cert(certificates, private).map_err(|error| unusable(Path::new(cert), error))?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(Error::Failed("`ssl_cert` and `ssl_key` belong together: one of them is missing".into())),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(at: &PgConn, provider: &Arc<CryptoProvider>) -> Look<Arc<dyn ServerCertVerifier>> {
    let webpki = |roots| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| Error::Unsupported(format!("no certificate can be checked: {error}")))
    };
    let unchecked = || Ok(Check { provider: Arc::clone(provider), chain: None });
    let check = match (at.sslmode, roots(at)?) {
        (SslMode::VerifyFull, Some(roots)) => return Ok(webpki(roots)?),
        (SslMode::VerifyCa | SslMode::Require, Some(roots)) => {
            Check { provider: Arc::clone(provider), chain: Some(webpki(roots)?) }
        }
        (SslMode::VerifyFull | SslMode::VerifyCa, None) => {
            let file = default_root().unwrap_or_else(|| "~/.postgresql/root.crt".into());
            return Err(Error::Failed(format!(
                "sslmode {} needs the certificates of authorities to trust: there is no {}; name a file in `ca_cert`, \
                 or say `ca_cert: system`",
                at.sslmode,
                file.display()
            )));
        }
        _ => unchecked()?,
    };
    Ok(Arc::new(check))
}

/// The authorities to trust: those of the file that was named, else of libpq's default one, if there is one.
fn roots(at: &PgConn) -> Look<Option<RootCertStore>> {
    let trusted = match at.root_cert.as_deref() {
        Some("system") => rustls_native_certs::load_native_certs().certs,
        Some(file) => certificates(Path::new(file))?,
        None => match default_root().filter(|file| file.exists()) {
            Some(file) => certificates(&file)?,
            None => return Ok(None),
        },
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    Ok(Some(roots))
}

fn default_root() -> Option<PathBuf> {
    Some(Path::new(&account::own()?.home).join(".postgresql/root.crt"))
}

fn certificates(file: &Path) -> Look<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    match read() {
        Ok(found) if found.is_empty() => Err(unusable(file, "there is no certificate in it")),
        found => found.map_err(|error| unusable(file, error)),
    }
}

fn unusable(file: &Path, reason: impl ToString) -> Error {
    Error::Path { action: "use".into(), path: file.into(), reason: reason.to_string() }
}

/// What a user can do about a handshake that failed.
pub(super) fn hint(error: &postgres::Error) -> Option<&'static str> {
    let mut cause = error.source();
    while let Some(error) = cause {
        // The text of an `io::Error` is that of the error in it, which is not its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        if let Some(rustls::Error::InvalidCertificate(why)) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(match why {
                CertificateError::UnknownIssuer => "`ca_cert` names the file of the authority that signed it",
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "the certificate is for another name than `login_host`; `ssl_mode: verify-ca` does not compare them"
                }
                _ => "look at the server's certificate with `openssl s_client -starttls postgres`",
            });
        }
        cause = error.source();
    }
    None
}

/// Checks that the server holds the certificate's key; and who signed it, if there is somebody to trust. The name in it
/// is not compared: that is `verify-full`.
#[derive(Debug)]
struct Check {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end, between, name, ocsp, now) {
            // The name is looked at last, when all else is well.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
