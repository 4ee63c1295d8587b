//! Asks the brokers what the reading thread must not wait for: which topics and partitions there are, where their logs
//! begin and end, where a time begins, and whether a log is still the one that was read before.
//!
//! The client library does not notice a topic that was deleted and created again while its new log is longer than our
//! position. An *anchor* does: a time and the offset that the broker gave for it. In one log the answer to the same
//! question never falls (records are only added behind; trimming and compaction raise it), in a new one it does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::event::TopicPartition;
use crate::kafka::client::{Context, explain};

use super::partition::Standing;
use super::{Discontinuity, FollowerConfig, Shared, StartPlan};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// What one round of questions found.
#[derive(Debug)]
pub(super) struct Report {
    /// When the round began: it says nothing about what happened later.
    pub(super) began: Instant,
    pub(super) outcome: Result<Snapshot, Arc<str>>,
}

/// The logs as they stand.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) partitions: HashMap<TopicPartition, Finding>,
    /// Topics that were there and are not now.
    pub(super) missing: Vec<String>,
}

/// One partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) low: i64,
    /// The end of what can be read (the last stable offset).
    pub(super) end: i64,
    /// For a partition that was not known: the offset to start at.
    pub(super) start: Option<i64>,
    /// Reading must go on elsewhere.
    pub(super) jump: Option<Jump>,
    /// The generation that the jump was decided for.
    pub(super) generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) to: i64,
    pub(super) reason: Discontinuity,
}

/// How the reading thread speaks to the watcher.
#[derive(Debug, Default)]
pub(super) struct Bell {
    inner: Mutex<Rung>,
    condvar: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    now: bool,
    stop: bool,
}

impl Bell {
    /// Ask again without waiting for the interval.
    pub(super) fn ask_now(&self) {
        self.inner.lock().now = true;
        self.condvar.notify_one();
    }

    pub(super) fn stop(&self) {
        self.inner.lock().stop = true;
        self.condvar.notify_one();
    }

    /// Waits; false means stop.
    fn wait(&self, interval: Duration) -> bool {
        let deadline = Instant::now() + interval;
        let mut rung = self.inner.lock();
        while !rung.now && !rung.stop {
            if self.condvar.wait_until(&mut rung, deadline).timed_out() {
                break;
            }
        }
        rung.now = false;
        !rung.stop
    }

    fn stopped(&self) -> bool {
        self.inner.lock().stop
    }
}

pub(super) struct Watcher {
    consumer: Arc<BaseConsumer<Context>>,
    topics: Vec<String>,
    plan: StartPlan,
    refresh: Duration,
    shared: Arc<Shared>,
    known: HashSet<TopicPartition>,
    /// Topics that were missing, and in how many rounds in a row.
    gone: HashMap<String, u32>,
    anchors: HashMap<TopicPartition, Anchor>,
}

/// A question whose answer tells logs apart.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    ms: i64,
    offset: i64,
    generation: u64,
}

impl Watcher {
    pub(super) fn new(consumer: Arc<BaseConsumer<Context>>, config: &FollowerConfig, shared: Arc<Shared>) -> Self {
        let mut topics = config.kafka.topics.clone();
        topics.sort();
        topics.dedup();
        Self {
            consumer,
            topics,
            plan: config.start.clone(),
            refresh: config.kafka.metadata_refresh,
            shared,
            known: HashSet::new(),
            gone: HashMap::new(),
            anchors: HashMap::new(),
        }
    }

    /// Asks and reports until told to stop.
    pub(super) fn run(mut self, bell: &Bell, reports: &SyncSender<Report>) {
        let mut retry = FIRST_RETRY;
        while !bell.stopped() {
            let began = Instant::now();
            let outcome = self.ask();
            let well = outcome.as_ref().is_ok_and(|snapshot| snapshot.missing.is_empty());
            if outcome.is_ok() {
                self.consumer.context().health().answered();
            }
            if reports.send(Report { began, outcome }).is_err() {
                return;
            }
            self.shared.waker.wake();
            let pause = if well { self.refresh } else { retry.mul_f64(rand::random_range(0.5..=1.0)) };
            retry = if well { FIRST_RETRY } else { (retry * 2).min(LAST_RETRY) };
            if !bell.wait(pause) {
                return;
            }
        }
    }

    fn ask(&mut self) -> Result<Snapshot, Arc<str>> {
        // Positions first: an end that is asked for later and lies below them is an end that moved back.
        let standing: HashMap<TopicPartition, Standing> = {
            let gauges = self.shared.gauges.lock();
            gauges.iter().map(|g| (g.topic_partition().clone(), g.standing())).collect()
        };
        let (present, missing) = self.present()?;
        if self.known.is_empty() && !missing.is_empty() {
            return Err(does_not_exist(&missing).into());
        }
        let mut snapshot = Snapshot { partitions: HashMap::new(), missing };
        if present.is_empty() {
            return Ok(snapshot);
        }
        let lows = self.offsets(present.iter().map(|tp| (tp, Offset::Beginning)))?;
        let ends = self.offsets(present.iter().map(|tp| (tp, Offset::End)))?;
        let starts = self.starts(&present, &lows, &ends)?;
        let changed = self.changed(&present, &standing, &lows)?;
        for tp in present {
            let (Some(&Some(low)), Some(&Some(end))) = (lows.get(&tp), ends.get(&tp)) else {
                return Err(format!("the broker gave no bounds of {tp}").into());
            };
            let standing = standing.get(&tp);
            let again = self.gone.get(&**tp.topic()).copied().unwrap_or(0);
            let jump = standing.and_then(|s| judge(s.next, low, end, changed.get(&tp).copied(), again));
            let generation = standing.map_or(0, |s| s.generation);
            let start = starts.get(&tp).copied();
            snapshot.partitions.insert(tp, Finding { low, end, start, jump, generation });
        }
        self.renew_anchors(&snapshot, &standing)?;
        // Only now, when everything was answered, do these partitions count as told.
        self.known.retain(|tp| {
            snapshot.partitions.contains_key(tp) || snapshot.missing.iter().any(|topic| **topic == **tp.topic())
        });
        self.known.extend(snapshot.partitions.keys().cloned());
        for topic in &snapshot.missing {
            *self.gone.entry(topic.clone()).or_default() += 1;
        }
        self.gone.retain(|topic, _| snapshot.missing.contains(topic));
        Ok(snapshot)
    }

    /// The partitions that exist, and the topics that don't.
    fn present(&self) -> Result<(Vec<TopicPartition>, Vec<String>), Arc<str>> {
        let mut present = Vec::new();
        let mut missing = Vec::new();
        for topic in &self.topics {
            let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER).map_err(|e| unanswered(&e))?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let error = found.and_then(rdkafka::metadata::MetadataTopic::error).map(RDKafkaErrorCode::from);
            match (found, error) {
                (Some(found), None) if !found.partitions().is_empty() => {
                    let name: Arc<str> = topic.as_str().into();
                    present.extend(found.partitions().iter().map(|p| TopicPartition::new(Arc::clone(&name), p.id())));
                }
                (_, None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {
                    missing.push(topic.clone());
                }
                (_, Some(code)) => return Err(format!("topic `{topic}`: {}", explain(code)).into()),
            }
        }
        Ok((present, missing))
    }

    /// One question for many partitions: the offset of a time, or of the log's beginning or end. `None`: no record is
    /// that new.
    fn offsets<'a>(
        &self,
        asked: impl Iterator<Item = (&'a TopicPartition, Offset)>,
    ) -> Result<HashMap<TopicPartition, Option<i64>>, Arc<str>> {
        let mut list = TopicPartitionList::new();
        let mut asked_for = Vec::new();
        for (tp, offset) in asked {
            list.add_partition_offset(tp.topic(), tp.partition(), offset).map_err(|e| unanswered(&e))?;
            asked_for.push(tp);
        }
        if asked_for.is_empty() {
            return Ok(HashMap::new());
        }
        let answers = self.consumer.offsets_for_times(list, ANSWER).map_err(|e| unanswered(&e))?;
        let mut found = HashMap::with_capacity(asked_for.len());
        for tp in asked_for {
            let Some(answer) = answers.find_partition(tp.topic(), tp.partition()) else { continue };
            answer.error().map_err(|e| Arc::<str>::from(format!("{tp}: {}", unanswered(&e))))?;
            let offset = match answer.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            found.insert(tp.clone(), offset);
        }
        Ok(found)
    }

    /// Where to begin with partitions that were not known: by the plan at first, later from their beginning, since
    /// records may have been produced before they were noticed.
    fn starts(
        &self,
        present: &[TopicPartition],
        lows: &HashMap<TopicPartition, Option<i64>>,
        ends: &HashMap<TopicPartition, Option<i64>>,
    ) -> Result<HashMap<TopicPartition, i64>, Arc<str>> {
        let first = self.known.is_empty();
        let new = || present.iter().filter(|tp| !self.known.contains(*tp));
        let since = |tp: &TopicPartition| if first { self.plan.since_ms(tp.topic()) } else { None };
        let timed = self.offsets(new().filter_map(|tp| since(tp).map(|ms| (tp, Offset::Offset(ms.max(0))))))?;
        let start = |tp: &TopicPartition| match timed.get(tp) {
            // No record is that new: begin at the end that was asked for before, so that none in between is missed.
            Some(None) => ends.get(tp).copied().flatten(),
            Some(&found) => found,
            None => lows.get(tp).copied().flatten(),
        };
        Ok(new().filter_map(|tp| start(tp).map(|offset| (tp.clone(), offset))).collect())
    }

    /// For each partition with an anchor: whether its log is another one now.
    fn changed(
        &mut self,
        present: &[TopicPartition],
        standing: &HashMap<TopicPartition, Standing>,
        lows: &HashMap<TopicPartition, Option<i64>>,
    ) -> Result<HashMap<TopicPartition, bool>, Arc<str>> {
        self.anchors.retain(|tp, anchor| standing.get(tp).is_some_and(|s| s.generation == anchor.generation));
        let asked = present.iter().filter_map(|tp| self.anchors.get(tp).map(|a| (tp, Offset::Offset(a.ms))));
        let answers = self.offsets(asked)?;
        // No record is that new any more: trimmed, unless the log's beginning says that nothing was.
        let answer_or_low = |tp: &TopicPartition, answer: Option<i64>| answer.or(lows.get(tp).copied().flatten());
        let differs = |tp: &TopicPartition, answer: Option<i64>| {
            self.anchors.get(tp).is_some_and(|anchor| answer_or_low(tp, answer).is_some_and(|at| at < anchor.offset))
        };
        Ok(answers.into_iter().map(|(tp, answer)| (tp.clone(), differs(&tp, answer))).collect())
    }

    /// Gives partitions an anchor that have none, or one that tells nothing (at the log's beginning).
    fn renew_anchors(
        &mut self,
        snapshot: &Snapshot,
        standing: &HashMap<TopicPartition, Standing>,
    ) -> Result<(), Arc<str>> {
        if !self.plan.time_lookup {
            return Ok(());
        }
        let wanting: Vec<(&TopicPartition, i64, u64)> = snapshot
            .partitions
            .iter()
            .filter(|(tp, found)| {
                found.jump.is_none() && self.anchors.get(*tp).is_none_or(|anchor| anchor.offset <= found.low)
            })
            .filter_map(|(tp, _)| {
                let standing = standing.get(tp)?;
                Some((tp, standing.last_ms?, standing.generation))
            })
            .collect();
        let answers = self.offsets(wanting.iter().map(|&(tp, ms, _)| (tp, Offset::Offset(ms))))?;
        for (tp, ms, generation) in wanting {
            if let Some(&Some(offset)) = answers.get(tp) {
                self.anchors.insert(tp.clone(), Anchor { ms, offset, generation });
            }
        }
        Ok(())
    }
}

/// Whether reading can go on at `next`. `changed`: what the anchor said, if there is one; `gone`: in how many rounds
/// before this one the topic did not exist (one alone may be a broker that was not up to date).
fn judge(next: i64, low: i64, end: i64, changed: Option<bool>, gone: u32) -> Option<Jump> {
    let recreated = Jump { to: low, reason: Discontinuity::Recreated };
    match changed {
        Some(true) => Some(recreated),
        Some(false) if end < next => Some(Jump { to: end, reason: Discontinuity::Truncated }),
        None if end < next || gone >= 2 => Some(recreated),
        Some(false) | None => None,
    }
}

fn unanswered(error: &KafkaError) -> Arc<str> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut) => {
            "the brokers do not answer: check kafka.brokers and that they run".into()
        }
        Some(code) => explain(code).into(),
        None => error.to_string().into(),
    }
}

pub(super) fn does_not_exist(topics: &[String]) -> String {
    let names = topics.join("`, `");
    format!("topic `{names}` does not exist; run `rtmn-bridge topics create`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_answers_as_before_is_the_same_log() {
        assert_eq!(judge(10, 0, 12, Some(false), 0), None);
        assert_eq!(judge(10, 0, 12, Some(false), 5), None, "it was away, and is back unchanged");
        assert_eq!(judge(10, 11, 12, Some(false), 0), None, "trimming is for the reader to meet");
    }

    #[test]
    fn a_shorter_log_with_the_same_answers_was_truncated() {
        assert_eq!(judge(10, 0, 8, Some(false), 0), Some(Jump { to: 8, reason: Discontinuity::Truncated }));
    }

    #[test]
    fn another_log_is_read_from_its_beginning_also_when_it_is_longer() {
        let recreated = Some(Jump { to: 0, reason: Discontinuity::Recreated });
        assert_eq!(judge(10, 0, 100, Some(true), 0), recreated);
        assert_eq!(judge(10, 0, 3, None, 0), recreated);
        assert_eq!(judge(10, 0, 100, None, 2), recreated);
        assert_eq!(judge(10, 0, 100, None, 1), None, "one answer alone may come from a stale broker");
    }
}
