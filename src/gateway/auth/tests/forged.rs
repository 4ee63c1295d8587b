//! Forged, malformed and huge tokens: none passes, whatever it says of itself.

use proptest::prelude::*;

use super::*;

#[test]
fn each_algorithm_verifies_with_its_own_key() {
    let check = |auth: &config::Auth, token: &str| verify(auth, token).unwrap().subject.to_string();
    assert_eq!(check(&with_secret(), &hs256(&claims())), "u1");
    let rs256 = token(&Header::new(Algorithm::RS256), &rsa("rsa.test.pem"), &claims());
    assert_eq!(check(&with_pem("rsa.test.pub.pem", "RS256"), &rs256), "u1");
    let es256 = token(&Header::new(Algorithm::ES256), &ec(), &claims());
    assert_eq!(check(&with_pem("ec.test.pub.pem", "ES256"), &es256), "u1");
    let eddsa = token(&Header::new(Algorithm::EdDSA), &ed(), &claims());
    assert_eq!(check(&with_pem("ed.test.pub.pem", "EdDSA"), &eddsa), "u1");
}

#[test]
fn another_key_of_the_same_algorithm_is_refused() {
    let forged = token(&Header::new(Algorithm::RS256), &rsa("rsa2.test.pem"), &claims());
    assert_eq!(verify(&with_pem("rsa.test.pub.pem", "RS256"), &forged), Err(Refusal::Signature));
    let forged = token(&Header::new(Algorithm::HS256), &EncodingKey::from_secret(b"another"), &claims());
    assert_eq!(verify(&with_secret(), &forged), Err(Refusal::Signature));
}

#[test]
fn unsigned_tokens_are_refused() {
    let payload = b64(claims().to_string().as_bytes());
    for (header, refusal) in [
        (json!({"alg": "none"}), Refusal::Algorithm),
        (json!({"alg": "None", "typ": "JWT"}), Refusal::Algorithm),
        (json!({"alg": "nOnE"}), Refusal::Algorithm),
        (json!({"alg": ""}), Refusal::Algorithm),
        (json!({"alg": null}), Refusal::Malformed),
        (json!({"typ": "JWT"}), Refusal::Malformed),
        (json!({"alg": "HS256"}), Refusal::Signature),
    ] {
        let unsigned = format!("{}.{payload}.", b64(header.to_string().as_bytes()));
        assert_eq!(verify(&with_secret(), &unsigned), Err(refusal), "{header}");
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    // The classic: the server's public key, known to all, as the HS256 secret of a forged token.
    let public = pem("rsa.test.pub.pem");
    let der = der::der_of(&public);
    for secret in [public.as_slice(), public.trim_ascii_end(), der.as_slice()] {
        let forged = token(&Header::new(Algorithm::HS256), &EncodingKey::from_secret(secret), &claims());
        assert_eq!(verify(&with_pem("rsa.test.pub.pem", "RS256"), &forged), Err(Refusal::Algorithm));
        let both = config::Auth { secret: Some(Secret::new(SECRET)), ..with_pem("rsa.test.pub.pem", "RS256") };
        assert_eq!(verify(&both, &forged), Err(Refusal::Signature));
        let keys = KeyFile::new(&[jwk("rsa.test.pub.pem", "a")]);
        let forged = token(&named(Algorithm::HS256, "a"), &EncodingKey::from_secret(secret), &claims());
        assert_eq!(verify(&with_jwks(&keys.path), &forged), Err(Refusal::Algorithm));
    }
}

#[test]
fn the_algorithm_is_the_keys_and_not_the_headers() {
    // RS512 with the very key that is configured for RS256.
    let other = token(&Header::new(Algorithm::RS512), &rsa("rsa.test.pem"), &claims());
    assert_eq!(verify(&with_pem("rsa.test.pub.pem", "RS256"), &other), Err(Refusal::Algorithm));
    let other = token(&Header::new(Algorithm::HS512), &EncodingKey::from_secret(SECRET.as_bytes()), &claims());
    assert_eq!(verify(&with_secret(), &other), Err(Refusal::Algorithm));
    // A header that claims the pinned algorithm over a signature of another.
    let payload = claims().to_string();
    let lying = raw(&json!({"alg": "RS256"}), payload.as_bytes(), &rsa("rsa.test.pem"), Algorithm::RS512);
    assert_eq!(verify(&with_pem("rsa.test.pub.pem", "RS256"), &lying), Err(Refusal::Signature));
}

#[test]
fn keys_that_come_with_the_token_are_not_believed() {
    let jwk: Value = jwk("rsa2.test.pub.pem", "mine");
    let header = json!({"alg": "RS256", "jwk": jwk, "jku": "https://evil.example/jwks.json"});
    let forged = raw(&header, claims().to_string().as_bytes(), &rsa("rsa2.test.pem"), Algorithm::RS256);
    assert_eq!(verify(&with_pem("rsa.test.pub.pem", "RS256"), &forged), Err(Refusal::Signature));
}

#[test]
fn critical_extensions_are_not_passed_over() {
    let header = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let token = raw(&header, claims().to_string().as_bytes(), &secret, Algorithm::HS256);
    assert_eq!(verify(&with_secret(), &token), Err(Refusal::Malformed));
}

#[test]
fn huge_tokens_are_refused_unread() {
    let token = hs256(&json!({"sub": "u1", "exp": NOW + 60, "x": "y".repeat(MAX_TOKEN_BYTES)}));
    assert_eq!(verify(&with_secret(), &token), Err(Refusal::TooLong));
    assert_eq!(verify(&with_secret(), &".".repeat(10_000_000)), Err(Refusal::TooLong));
}

#[test]
fn malformed_tokens_are_refused() {
    let good = hs256(&claims());
    let (header, payload) = (good.split('.').next().unwrap(), good.split('.').nth(1).unwrap());
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    for token in [
        "",
        ".",
        "..",
        "...",
        "x",
        "a.b.c",
        "é.é.é",
        &format!("{header}.{payload}"),
        &format!("{good}.x"),
        &format!("{header}.{payload}.!"),
        &format!(" {good}"),
        &raw(&json!({"alg": "HS256"}), b"[1]", &secret, Algorithm::HS256),
        &raw(&json!({"alg": "HS256"}), b"{", &secret, Algorithm::HS256),
        &raw(&json!({"alg": "HS256"}), &[0xff, 0xfe], &secret, Algorithm::HS256),
        &raw(&json!({"alg": "HS256"}), "[".repeat(2000).as_bytes(), &secret, Algorithm::HS256),
        &raw(&json!({"alg": "HS256", "kid": 5}), b"{}", &secret, Algorithm::HS256),
        &raw(&json!(["HS256"]), b"{}", &secret, Algorithm::HS256),
    ] {
        assert_eq!(verify(&with_secret(), token), Err(Refusal::Malformed), "{token:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_passes(text in "\\PC{0,200}") {
        let verifier = Verifier::from_config(&with_secret()).unwrap();
        prop_assert!(verifier.verify(&text, NOW).is_err());
    }

    #[test]
    fn no_change_of_a_token_passes(at in 0_usize..200, with in "[A-Za-z0-9_-]") {
        let verifier = Verifier::from_config(&with_secret()).unwrap();
        let good = hs256(&claims());
        let at = at % good.len();
        let mut bad = good.clone();
        bad.replace_range(at..=at, &with);
        // The last letter of a part may hold bits that count for nothing; the library takes only the right ones.
        prop_assert_eq!(verifier.verify(&bad, NOW).is_ok(), bad == good);
    }

    #[test]
    fn what_is_issued_is_what_is_verified(
        subject in "[A-Za-z0-9_.-]{1,128}",
        role in 0_usize..7,
        merchants in prop::collection::btree_set("[A-Za-z0-9_.-]{1,30}", 0..10),
        end in 1_i64..1_000_000,
        token_id in proptest::option::of("[a-z]{1,9}"),
    ) {
        let auth = config::Auth { issuer: Some("i".into()), audience: Some("a".into()), ..with_secret() };
        let claims = Claims {
            subject: Id::parse(&subject).unwrap(),
            role: Role::ALL[role],
            merchants: merchants.iter().map(|id| Id::parse(id).unwrap()).collect(),
            expires_at: Some(NOW + end),
            token_id,
            issued_at: Some(NOW),
        };
        let token = TokenIssuer::from_config(&auth).unwrap().sign(&claims).unwrap();
        prop_assert_eq!(verify(&auth, &token), Ok(claims));
    }
}

#[test]
fn nothing_shows_a_key() {
    let shown = format!("{:?}", Verifier::from_config(&with_secret()).unwrap())
        + &format!("{:?}", TokenIssuer::from_config(&with_secret()).unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains("48, 49, 50, 51"), "{shown}");
}
