//! Signed tokens, key sets, and a server for key sets.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};
use tower_tagging::registry::{JwtVerifier, JwtVerifierBuilder};

pub(crate) const ISSUER: &str = "https://login.example";
pub(crate) const AUDIENCE: &str = "llm";

/// The time of the tests, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A key pair of `tests/registry/keys`.
#[derive(Clone)]
pub(crate) struct TestKey {
    pub(crate) key: EncodingKey,
    pub(crate) algorithm: Algorithm,
    pub(crate) id: String,
}

impl TestKey {
    /// Reads the key of a file. The name of the file is its id.
    pub(crate) fn read(file: &str, algorithm: Algorithm) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry/keys").join(format!("{file}.pem"));
        let pem = std::fs::read_to_string(path).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).unwrap();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_der(&der),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_rsa_der(&der),
        };
        Self { key, algorithm, id: file.to_owned() }
    }

    pub(crate) fn rsa() -> Self {
        Self::read("rsa", Algorithm::RS256)
    }

    pub(crate) fn p256() -> Self {
        Self::read("p256", Algorithm::ES256)
    }

    /// Returns the public key as a JSON Web Key.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// Signs claims, with the id of the key in the header.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.id }), &claims.to_string())
    }

    /// Signs any header and payload.
    pub(crate) fn sign_with(&self, header: &Value, payload: &str) -> String {
        self.sign_text(&header.to_string(), payload)
    }

    pub(crate) fn sign_text(&self, header: &str, payload: &str) -> String {
        let signed = unsigned(header, payload);
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

/// Returns header and payload of a token, without a signature.
pub(crate) fn unsigned(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

/// Returns the claims of a valid token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 3600, "iat": NOW - 10, "sub": "ada",
        "org": { "id": "acme", "plan": "pro" }, "groups": ["growth", "ads"]
    })
}

/// Returns the claims of a valid token, with some replaced. `null` removes a claim.
pub(crate) fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

pub(crate) fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Returns a builder with the issuer and audience of the tests.
pub(crate) fn verifier() -> JwtVerifierBuilder {
    JwtVerifier::builder().issuer(ISSUER).audience(AUDIENCE)
}

/// A server on this machine that answers every request with the same response, until it is changed.
pub(crate) struct JwksServer {
    pub(crate) address: SocketAddr,
    response: Arc<Mutex<Vec<u8>>>,
    requests: Arc<AtomicUsize>,
}

impl JwksServer {
    pub(crate) fn start(jwks: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let this = Self { address, response: Arc::default(), requests: Arc::default() };
        this.answer(200, jwks);
        let (response, requests) = (Arc::clone(&this.response), Arc::clone(&this.requests));
        // The thread ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                requests.fetch_add(1, Ordering::SeqCst);
                let response = response.lock().unwrap().clone();
                // Fails if the client does not want the whole response.
                let _ = respond(stream.unwrap(), &response);
            }
        });
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// Sets the response.
    pub(crate) fn answer(&self, status: u16, body: &str) {
        let head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nlocation: /other\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        *self.response.lock().unwrap() = [head.as_bytes(), body.as_bytes()].concat();
    }

    /// Closes connections without a response.
    pub(crate) fn hang_up(&self) {
        self.response.lock().unwrap().clear();
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn respond(mut stream: TcpStream, response: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    stream.write_all(response)
}
