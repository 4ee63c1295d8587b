//! Creating the topics.

use std::collections::BTreeMap;

use rtmn_bridge::kafka::admin::{Admin, Layout, Outcome, plan};
use rtmn_bridge::kafka::{CONTROL_TOPIC, REPLAY_TOPIC};

use super::{Kafka, config};

#[tokio::test(flavor = "multi_thread")]
async fn creating_is_idempotent_and_shows_what_differs() {
    let kafka = Kafka::own(&[]).await;
    kafka.create_topic("rtmn.orders", 1, &[("retention.ms", "1000"), ("cleanup.policy", "compact")]).await;
    let settings = config::Kafka { brokers: kafka.address().to_owned(), ..config::Kafka::default() };
    let admin = Admin::new(&settings).unwrap();
    let plan = plan(&settings, Layout { partitions: 3, replication: 1 });
    let first: BTreeMap<String, Outcome> = admin.create(&plan).await.unwrap().into_iter().collect();
    assert_eq!(first.len(), 7);
    assert_eq!((&first[CONTROL_TOPIC], &first[REPLAY_TOPIC]), (&Outcome::Created, &Outcome::Created));
    let Outcome::Exists(differences) = &first["rtmn.orders"] else { panic!("{first:?}") };
    let what: Vec<&str> = differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(what, ["partitions", "cleanup.policy", "retention.ms"]);
    let again: BTreeMap<String, Outcome> = admin.create(&plan).await.unwrap().into_iter().collect();
    assert_eq!(again.values().filter(|outcome| **outcome == Outcome::Exists(Vec::new())).count(), 6, "{again:?}");
    assert_eq!(again["rtmn.orders"], first["rtmn.orders"]);
}
