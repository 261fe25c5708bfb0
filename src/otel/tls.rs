use std::fs;

use hyper_rustls::ConfigBuilderExt;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::export::{OtelError, Setting, Signal};

/// Whom an exporter trusts over TLS, and what it shows of itself.
pub(super) struct Certificates {
    /// Trusted in place of the public authorities.
    authority: Option<Authority>,
    /// What a collector is shown that asks for it.
    identity: Option<ClientIdentity>,
}

struct Authority {
    pem: Vec<u8>,
    roots: RootCertStore,
}

/// A key among it, so that nothing here is printed.
struct ClientIdentity {
    chain_pem: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    key_pem: Vec<u8>,
    key: PrivateKeyDer<'static>,
}

impl Certificates {
    /// Reads the files that `OTEL_EXPORTER_OTLP_CERTIFICATE`, `…_CLIENT_CERTIFICATE` and `…_CLIENT_KEY` name, or those of the
    /// signal: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.
    ///
    /// # Errors
    /// For a file that can't be read or is no PEM of its kind, and for a certificate without its key.
    pub(super) fn of(signal: Signal) -> Result<Self, OtelError> {
        let authority = signal.setting("CERTIFICATE").map(|file| Authority::read(&file)).transpose()?;
        let identity = match (signal.setting("CLIENT_CERTIFICATE"), signal.setting("CLIENT_KEY")) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some(ClientIdentity::read(&chain, &key)?),
            (Some(one), None) => return Err(one.refused("a certificate of a client needs its CLIENT_KEY too")),
            (None, Some(one)) => return Err(one.refused("a key of a client needs its CLIENT_CERTIFICATE too")),
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
    /// For a key that is not that of the certificate.
    pub(super) fn for_http(self) -> Result<ClientConfig, OtelError> {
        let unusable = |problem| OtelError::of("TLS", problem);
        let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match self.authority {
            Some(authority) => builder.with_root_certificates(authority.roots),
            None => builder.with_webpki_roots(),
        };
        match self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).map_err(unusable),
            None => Ok(builder.with_no_client_auth()),
        }
    }
}

impl Authority {
    fn read(file: &Setting) -> Result<Self, OtelError> {
        let pem = read(file)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file, &pem)? {
            roots.add(certificate).map_err(|problem| file.refused(problem))?;
        }
        Ok(Self { pem, roots })
    }
}

impl ClientIdentity {
    fn read(chain_file: &Setting, key_file: &Setting) -> Result<Self, OtelError> {
        let (chain_pem, key_pem) = (read(chain_file)?, read(key_file)?);
        let chain = certificates(chain_file, &chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|problem| key_file.refused(problem))?;
        Ok(Self { chain_pem, chain, key_pem, key })
    }
}

fn read(file: &Setting) -> Result<Vec<u8>, OtelError> {
    fs::read(&file.value).map_err(|problem| file.refused(problem))
}

/// The certificates of a file, one at least.
fn certificates(file: &Setting, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OtelError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|problem| file.refused(problem))?;
    if certificates.is_empty() { Err(file.refused("no certificate in PEM")) } else { Ok(certificates) }
}
