//! PEM and JWKS files: several keys, changes while running, files that break.

use super::*;

#[test]
fn several_sources_of_keys_stand_together() {
    let keys = KeyFile::new(&[jwk("ec.test.pub.pem", "e"), jwk("ed.test.pub.pem", "d")]);
    let auth = config::Auth {
        secret: Some(Secret::new(SECRET)),
        jwks_file: Some(keys.path.clone()),
        ..with_pem("rsa.test.pub.pem", "RS256")
    };
    verify(&auth, &hs256(&claims())).unwrap();
    verify(&auth, &token(&Header::new(Algorithm::RS256), &rsa("rsa.test.pem"), &claims())).unwrap();
    verify(&auth, &token(&named(Algorithm::ES256, "e"), &ec(), &claims())).unwrap();
    verify(&auth, &token(&named(Algorithm::EdDSA, "d"), &ed(), &claims())).unwrap();
    // Issuers name their keys also where the bridge has no names for them.
    verify(&auth, &token(&named(Algorithm::RS256, "2026-11"), &rsa("rsa.test.pem"), &claims())).unwrap();
}

#[test]
fn kid_selects_within_the_set() {
    let keys =
        KeyFile::new(&[jwk("rsa.test.pub.pem", "one"), jwk("rsa2.test.pub.pem", "two"), jwk("ec.test.pub.pem", "e")]);
    let auth = with_jwks(&keys.path);
    let signed = |kid: &str, key: &str| token(&named(Algorithm::RS256, kid), &rsa(key), &claims());
    verify(&auth, &signed("one", "rsa.test.pem")).unwrap();
    verify(&auth, &signed("two", "rsa2.test.pem")).unwrap();
    assert_eq!(verify(&auth, &signed("one", "rsa2.test.pem")), Err(Refusal::Signature));
    assert_eq!(verify(&auth, &signed("three", "rsa.test.pem")), Err(Refusal::UnknownKey));
    assert_eq!(verify(&auth, &signed("e", "rsa.test.pem")), Err(Refusal::Algorithm));
    // Without a name each key of that algorithm is tried.
    verify(&auth, &token(&Header::new(Algorithm::RS256), &rsa("rsa2.test.pem"), &claims())).unwrap();
}

#[test]
fn unusable_entries_of_a_set_are_passed_over_with_their_reasons() {
    let mut encryption = jwk("rsa.test.pub.pem", "enc");
    encryption["use"] = "enc".into();
    let mut mixed = jwk("ec.test.pub.pem", "mixed");
    mixed["alg"] = "RS256".into();
    let mut short = jwk("rsa.test.pub.pem", "short");
    short["n"] = b64(&[0xaa; 128]).into();
    let secret = json!({"kty": "oct", "k": b64(SECRET.as_bytes()), "alg": "HS256", "kid": "s"});
    let entries = [encryption, mixed, short, secret, json!({"kty": "XYZ"}), json!(5), jwk("ed.test.pub.pem", "good")];
    let (keys, passed) = keys::from_jwks(&json!({"keys": entries}).to_string()).unwrap();
    assert_eq!(keys.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [Some("good")]);
    assert_eq!(passed.len(), 6, "{passed:#?}");
    // A secret in the file lets no HS256 token in.
    let file = KeyFile::new(&entries);
    assert_eq!(verify(&with_jwks(&file.path), &hs256(&claims())), Err(Refusal::Algorithm));
    for broken in ["", "{}", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\"}]}", "[1]"] {
        keys::from_jwks(broken).map(|_| ()).unwrap_err();
    }
    let many = json!({"keys": vec![jwk("ed.test.pub.pem", "x"); 33]});
    assert!(keys::from_jwks(&many.to_string()).map(|_| ()).unwrap_err().contains("at most 32"));
}

#[test]
fn a_changed_file_is_read_again_once_per_interval() {
    let mut file = KeyFile::new(&[jwk("rsa.test.pub.pem", "old")]);
    let start = Instant::now();
    let verifier = Verifier::from_config(&with_jwks(&file.path)).unwrap();
    let check = |after: Duration, kid: &str, key: &str| {
        let token = token(&named(Algorithm::RS256, kid), &rsa(key), &claims());
        verifier.verify_at(&token, NOW, start + after).map(|_| ())
    };
    let second = Duration::from_secs(1);
    assert_eq!(check(second, "new", "rsa2.test.pem"), Err(Refusal::UnknownKey));
    file.write(&json!({"keys": [jwk("rsa2.test.pub.pem", "new")]}).to_string());
    // Within the interval no flood of unknown keys makes it look again.
    for _ in 0..1000 {
        assert_eq!(check(2 * second, "new", "rsa2.test.pem"), Err(Refusal::UnknownKey));
    }
    let later = jwks::INTERVAL + 2 * second;
    assert_eq!(check(later, "new", "rsa2.test.pem"), Ok(()));
    // What was taken out of the file is no key any more.
    assert_eq!(check(later, "old", "rsa.test.pem"), Err(Refusal::UnknownKey));
}

#[test]
fn cached_keys_stay_while_the_file_is_broken_or_missing() {
    let mut file = KeyFile::new(&[jwk("rsa.test.pub.pem", "a")]);
    let start = Instant::now();
    let verifier = Verifier::from_config(&with_jwks(&file.path)).unwrap();
    let mut now = start;
    let mut check = |kid: &str, key: &str| {
        now += 2 * jwks::INTERVAL;
        verifier.verify_at(&token(&named(Algorithm::RS256, kid), &rsa(key), &claims()), NOW, now).map(|_| ())
    };
    file.write("{\"keys\": [{\"kty\": \"RS");
    assert_eq!(check("a", "rsa.test.pem"), Ok(()));
    file.write("{\"keys\": []}");
    assert_eq!(check("a", "rsa.test.pem"), Ok(()));
    std::fs::remove_file(&file.path).unwrap();
    assert_eq!(check("a", "rsa.test.pem"), Ok(()));
    assert_eq!(check("b", "rsa2.test.pem"), Err(Refusal::UnknownKey));
    // And it is taken as soon as it is whole again.
    file.write(&json!({"keys": [jwk("rsa2.test.pub.pem", "b")]}).to_string());
    assert_eq!(check("b", "rsa2.test.pem"), Ok(()));
}

#[test]
fn a_node_does_not_start_with_keys_that_cannot_work() {
    let setup = |auth: &config::Auth| Verifier::from_config(auth).map(|_| ()).unwrap_err().to_string();
    assert!(setup(&config::Auth::default()).contains("JWT_SECRET"));
    assert!(setup(&with_pem("missing.pem", "RS256")).contains("missing.pem"));
    assert!(setup(&with_pem("rsa.test.pem", "RS256")).contains("private key"));
    assert!(setup(&with_pem("rsa.test.pub.pem", "ES256")).contains("ES256"));
    assert!(setup(&with_pem("ec.test.pub.pem", "RS256")).contains("RS256"));
    assert!(setup(&with_pem("ed.test.pub.pem", "ES256")).contains("ES256"));
    assert!(setup(&with_pem("README.md", "EdDSA")).contains("EdDSA"));
    assert!(setup(&with_pem("rsa.test.pub.pem", "HS256")).contains("HS256"));
    assert!(setup(&with_jwks(&key_file("missing.json"))).contains("missing.json"));
    assert!(setup(&with_jwks(&key_file("README.md"))).contains("is no JWKS"));
}
