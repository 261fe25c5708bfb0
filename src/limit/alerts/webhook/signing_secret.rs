use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ConfigError;

/// The prefix of secrets that are base64.
const PREFIX: &str = "whsec_";

/// A secret that signs webhooks, by the scheme `v1` of the
/// [Standard Webhooks specification](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
#[derive(Clone)]
pub(super) struct SigningSecret(Hmac<Sha256>);

impl SigningSecret {
    /// Reads `whsec_` and base64, or else the bytes of the text.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let key = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|_| ConfigError::new("invalid webhook secret: expected base64 after \"whsec_\""))?,
            None => text.as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err(ConfigError::new("invalid webhook secret: expected at least one byte, found none"));
        }
        Hmac::new_from_slice(&key)
            .map(Self)
            .map_err(|error| ConfigError::new(format!("invalid webhook secret: {error}")))
    }

    /// Returns the signature of `{id}.{timestamp}.{body}`.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signed = self.0.clone().chain_update(format!("{id}.{timestamp}.")).chain_update(body);
        format!("v1,{}", STANDARD.encode(signed.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::SigningSecret;

    /// The example of the specification's libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn accepts_raw_text_and_rejects_broken_base64() {
        assert!(SigningSecret::parse("a raw text").is_ok());
        assert!(SigningSecret::parse("whsec_%").is_err());
        assert!(SigningSecret::parse("whsec_").is_err());
        assert!(SigningSecret::parse(" ").is_err());
    }
}
