//! The bridge as its users run it: the binary, a process of its own, configured by the environment.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use rtmn_bridge::demo::Minter;
use serde_json::Value;
use tempfile::TempDir;

use super::Kafka;

const SECRET: &str = "a secret of the integration tests, long enough";
/// Nothing that a healthy bridge does takes so long.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

/// What a bridge is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    env: BTreeMap<String, String>,
}

impl Setup {
    /// For these topics of this broker; everything else as usual, on free ports, with logs as JSON.
    pub fn new(kafka: &Kafka, topics: &[&str]) -> Self {
        Self { env: BTreeMap::new() }
            .set("kafka.brokers", kafka.address())
            .set("kafka.topics", topics.join(","))
            // A broker that comes back is found at once, not after librdkafka's ten seconds.
            .set("kafka.properties.reconnect_backoff_max_ms", "500")
            .set("kafka.metadata_refresh", "500ms")
            .set("server.listen", "127.0.0.1:0")
            .set("admin.listen", "127.0.0.1:0")
            .set("auth.secret", SECRET)
            .set("log.json", "true")
    }

    /// One key of the configuration, as it is called there (`codec.hold_deadline`).
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.insert(format!("RTMN__{}", key.to_uppercase().replace('.', "__")), value.into());
        self
    }

    /// Starts it; returns once it listens. It need not be ready.
    pub async fn start(&self) -> Bridge {
        let dir = tempfile::tempdir().expect("a temporary folder");
        // It dies with the thread that starts it, however that ends.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_rtmn-bridge"), "serve"])
            .env_clear()
            .envs(&self.env)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("setpriv (util-linux) and the bridge can be run");
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let (lines, stderr) = (Arc::clone(&said), child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().push(line);
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut bridge = Bridge { child, said, _dir: dir, public: nowhere, admin: nowhere };
        let started = bridge.until_logged("node.started").await;
        let address = |name: &str| started[name].as_str().and_then(|text| text.parse().ok()).expect("an address");
        (bridge.public, bridge.admin) = (address("public"), address("admin"));
        bridge
    }

    /// Starts it; returns once it is ready.
    pub async fn start_ready(&self) -> Bridge {
        let mut bridge = self.start().await;
        bridge.ready().await;
        bridge
    }
}

/// A bridge that runs; killed on drop.
pub struct Bridge {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    _dir: TempDir,
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said.lock();
            let from = said.len().saturating_sub(40);
            eprintln!("--- the bridge's last words\n{}", said[from..].join("\n"));
        }
    }
}

impl Bridge {
    /// `http://host:port` for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// A token that it accepts.
    pub fn token(subject: &str, role: &str, merchants: &[String]) -> String {
        Minter::new(SECRET.as_bytes(), Duration::from_hours(1)).mint(subject, role, merchants).expect("a token")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it was ours") {
                return status;
            }
            assert!(begun.elapsed() < within, "the bridge still runs after {within:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Its log so far, one JSON object per line.
    pub fn logged(&self) -> Vec<Value> {
        self.said.lock().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The log's lines with this `event`.
    pub fn logged_events(&self, event: &str) -> Vec<Value> {
        self.logged().into_iter().filter(|line| line["event"] == event).collect()
    }

    /// Everything that it wrote, as text.
    pub fn said(&self) -> String {
        self.said.lock().join("\n")
    }

    /// The first line with this `event`.
    pub async fn until_logged(&mut self, event: &str) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.logged_events(event).into_iter().next() {
                return line;
            }
            let ended = self.child.try_wait().expect("it was ours");
            assert!(ended.is_none(), "the bridge ended before {event}: {ended:?}\n{}", self.said());
            assert!(begun.elapsed() < PATIENCE, "no {event} in {PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn ask(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.admin);
        let request = reqwest::Client::new().get(url).timeout(Duration::from_secs(10));
        let answer = request.send().await.expect("the operators' listener answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// `/readyz`: `Ok` when it is ready, else why not.
    pub async fn readiness(&self) -> Result<(), String> {
        match self.ask("/readyz").await {
            (200, _) => Ok(()),
            (503, why) => Err(why),
            other => panic!("/readyz: {other:?}"),
        }
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        self.until(async |bridge| bridge.readiness().await.is_ok(), "ready").await;
    }

    /// Waits until it is not ready; returns why.
    pub async fn not_ready(&mut self) -> String {
        self.until(async |bridge| bridge.readiness().await.is_err(), "not ready").await;
        self.readiness().await.err().unwrap_or_default()
    }

    /// Waits for a condition.
    pub async fn until(&mut self, condition: impl AsyncFn(&Self) -> bool, what: &str) {
        let begun = Instant::now();
        while !condition(self).await {
            let ended = self.child.try_wait().expect("it was ours");
            assert!(ended.is_none(), "the bridge ended: {ended:?}\n{}", self.said());
            let state = self.readiness().await;
            assert!(begun.elapsed() < PATIENCE, "not {what} in {PATIENCE:?}: {state:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The sum of all samples of a metric (without `rtmn_`, with `_total` for a counter) that have these labels.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        let text = self.ask("/metrics").await.1;
        let wanted = |line: &str| {
            let series = line.strip_prefix("rtmn_")?.strip_prefix(name)?;
            let labelled = labels.iter().all(|(label, value)| series.contains(&format!("{label}=\"{value}\"")));
            let value = series.rsplit(' ').next()?;
            (matches!(series.as_bytes()[0], b' ' | b'{') && labelled).then(|| value.parse::<i64>().ok())?
        };
        text.lines().filter_map(wanted).sum()
    }
}
