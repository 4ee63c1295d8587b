//! Well-signed tokens whose claims are missing, past, early, or of a wrong type.

use super::*;

#[test]
fn exp_must_be_there_be_a_number_and_be_to_come() {
    for (exp, result) in [
        (json!(NOW + 1), Ok(Some(NOW + 1))),
        // RFC 7519 lets a time have a fraction.
        (json!(1_790_000_060.5), Ok(Some(NOW + 60))),
        (json!(NOW), Err(Refusal::Expired)),
        (json!(NOW - 30), Err(Refusal::Expired)),
        (json!(-1), Err(Refusal::Expired)),
        (json!(i64::MIN), Err(Refusal::NoExpiry)),
        (json!((NOW + 60).to_string()), Err(Refusal::NoExpiry)),
        (json!("never"), Err(Refusal::NoExpiry)),
        (json!(null), Err(Refusal::NoExpiry)),
        (json!(true), Err(Refusal::NoExpiry)),
        (json!([NOW + 60]), Err(Refusal::Malformed)),
        // Milliseconds, by mistake: the year 58,000.
        (json!((NOW + 60) * 1000), Err(Refusal::NoExpiry)),
        (json!(u64::MAX), Err(Refusal::NoExpiry)),
        (json!(1e300), Err(Refusal::NoExpiry)),
    ] {
        let token = hs256(&json!({"sub": "u1", "exp": exp}));
        assert_eq!(verify(&with_secret(), &token).map(|claims| claims.expires_at), result, "{exp}");
    }
    assert_eq!(verify(&with_secret(), &hs256(&json!({"sub": "u1"}))), Err(Refusal::NoExpiry));
}

#[test]
fn without_the_demand_exp_may_be_absent_but_never_wrong_or_past() {
    let auth = config::Auth { require_exp: false, ..with_secret() };
    assert_eq!(verify(&auth, &hs256(&json!({"sub": "u1"}))).unwrap().expires_at, None);
    assert_eq!(verify(&auth, &hs256(&json!({"sub": "u1", "exp": "never"}))), Err(Refusal::NoExpiry));
    assert_eq!(verify(&auth, &hs256(&json!({"sub": "u1", "exp": null}))), Err(Refusal::NoExpiry));
    assert_eq!(verify(&auth, &hs256(&json!({"sub": "u1", "exp": NOW - 1}))), Err(Refusal::Expired));
}

#[test]
fn leeway_is_what_is_configured_and_no_more() {
    let expired = |ago: i64| hs256(&json!({"sub": "u1", "exp": NOW - ago}));
    let early = |ahead: i64| hs256(&json!({"sub": "u1", "exp": NOW + 600, "nbf": NOW + ahead}));
    for (leeway, tolerated) in [(0, -1), (5, 4), (60, 59)] {
        let auth = config::Auth { leeway: Duration::from_secs(leeway), ..with_secret() };
        verify(&auth, &expired(tolerated)).unwrap();
        assert_eq!(verify(&auth, &expired(tolerated + 1)), Err(Refusal::Expired), "leeway {leeway}");
        verify(&auth, &early(tolerated + 1)).unwrap();
        assert_eq!(verify(&auth, &early(tolerated + 2)), Err(Refusal::NotYet), "leeway {leeway}");
    }
    // The default is seconds, not the minute that libraries like.
    let default = config::Auth { secret: Some(Secret::new(SECRET)), ..config::Auth::default() };
    assert_eq!(verify(&default, &expired(30)), Err(Refusal::Expired));
}

#[test]
fn nbf_in_the_future_or_of_a_wrong_type_is_refused() {
    for nbf in [json!(NOW + 3600), json!("0"), json!(null), json!(NOW * 1000)] {
        let token = hs256(&json!({"sub": "u1", "exp": NOW + 7200, "nbf": nbf}));
        assert_eq!(verify(&with_secret(), &token), Err(Refusal::NotYet), "{nbf}");
    }
}

#[test]
fn issuer_and_audience_are_demanded_when_configured() {
    let auth = config::Auth { issuer: Some("auth".into()), audience: Some("rtmn".into()), ..with_secret() };
    let with = |iss: Value, aud: Value| {
        verify(&auth, &hs256(&json!({"sub": "u1", "exp": NOW + 60, "iss": iss, "aud": aud}))).map(|_| ())
    };
    assert_eq!(with(json!("auth"), json!("rtmn")), Ok(()));
    assert_eq!(with(json!("auth"), json!(["other", "rtmn"])), Ok(()));
    for iss in [json!(null), json!("Auth"), json!(["auth"]), json!(1), json!("")] {
        assert_eq!(with(iss.clone(), json!("rtmn")), Err(Refusal::Issuer), "{iss}");
    }
    for aud in [json!(null), json!("other"), json!([]), json!(["other"]), json!([["rtmn"]]), json!({"rtmn": 1})] {
        assert_eq!(with(json!("auth"), aud.clone()), Err(Refusal::Audience), "{aud}");
    }
    assert_eq!(verify(&auth, &hs256(&claims())), Err(Refusal::Issuer));
    // Not configured, not demanded.
    verify(&with_secret(), &hs256(&json!({"sub": "u1", "exp": NOW + 60, "iss": "x", "aud": "y"}))).unwrap();
}

#[test]
fn the_subject_is_an_id() {
    for sub in [
        json!(null),
        json!(""),
        json!(7),
        json!("1:user:2"),
        json!("*"),
        json!("u\u{0}1"),
        json!("ü"),
        json!("u 1"),
        json!("x".repeat(129)),
    ] {
        let token = hs256(&json!({"sub": sub, "exp": NOW + 60}));
        assert_eq!(verify(&with_secret(), &token), Err(Refusal::Subject), "{sub}");
    }
    assert_eq!(verify(&with_secret(), &hs256(&json!({"exp": NOW + 60}))), Err(Refusal::Subject));
    verify(&with_secret(), &hs256(&json!({"sub": "x".repeat(128), "exp": NOW + 60}))).unwrap();
}

#[test]
fn roles_are_known_by_their_exact_names_and_else_customers() {
    for role in Role::ALL {
        let token = hs256(&json!({"sub": "u1", "exp": NOW + 60, "role": role.as_str()}));
        assert_eq!(verify(&with_secret(), &token).unwrap().role, role);
    }
    for role in [json!(null), json!("root"), json!("Admin"), json!(" admin"), json!(["admin"]), json!({"admin": true})]
    {
        let token = hs256(&json!({"sub": "u1", "exp": NOW + 60, "role": role}));
        assert_eq!(verify(&with_secret(), &token).unwrap().role, Role::Customer, "{role}");
    }
}

#[test]
fn merchants_come_from_both_claims_each_once() {
    let merchants = |extra: Value| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let found = verify(&with_secret(), &hs256(&claims))?.merchants;
        Ok::<_, Refusal>(found.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(merchants(json!({})).unwrap(), [""; 0]);
    assert_eq!(merchants(json!({"merchant_ids": ["m1", "m2"]})).unwrap(), ["m1", "m2"]);
    assert_eq!(merchants(json!({"merchant_id": "m1"})).unwrap(), ["m1"]);
    assert_eq!(merchants(json!({"merchant_ids": ["m2", "m2"], "merchant_id": "m2"})).unwrap(), ["m2"]);
    assert_eq!(merchants(json!({"merchant_ids": null, "merchant_id": null})).unwrap(), [""; 0]);
    for extra in [
        json!({"merchant_ids": "m1"}),
        json!({"merchant_ids": [1]}),
        json!({"merchant_ids": ["m1", "m:2"]}),
        json!({"merchant_ids": ["m1", null]}),
        json!({"merchant_id": 5}),
        json!({"merchant_id": ""}),
        json!({"merchant_id": ["m1"]}),
    ] {
        assert_eq!(merchants(extra.clone()), Err(Refusal::Merchants), "{extra}");
    }
}

#[test]
fn names_of_claims_are_configurable() {
    let auth = config::Auth {
        role_claim: "https://rez.example/role".into(),
        merchant_ids_claim: "shops".into(),
        merchant_id_claim: "shop".into(),
        ..with_secret()
    };
    let token = hs256(&json!({
        "sub": "u1", "exp": NOW + 60, "https://rez.example/role": "merchant_owner", "shops": ["m1"], "shop": "m2",
        "role": "admin", "merchant_ids": ["m9"],
    }));
    let claims = verify(&auth, &token).unwrap();
    assert_eq!((claims.role, claims.merchants.len()), (Role::MerchantOwner, 2));
}

#[test]
fn ids_and_times_of_tokens_have_their_types() {
    let with = |extra: Value| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        verify(&with_secret(), &hs256(&claims))
    };
    let claims = with(json!({"jti": "t1", "iat": NOW - 5})).unwrap();
    assert_eq!((claims.token_id.as_deref(), claims.issued_at), (Some("t1"), Some(NOW - 5)));
    for extra in [json!({"jti": 1}), json!({"iat": "now"}), json!({"iat": null})] {
        assert_eq!(with(extra.clone()), Err(Refusal::Claim), "{extra}");
    }
}
