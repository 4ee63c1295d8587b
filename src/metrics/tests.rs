//! The encoded text is what Prometheus reads, and the documentation is what the code does.

use super::*;

fn line(text: &str, start: &str) -> String {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start:?} in\n{text}")).to_owned()
}

#[test]
fn documentation_is_written_from_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let wanted = format!(
        "# Metrics\n\nServed at `/metrics` of the operators' listener as OpenMetrics text. This file is written from \
         `src/metrics.rs`:\n`RTMN_REWRITE_DOCS=1 cargo test --lib metrics` brings it up to date.\n\n{}",
        Metrics::new().table()
    );
    if std::env::var_os("RTMN_REWRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), wanted, "run with RTMN_REWRITE_DOCS=1");
}

#[test]
fn each_method_moves_its_metric() {
    let metrics = Metrics::new();
    metrics.record_read("rtmn.orders");
    metrics.record_refused("unreadable");
    metrics.record_refused("unreadable");
    metrics.unknown_value("order.created", "type");
    metrics.gap();
    metrics.discontinuity("truncated");
    metrics.partition("rtmn.orders", 2, 10, 15, 5);
    metrics.partitions_held(1);
    metrics.ready(true);
    metrics.window(3, 4096, Some(90_500));
    metrics.emitted("order.created");
    metrics.projection_failed("order.created");
    metrics.delivered(DeliveryClass::Latest, 5000);
    metrics.written(7, 700);
    metrics.queued(64);
    metrics.fell_behind();
    metrics.rooms(12);
    metrics.session_opened();
    metrics.session_opened();
    metrics.session_closed("ping_timeout");
    metrics.connected("customer", "polling");
    metrics.disconnected("customer", "polling");
    metrics.connected("customer", "websocket");
    metrics.refused_request("origin");
    metrics.refused_connect("token_expired");
    metrics.client_event("join", "ok");
    metrics.stats(9, 4, 2);
    let text = metrics.encode();
    for wanted in [
        "rtmn_records_read_total{topic=\"rtmn.orders\"} 1",
        "rtmn_records_refused_total{reason=\"unreadable\"} 2",
        "rtmn_unknown_enum_values_total{event=\"order.created\",field=\"type\"} 1",
        "rtmn_gaps_total 1",
        "rtmn_log_discontinuities_total{reason=\"truncated\"} 1",
        "rtmn_follower_next_offset{topic=\"rtmn.orders\",partition=\"2\"} 10",
        "rtmn_follower_end_offset{topic=\"rtmn.orders\",partition=\"2\"} 15",
        "rtmn_follower_lag_records{topic=\"rtmn.orders\",partition=\"2\"} 5",
        "rtmn_follower_partitions_held 1",
        "rtmn_ready 1",
        "rtmn_window_records 3",
        "rtmn_window_bytes 4096",
        "rtmn_window_age_seconds 90",
        "rtmn_emissions_total{event=\"order.created\"} 1",
        "rtmn_projection_errors_total{event=\"order.created\"} 1",
        "rtmn_deliveries_total{class=\"latest\"} 5000",
        "rtmn_deliveries_total{class=\"every\"} 0",
        "rtmn_frames_written_total 7",
        "rtmn_bytes_written_total 700",
        "rtmn_queue_bytes 64",
        "rtmn_sockets_behind_total 1",
        "rtmn_rooms 12",
        "rtmn_sockets{role=\"customer\",transport=\"polling\"} 0",
        "rtmn_sockets{role=\"customer\",transport=\"websocket\"} 1",
        "rtmn_transports 1",
        "rtmn_transports_opened_total 2",
        "rtmn_transports_closed_total{reason=\"ping_timeout\"} 1",
        "rtmn_requests_refused_total{reason=\"origin\"} 1",
        "rtmn_connects_refused_total{reason=\"token_expired\"} 1",
        "rtmn_client_events_total{event=\"join\",outcome=\"ok\"} 1",
        "rtmn_stats_today_orders 9",
        "rtmn_stats_active{kind=\"users\"} 4",
        "rtmn_stats_active{kind=\"merchants\"} 2",
    ] {
        assert!(text.lines().any(|line| line == wanted), "{wanted} in\n{text}");
    }
    assert!(line(&text, "rtmn_build_info").contains(env!("CARGO_PKG_VERSION")));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn latency_is_cumulative_by_bucket_in_seconds() {
    let metrics = Metrics::new();
    for ms in [1, 3, 40, 40, -5, 10_000_000] {
        metrics.latency(DeliveryClass::Every, ms);
    }
    let text = metrics.encode();
    let bucket = |le: &str| {
        let start = format!("rtmn_delivery_latency_seconds_bucket{{le=\"{le}\",class=\"every\"}} ");
        line(&text, &start)[start.len()..].parse::<u64>().unwrap()
    };
    assert_eq!(bucket("0.001"), 2, "a negative latency is none, and a bound counts what equals it");
    assert_eq!(bucket("0.005"), 3);
    assert_eq!(bucket("0.05"), 5);
    assert_eq!(bucket("3600.0"), 5);
    assert_eq!(bucket("+Inf"), 6);
    assert!(line(&text, "rtmn_delivery_latency_seconds_count{class=\"every\"}").ends_with(" 6"));
    assert!(line(&text, "rtmn_delivery_latency_seconds_sum{class=\"every\"}").ends_with(" 10000.084"));
}

#[test]
fn label_values_are_bounded_and_escaped() {
    let metrics = Metrics::new();
    for n in 0..10_000 {
        metrics.client_event(&format!("e{n}"), "ok");
    }
    metrics.refused_connect("a\"b\\c\nd");
    let text = metrics.encode();
    assert!(text.lines().filter(|line| line.starts_with("rtmn_client_events_total")).count() <= 2049);
    assert!(text.contains("event=\"(too many)\""));
    assert!(text.contains(r#"reason="a\"b\\c\nd""#), "{text}");
}

#[test]
fn the_processs_memory_and_files_are_read() {
    let text = Metrics::new().encode();
    let value = |name: &str| line(&text, name).rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    if cfg!(target_os = "linux") {
        assert!(value("rtmn_process_resident_bytes ") > 100_000);
        assert!(value("rtmn_process_open_files ") >= 3);
    }
}
