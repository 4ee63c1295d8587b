//! Real servers for tests, started by `scripts/servers`, each on loopback and a free port. `shared()` is one for all
//! tests of the process (the one that `scripts/test` has started, when its address is in the environment); `own()` is
//! a test's own, which it may kill, pause and restart. None survives the test process, however that ends: the scripts
//! watch it (`--owner`).

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, Producer};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::produce;

/// A process run by one of the scripts, with its folder; killed on drop.
struct Process {
    script: PathBuf,
    dir: TempDir,
}

impl Process {
    async fn start(name: &str, options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers").join(name);
        let dir = tempfile::Builder::new().prefix(&format!("rtmn-{name}-")).tempdir().expect("a temporary folder");
        let process = Self { script, dir };
        let owner = std::process::id().to_string();
        process.run("start", &[&["--owner", &owner], options].concat()).await;
        process
    }

    fn command(&self, verb: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command.arg(verb).arg("--dir").arg(self.dir.path()).args(options).stdin(Stdio::null());
        command
    }

    /// Every verb of the scripts has its own deadline.
    async fn run(&self, verb: &str, options: &[&str]) {
        let output = tokio::process::Command::from(self.command(verb, options)).output().await;
        check(&self.script, verb, &output.expect("the script can be run"));
    }

    fn address(&self) -> String {
        let port = std::fs::read_to_string(self.dir.path().join("port")).expect("the script notes the port");
        format!("127.0.0.1:{}", port.trim())
    }
}

fn check(script: &Path, verb: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {verb}: {}\n{said}", script.display(), output.status);
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failure here must not hide the test's own; the watcher still ends the server with the test process.
        let _ = self.command("kill", &[]).output();
    }
}

/// What a server is to a test: an address, and the process when it is this test process's. Only a test's own server may
/// be disturbed.
pub struct Server {
    address: String,
    process: Option<Process>,
}

impl Server {
    async fn own(name: &str, options: &[&str]) -> Self {
        let process = Process::start(name, options).await;
        Self { address: process.address(), process: Some(process) }
    }

    async fn shared(name: &str, variable: &str) -> Self {
        match std::env::var(variable) {
            Ok(address) if !address.is_empty() => Self { address, process: None },
            _ => Self::own(name, &[]).await,
        }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// SIGKILL.
    pub async fn kill(&self) {
        self.run("kill").await;
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(&self) {
        self.run("stop").await;
    }

    /// Starts it again at the same address with the same data; stops it before if it runs. Ready on return.
    pub async fn restart(&self) {
        self.run("restart").await;
    }

    /// SIGSTOP: connections stay open, nothing is answered.
    pub async fn pause(&self) {
        self.run("pause").await;
    }

    /// SIGCONT.
    pub async fn resume(&self) {
        self.run("resume").await;
    }

    async fn run(&self, verb: &str) {
        let process = self.process.as_ref().expect("only a test's own server may be disturbed");
        process.run(verb, &[]).await;
    }
}

/// A Kafka broker.
pub struct Kafka {
    server: Server,
    admin: OnceLock<AdminClient<DefaultClientContext>>,
    producer: OnceLock<FutureProducer>,
}

impl Deref for Kafka {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Kafka {
    /// The broker that all tests share (`RTMN_TEST_KAFKA`, else started on first use). Use topics of your own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::of(Server::shared("kafka", "RTMN_TEST_KAFKA").await)).await
    }

    /// A broker of the test's own, with broker settings (`"message.max.bytes=1000"`) over the usual ones.
    pub async fn own(settings: &[&str]) -> Self {
        let options: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        Self::of(Server::own("kafka", &options).await)
    }

    fn of(server: Server) -> Self {
        Self { server, admin: OnceLock::new(), producer: OnceLock::new() }
    }

    /// librdkafka's configuration for a client of this broker.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // A broker that comes back is found at once, not after librdkafka's ten seconds.
        config.set("bootstrap.servers", self.address()).set("reconnect.backoff.max.ms", "500");
        config
    }

    /// Creates a topic with a name that no other test uses, ending in `.{suffix}`.
    pub async fn topic(&self, suffix: &str, partitions: usize) -> String {
        let name = unique(suffix);
        self.create_topic(&name, partitions, &[]).await;
        name
    }

    /// One topic for each suffix, in their order, all with the same unique beginning.
    pub async fn topics<const N: usize>(&self, suffixes: [&str; N], partitions: usize) -> [String; N] {
        let prefix = unique("");
        let names = suffixes.map(|suffix| format!("{prefix}{suffix}"));
        for name in &names {
            self.create_topic(name, partitions, &[]).await;
        }
        names
    }

    /// Creates a topic with topic settings; it can be written to and read on return.
    pub async fn create_topic(&self, name: &str, partitions: usize, settings: &[(&str, &str)]) {
        let count = i32::try_from(partitions).expect("a number of partitions");
        let topic = NewTopic::new(name, count, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let results = self.admin().create_topics([&topic], &deadline()).await.expect("create_topics");
        self.carried_out(name, results, partitions).await;
    }

    /// Deletes a topic; nobody sees it any more on return.
    pub async fn delete_topic(&self, name: &str) {
        let results = self.admin().delete_topics(&[name], &deadline()).await.expect("delete_topics");
        self.carried_out(name, results, 0).await;
    }

    /// Raises the number of a topic's partitions; all can be written to on return.
    pub async fn add_partitions(&self, name: &str, total: usize) {
        let partitions = NewPartitions::new(name, total);
        let results = self.admin().create_partitions([&partitions], &deadline()).await.expect("create_partitions");
        self.carried_out(name, results, total).await;
    }

    /// The controller's answer comes before the broker knows of it: waits until a client sees `partitions` partitions
    /// that all have a leader. The client asked is the producer, which so forgets what it remembered of the topic.
    async fn carried_out(&self, name: &str, results: Vec<TopicResult>, partitions: usize) {
        for result in results {
            result.unwrap_or_else(|e| panic!("topic {name}: {e:?}"));
        }
        let (producer, topic) = (self.producer().clone(), name.to_owned());
        let seen = tokio::task::spawn_blocking(move || {
            let end = Instant::now() + Duration::from_secs(30);
            let mut seen = None;
            while seen != Some(partitions) && Instant::now() < end {
                let metadata = producer.client().fetch_metadata(Some(&topic), Duration::from_secs(10));
                let metadata = metadata.expect("the broker tells of its topics");
                let found = metadata.topics().iter().find(|found| found.name() == topic);
                let led = |found: &MetadataTopic| found.partitions().iter().filter(|p| p.leader() >= 0).count();
                seen = Some(found.map_or(0, led));
            }
            seen
        });
        assert_eq!(seen.await.expect("no panic"), Some(partitions), "partitions of {name} after 30 s");
    }

    /// The producer that tests share: idempotent, records of up to 20 MB, in the order of the calls per partition.
    pub fn producer(&self) -> &FutureProducer {
        self.producer.get_or_init(|| produce::producer(self.client()))
    }

    /// The admin client.
    pub fn admin(&self) -> &AdminClient<DefaultClientContext> {
        self.admin.get_or_init(|| self.client().create().expect("an admin client"))
    }
}

fn deadline() -> AdminOptions {
    let limit = Some(Duration::from_secs(30));
    AdminOptions::new().operation_timeout(limit).request_timeout(limit)
}

/// A name that no other test uses, on a shared broker that may outlive this process.
pub fn unique(suffix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let started = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis();
    format!("it{started}-{}-{}.{suffix}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A schema registry with the Confluent API, in memory: a restart forgets what was registered.
pub struct Registry {
    server: Server,
}

impl Deref for Registry {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Registry {
    /// The registry that all tests share (`RTMN_TEST_REGISTRY`, else started on first use).
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Registry> = OnceCell::const_new();
        SHARED.get_or_init(async || Self { server: Server::shared("registry", "RTMN_TEST_REGISTRY").await }).await
    }

    /// A registry of the test's own.
    pub async fn own() -> Self {
        Self { server: Server::own("registry", &[]).await }
    }

    /// What `codec.registry_url` is set to.
    pub fn url(&self) -> String {
        format!("http://{}/apis/ccompat/v7", self.server.address)
    }

    /// Registers an Avro schema; returns its id, which the Confluent wire format carries.
    pub async fn register(&self, subject: &str, schema: &str) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let body = serde_json::json!({ "schema": schema });
        let request = reqwest::Client::new().post(url).json(&body).timeout(Duration::from_secs(30));
        let response = request.send().await.expect("the registry answers");
        let status = response.status();
        let answer: serde_json::Value = response.json().await.expect("the registry answers JSON");
        assert!(status.is_success(), "registering {subject}: {status} {answer}");
        answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("the schema's id")
    }
}

/// A Redis server; what it acknowledged is still there after `kill` and `restart`.
pub struct Redis {
    server: Server,
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Redis {
    /// The Redis that all tests share (`RTMN_TEST_REDIS`, else started on first use). Use a key prefix of your own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Redis> = OnceCell::const_new();
        SHARED.get_or_init(async || Self { server: Server::shared("redis", "RTMN_TEST_REDIS").await }).await
    }

    /// A Redis of the test's own.
    pub async fn own() -> Self {
        Self { server: Server::own("redis", &[]).await }
    }

    /// `redis://host:port`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.server.address)
    }
}
