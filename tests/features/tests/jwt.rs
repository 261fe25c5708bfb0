//! The verifier fetches keys with the runtime that its own feature enables.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, SystemTime},
};

use tower_tagging::registry::{JwtAlgorithm, JwtError, JwtVerifier};

/// The key and token of RFC 7515, appendix A.3.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[test]
fn fetches_keys_from_a_url() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).unwrap() > 0);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{JWKS}", JWKS.len()).unwrap();
    });
    let verifier = JwtVerifier::builder()
        .jwks_url(url)
        .issuer("joe")
        .any_audience()
        .algorithms([JwtAlgorithm::Es256])
        .build()
        .unwrap();
    assert!(verifier.wait_for_keys(Duration::from_secs(30)), "{:?}", verifier.status());
    let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_000);
    assert!(verifier.verify(TOKEN, issued).is_ok());
    assert_eq!(verifier.verify(TOKEN, SystemTime::now()), Err(JwtError::Expired));
}
