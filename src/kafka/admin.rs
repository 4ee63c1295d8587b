//! The topics that the bridge needs: what they should be like, creating what is missing, and telling what differs.
//!
//! Nothing that exists is ever changed here: an operator may have reasons, so a difference is shown with both values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config;

use super::client::{ClientError, Context, base_config, explain};
use super::{CONTROL_TOPIC, DEAD_LETTER_TOPIC, REPLAY_TOPIC};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(15);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Kept rooms reach back 7 days: the log must, too, and a little longer.
const DOMAIN_DAYS: u64 = 8;
const CONTROL_DAYS: u64 = 30;
const DEAD_LETTER_DAYS: u64 = 30;

/// How the topics are to be laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Partitions of each domain topic and of the replay topic.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
}

/// What a topic should be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies.
    pub replication: i32,
    /// Topic settings, by Kafka's names.
    pub settings: BTreeMap<&'static str, String>,
}

/// A setting that is not as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `partitions`, `replication`, or the setting's name.
    pub what: String,
    /// As planned.
    pub want: String,
    /// As it is.
    pub have: String,
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there, and is now.
    Created,
    /// It was there; empty differences mean as planned.
    Exists(Vec<Difference>),
    /// It was not there, and cannot be created.
    Failed(String),
    /// It is not there (only asked).
    Missing,
}

/// The brokers did not do what they were asked for.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Wrong settings.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No answer, or a refusal.
    #[error("cannot ask the brokers about topics: {0}")]
    Ask(String),
    /// The thread that asks ended.
    #[error("the request was interrupted")]
    Interrupted,
}

impl From<KafkaError> for AdminError {
    fn from(error: KafkaError) -> Self {
        Self::Ask(error.rdkafka_error_code().map_or_else(|| error.to_string(), explain))
    }
}

/// The domain topics of the configuration and the bridge's own.
#[must_use]
pub fn plan(kafka: &config::Kafka, layout: Layout) -> Vec<TopicPlan> {
    let topic = |name: &str, partitions: i32, days: u64| {
        let mut settings = BTreeMap::from([
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", (days * DAY_MS).to_string()),
            ("retention.bytes", "-1".to_owned()),
        ]);
        if layout.replication >= 3 {
            settings.insert("min.insync.replicas", "2".to_owned());
        }
        TopicPlan { name: name.to_owned(), partitions, replication: layout.replication, settings }
    };
    let names: BTreeSet<&str> = kafka.topics.iter().map(String::as_str).collect();
    let own = [REPLAY_TOPIC, CONTROL_TOPIC, DEAD_LETTER_TOPIC];
    let domain = names.into_iter().filter(|name| !own.contains(name));
    domain
        .map(|name| topic(name, layout.partitions, DOMAIN_DAYS))
        .chain([
            topic(REPLAY_TOPIC, layout.partitions, DOMAIN_DAYS),
            // One partition: what every node must see has one order. Never compacted, kept longer than any domain topic,
            // so that a node that was away finds each revocation.
            topic(CONTROL_TOPIC, 1, CONTROL_DAYS),
            topic(DEAD_LETTER_TOPIC, layout.partitions, DEAD_LETTER_DAYS),
        ])
        .collect()
}

/// Asks and creates.
pub struct Admin {
    client: std::sync::Arc<AdminClient<Context>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// Connects in the background.
    ///
    /// # Errors
    /// [`ClientError`] for wrong settings.
    pub fn new(kafka: &config::Kafka) -> Result<Self, ClientError> {
        let client: AdminClient<Context> = base_config(kafka, "admin")?.create_with_context(Context::default())?;
        Ok(Self { client: std::sync::Arc::new(client) })
    }

    /// Compares the topics with the plan and changes nothing.
    ///
    /// # Errors
    /// [`AdminError`] if the brokers don't answer.
    pub async fn describe(&self, plan: &[TopicPlan]) -> Result<Vec<(String, Outcome)>, AdminError> {
        let layouts = self.layouts(plan).await?;
        let there: Vec<&TopicPlan> = plan.iter().filter(|topic| layouts.contains_key(&topic.name)).collect();
        let settings = self.settings(&there).await?;
        Ok(plan
            .iter()
            .map(|topic| {
                let outcome = layouts.get(&topic.name).map_or(Outcome::Missing, |&layout| {
                    Outcome::Exists(differences(topic, layout, settings.get(&topic.name)))
                });
                (topic.name.clone(), outcome)
            })
            .collect())
    }

    /// Creates what is missing; what exists is compared and left alone, so it may be run again and again.
    ///
    /// # Errors
    /// [`AdminError`] if the brokers don't answer; a single topic's refusal is its [`Outcome::Failed`].
    pub async fn create(&self, plan: &[TopicPlan]) -> Result<Vec<(String, Outcome)>, AdminError> {
        let mut outcomes = self.describe(plan).await?;
        let missing: Vec<&TopicPlan> =
            plan.iter().zip(&outcomes).filter(|(_, (_, is))| *is == Outcome::Missing).map(|(topic, _)| topic).collect();
        if missing.is_empty() {
            return Ok(outcomes);
        }
        let new: Vec<NewTopic<'_>> = missing.iter().map(|topic| topic.to_new()).collect();
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        for result in self.client.create_topics(&new, &options).await? {
            let (name, outcome) = match result {
                Ok(name) => (name, Outcome::Created),
                // Another one was quicker.
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => (name, Outcome::Exists(Vec::new())),
                Err((name, code)) => (name, Outcome::Failed(refusal(code))),
            };
            if let Some((_, is)) = outcomes.iter_mut().find(|(topic, _)| *topic == name) {
                *is = outcome;
            }
        }
        Ok(outcomes)
    }

    /// Partitions and copies of the topics that exist. The client's call blocks, so it has a thread of its own.
    async fn layouts(&self, plan: &[TopicPlan]) -> Result<BTreeMap<String, (usize, usize)>, AdminError> {
        let client = std::sync::Arc::clone(&self.client);
        let names: Vec<String> = plan.iter().map(|topic| topic.name.clone()).collect();
        let ask = move || {
            let mut found = BTreeMap::new();
            for name in names {
                let metadata = client.inner().fetch_metadata(Some(&name), ANSWER)?;
                let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { continue };
                match topic.error().map(RDKafkaErrorCode::from) {
                    None => {
                        let replicas = topic.partitions().iter().map(|p| p.replicas().len()).min().unwrap_or(0);
                        found.insert(name, (topic.partitions().len(), replicas));
                    }
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
                    Some(code) => return Err(AdminError::Ask(format!("topic `{name}`: {}", explain(code)))),
                }
            }
            Ok(found)
        };
        tokio::task::spawn_blocking(ask).await.map_err(|_| AdminError::Interrupted)?
    }

    async fn settings(
        &self,
        topics: &[&TopicPlan],
    ) -> Result<BTreeMap<String, BTreeMap<String, Option<String>>>, AdminError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resources: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let results = self.client.describe_configs(&resources, &options).await?;
        let mut found = BTreeMap::new();
        for (topic, result) in topics.iter().zip(results) {
            let resource = result
                .map_err(|code| AdminError::Ask(format!("settings of topic `{}`: {}", topic.name, explain(code))))?;
            let entries = resource.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
            found.insert(topic.name.clone(), entries);
        }
        Ok(found)
    }
}

impl TopicPlan {
    fn to_new(&self) -> NewTopic<'_> {
        let new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(self.replication));
        self.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
    }
}

fn refusal(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => {
            "fewer brokers than copies: lower the replication factor or start more brokers".into()
        }
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "not allowed: grant CREATE on the cluster or the topic".into()
        }
        code => explain(code),
    }
}

/// More partitions, more copies and longer retention than planned are no difference: they do no harm.
fn differences(
    plan: &TopicPlan,
    (partitions, replicas): (usize, usize),
    settings: Option<&BTreeMap<String, Option<String>>>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut fewer = |what: &str, want: i32, have: usize| {
        if usize::try_from(want).is_ok_and(|want| have < want) {
            found.push(Difference { what: what.into(), want: want.to_string(), have: have.to_string() });
        }
    };
    fewer("partitions", plan.partitions, partitions);
    fewer("replication", plan.replication, replicas);
    for (&name, want) in &plan.settings {
        let have = settings.and_then(|all| all.get(name)).and_then(Clone::clone).unwrap_or_default();
        let enough = name == "retention.ms" && at_least(&have, want);
        if have != *want && !enough {
            found.push(Difference { what: name.into(), want: want.clone(), have });
        }
    }
    found
}

/// Kafka says −1 for "for ever".
fn at_least(have: &str, want: &str) -> bool {
    let ms = |text: &str| text.parse::<i64>().ok().map(|n| if n < 0 { i64::MAX } else { n });
    matches!((ms(have), ms(want)), (Some(have), Some(want)) if have >= want)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { partitions: 6, replication: 3 };

    fn retention(plan: &TopicPlan) -> i64 {
        plan.settings["retention.ms"].parse().unwrap()
    }

    #[test]
    fn control_is_never_compacted_and_kept_longest() {
        let plan = plan(&config::Kafka::default(), LAYOUT);
        assert_eq!(plan.len(), 7);
        let control = plan.iter().find(|topic| topic.name == CONTROL_TOPIC).unwrap();
        assert_eq!(control.settings["cleanup.policy"], "delete");
        for topic in plan.iter().filter(|topic| ![CONTROL_TOPIC, DEAD_LETTER_TOPIC].contains(&topic.name.as_str())) {
            assert!(retention(topic) > 7 * 86_400_000 && retention(topic) < retention(control), "{}", topic.name);
        }
    }

    #[test]
    fn an_own_topic_among_the_domain_topics_is_planned_once() {
        let mut kafka = config::Kafka::default();
        kafka.topics.push(REPLAY_TOPIC.into());
        kafka.topics.push("rtmn.orders".into());
        assert_eq!(plan(&kafka, LAYOUT).len(), 7);
    }

    #[test]
    fn only_what_does_harm_is_a_difference() {
        let plan = plan(&config::Kafka::default(), LAYOUT).remove(0);
        let mut have: BTreeMap<String, Option<String>> =
            plan.settings.iter().map(|(k, v)| ((*k).to_owned(), Some(v.clone()))).collect();
        have.insert("retention.ms".into(), Some("-1".into()));
        assert_eq!(differences(&plan, (12, 3), Some(&have)), []);
        have.insert("retention.ms".into(), Some("1000".into()));
        have.insert("cleanup.policy".into(), Some("compact".into()));
        let what: Vec<String> = differences(&plan, (3, 1), Some(&have)).into_iter().map(|d| d.what).collect();
        assert_eq!(what, ["partitions", "replication", "cleanup.policy", "retention.ms"]);
    }
}
