use std::fs;

use hyper_rustls::ConfigBuilderExt;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::otel::otel_error::OtelError;

use super::{setting::Setting, signal::Signal};

/// The certificates of an exporter: the trusted authorities, and its own identity.
pub(super) struct Certificates {
    /// Trusted in place of the public authorities.
    authority: Option<Authority>,
    identity: Option<ClientIdentity>,
}

struct Authority {
    pem: Vec<u8>,
    roots: RootCertStore,
}

/// A client certificate and its key. It does not implement `Debug`, so that the key is never printed.
struct ClientIdentity {
    chain_pem: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    key_pem: Vec<u8>,
    key: PrivateKeyDer<'static>,
}

impl Certificates {
    /// Reads the files that `OTEL_EXPORTER_OTLP_CERTIFICATE`, `…_CLIENT_CERTIFICATE`, and `…_CLIENT_KEY` name, or the
    /// variables of the signal: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.
    ///
    /// # Errors
    /// Returns an error for a file that is not readable or not PEM, and for a certificate without its key.
    pub(super) fn from_env(signal: Signal) -> Result<Self, OtelError> {
        let authority = signal.setting("CERTIFICATE").map(|file| Authority::read(&file)).transpose()?;
        let identity = match (signal.setting("CLIENT_CERTIFICATE"), signal.setting("CLIENT_KEY")) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some(ClientIdentity::read(&chain, &key)?),
            (Some(chain), None) => return Err(chain.invalid("a client certificate requires CLIENT_KEY as well")),
            (None, Some(key)) => return Err(key.invalid("a client key requires CLIENT_CERTIFICATE as well")),
        };
        Ok(Self { authority, identity })
    }

    pub(super) fn for_grpc(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new();
        let config = match &self.authority {
            Some(authority) => config.ca_certificate(Certificate::from_pem(&authority.pem)),
            None => config.with_enabled_roots(),
        };
        match &self.identity {
            Some(identity) => config.identity(Identity::from_pem(&identity.chain_pem, &identity.key_pem)),
            None => config,
        }
    }

    /// # Errors
    /// Returns an error if the key does not match the certificate.
    pub(super) fn for_http(self) -> Result<ClientConfig, OtelError> {
        let invalid = |error| OtelError::new(format!("invalid TLS configuration for OTLP: {error}"));
        let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into());
        let builder = builder.with_safe_default_protocol_versions().map_err(invalid)?;
        let builder = match self.authority {
            Some(authority) => builder.with_root_certificates(authority.roots),
            None => builder.with_webpki_roots(),
        };
        match self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).map_err(invalid),
            None => Ok(builder.with_no_client_auth()),
        }
    }
}

impl Authority {
    fn read(file: &Setting) -> Result<Self, OtelError> {
        let pem = read(file)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file, &pem)? {
            roots.add(certificate).map_err(|error| file.invalid(error))?;
        }
        Ok(Self { pem, roots })
    }
}

impl ClientIdentity {
    fn read(chain_file: &Setting, key_file: &Setting) -> Result<Self, OtelError> {
        let (chain_pem, key_pem) = (read(chain_file)?, read(key_file)?);
        let chain = certificates(chain_file, &chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|error| key_file.invalid(format!("expected a private key in PEM format ({error})")))?;
        Ok(Self { chain_pem, chain, key_pem, key })
    }
}

fn read(file: &Setting) -> Result<Vec<u8>, OtelError> {
    fs::read(&file.value).map_err(|error| file.invalid(format!("cannot read the file ({error})")))
}

/// Returns the certificates of a file, which must contain at least one.
fn certificates(file: &Setting, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OtelError> {
    const EXPECTED: &str = "expected at least one certificate in PEM format";
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = parsed.map_err(|error| file.invalid(format!("{EXPECTED} ({error})")))?;
    if certificates.is_empty() { Err(file.invalid(EXPECTED)) } else { Ok(certificates) }
}
