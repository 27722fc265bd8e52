//! The HTTP client: the SDK's own, with the proxy of the environment, extra trust, and idle connections
//! that do not outlive a burst of reads.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider as TlsProvider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::provider::connections::{Connections, IdleOnes, Kept, idle};
use crate::provider::{Error, ErrorKind, regular_file};

/// Far more than all certificates of a system, in bytes.
const LARGEST_BUNDLE: u64 = 16 << 20;

/// The client; trusts the certificates in `ca_file` besides the system's. Its connections are among `connections`.
pub(super) fn http_client(ca: Option<Vec<u8>>, connections: &Connections) -> Result<SharedHttpClient, Error> {
    let trust = ca.into_iter().fold(TrustStore::default(), |trust, pem| trust.with_pem_certificate(pem));
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| Error::new(ErrorKind::Malformed, format!("TLS cannot be set up: {error}")))?;
    Ok(SharedHttpClient::new(Renewed { current: connections.keep(IdleOnes::ByTheClient), tls }))
}

/// The SDK's client, and another one once its connections have been closed.
struct Renewed {
    current: Arc<Kept<SharedHttpClient>>,
    tls: TlsContext,
}

impl Renewed {
    fn current(&self) -> SharedHttpClient {
        self.current.get().unwrap_or_else(|| {
            let client = client(self.tls.clone());
            self.current.put(&client);
            client
        })
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed")
    }
}

impl HttpClient for Renewed {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.current().http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.current().connector_metadata()
    }
}

fn client(tls: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().pool_idle_timeout(idle()).proxy_config(ProxyConfig::from_env());
        if let Some(settings) = settings {
            connector = connector.connector_settings(settings.clone());
        }
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(TlsProvider::rustls(CryptoMode::AwsLc)).tls_context(tls.clone()).build()
    })
}

/// The PEM certificates in `path`, each of which TLS can use as a root: the SDK panics on one it cannot.
pub(super) fn read_ca_file(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |why: String| Error::new(ErrorKind::Malformed, format!("ca_file {}: {why}", path.display()));
    let mut pem = Vec::new();
    let file = regular_file::open(path)
        .map_err(|error| fail(format!("{error}{}", crate::sandbox::why_withheld(path, &error))))?;
    file.take(LARGEST_BUNDLE).read_to_end(&mut pem).map_err(|error| fail(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| fail(format!("not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| fail(format!("not a certificate to trust: {error}")))?;
    }
    if roots.is_empty() {
        return Err(fail("it holds no certificate in PEM format".into()));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(contents: &[u8]) -> Option<ErrorKind> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        read_ca_file(file.path()).err().map(|error| error.kind)
    }

    #[test]
    fn a_ca_file_that_tls_cannot_use_is_an_error_and_not_a_panic() {
        let junk: &[&[u8]] = &[
            b"",
            b"\xff\xfe\0",
            b"not a certificate",
            b"-----BEGIN CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ];
        for contents in junk {
            assert_eq!(kind_of(contents), Some(ErrorKind::Malformed), "{:?}", String::from_utf8_lossy(contents));
        }
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for odd in [&*fifo, folder.path(), Path::new("/nonexistent/ca.pem")] {
            assert_eq!(read_ca_file(odd).unwrap_err().kind, ErrorKind::Malformed);
        }
    }
}
