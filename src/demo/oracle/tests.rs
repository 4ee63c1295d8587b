use super::*;

fn record(kind: &str, data: &str, partition: i32, offset: i64) -> ProducedRecord {
    let data = Json::parse(data).unwrap();
    let topic = "t".to_owned();
    ProducedRecord { kind: kind.to_owned(), data, topic, partition, offset, produced_us: 1_000_000 * (offset + 1) }
}

fn created(order: &str, offset: i64) -> ProducedRecord {
    let data = format!(
        r#"{{"orderId":"{order}","orderNumber":"RZ-1","userId":"u1","merchantId":"m1","merchantName":"Shop",
            "customer":{{"name":"Priya Sharma","phone":"+919812345678"}},
            "items":[{{"productId":"p","name":"n","quantity":2,"price":625.25}}],
            "total":1250.50,"type":"delivery","createdAt":"2026-11-23T09:30:00.000Z"}}"#
    );
    record("order.created", &data, 0, offset)
}

fn status(order: &str, status: &str, offset: i64) -> ProducedRecord {
    let data = format!(
        r#"{{"orderId":"{order}","orderNumber":"RZ-1","userId":"u1","merchantId":"m1","status":"{status}",
            "timestamp":"t{offset}","metadata":{{"deliveryPartner":{{"id":"d1","name":"R","phone":"+91"}}}}}}"#
    );
    record("order.statusChanged", &data, 0, offset)
}

fn location(order: &str, offset: i64) -> ProducedRecord {
    let data = format!(
        r#"{{"orderId":"{order}","location":{{"latitude":12.9{offset},"longitude":77.5}},
            "deliveryPartner":{{"id":"d1","name":"R","phone":"+91"}},"estimatedArrival":"5 minutes",
            "distanceRemaining":1.5,"timestamp":"t{offset}"}}"#
    );
    record("delivery.locationUpdated", &data, 1, offset)
}

fn customer() -> Client {
    Client::new("u1", "customer", &[], Stay::ALWAYS)
}

fn owner() -> Client {
    Client::new("u9", "merchant_owner", &["m1"], Stay::ALWAYS)
}

fn admin() -> Client {
    Client::new("a1", "admin", &[], Stay::ALWAYS)
}

/// A log in which everything arrives that must, in order.
fn perfect(records: &[ProducedRecord], client: &Client) -> Vec<Received> {
    let expectation = Expectation::new(records, Rules::default());
    let received = |one: &Expected| {
        let (record, sent) = expectation.look_up(one);
        Received {
            event: sent.event.to_owned(),
            payload: text(&sent.payload),
            position: Some(format!("{}-{}-{}.cursor", record.partition, record.offset, one.ordinal)),
            at_us: record.produced_us + 3_000,
        }
    };
    expectation.of(client).iter().filter(|one| one.required).map(received).collect()
}

fn text(json: &Json) -> String {
    match json {
        Json::Word(text) | Json::Number(text) => text.to_string(),
        Json::Text(text) => serde_json::Value::from(&**text).to_string(),
        Json::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(",")),
        Json::Object(fields) => {
            format!("{{{}}}", fields.iter().map(|(k, v)| format!("{k:?}:{}", text(v))).collect::<Vec<_>>().join(","))
        }
    }
}

fn day() -> Vec<ProducedRecord> {
    vec![created("o1", 0), status("o1", "placed", 1), status("o1", "ready", 2), location("o1", 3), location("o1", 4)]
}

fn verdict(records: &[ProducedRecord], client: Client, log: Vec<Received>) -> Report {
    judge(records, &[(client, log)], Rules::default())
}

#[test]
fn each_audience_gets_its_own_rooms_and_fields() {
    let records = day();
    let texts = |client: &Client| {
        perfect(&records, client).into_iter().map(|r| format!("{} {}", r.event, r.payload)).collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&owner().order("o1", Stay::ALWAYS))[..4],
        [
            r#"order.created {"createdAt":"2026-11-23T09:30:00.000Z","customer":{"name":"Priya","phone":"+919812345678"},"items":1,"orderId":"o1","orderNumber":"RZ-1","total":1250.50,"type":"delivery"}"#,
            r#"notification.sound {"type":"new_order"}"#,
            r#"order.statusChanged {"orderId":"o1","status":"placed"}"#,
            r#"order.statusChanged {"orderId":"o1","status":"ready"}"#,
        ]
    );
    assert_eq!(
        texts(&admin()),
        [
            r#"dashboard.newOrder {"amount":1250.50,"merchant":{"id":"m1","name":"Shop"},"orderId":"o1","orderNumber":"RZ-1","timestamp":"2026-11-23T09:30:00.000Z"}"#
        ]
    );
    let mine = texts(&customer().order("o1", Stay::ALWAYS));
    assert_eq!(mine.len(), 4, "one copy although the customer is in both rooms: {mine:?}");
    assert_eq!(
        mine[0],
        r#"order.statusChanged {"metadata":{"deliveryPartner":{"name":"R","phone":"+91"}},"orderId":"o1","orderNumber":"RZ-1","status":"placed","timestamp":"t1"}"#
    );
    assert!(texts(&Client::new("u2", "customer", &["m1"], Stay::ALWAYS)).is_empty(), "a customer has no merchants");
}

#[test]
fn perfect_logs_are_clean_and_measured() {
    let records = day();
    let clients = [customer().order("o1", Stay::ALWAYS), owner(), admin()];
    let logs: Vec<_> = clients.into_iter().map(|client| (client.clone(), perfect(&records, &client))).collect();
    let report = judge(&records, &logs, Rules::default());
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.expected, report.delivered, report.produced, report.clients), (9, 9, 5, 3));
    assert!((report.p99_ms - 3.0).abs() < 1e-9 && (report.max_ms - 3.0).abs() < 1e-9);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert!(["delivered", "expected", "lost", "misrouted", "p99_ms"].iter().all(|name| json.get(name).is_some()));
}

#[test]
fn warm_up_is_judged_but_not_measured() {
    let records = day();
    let mut log = perfect(&records, &customer());
    log[0].at_us += 500_000;
    let rules = Rules { warm_up_us: 1_500_000, ..Rules::default() };
    let report = judge(&records, &[(customer(), log.clone())], rules);
    assert!(report.delivered == 2 && report.max_ms < 4.0, "{report:?}");
    assert!(verdict(&records, customer(), log).max_ms > 400.0);
}

#[test]
fn every_missing_event_is_lost() {
    let records = day();
    for client in [customer(), owner(), admin()] {
        let log = perfect(&records, &client);
        for missing in 0..log.len() {
            let mut log = log.clone();
            log.remove(missing);
            let report = verdict(&records, client.clone(), log);
            assert_eq!((report.lost, report.misrouted), (1, 0), "{report:?}");
            assert!(!report.is_clean());
        }
    }
}

#[test]
fn anothers_event_is_misrouted() {
    let records = day();
    let log = perfect(&records, &customer());
    let report = verdict(&records, Client::new("u2", "customer", &[], Stay::ALWAYS), log);
    assert_eq!((report.misrouted, report.altered, report.lost), (2, 0, 0), "{report:?}");
    // The customer's fields in a merchant's hands are as wrong as a foreign order.
    let report = verdict(&records, owner(), perfect(&records, &customer()));
    assert_eq!((report.misrouted, report.lost), (2, 4), "{report:?}");
}

#[test]
fn one_changed_digit_or_extra_field_is_an_altered_payload() {
    let records = day();
    for (from, to) in [("1250.50", "1250.5"), ("\"items\":1", "\"items\":2"), ("{", "{\"userId\":\"u1\",")] {
        let mut log = perfect(&records, &owner());
        log[0].payload = log[0].payload.replacen(from, to, 1);
        let report = verdict(&records, owner(), log);
        assert_eq!((report.misrouted, report.altered, report.lost), (1, 1, 1), "{report:?}");
    }
}

#[test]
fn repetitions_are_duplicates_whatever_their_id() {
    let records = day();
    for id in [None, Some("other.cursor".to_owned())] {
        let mut log = perfect(&records, &customer());
        log.push(Received { position: id.or(log[0].position.clone()), ..log[0].clone() });
        let report = verdict(&records, customer(), log);
        assert_eq!((report.duplicates, report.misrouted, report.delivered), (1, 0, 2), "{report:?}");
        assert!(!report.is_clean());
    }
}

#[test]
fn swapped_events_of_one_partition_are_out_of_order() {
    let records = day();
    let mut log = perfect(&records, &customer());
    log.swap(0, 1);
    assert_eq!(verdict(&records, customer(), log).out_of_order, 1);
    let follower = customer().order("o1", Stay::ALWAYS);
    let mut log = perfect(&records, &follower);
    log.swap(2, 3);
    let report = verdict(&records, follower.clone(), log);
    assert_eq!((report.out_of_order, report.lost), (1, 0), "an older state after a newer one: {report:?}");
    // Other partitions may overtake.
    let mut log = perfect(&records, &follower);
    log.rotate_right(2);
    assert!(verdict(&records, follower, log).is_clean());
}

#[test]
fn latest_may_be_conflated_but_the_newest_must_arrive() {
    let records = day();
    let follower = customer().order("o1", Stay::ALWAYS);
    let mut log = perfect(&records, &follower);
    log.remove(2);
    let report = verdict(&records, follower.clone(), log);
    assert_eq!((report.conflated, report.lost, report.expected), (1, 0, 4), "{report:?}");
    let mut log = perfect(&records, &follower);
    log.pop();
    assert_eq!(verdict(&records, follower, log).lost, 1);
}

#[test]
fn joins_have_soft_edges_and_nothing_beyond() {
    let records = day();
    let order = |asked, joined| customer().order("o1", Stay::since(asked, joined));
    let all = perfect(&records, &order(0, 0));
    // The first location (4 s) is from before the join (asked 4.2 s): allowed, not required.
    let late = order(4_200_000, 4_500_000);
    assert_eq!(perfect(&records, &late).len(), 3);
    assert!(verdict(&records, late.clone(), all.clone()).is_clean());
    assert!(verdict(&records, late.clone(), perfect(&records, &late)).is_clean());
    // A stay that ended before: what was produced later is not for it.
    let gone = Stay { asked_us: 0, joined_us: 0, left_us: Some((100, 200)) };
    assert_eq!(verdict(&records, customer().order("o1", gone), all).misrouted, 2);
    // `every` events from long before the join are not allowed, in a room that was joined late.
    let mut records = day();
    records[1].produced_us = -60_000_000;
    let watcher = Client::new("u3", "admin", &[], Stay::ALWAYS).order("o1", Stay::since(0, 0));
    assert_eq!(perfect(&records, &watcher).len(), 4);
    let report = verdict(&records, watcher, perfect(&records, &admin().order("o1", Stay::ALWAYS)));
    assert_eq!((report.misrouted, report.lost), (1, 0), "{report:?}");
}

#[test]
fn events_without_a_position_are_told() {
    let records = day();
    let mut log = perfect(&records, &customer());
    log[0].position = None;
    let report = verdict(&records, customer(), log);
    assert_eq!((report.unpositioned, report.delivered), (1, 2));
    assert!(!report.is_clean());
}

#[test]
fn stats_are_for_staff_with_exactly_their_fields() {
    let stats = |payload: &str| Received {
        event: "dashboard.stats".to_owned(),
        payload: payload.to_owned(),
        position: Some("s.c".to_owned()),
        at_us: 0,
    };
    let right = r#"{"todayOrders":1,"todayRevenue":1.00,"activeUsers":1,"activeMerchants":0,"timestamp":"t"}"#;
    assert_eq!(verdict(&[], admin(), vec![stats(right)]).stats, 1);
    assert!(verdict(&[], admin(), vec![stats(right)]).is_clean());
    assert_eq!(verdict(&[], customer(), vec![stats(right)]).misrouted, 1);
    assert_eq!(verdict(&[], admin(), vec![stats(r#"{"todayOrders":1}"#)]).misrouted, 1);
}

#[test]
fn stock_goes_to_the_sales_room_under_either_name() {
    let update = |product: &str, left: i64, offset| {
        let data = format!(
            r#"{{"saleId":"flash_sale_7","productId":"{product}","stockRemaining":{left},"totalStock":9,"percentageRemaining":50.0}}"#
        );
        record("promotion.stockUpdate", &data, 0, offset)
    };
    let records = [update("a", 5, 0), update("b", 5, 1), update("a", 4, 2)];
    for sale in ["7", "flash_sale_7"] {
        let watcher = customer().sale(sale, Stay::ALWAYS);
        let mut log = perfect(&records, &watcher);
        assert_eq!(log.len(), 3);
        log.remove(0);
        assert_eq!(verdict(&records, watcher.clone(), log.clone()).conflated, 1);
        log.remove(0);
        assert_eq!(verdict(&records, watcher, log).lost, 1, "each product is a state of its own");
    }
    assert_eq!(verdict(&records, customer(), perfect(&records, &customer().sale("7", Stay::ALWAYS))).misrouted, 3);
}
