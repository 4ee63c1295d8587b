//! Properties of the loader as a whole: what wins over what, and that every error is told, in its place, at once.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::*;

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

fn env(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn from_file(text: &str) -> Result<Config, ConfigErrors> {
    load(Some(file(text).path()), env(&[]))
}

/// The findings of a file as `line path: message`.
fn findings(text: &str) -> Vec<String> {
    let errors = from_file(text).unwrap_err();
    let line = |place: &Place| match place {
        Place::File { line, .. } => line.to_string(),
        Place::Env(name) => name.to_string(),
        Place::Unset => "-".into(),
    };
    errors.list().iter().map(|error| format!("{} {}: {}", line(&error.place), error.path, error.message)).collect()
}

#[track_caller]
fn assert_one(found: &[String], start: &str, part: &str) {
    let hits = found.iter().filter(|text| text.starts_with(start) && text.contains(part)).count();
    assert_eq!(hits, 1, "{start:?} … {part:?} in {found:#?}");
}

#[test]
fn nothing_set_gives_the_defaults() {
    assert_eq!(load(None, env(&[])).unwrap(), Config::default());
    assert_eq!(from_file("").unwrap(), Config::default());
}

#[test]
fn default_file_equals_the_defaults_of_the_code() {
    let text = include_str!("../../config/default.toml");
    assert_eq!(from_file(text).unwrap(), Config::default());
}

#[test]
fn default_file_shows_every_key_in_its_section() {
    let text = include_str!("../../config/default.toml");
    let (_, known): (Config, _) = de::decode(&tree::Node::empty(), &mut Vec::new());
    assert_eq!(known[""].len() + 1, known.len(), "every section was visited");
    for (section, keys) in known.iter().filter(|(section, _)| !section.is_empty()) {
        let header = format!("\n[{section}]\n");
        let body = text.split_once(&header).unwrap_or_else(|| panic!("no section [{section}]")).1;
        let body = body.split_once("\n[").map_or(body, |(body, _)| body);
        for key in *keys {
            let shown = body.lines().any(|line| {
                let line = line.strip_prefix("# ").unwrap_or(line);
                line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
            });
            assert!(shown, "config/default.toml does not show {section}.{key}");
        }
    }
}

#[test]
fn environment_wins_over_file_and_explicit_over_short() {
    let file = file("[server]\nlisten = \"127.0.0.1:4000\"\n[kafka]\nbrokers = \"file:9092\"\n");
    let load = |pairs: &[(&str, &str)]| load(Some(file.path()), env(pairs)).unwrap();
    assert_eq!(load(&[]).kafka.brokers, "file:9092");
    assert_eq!(load(&[("KAFKA_BROKERS", "short:9092")]).kafka.brokers, "short:9092");
    for pairs in [
        [("KAFKA_BROKERS", "short:9092"), ("RTMN__KAFKA__BROKERS", "long:9092")],
        [("RTMN__KAFKA__BROKERS", "long:9092"), ("KAFKA_BROKERS", "short:9092")],
    ] {
        assert_eq!(load(&pairs).kafka.brokers, "long:9092");
    }
    // The port alone; the address is the file's.
    assert_eq!(load(&[("PORT", "5000")]).server.listen.to_string(), "127.0.0.1:5000");
    let listen = [("PORT", "5000"), ("RTMN__SERVER__LISTEN", "[::1]:6000")];
    assert_eq!(load(&listen).server.listen.to_string(), "[::1]:6000");
    // An empty short name is one that is not set.
    assert_eq!(load(&[("KAFKA_BROKERS", ""), ("PORT", "")]), load(&[]));
}

#[test]
fn environment_takes_the_type_of_its_key() {
    let config = load(
        None,
        env(&[
            ("RTMN__SERVER__MAX_CONNECTIONS", "1_000"),
            ("RTMN__LIMITS__EVENTS_BURST", "7"),
            ("RTMN__SOCKET__PING_INTERVAL", "1m 5s"),
            ("RTMN__ORIGINS__ALLOW_ABSENT", "false"),
            ("RTMN__ORIGINS__ALSO", "http://localhost:8081, https://b.test"),
            ("RTMN__AUTH__REQUIRE_EXP", "0"),
            ("RTMN__AUTH__ISSUER", "123"),
            ("RTMN__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "SSL"),
            ("JWT_SECRET", SECRET),
            ("CUSTOMER_APP_URL", "https://app.test/"),
            ("UNRELATED", "x"),
        ]),
    )
    .unwrap();
    assert_eq!(config.server.max_connections, 1000);
    assert_eq!(config.limits.events_burst, 7);
    assert_eq!(config.socket.ping_interval, Duration::from_secs(65));
    assert!(!config.origins.allow_absent && !config.auth.require_exp);
    assert_eq!(config.origins.also, ["http://localhost:8081", "https://b.test"]);
    assert_eq!(config.auth.issuer.as_deref(), Some("123"));
    assert_eq!(config.kafka.properties["security.protocol"].expose(), "SSL");
    assert_eq!(config.auth.secret.unwrap().expose(), SECRET);
    assert_eq!(config.origins.customer_app.as_deref(), Some("https://app.test/"));
}

#[test]
fn an_empty_variable_unsets_what_the_file_set() {
    let file = file("[auth]\nissuer = \"someone\"\n");
    let config = load(Some(file.path()), env(&[("RTMN__AUTH__ISSUER", ""), ("RTMN__ORIGINS__ALSO", "")])).unwrap();
    assert_eq!(config.auth.issuer, None);
    assert!(config.origins.also.is_empty());
}

#[test]
fn properties_are_texts_however_they_are_written() {
    let config = from_file("[kafka.properties]\nsecurity.protocol = \"SSL\"\n\"client.rack\" = \"a\"\nlog_level = 6\n");
    let properties = config.unwrap().kafka.properties;
    let properties: Vec<_> = properties.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(properties, [("client.rack", "a"), ("log_level", "6"), ("security.protocol", "SSL")]);
}

#[test]
fn all_errors_are_told_at_once_each_with_its_line() {
    let found = findings(
        "[server]\nlisten = \"nowhere\"\nmax_connections = -1\n[socket]\nping_intervall = \"25s\"\n\
         ping_timeout = 60\nsettle = \"soon\"\n[log]\njson = \"yes\"\n[sokcet]\nx = 1\n[kafka]\ntopics = [\"a\", 5]\n",
    );
    assert_one(&found, "2 server.listen: ", "expected for example \"0.0.0.0:3001\"");
    assert_one(&found, "3 server.max_connections: ", "a whole number from 0");
    assert_one(&found, "5 socket.ping_intervall: ", "did you mean `ping_interval`?");
    assert_one(&found, "6 socket.ping_timeout: ", "for example \"25s\"");
    assert_one(&found, "7 socket.settle: ", "\"soon\"");
    assert_one(&found, "9 log.json: ", "expected true or false, found \"yes\"");
    assert_one(&found, "10 sokcet: ", "did you mean `socket`?");
    assert_one(&found, "13 kafka.topics: ", "item 2: ");
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn errors_of_the_environment_name_the_variable() {
    let pairs = [
        ("RTMN__SOCKET__PING_TIMEOT", "1s"),
        ("RTMN__SERVER__MAX_CONNECTIONS", "many"),
        ("PORT", "70000"),
        ("CUSTOMER_APP_URL", "*"),
    ];
    let text = load(None, env(&pairs)).unwrap_err().to_string();
    for part in [
        "RTMN__SERVER__MAX_CONNECTIONS: server.max_connections: expected a whole number, found \"many\"",
        "RTMN__SOCKET__PING_TIMEOT: socket.ping_timeot: unknown key `ping_timeot`, did you mean `ping_timeout`?",
        "PORT: server.listen: expected a port from 0 to 65535, found \"70000\"",
        "CUSTOMER_APP_URL: origins.customer_app: \"*\": `*` is no origin",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let text = load(None, env(&[("RTMN__SOCKET", "1")])).unwrap_err().to_string();
    assert!(text.contains("RTMN__SOCKET: socket: expected a section with keys"), "{text}");
}

#[test]
fn meaning_is_checked_with_types() {
    let found = findings(
        "[server]\nlisten = \"0.0.0.0:9401\"\npublic_origin = \"rt.test\"\n[auth]\nsecret = \"short\"\n\
         public_key_file = \"k.pem\"\n[socket]\nping_timeout = \"0s\"\nmax_payload = 5\nqueue_bytes = 1\n\
         settle = \"20s\"\n[kafka]\nbrokers = \"a,b:1,:2,c:x\"\ntopics = [\"a b\"]\n\
         [kafka.properties]\nenable.auto.commit = true\n[codec]\nregistry_url = \"ftp://x\"\nregistry_user = \"u\"\n\
         [dashboard]\ntime_zone = \"Mars/Base\"\n[redis]\nurl = \"localhost\"\n[log]\nfilter = \"a=b=c\"\n",
    );
    assert_one(&found, "3 server.public_origin: ", "scheme");
    assert_one(&found, "- admin.listen: ", "port of its own");
    assert_one(&found, "5 auth.secret: ", "has 5 bytes");
    assert_one(&found, "- auth.public_key_algorithm: ", "is needed");
    assert_one(&found, "8 socket.ping_timeout: ", "must be from 10ms");
    assert_one(&found, "9 socket.max_payload: ", "is 5");
    assert_one(&found, "10 socket.queue_bytes: ", "is 1");
    assert_one(&found, "- socket.hold_max: ", "less than socket.settle");
    assert_one(&found, "13 kafka.brokers: ", "\"a\" has no port");
    assert_one(&found, "13 kafka.brokers: ", "\":2\" has no host");
    assert_one(&found, "13 kafka.brokers: ", "\"c:x\": the port");
    assert_one(&found, "14 kafka.topics: ", "\"a b\"");
    assert_one(&found, "16 kafka.properties.enable.auto.commit: ", "the bridge's own");
    assert_one(&found, "18 codec.registry_url: ", "ftp://x");
    assert_one(&found, "- codec.registry_password: ", "is needed");
    assert_one(&found, "21 dashboard.time_zone: ", "Mars/Base");
    assert_one(&found, "23 redis.url: ", "redis://");
    assert_one(&found, "25 log.filter: ", "a=b=c");
    assert_eq!(found.len(), 18, "{found:#?}");
}

#[test]
fn brokers_in_every_legal_form_are_taken() {
    for brokers in ["kafka:9092", "a:1,b:2", "10.0.0.1:9092", "[::1]:9092", "SASL_SSL://k.test:9093, k2.test:9093"] {
        let config = load(None, env(&[("KAFKA_BROKERS", brokers)])).unwrap();
        assert_eq!(config.kafka.brokers, brokers);
    }
    for brokers in ["::1:9092", "kafka", "kafka:0", "http://kafka:9092", "a:1,,b:2", "a b:1"] {
        load(None, env(&[("KAFKA_BROKERS", brokers)])).unwrap_err();
    }
}

#[test]
fn secrets_that_anybody_knows_are_refused() {
    for (secret, part) in [
        ("0123456789abcdefghijklmnopqrstu", "has 31 bytes"),
        ("please-change-me-please-change-it-now", "documentation"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats 1"),
    ] {
        let text = load(None, env(&[("JWT_SECRET", secret)])).unwrap_err().to_string();
        assert!(text.contains(part) && text.contains("openssl rand"), "{text}");
        assert!(!text.contains(secret), "{text}");
    }
    load(None, env(&[("JWT_SECRET", "0123456789abcdefghijklmnopqrstuv")])).unwrap();
}

#[test]
fn a_server_needs_a_key_and_a_command_does_not() {
    load(None, env(&[])).unwrap();
    let text = load_for_serve(None, env(&[])).unwrap_err().to_string();
    assert!(text.contains("auth: no key to check tokens with: set JWT_SECRET"), "{text}");
    load_for_serve(None, env(&[("JWT_SECRET", SECRET)])).unwrap();
    load_for_serve(None, env(&[("RTMN__AUTH__JWKS_FILE", "/keys.json")])).unwrap();
}

#[test]
fn syntax_errors_are_all_told_without_the_line_itself() {
    let text = "[auth]\nsecret = \"hunter2hunter2\n[socket]\nping_timeout = = 5\n";
    let error = from_file(text).unwrap_err();
    let lines: Vec<_> = error.list().iter().map(|error| error.place.clone()).collect();
    assert!(lines.iter().any(|place| matches!(place, Place::File { line: 2, .. })), "{error}");
    assert!(lines.iter().any(|place| matches!(place, Place::File { line: 4, .. })), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn an_unreadable_file_is_named() {
    let text = load(Some(Path::new("/nonexistent/rtmn.toml")), env(&[])).unwrap_err().to_string();
    assert!(text.contains("/nonexistent/rtmn.toml"), "{text}");
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let config = from_file(&format!(
        "[auth]\nsecret = \"{secret}\"\n[redis]\nurl = \"redis://:{secret}@host\"\n[kafka.properties]\n\
         sasl.password = \"{secret}\"\n[codec]\nregistry_user = \"u\"\nregistry_password = \"{secret}\"\n"
    ))
    .unwrap();
    assert!(!format!("{config:?}{config:#?}").contains("hunter2"));
    // Nor in errors about them.
    let wrong = "[auth]\nsecret = 8642097531\n[redis]\nurl = 8642097531\n[codec]\nregistry_password = 8642.097531\n\
                 [kafka.properties]\nsasl.password = [8642097531]\n";
    let error = from_file(wrong).unwrap_err();
    assert_eq!(error.list().len(), 4, "{error}");
    assert!(!error.to_string().contains("8642"), "{error}");
    let error = from_file("[codec]\nregistry_url = \"http://u:hunter2@host\"\n[redis]\nurl = \"http://:hunter2@host\"");
    let error = error.unwrap_err();
    assert_eq!(error.list().len(), 2, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
