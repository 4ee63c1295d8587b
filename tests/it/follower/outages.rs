//! Brokers that die or hang while records are produced.

use std::collections::BTreeMap;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_under_load_costs_no_record_and_repeats_none() {
    let kafka = Arc::new(Kafka::own(&[]).await);
    let topic = kafka.topic("load", 3).await;
    let mut follow = Follow::from_beginning(&kafka, &[&topic]);
    follow.assigned().await;
    let total: usize = 15_000;
    let producing = {
        let (kafka, topic) = (Arc::clone(&kafka), topic.clone());
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(40));
            for chunk in 0..total / 150 {
                pace.tick().await;
                let range = chunk * 50..(chunk + 1) * 50;
                kafka.produce_all((0..3).flat_map(|p| numbered(&topic, p, range.clone()))).await;
            }
        })
    };
    let mut found: BTreeMap<i32, Vec<(i64, String)>> = BTreeMap::new();
    let mut records = 0;
    let mut disturbed = false;
    while records < total {
        let (tp, offset, value) = follow.next_record().await;
        found.entry(tp.partition()).or_default().push((offset, value));
        records += 1;
        if records > total / 4 && !disturbed {
            disturbed = true;
            kafka.kill().await;
            let state = follow.until(|state| matches!(state, State::Degraded { .. })).await;
            assert!(matches!(&state, State::Degraded { why } if why.contains("broker")), "{state:?}");
            kafka.restart().await;
        }
    }
    producing.await.unwrap();
    for (partition, records) in found {
        let expected: Vec<(i64, String)> = (0..).zip((0..total / 3).map(|i| format!("{partition}:{i}"))).collect();
        assert_eq!(records, expected);
    }
    follow.ready().await;
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_noticed_and_reading_goes_on_when_it_does() {
    let kafka = Kafka::own(&[]).await;
    let topic = kafka.topic("hangs", 1).await;
    let mut follow = Follow::from_beginning(&kafka, &[&topic]);
    follow.assigned().await;
    kafka.produce_all(numbered(&topic, 0, 0..3)).await;
    follow.values(3).await;
    follow.ready().await;
    kafka.pause().await;
    follow.until(|state| matches!(state, State::Degraded { .. })).await;
    kafka.resume().await;
    follow.ready().await;
    kafka.produce_all(numbered(&topic, 0, 3..6)).await;
    assert_eq!(follow.values(3).await, ["0:3", "0:4", "0:5"]);
    follow.end().await;
}
