//! `token`: signs a token for tests and first tries. A production system has its own issuer, whose secret or public key
//! the bridge is given.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;

use crate::config::{Auth, Config, Secret};
use crate::gateway::auth::{Claims, Role, TokenIssuer, Verifier};
use crate::route::Id;

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The user (`sub`).
    #[arg(long, value_parser = id)]
    sub: Id,
    /// The role's name.
    #[arg(long, default_value = "customer", value_parser = role, help = format!("One of {}", role_names()))]
    role: Role,
    /// A merchant of the user; may be repeated.
    #[arg(long = "merchant", value_name = "ID", value_parser = id)]
    merchants: Vec<Id>,
    /// How long it is good, for example 1h or 7d.
    #[arg(long, default_value = "1h", value_parser = duration)]
    expires: Duration,
    /// HS256 secret; better is `JWT_SECRET` in the environment, as arguments can be seen by everybody on the machine.
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    secret: Option<Secret>,
}

fn id(text: &str) -> Result<Id, String> {
    Id::parse(text).map_err(|error| error.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("known are {}", role_names()))
}

fn role_names() -> String {
    Role::ALL.map(Role::as_str).join(", ")
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime_serde::re::humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 1h"))
}

#[expect(clippy::unnecessary_wraps, reason = "the parser's signature")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// Prints the token on stdout.
///
/// # Errors
/// Without a secret, or when the bridge of this configuration would not accept the token.
pub fn run(args: &TokenArgs, config: &Config) -> anyhow::Result<()> {
    println!("{}", sign(args, &config.auth, now()?)?);
    Ok(())
}

fn now() -> anyhow::Result<i64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(i64::try_from(now.as_secs())?)
}

fn sign(args: &TokenArgs, auth: &Auth, now: i64) -> anyhow::Result<String> {
    let secret = args.secret.clone().or_else(|| auth.secret.clone());
    let auth = Auth { secret, ..auth.clone() };
    let claims = Claims {
        subject: args.sub.clone(),
        role: args.role,
        merchants: args.merchants.clone(),
        expires_at: Some(now.saturating_add(i64::try_from(args.expires.as_secs()).unwrap_or(i64::MAX))),
        token_id: None,
        issued_at: Some(now),
    };
    let token = TokenIssuer::from_config(&auth)?.sign(&claims)?;
    // Whoever gets the token would only hear "Invalid token": the reason is told here.
    let own = Auth { public_key_file: None, public_key_algorithm: None, jwks_file: None, ..auth };
    Verifier::from_config(&own)?.verify(&token, now).context("the bridge would refuse this token")?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
    const NOW: i64 = 1_790_000_000;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: TokenArgs,
    }

    fn parse(args: &str) -> Result<TokenArgs, String> {
        let args = std::iter::once("token").chain(args.split_whitespace());
        Cli::try_parse_from(args).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    fn auth() -> Auth {
        Auth { secret: Some(Secret::new(SECRET)), issuer: Some("us".into()), ..Auth::default() }
    }

    #[test]
    fn the_bridge_accepts_what_is_printed() {
        let args = parse("--sub u1 --role merchant_owner --merchant m1 --merchant m2 --expires 2h").unwrap();
        let token = sign(&args, &auth(), NOW).unwrap();
        let claims = Verifier::from_config(&auth()).unwrap().verify(&token, NOW).unwrap();
        assert_eq!((claims.subject.as_str(), claims.role), ("u1", Role::MerchantOwner));
        assert_eq!(claims.merchants.iter().map(Id::as_str).collect::<Vec<_>>(), ["m1", "m2"]);
        assert_eq!((claims.issued_at, claims.expires_at), (Some(NOW), Some(NOW + 7200)));
    }

    #[test]
    fn an_argument_wins_over_the_configured_secret() {
        let other = "another secret of thirty-two bytes or more";
        let args = parse("--sub u1 --secret another-secret-of-thirty-two-bytes-or-more").unwrap();
        let token = sign(&args, &auth(), NOW).unwrap();
        assert!(Verifier::from_config(&auth()).unwrap().verify(&token, NOW).is_err());
        let auth = Auth { secret: Some(Secret::new(other.replace(' ', "-"))), ..auth() };
        Verifier::from_config(&auth).unwrap().verify(&token, NOW).unwrap();
        assert!(!format!("{args:?}").contains("another"));
    }

    #[test]
    fn what_would_be_refused_is_not_printed() {
        let args = parse("--sub u1 --expires 0s").unwrap();
        let auth = Auth { leeway: Duration::ZERO, ..auth() };
        assert!(format!("{:#}", sign(&args, &auth, NOW).unwrap_err()).contains("expired"));
        let without = Auth { secret: None, ..auth };
        assert!(sign(&args, &without, NOW).unwrap_err().to_string().contains("JWT_SECRET"));
    }

    #[test]
    fn wrong_arguments_are_told_with_what_is_right() {
        assert!(parse("--sub u:1").unwrap_err().contains("an id has only letters"));
        assert!(parse("--sub u1 --role root").unwrap_err().contains("super_admin"));
        assert!(parse("--sub u1 --expires soon").unwrap_err().contains("for example 1h"));
        assert!(parse("").unwrap_err().contains("--sub"));
    }
}
