//! The composition root: config → build → run → drain. Everything that the node is made of is put together here, and
//! nowhere else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::codec::{Decoder, Schemas};
use crate::config::Config;
use crate::dashboard::Dashboard;
use crate::gateway::{Gateway, auth::Verifier, origin::OriginPolicy, registry::Registry};
use crate::history::{Owners, Presence};
use crate::http::health::{Health, Readiness};
use crate::http::{self, listener};
use crate::hub::{Hub, now_ms};
use crate::kafka::follower::{self, FollowerConfig, FollowerHandle, StartPlan, State};
use crate::lifecycle::{self, Signals};
use crate::metrics::Metrics;
use crate::pipeline::{Parts, Pipeline};
use crate::position::{Epoch, Position};
use crate::route::{RoomKind, Routes};

/// Part of the shutdown deadline that the follower may take.
const FOLLOWER_STOP: Duration = Duration::from_secs(5);
/// How often connections are summed up in the log.
const SUMMARY_EVERY: Duration = Duration::from_mins(1);
/// How often gauges that nobody pushes are read.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// A node that runs.
pub struct App {
    config: Config,
    gateway: Arc<Gateway>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    follower: FollowerHandle,
    readiness: watch::Sender<Readiness>,
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What differs between a node of its own and one inside the demo.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The broker cannot look up offsets by time (the embedded one): everything is read.
    pub no_time_lookup: bool,
    /// Pages that are served beside `/socket.io/`.
    pub pages: Option<axum::Router>,
}

impl App {
    /// Builds and starts a node. It returns when the listeners are open; clients are let in once the window is filled.
    ///
    /// # Errors
    /// Whatever is wrong with configuration, routes, schemas, keys, or the addresses to listen on.
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let schemas = Arc::new(match &config.codec.schemas {
            Some(folder) => Schemas::load(folder).with_context(|| format!("codec.schemas: {}", folder.display()))?,
            None => Schemas::builtin()?,
        });
        let routes = Arc::new(Routes::from_config(&config.routes, &schemas)?);
        let decoder = Arc::new(Decoder::new(&config.codec, Arc::clone(&schemas))?);
        let verifier = Verifier::from_config(&config.auth)?;
        let dashboard = Dashboard::new(&config.dashboard.time_zone)?;
        if config.redis.url.is_some() {
            warn!(event = "redis.unused", "redis.url is set, but this version keeps everything in memory");
        }

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let position = Position::new(Epoch::of(&config.kafka.topics.join(",")));
        let hub = Hub::start(&config.hub, &position, &metrics, &tasks);
        let owners = Arc::new(Owners::new(config.hub.owners));
        let presence = Arc::new(Presence::default());
        let gateway = Arc::new(Gateway {
            socket: config.socket.clone(),
            limits: config.limits.clone(),
            auth: config.auth.clone(),
            verifier,
            origins: OriginPolicy::from_config(&config.origins, config.server.public_origin.as_deref()),
            hub: Arc::clone(&hub),
            request_timeout: config.server.request_timeout,
            owners: Arc::clone(&owners),
            presence: Arc::clone(&presence),
            metrics: Arc::clone(&metrics),
            sessions: Registry::new(config.server.max_connections),
            tasks: tasks.clone(),
            filled: CancellationToken::new(),
            drain: CancellationToken::new(),
        });

        let now = now_ms();
        let window_since_ms = now - i64::try_from(config.hub.window_age.as_millis()).unwrap_or(i64::MAX / 2);
        let midnight = dashboard.midnight_ms(now).min(window_since_ms);
        let start = StartPlan {
            default_since_ms: Some(window_since_ms),
            per_topic_since_ms: HashMap::from([(config.dashboard.topic.clone(), midnight)]),
            time_lookup: !options.no_time_lookup,
        };
        let pipeline = Pipeline::new(Parts {
            decoder,
            routes,
            hub: Arc::clone(&hub),
            owners,
            presence,
            dashboard,
            dashboard_interval: config.dashboard.interval,
            metrics: Arc::clone(&metrics),
            runtime: tokio::runtime::Handle::current(),
            position,
            window_since_ms,
        });

        // Listen before following: an address in use is told at once, not after the window was filled.
        let public = bind("server.listen", config.server.listen).await?;
        let admin = bind("admin.listen", config.admin.listen).await?;
        let (public_address, admin_address) = (public.local_addr()?, admin.local_addr()?);

        let retry = pipeline.retry_slot();
        let follower_config =
            FollowerConfig { kafka: config.kafka.clone(), hold_deadline: config.codec.hold_deadline, start };
        let follower = follower::spawn(&follower_config, pipeline)?;
        *retry.lock() = Some(follower.retry_held_trigger());

        let (readiness, ready) = watch::channel(Readiness::NotReady("starting".into()));
        let health = Health { readiness: ready, metrics: Arc::clone(&metrics) };
        let settings = listener::Settings {
            max_connections: config.server.max_connections,
            request_timeout: config.server.request_timeout,
            send_buffer: config.socket.send_buffer,
            // The kernel's limit is the backstop behind our own, which knows the reason.
            user_timeout: config.socket.write_deadline * 2,
        };
        let mut site = http::public(&gateway, health.clone());
        if let Some(pages) = options.pages {
            site = site.merge(pages);
        }
        tasks.spawn(listener::serve(public, site, settings, stop.clone(), tasks.clone()));
        tasks.spawn(listener::serve(admin, http::health::admin(health), settings, stop.clone(), tasks.clone()));
        info!(event = "node.started", public = %public_address, admin = %admin_address, "listening");
        Ok(Self {
            config,
            gateway,
            hub,
            metrics,
            follower,
            readiness,
            public: public_address,
            admin: admin_address,
            stop,
            tasks,
        })
    }

    /// Runs until a signal, or until the follower dies; then drains.
    ///
    /// # Errors
    /// When the follower died: the process should exit with a failure, so that it is started again.
    pub async fn run(self, signals: &mut Signals) -> anyhow::Result<()> {
        let ended = self.supervise(signals.next()).await;
        let deadline = self.config.server.shutdown_deadline;
        let drained = lifecycle::within(deadline, signals, self.drain()).await;
        info!(event = "node.stopped", ?drained, "stopped");
        ended
    }

    /// Runs until `done`, then drains; for a node inside another program.
    ///
    /// # Errors
    /// As [`App::run`].
    pub async fn run_until(self, done: impl Future<Output = ()>) -> anyhow::Result<()> {
        let ended = self.supervise(async {
            done.await;
            "done"
        });
        let ended = ended.await;
        let deadline = self.config.server.shutdown_deadline;
        let _ = tokio::time::timeout(deadline, self.drain()).await;
        ended
    }

    /// Cancelled (set) once clients are let in.
    #[must_use]
    pub fn filled(&self) -> CancellationToken {
        self.gateway.filled.clone()
    }

    /// Keeps readiness, gauges and the summary until `done`.
    async fn supervise(&self, done: impl Future<Output = &'static str>) -> anyhow::Result<()> {
        tokio::pin!(done);
        let mut state = self.follower.state();
        let mut gauges = tokio::time::interval(GAUGES_EVERY);
        let mut summary = tokio::time::interval_at(tokio::time::Instant::now() + SUMMARY_EVERY, SUMMARY_EVERY);
        loop {
            let current = state.borrow_and_update().clone();
            self.note(&current);
            if let State::Dead { why } = current {
                error!(event = "follower.dead", %why, "the follower died");
                bail!("the follower died: {why}");
            }
            tokio::select! {
                reason = &mut done => {
                    info!(event = "node.draining", reason, "draining");
                    return Ok(());
                }
                changed = state.changed() => changed.context("the follower ended without a word")?,
                () = self.hub.died() => {
                    error!(event = "hub.dead", "a shard died");
                    bail!("a shard of the hub died");
                }
                _ = gauges.tick() => self.read_gauges(),
                _ = summary.tick() => self.log_summary(),
            }
        }
    }

    fn note(&self, state: &State) {
        let readiness = match state {
            State::Following => Readiness::Ready,
            State::Starting { why } | State::Degraded { why } | State::Dead { why } => {
                Readiness::NotReady(why.to_string())
            }
            State::Filling { behind } => Readiness::NotReady(self.filling(*behind)),
            State::Stopped => Readiness::NotReady("stopped".into()),
        };
        if readiness == Readiness::Ready && !self.gateway.filled.is_cancelled() {
            info!(event = "node.filled", "the window is filled; clients are let in");
            self.gateway.filled.cancel();
        }
        self.metrics.ready(readiness == Readiness::Ready);
        self.readiness.send_if_modified(|current| {
            let changed = *current != readiness;
            if changed {
                if let Readiness::NotReady(why) = &readiness {
                    warn!(event = "node.not_ready", why, "not ready");
                } else {
                    info!(event = "node.ready", "ready");
                }
                *current = readiness;
            }
            changed
        });
    }

    /// What is missing until the window is filled; a partition that waits for a schema waits for a person, maybe.
    fn filling(&self, behind: u64) -> String {
        let held = self.follower.partitions().into_iter().find_map(|partition| {
            let offset = partition.held?;
            Some(format!("; {} waits for the schema of offset {offset}", partition.topic_partition))
        });
        format!("reading the log, {behind} records to go{}", held.unwrap_or_default())
    }

    fn read_gauges(&self) {
        let fill = self.hub.window().fill();
        self.metrics.window(fill.entries, fill.bytes, fill.oldest_ms.map(|oldest| now_ms() - oldest));
        self.metrics.rooms(self.hub.census().rooms.load(std::sync::atomic::Ordering::Relaxed));
        self.metrics.queued(self.hub.census().queued.load(std::sync::atomic::Ordering::Relaxed));
        self.hub.measure();
        let partitions = self.follower.partitions();
        self.metrics.partitions_held(partitions.iter().filter(|partition| partition.held.is_some()).count());
        for partition in partitions {
            self.metrics.partition(
                partition.topic_partition.topic(),
                partition.topic_partition.partition(),
                partition.next,
                partition.end,
                partition.lag,
            );
        }
    }

    fn log_summary(&self) {
        let roles = self.gateway.presence.by_role();
        let total: usize = roles.iter().map(|(_, count)| count).sum();
        let roles: Vec<String> = roles.into_iter().map(|(role, count)| format!("{role}={count}")).collect();
        let census = self.hub.census();
        info!(
            event = "connections.summary",
            total,
            by_role = roles.join(" "),
            user = census.memberships(RoomKind::User),
            merchant = census.memberships(RoomKind::Merchant),
            order = census.memberships(RoomKind::Order),
            flash_sale = census.memberships(RoomKind::FlashSale),
            admin = census.memberships(RoomKind::Admin),
            "connections"
        );
    }

    /// Not ready → no new connections → sessions closed → follower stopped. Bounded by the caller.
    async fn drain(self) {
        self.readiness.send_replace(Readiness::NotReady("draining".into()));
        self.gateway.drain.cancel();
        self.stop.cancel();
        if let Err(error) = self.follower.shutdown(FOLLOWER_STOP).await {
            warn!(event = "follower.abandoned", %error, "the follower did not stop in time");
        }
        self.tasks.close();
        // The shards end when the last handle to the hub is gone: sessions and the gateway hold the others.
        drop((self.hub, self.gateway));
        self.tasks.wait().await;
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: cannot listen on {address}; is another process there?"))
}
