//! The feature `jwt`.

use std::time::{Duration, SystemTime};

use tower_tagging::registry::{JwtAlgorithm, JwtVerifier, Registry};

/// The key and the token of RFC 7515, appendix A.3.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[test]
fn verifies_the_example_of_the_rfc() {
    let verifier = JwtVerifier::builder().jwks(JWKS).issuer("joe").any_audience().algorithms([JwtAlgorithm::Es256]);
    let verifier = verifier.build().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_000);
    assert_eq!(verifier.verify(TOKEN, now).unwrap()["iss"], "joe");
    assert!(verifier.verify(TOKEN, now + Duration::from_secs(3600)).is_err());
    assert!(Registry::builder().jwt(verifier).build().unwrap().jwt_verifier().is_some());
}

#[test]
fn keys_from_a_url_need_no_runtime_of_the_app() {
    let verifier = JwtVerifier::builder()
        .jwks_url("http://127.0.0.1:1/jwks.json")
        .issuer("joe")
        .audience("llm")
        .algorithms([JwtAlgorithm::Es256])
        .build()
        .unwrap();
    assert!(!verifier.wait_for_keys(Duration::ZERO));
}
