use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey,
    crypto::aws_lc::DEFAULT_PROVIDER,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::jwt_algorithm::JwtAlgorithm;

/// Minimum size of an RSA modulus, in bytes (RFC 7518, section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// A key that verifies signatures.
#[derive(Debug)]
pub(super) struct VerificationKey {
    pub(super) id: Option<Box<str>>,
    pub(super) kind: KeyKind,
    /// The only algorithm that the key may be used with.
    algorithm: Option<JwtAlgorithm>,
    /// Its `Debug` text does not have the key.
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    P256,
    P384,
    Ed25519,
    Rsa,
    /// A secret of this many bytes.
    Secret(usize),
}

impl VerificationKey {
    /// Reads a JSON Web Key. Returns `None` if it is not supported, or not for signatures.
    pub(super) fn from_jwk(jwk: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(jwk).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        if jwk.common.key_operations.as_ref().is_some_and(|uses| !uses.contains(&KeyOperations::Verify)) {
            return None;
        }
        let algorithm = match jwk.common.key_algorithm {
            None => None,
            Some(name) => Some(JwtAlgorithm::named(&name.to_string())?),
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let kind = KeyKind::of(&jwk.algorithm, &key)?;
        Some(Self { id: jwk.common.key_id.map(Into::into), kind, algorithm, key })
    }

    /// Returns `true` if the key may be used with an algorithm.
    pub(super) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        let fits_kind = match algorithm {
            JwtAlgorithm::Es256 => self.kind == KeyKind::P256,
            JwtAlgorithm::Es384 => self.kind == KeyKind::P384,
            JwtAlgorithm::EdDsa => self.kind == KeyKind::Ed25519,
            JwtAlgorithm::Rs256
            | JwtAlgorithm::Rs384
            | JwtAlgorithm::Rs512
            | JwtAlgorithm::Ps256
            | JwtAlgorithm::Ps384
            | JwtAlgorithm::Ps512 => self.kind == KeyKind::Rsa,
            // RFC 7518, section 3.2: at least the size of the hash.
            JwtAlgorithm::Hs256 => matches!(self.kind, KeyKind::Secret(32..)),
            JwtAlgorithm::Hs384 => matches!(self.kind, KeyKind::Secret(48..)),
            JwtAlgorithm::Hs512 => matches!(self.kind, KeyKind::Secret(64..)),
        };
        fits_kind && self.algorithm.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: JwtAlgorithm, signed: &str, signature: &Vec<u8>) -> bool {
        // The default of the process would panic if another crate enables a second implementation.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm.implementation(), &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(signed.as_bytes(), signature).is_ok())
    }
}

impl KeyKind {
    /// Returns `None` if the key is not supported, or its size is wrong.
    fn of(parameters: &AlgorithmParameters, key: &DecodingKey) -> Option<Self> {
        let bytes = match parameters {
            AlgorithmParameters::RSA(rsa) => {
                URL_SAFE_NO_PAD.decode(&rsa.n).ok()?.iter().skip_while(|byte| **byte == 0).count()
            }
            _ => key.try_get_as_bytes().ok()?.len(),
        };
        match (parameters, bytes) {
            (AlgorithmParameters::EllipticCurve(ec), 65) if ec.curve == EllipticCurve::P256 => Some(Self::P256),
            (AlgorithmParameters::EllipticCurve(ec), 97) if ec.curve == EllipticCurve::P384 => Some(Self::P384),
            (AlgorithmParameters::OctetKeyPair(ed), 32) if ed.curve == EllipticCurve::Ed25519 => Some(Self::Ed25519),
            (AlgorithmParameters::RSA(_), MIN_RSA_BYTES..) => Some(Self::Rsa),
            (AlgorithmParameters::OctetKey(_), _) => Some(Self::Secret(bytes)),
            _ => None,
        }
    }

    /// Returns `true` if both kinds are used with the same algorithms.
    pub(super) fn is_like(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Secret(_), Self::Secret(_)))
    }
}
