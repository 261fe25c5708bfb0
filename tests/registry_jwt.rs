//! Verification of JSON Web Tokens: attacks on tokens, and key sets that change or are unavailable.

mod common;
#[path = "common/tokens.rs"]
mod tokens;

use std::time::{Duration, SystemTime};

use common::{TempFolder, delivery::wait_until};
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokens::{AUDIENCE, ISSUER, JwksServer, NOW, TestKey, claims, claims_with, jwks, now, unsigned, verifier};
use tower_tagging::{
    Scope,
    metadata::Scopes,
    registry::{JwtAlgorithm, JwtError, JwtVerifier, TagMapping},
};

/// Returns a verifier with the keys `rsa` and `p256`.
fn two_keys() -> JwtVerifier {
    let keys = jwks(&[TestKey::rsa().jwk(), TestKey::p256().jwk()]);
    verifier().jwks(keys).leeway(Duration::ZERO).build().unwrap()
}

fn error(verifier: &JwtVerifier, token: &str) -> &'static str {
    verifier.verify(token, now()).map_or_else(JwtError::as_str, |_| "accepted")
}

#[test]
fn accepts_tokens_of_every_algorithm() {
    let keys = [
        ("rsa", Algorithm::RS256),
        ("rsa", Algorithm::RS384),
        ("rsa", Algorithm::RS512),
        ("rsa", Algorithm::PS256),
        ("rsa", Algorithm::PS384),
        ("rsa", Algorithm::PS512),
        ("p256", Algorithm::ES256),
        ("p384", Algorithm::ES384),
        ("ed25519", Algorithm::EdDSA),
    ];
    for (file, algorithm) in keys {
        let key = TestKey::read(file, algorithm);
        let allowed: JwtAlgorithm = format!("{algorithm:?}").parse().unwrap();
        let verifier = verifier().jwks(jwks(&[key.jwk()])).algorithms([allowed]).build().unwrap();
        let verified = verifier.verify(&key.sign(&claims()), now());
        assert_eq!(verified.map(Value::Object), Ok(claims()), "{algorithm:?}");
        let others = JwtAlgorithm::ALL.iter().filter(|other| **other != allowed && !other.is_symmetric()).copied();
        let other = tokens::verifier().jwks(jwks(&[key.jwk()])).algorithms(others).build().unwrap();
        assert_eq!(error(&other, &key.sign(&claims())), "algorithm_not_allowed", "{algorithm:?}");
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let secret = [7; 64];
        let key = TestKey { key: EncodingKey::from_secret(&secret).unwrap(), algorithm, id: "hmac".to_owned() };
        let allowed: JwtAlgorithm = format!("{algorithm:?}").parse().unwrap();
        let verifier = verifier().jwks(jwks(&[key.jwk()])).algorithms([allowed]).build().unwrap();
        assert_eq!(error(&verifier, &key.sign(&claims())), "accepted", "{algorithm:?}");
        let short = TestKey { key: EncodingKey::from_secret(&secret[..31]).unwrap(), ..key };
        let verifier = tokens::verifier().jwks(jwks(&[short.jwk()])).algorithms([allowed]).build().unwrap();
        assert_eq!(error(&verifier, &short.sign(&claims())), "algorithm_not_allowed", "a secret of 31 bytes");
    }
}

#[test]
fn refuses_attacks_on_the_header() {
    let verifier = two_keys();
    let (rsa, p256) = (TestKey::rsa(), TestKey::p256());
    let header = |changes: Value| {
        let mut header = json!({ "alg": "RS256", "typ": "JWT", "kid": "rsa" });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
                value => header[name] = value.clone(),
            }
        }
        rsa.sign_with(&header, &claims().to_string())
    };
    assert_eq!(error(&verifier, &header(json!({}))), "accepted");
    // Names of other algorithms, with a valid RS256 signature.
    for name in ["none", "None", "NONE", "nOnE", "", "rs256", "HS256", "ES384", "PS256", "RS512", "RSA1_5", "RS256 "] {
        assert_eq!(error(&verifier, &header(json!({ "alg": name }))), "algorithm_not_allowed", "{name}");
    }
    for (changes, expected) in [
        (json!({ "alg": "ES256" }), "algorithm_not_allowed"),
        (json!({ "alg": null }), "malformed"),
        (json!({ "alg": ["RS256"] }), "malformed"),
        (json!({ "crit": ["exp"] }), "malformed"),
        (json!({ "crit": [] }), "malformed"),
        (json!({ "b64": false, "crit": ["b64"] }), "malformed"),
        (json!({ "kid": "unknown" }), "unknown_key"),
        (json!({ "kid": "RSA" }), "unknown_key"),
        (json!({ "kid": "" }), "unknown_key"),
        (json!({ "kid": "../../dev/null" }), "unknown_key"),
        (json!({ "kid": "rsa' OR 1=1" }), "unknown_key"),
        (json!({ "kid": 1 }), "malformed"),
        (json!({ "kid": null }), "accepted"),
        // Keys in the token are never used.
        (json!({ "jwk": p256.jwk(), "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/" }), "accepted"),
    ] {
        assert_eq!(error(&verifier, &header(changes.clone())), expected, "{changes}");
    }
    let own = TestKey::read("rsa_other", Algorithm::RS256);
    let embedded = json!({ "alg": "RS256", "kid": "rsa", "jwk": own.jwk() });
    assert_eq!(error(&verifier, &own.sign_with(&embedded, &claims().to_string())), "bad_signature");
    let duplicate = rsa.sign_text(r#"{"alg":"RS256","kid":"rsa","alg":"none"}"#, &claims().to_string());
    assert_eq!(error(&verifier, &duplicate), "malformed");
    // The key of another token, of another type.
    let swapped = p256.sign_with(&json!({ "alg": "ES256", "kid": "rsa" }), &claims().to_string());
    assert_eq!(error(&verifier, &swapped), "algorithm_not_allowed");
}

#[test]
fn refuses_tokens_without_a_signature() {
    let verifier = two_keys();
    for (name, expected) in [("none", "algorithm_not_allowed"), ("RS256", "bad_signature"), ("ES256", "bad_signature")]
    {
        let id = if name == "ES256" { "p256" } else { "rsa" };
        let header = json!({ "alg": name, "kid": id }).to_string();
        let token = unsigned(&header, &claims().to_string());
        assert_eq!(error(&verifier, &format!("{token}.")), expected, "{name}");
        assert_eq!(error(&verifier, &token), "malformed", "{name}");
        assert_eq!(error(&verifier, &format!("{token}.AAAA")), expected, "{name}");
        // A signature of zeros, which some ECDSA implementations accepted (CVE-2022-21449).
        let zeros = "A".repeat(86);
        assert_eq!(error(&verifier, &format!("{token}.{zeros}")), expected, "{name}");
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let rsa = TestKey::rsa();
    let jwk = rsa.jwk();
    let modulus = {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap()
    };
    let keys = jwks(std::slice::from_ref(&jwk));
    let secrets = [modulus, jwk["n"].as_str().unwrap().into(), jwk.to_string().into(), keys.clone().into_bytes()];
    for secret in secrets {
        let forger = TestKey {
            key: EncodingKey::from_secret(&secret).unwrap(),
            algorithm: Algorithm::HS256,
            id: "rsa".to_owned(),
        };
        assert_eq!(error(&two_keys(), &forger.sign(&claims())), "algorithm_not_allowed");
        // The operator allowed HMAC for a set of public keys.
        let mut any_algorithm = jwk.clone();
        any_algorithm.as_object_mut().unwrap().remove("alg");
        let hmac = verifier().jwks(jwks(&[any_algorithm])).algorithms([JwtAlgorithm::Hs256]).build().unwrap();
        assert_eq!(error(&hmac, &forger.sign(&claims())), "algorithm_not_allowed");
    }
    let both = verifier().jwks(keys).algorithms([JwtAlgorithm::Rs256, JwtAlgorithm::Hs256]).build();
    assert!(both.unwrap_err().to_string().contains("HMAC"));
    let url = verifier().jwks_url("http://127.0.0.1:1/").algorithms([JwtAlgorithm::Hs256]).build();
    assert!(url.unwrap_err().to_string().contains("use a file"));
}

#[test]
fn checks_the_claims() {
    let verifier = two_keys();
    for (changes, expected) in [
        (json!({}), "accepted"),
        (json!({ "exp": NOW + 1 }), "accepted"),
        (json!({ "exp": NOW }), "expired"),
        (json!({ "exp": NOW - 1 }), "expired"),
        (json!({ "exp": 0 }), "expired"),
        (json!({ "exp": -1 }), "expired"),
        (json!({ "exp": u64::MAX }), "accepted"),
        (json!({ "exp": 1_800_000_000.5 }), "accepted"),
        (json!({ "exp": 1e300 }), "accepted"),
        (json!({ "exp": null }), "no_expiry"),
        (json!({ "exp": "2100-01-01" }), "malformed"),
        (json!({ "exp": (NOW + 1).to_string() }), "malformed"),
        (json!({ "exp": [NOW + 1] }), "malformed"),
        (json!({ "nbf": NOW }), "accepted"),
        (json!({ "nbf": NOW + 1 }), "not_yet_valid"),
        (json!({ "nbf": "now" }), "malformed"),
        (json!({ "iat": NOW + 1000 }), "accepted"),
        (json!({ "iss": null }), "wrong_issuer"),
        (json!({ "iss": format!("{ISSUER}/") }), "wrong_issuer"),
        (json!({ "iss": ISSUER.to_uppercase() }), "wrong_issuer"),
        (json!({ "iss": [ISSUER] }), "wrong_issuer"),
        (json!({ "aud": null }), "wrong_audience"),
        (json!({ "aud": "other" }), "wrong_audience"),
        (json!({ "aud": "LLM" }), "wrong_audience"),
        (json!({ "aud": [] }), "wrong_audience"),
        (json!({ "aud": ["other", AUDIENCE] }), "accepted"),
        (json!({ "aud": { "name": AUDIENCE } }), "wrong_audience"),
    ] {
        let token = TestKey::p256().sign(&claims_with(&changes));
        assert_eq!(error(&verifier, &token), expected, "{changes}");
    }
    let payload = |payload: &str| TestKey::p256().sign_with(&json!({ "alg": "ES256", "kid": "p256" }), payload);
    let text = claims().to_string();
    for (payload, expected) in [
        (payload(&text), "accepted"),
        (payload(&text.replacen('{', &format!(r#"{{"exp":{},"#, NOW + 9), 1)), "malformed"),
        (payload(&text.replacen('{', r#"{"sub":"admin","#, 1)), "malformed"),
        (payload(&text.replace(r#""plan""#, r#""id":"other","plan""#)), "malformed"),
        (payload(&format!("[{text}]")), "malformed"),
        (payload("null"), "malformed"),
        (payload(""), "malformed"),
    ] {
        assert_eq!(error(&verifier, &payload), expected);
    }
}

#[test]
fn tolerates_the_configured_clock_skew() {
    let key = TestKey::p256();
    let keys = jwks(&[key.jwk()]);
    let verifier = verifier().jwks(keys).build().unwrap();
    let token = key.sign(&claims_with(&json!({ "exp": NOW, "nbf": NOW })));
    let at = |offset: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.checked_add_signed(offset).unwrap());
    for (offset, expected) in
        [(-61, Err(JwtError::NotYetValid)), (-60, Ok(())), (59, Ok(())), (60, Err(JwtError::Expired))]
    {
        assert_eq!(verifier.verify(&token, at(offset)).map(drop), expected, "{offset}");
    }
    let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(verifier.verify(&token, before_1970), Err(JwtError::NotYetValid));
}

#[test]
fn refuses_malformed_and_huge_tokens() {
    let verifier = two_keys();
    let token = TestKey::p256().sign(&claims());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    for (token, expected) in [
        (String::new(), "malformed"),
        (format!("{header}.{payload}"), "malformed"),
        (format!("{token}."), "malformed"),
        (format!("{token}.{signature}"), "malformed"),
        (format!("{header}..{payload}.{signature}.x"), "malformed"),
        (format!("Bearer {token}"), "malformed"),
        (format!("{token} "), "malformed"),
        (format!("{token}\n"), "malformed"),
        (format!("{header}.{payload}.{signature}=="), "malformed"),
        (format!("{header}.{payload}.{}", &signature[..20]), "bad_signature"),
        (format!("{header}.{payload}.{}", &signature[..85]), "malformed"),
        (format!("{header}.{payload}.{signature}AAAA"), "bad_signature"),
        (format!(".{payload}.{signature}"), "malformed"),
        (format!("{header}..{signature}"), "bad_signature"),
        ("e".repeat(100_000), "malformed"),
    ] {
        assert_eq!(error(&verifier, &token), expected, "{token:.200}");
    }
    let sized = |bytes: usize| TestKey::p256().sign(&claims_with(&json!({ "note": "x".repeat(bytes) })));
    assert_eq!(error(&verifier, &sized(11_000)), "accepted");
    assert_eq!(error(&verifier, &sized(13_000)), "malformed");
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let deep = TestKey::p256().sign_with(&json!({ "alg": "ES256", "kid": "p256" }), &deep);
    assert_eq!(error(&verifier, &deep), "malformed");
}

proptest! {
    #[test]
    fn any_change_of_a_token_is_refused(at in 0_usize..2_000, letter in "[ -~]") {
        let token = TestKey::p256().sign(&claims());
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &letter);
        prop_assert_eq!(two_keys().verify(&changed, now()).is_ok(), changed == token, "{}", changed);
    }

    #[test]
    fn any_text_is_refused(text in ".{0,64}\\.?.{0,64}\\.?.{0,64}") {
        prop_assert!(two_keys().verify(&text, now()).is_err());
        prop_assert!(!two_keys().is_addressed_by(&text));
    }
}

#[test]
fn a_token_without_a_key_id_needs_a_single_key_that_fits() {
    let (rsa, p256) = (TestKey::rsa(), TestKey::p256());
    let nameless = |key: &TestKey| key.sign_with(&json!({ "alg": key.algorithm }), &claims().to_string());
    assert_eq!(error(&two_keys(), &nameless(&rsa)), "accepted");
    assert_eq!(error(&two_keys(), &nameless(&p256)), "accepted");
    let other = TestKey::read("rsa_other", Algorithm::RS256);
    let three = verifier().jwks(jwks(&[rsa.jwk(), other.jwk(), p256.jwk()])).build().unwrap();
    assert_eq!(error(&three, &nameless(&rsa)), "unknown_key");
    assert_eq!(error(&three, &nameless(&p256)), "accepted");
    assert_eq!(error(&three, &other.sign(&claims())), "accepted");
}

#[test]
fn ignores_keys_that_are_not_for_signatures_or_too_weak() {
    let key = TestKey::rsa();
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().remove("use");
        jwk[name] = value;
        jwk
    };
    let usable = TestKey::p256().jwk();
    let accepts = |jwk: Value| {
        let verifier = verifier().jwks(jwks(&[jwk, usable.clone()])).build().unwrap();
        verifier.verify(&key.sign(&claims()), now()).is_ok()
    };
    assert!(accepts(key.jwk()));
    assert!(accepts(with("key_ops", json!(["verify"]))));
    assert!(accepts(with("x-unknown", json!(1))));
    for jwk in [
        with("use", json!("enc")),
        with("use", json!("other")),
        with("key_ops", json!(["encrypt"])),
        with("key_ops", json!([])),
        with("alg", json!("RS512")),
        with("alg", json!("RSA-OAEP")),
        with("alg", json!("unknown")),
        with("kty", json!("EC")),
        with("kty", json!("AKP")),
        with("n", json!("not base64!")),
        with("n", json!("AQAB")),
        json!(null),
        json!("key"),
        json!({}),
    ] {
        assert!(!accepts(jwk.clone()), "{jwk}");
    }
    // 1,024 bits, and 2,048 bits of which the first half is zero.
    let modulus = "x".repeat(171);
    assert!(!accepts(with("n", json!(modulus))));
    let weak = with("n", json!(format!("{}{modulus}", "A".repeat(172))));
    let error = verifier().jwks(jwks(&[weak])).build().unwrap_err().to_string();
    assert!(error.contains("none of the 1 keys"), "{error}");
}

#[test]
fn lists_every_problem_of_the_configuration() {
    let error = JwtVerifier::builder().algorithms([]).build().unwrap_err();
    let problems: Vec<_> = error.problems().map(|(_, problem)| problem.to_owned()).collect();
    for part in ["an issuer", "an audience", "at least one algorithm", "exactly one key set"] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
    }
    let two = verifier().jwks("{}").jwks_file("keys.json").build().unwrap_err();
    assert!(two.to_string().contains("found 2"), "{two}");
    let http = verifier().jwks_url("http://login.example/keys?token=hunter2").build().unwrap_err().to_string();
    assert!(http.contains("expected https") && !http.contains("hunter2"), "{http}");
    let missing = verifier().jwks_file("/nonexistent/keys.json").build().unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/keys.json"), "{missing}");
    for text in ["", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": []}"#, r#"{"keys": [], "keys": []}"#] {
        assert!(verifier().jwks(text).build().is_err(), "{text}");
    }
    let many: Vec<_> = (0..101).map(|_| TestKey::p256().jwk()).collect();
    assert!(verifier().jwks(jwks(&many)).build().unwrap_err().to_string().contains("at most 100"));
    assert!(verifier().jwks(jwks(&many[..100])).build().is_ok());
    assert!("none".parse::<JwtAlgorithm>().unwrap_err().to_string().contains("expected one of ES256"));
}

#[test]
fn claims_become_trusted_tags() {
    let tags = TagMapping::new()
        .with("/org/id", "tenant_id", Scope::Workspace)
        .and_then(|tags| tags.with("/sub", "_user", Scope::Forced))
        .unwrap();
    let keys = jwks(&[TestKey::p256().jwk()]);
    let verifier = verifier().jwks(keys).tags(tags).build().unwrap();
    let claims = verifier.verify(&TestKey::p256().sign(&claims()), now()).unwrap();
    let mut scopes = Scopes::new();
    verifier.tags().read(&claims, &mut scopes);
    assert_eq!(&scopes.get(Scope::Workspace)["tenant_id"], "acme");
    assert_eq!(&scopes.get(Scope::Forced)["_user"], "ada");
}

#[test]
fn recognizes_tokens_of_its_issuer_without_verifying_them() {
    let verifier = two_keys();
    let own = TestKey::rsa().sign(&claims());
    assert!(verifier.is_addressed_by(&own));
    assert!(verifier.is_addressed_by(&own[..own.len() - 4]), "the signature does not matter");
    assert!(!verifier.is_addressed_by(&TestKey::rsa().sign(&claims_with(&json!({ "iss": "https://other" })))));
    assert!(!verifier.is_addressed_by("sk-1234"));
}

#[test]
fn texts_never_contain_a_part_of_the_token_or_the_keys() {
    let secret =
        json!({ "kty": "oct", "kid": "hmac", "alg": "HS256", "k": "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI" });
    let builder = verifier().jwks(jwks(&[secret])).algorithms([JwtAlgorithm::Hs256]);
    let builder_text = format!("{builder:?}");
    let verifier = builder.build().unwrap();
    let token = TestKey::rsa().sign(&claims_with(&json!({ "sub": "hunter2" })));
    let mut texts = vec![builder_text, format!("{verifier:?} {:?}", verifier.status())];
    for token in [token.as_str(), "hunter2", "hunter2.hunter2.hunter2"] {
        let error = verifier.verify(token, now()).unwrap_err();
        texts.push(format!("{error} {error:?}"));
    }
    for jwks in ["hunter2", r#"{"keys": "hunter2"}"#, r#"{"keys": [{"kty": "hunter2"}]}"#] {
        texts.push(verifier.set_jwks(jwks).unwrap_err().to_string());
        texts.push(format!("{verifier:?}"));
    }
    for text in texts {
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVy") && !text.contains("eyJ"), "{text}");
    }
}

#[test]
fn a_file_is_read_again_when_it_changes() {
    let folder = TempFolder::new("jwks-file");
    let file = folder.file("jwks.json");
    let (first, second) = (TestKey::rsa(), TestKey::p256());
    std::fs::write(&file, jwks(&[first.jwk()])).unwrap();
    let verifier = verifier().jwks_file(&file).build().unwrap();
    assert_eq!(error(&verifier, &first.sign(&claims())), "accepted");
    assert_eq!(error(&verifier, &second.sign(&claims())), "unknown_key");

    std::fs::write(&file, jwks(&[second.jwk()])).unwrap();
    wait_until(|| error(&verifier, &second.sign(&claims())) == "accepted");
    assert_eq!(error(&verifier, &first.sign(&claims())), "unknown_key");

    std::fs::write(&file, "{\"keys\": [").unwrap();
    wait_until(|| verifier.status().last_error.is_some());
    assert_eq!(error(&verifier, &second.sign(&claims())), "accepted", "the last keys stay in force");
    let problem = verifier.reload().unwrap_err().to_string();
    assert!(problem.contains("jwks.json") && problem.contains("not a JSON object"), "{problem}");

    std::fs::write(&file, jwks(&[first.jwk(), second.jwk()])).unwrap();
    verifier.reload().unwrap();
    assert_eq!((verifier.status().keys, verifier.status().last_error), (2, None));
    std::fs::remove_file(&file).unwrap();
    wait_until(|| verifier.status().last_error.is_some());
    assert_eq!(error(&verifier, &first.sign(&claims())), "accepted");
}

#[test]
fn a_rotated_key_is_fetched_when_a_token_names_it() {
    let (first, second) = (TestKey::rsa(), TestKey::p256());
    let server = JwksServer::start(&jwks(&[first.jwk()]));
    let verifier = verifier().jwks_url(server.url()).early_refresh_interval(Duration::ZERO).build().unwrap();
    assert!(verifier.wait_for_keys(Duration::from_secs(10)));
    assert_eq!(error(&verifier, &first.sign(&claims())), "accepted");
    assert!(verifier.status().age(SystemTime::now()).unwrap() < Duration::from_secs(60));

    server.answer(200, &jwks(&[second.jwk()]));
    assert_eq!(error(&verifier, &first.sign(&claims())), "accepted", "the set is not fetched for known keys");
    assert_eq!(error(&verifier, &second.sign(&claims())), "unknown_key");
    wait_until(|| verifier.status().attempts == 2);
    assert_eq!(error(&verifier, &second.sign(&claims())), "accepted");
    assert_eq!(error(&verifier, &first.sign(&claims())), "unknown_key");
}

#[test]
fn forged_tokens_do_not_cause_fetches() {
    let key = TestKey::p256();
    let server = JwksServer::start(&jwks(&[key.jwk()]));
    let verifier = verifier().jwks_url(server.url()).build().unwrap();
    assert!(verifier.wait_for_keys(Duration::from_secs(10)));
    let forged = key.sign_with(&json!({ "alg": "ES256", "kid": "forged" }), &claims().to_string());
    for _ in 0..10_000 {
        assert_eq!(error(&verifier, &forged), "unknown_key");
    }
    assert_eq!(server.requests(), 1);
    // The host itself is not limited.
    for number in 2..=4 {
        verifier.reload().unwrap();
        wait_until(|| verifier.status().attempts == number);
    }
    assert_eq!(server.requests(), 4);
}

#[test]
fn the_last_keys_stay_in_force_while_a_url_is_unavailable() {
    let key = TestKey::p256();
    let keys = jwks(&[key.jwk()]);
    let server = JwksServer::start(&keys);
    let verifier = verifier().jwks_url(server.url()).build().unwrap();
    assert!(verifier.wait_for_keys(Duration::from_secs(10)));
    let huge = format!("{}{keys}", " ".repeat(2 * 1024 * 1024));
    let failures = [
        (500, keys.as_str(), "found 500"),
        (302, keys.as_str(), "found 302"),
        (204, "", "found 204"),
        (200, "<html>", "not a JSON object"),
        (200, r#"{"keys": []}"#, "none of the 0 keys"),
        (200, huge.as_str(), "cannot fetch the key set"),
    ];
    let mut attempts = 1;
    let mut fetch = || {
        attempts += 1;
        verifier.reload().unwrap();
        wait_until(|| verifier.status().attempts == attempts);
        verifier.status().last_error
    };
    for (status, body, expected) in failures {
        server.answer(status, body);
        let problem = fetch().unwrap();
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(error(&verifier, &key.sign(&claims())), "accepted");
    }
    server.hang_up();
    assert!(fetch().unwrap().contains("cannot fetch the key set"));
    assert_eq!(error(&verifier, &key.sign(&claims())), "accepted");
    server.answer(200, &keys);
    assert_eq!(fetch(), None);
}

#[test]
fn without_keys_every_token_is_refused() {
    // Nothing listens on this port.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let verifier = verifier().jwks_url(format!("http://{unused}/jwks")).build().unwrap();
    wait_until(|| verifier.status().last_error.is_some());
    assert!(!verifier.wait_for_keys(Duration::ZERO));
    assert_eq!(error(&verifier, &TestKey::rsa().sign(&claims())), "unknown_key");
    assert_eq!(verifier.status().age(SystemTime::now()), None);
    // The host supplies the keys in another way.
    verifier.set_jwks(&jwks(&[TestKey::rsa().jwk()])).unwrap();
    assert_eq!(error(&verifier, &TestKey::rsa().sign(&claims())), "accepted");
}
