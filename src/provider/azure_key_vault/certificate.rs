//! A certificate and its private key as credentials: a short statement that is signed with the key.
//!
//! Azure's client does this with OpenSSL only. The statement is that of Microsoft's "certificate credentials"; RS256
//! and the SHA-1 thumbprint are what their other clients send.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use azure_core::error::{Error as AzureError, ErrorKind as AzureKind};
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use crate::provider::{Error, ErrorKind};

/// How long a statement is good for.
const LIFE: Duration = Duration::from_secs(600);

pub(super) struct Certificate {
    client_id: String,
    /// The token endpoint that the statement is for.
    audience: String,
    thumbprint: String,
    key: RsaKeyPair,
}

impl Certificate {
    /// From a file's bytes: a certificate and an RSA key that is not encrypted, PEM. The error never quotes them.
    pub(super) fn new(pem: &[u8], client_id: String, audience: String) -> Result<Self, &'static str> {
        let first = CertificateDer::pem_slice_iter(pem).find_map(Result::ok);
        let certificate = first.ok_or("holds no certificate in PEM format (Azure's PFX: openssl pkcs12 -nodes)")?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "holds no private key in PEM format")?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err("holds a key that is not RSA, and Microsoft Entra ID takes no other"),
        };
        let key = key.map_err(|_| "holds a private key that is no RSA key of 2048 bits or more")?;
        // The subject's key is in the certificate as it is here: a key of another certificate would be refused later.
        let public = key.public_key().as_ref();
        if !certificate.as_ref().windows(public.len()).any(|part| part == public) {
            return Err("holds a private key that is not the first certificate's");
        }
        let print = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.as_ref());
        Ok(Self { client_id, audience, thumbprint: URL_SAFE_NO_PAD.encode(print.as_ref()), key })
    }

    fn statement(&self, now: Duration) -> Option<String> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).ok()?;
        let head = json!({"alg": "RS256", "typ": "JWT", "x5t": self.thumbprint});
        let claims = json!({
            "aud": self.audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "nbf": now.as_secs(),
            "exp": now.as_secs().saturating_add(LIFE.as_secs()),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

#[async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.statement(now).ok_or_else(|| {
            let error = Error::new(ErrorKind::CredentialsRejected, "the certificate's key cannot sign");
            AzureError::new(AzureKind::Other, error)
        })
    }
}
