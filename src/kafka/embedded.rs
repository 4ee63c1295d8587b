//! The embedded broker: librdkafka's mock cluster, in this process, for `demo` and for fast tests.
//!
//! It speaks the real protocol, and other processes can connect. What it cannot do: look up offsets by time (use
//! `StartPlan { time_lookup: false, .. }`), create topics over the protocol (use [`EmbeddedBroker::start`]'s list), real
//! transactions. It keeps 5 MiB or 100,000 batches per partition and drops the oldest.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

use crate::config;

/// The broker could not be started, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// librdkafka's own word.
    #[error("embedded broker: {0}")]
    Kafka(#[from] KafkaError),
    /// The operating system gave no thread.
    #[error("cannot start the embedded broker's thread: {0}")]
    Thread(#[from] std::io::Error),
    /// Its thread is gone.
    #[error("the embedded broker's thread ended")]
    Gone,
}

enum Command {
    CreateTopic { name: String, partitions: i32, done: SyncSender<Result<(), KafkaError>> },
    Reachable { yes: bool, done: SyncSender<Result<(), KafkaError>> },
}

/// Only broker there is.
const BROKER: i32 = 1;
const ANSWER: Duration = Duration::from_secs(10);

/// A running embedded broker; it ends when this is dropped.
#[derive(Debug)]
pub struct EmbeddedBroker {
    brokers: String,
    commands: Option<SyncSender<Command>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts it on a free port of the loopback interface, with these topics of so many partitions.
    ///
    /// # Errors
    /// [`EmbeddedError`] if librdkafka refuses, for instance an invalid topic name.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, EmbeddedError> {
        let (commands, inbox) = sync_channel(1);
        let (ready, started) = sync_channel(1);
        // The cluster must stay on the thread that made it.
        let thread = thread::Builder::new().name("rtmn-embedded".into()).spawn(move || serve(&ready, &inbox))?;
        let brokers = started.recv_timeout(ANSWER).map_err(|_| EmbeddedError::Gone)??;
        let broker = Self { brokers, commands: Some(commands), thread: Some(thread) };
        for (name, partitions) in topics {
            broker.create_topic(name, *partitions)?;
        }
        Ok(broker)
    }

    /// `host:port` to connect to.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The configuration with this broker's address in it, and what it needs to be quick.
    #[must_use]
    pub fn configure(&self, mut kafka: config::Kafka) -> config::Kafka {
        kafka.brokers.clone_from(&self.brokers);
        // One batch per fetch, and a fetch that finds nothing waits this long although something comes meanwhile.
        kafka.properties.insert("fetch.wait.max.ms".into(), config::Secret::new("10"));
        kafka
    }

    /// Adds a topic.
    ///
    /// # Errors
    /// [`EmbeddedError`] if it exists already.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), EmbeddedError> {
        self.ask(|done| Command::CreateTopic { name: name.to_owned(), partitions, done })
    }

    /// Makes it unreachable, or reachable again, as if it had been stopped and started with its data.
    ///
    /// # Errors
    /// [`EmbeddedError`] if it does not answer.
    pub fn set_reachable(&self, yes: bool) -> Result<(), EmbeddedError> {
        self.ask(|done| Command::Reachable { yes, done })
    }

    fn ask(&self, command: impl FnOnce(SyncSender<Result<(), KafkaError>>) -> Command) -> Result<(), EmbeddedError> {
        let (done, answer) = sync_channel(1);
        let commands = self.commands.as_ref().ok_or(EmbeddedError::Gone)?;
        commands.send(command(done)).map_err(|_| EmbeddedError::Gone)?;
        Ok(answer.recv_timeout(ANSWER).map_err(|_| EmbeddedError::Gone)??)
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // Its end frees the port; a panic in it has nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn serve(ready: &SyncSender<Result<String, KafkaError>>, inbox: &Receiver<Command>) {
    let cluster = match MockCluster::new(1) {
        Ok(cluster) => cluster,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(cluster.bootstrap_servers())).is_err() {
        return;
    }
    while let Ok(command) = inbox.recv() {
        let (result, done) = match command {
            Command::CreateTopic { name, partitions, done } => (cluster.create_topic(&name, partitions, 1), done),
            Command::Reachable { yes: true, done } => (cluster.broker_up(BROKER), done),
            Command::Reachable { yes: false, done } => (cluster.broker_down(BROKER), done),
        };
        let _ = done.send(result);
    }
}
