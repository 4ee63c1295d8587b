//! Hostile and broken peers against a real bridge: each costs at most its own connection. A witness is connected
//! throughout and hears everything.

mod embedded;

use std::time::Duration;

use rtmn_bridge::client::Client;
use tokio::time::{Instant, timeout};

use embedded::{Embedded, PATIENCE, hear};

/// The witness is still there and hears a new event.
async fn notices_nothing(bridge: &Embedded, witness: &mut Client, number: usize) {
    bridge.sales(number..number + 1, 10).await;
    let started = Instant::now();
    assert_eq!(hear(witness, number).await, [number]);
    assert!(started.elapsed() < Duration::from_secs(5), "the witness waited {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_cut_and_leaves_nothing() {
    let bridge = Embedded::start(|config| config.socket.write_deadline = Duration::from_secs(2)).await;
    let mut witness = bridge.client("witness").await;
    let _stalled = [bridge.connected("u1", Some(4096)).await, bridge.connected("u2", Some(4096)).await];
    // More than the kernel's buffers and the queue take.
    let (produced, heard) = tokio::join!(bridge.sales(0..2_000, 1_000), hear(&mut witness, 1_999));
    let () = produced;
    assert_eq!(heard, (0..2_000).collect::<Vec<_>>());
    bridge.settles("rtmn_transports_closed_total", "write_deadline", |n| n > 1.5).await;
    bridge.is_at_baseline(1.0).await;
    bridge.settles("rtmn_rooms", "", |n| n < 1.5).await;
    notices_nothing(&bridge, &mut witness, 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_falls_behind_and_gets_everything() {
    let bridge = Embedded::start(|config| {
        config.socket.queue_messages = 64;
        config.socket.send_buffer = 8 * 1024;
        config.socket.ping_interval = Duration::from_millis(500);
        config.socket.ping_timeout = Duration::from_secs(2);
    })
    .await;
    let options = rtmn_bridge::client::Options {
        buffer: 1,
        ..rtmn_bridge::client::Options::new(format!("http://{}", bridge.public), &bridge.token("slow"))
    };
    let mut slow = Client::connect(&options).await.unwrap();
    let slowly = async {
        let mut heard = Vec::new();
        while heard.len() < 5_000 {
            let batch = heard.len();
            heard.extend(hear(&mut slow, batch).await);
            if heard.len() % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        heard
    };
    let ((), heard) = tokio::join!(bridge.sales(0..5_000, 500), slowly);
    assert_eq!(heard, (0..5_000).collect::<Vec<_>>());
    assert!(bridge.metric("rtmn_sockets_behind_total", "").await > 0.5, "it was never behind");
    assert!(bridge.metric("rtmn_transports_closed_total", "").await < 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_pongs_is_cut() {
    let bridge = Embedded::start(|config| {
        config.socket.ping_interval = Duration::from_millis(300);
        config.socket.ping_timeout = Duration::from_millis(300);
    })
    .await;
    let mut witness = bridge.client("witness").await;
    bridge.connected("mute", None).await.rest().await;
    bridge.settles("rtmn_transports_closed_total", "ping_timeout", |n| n > 0.5).await;
    bridge.is_at_baseline(1.0).await;
    notices_nothing(&bridge, &mut witness, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_packet_costs_its_own_connection() {
    let bridge = Embedded::start(|config| config.socket.write_deadline = Duration::from_secs(2)).await;
    let mut witness = bridge.client("witness").await;
    let deep = format!("42[\"join\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let texts = [
        "42[\"ev\",{x]",
        "42{}",
        "44",
        "47",
        "",
        "4",
        "x",
        "2",
        "é12345",
        "4é12345",
        "4599999-[\"e\"]",
        "450-[\"e\"]",
        "42[]",
        "42[1]",
        "4299999999999999999999[\"join\"]",
        "43",
        "40[]",
    ];
    for text in texts {
        let mut peer = bridge.connected("hostile", None).await;
        peer.text(text).await;
        peer.rest().await;
    }
    // Fin and opcode, payload: binary, invalid UTF-8, a reserved opcode and bit, a stray continuation.
    for (first, payload) in
        [(0x82, "42[\"a\"]".as_bytes()), (0x81, b"4\xff\xfe"), (0x83, b"x"), (0xc1, b"x"), (0x80, b"x")]
    {
        let mut peer = bridge.connected("hostile", None).await;
        peer.frame(first, payload).await;
        peer.rest().await;
    }
    // Deep, but JSON: an answer at most.
    let mut refused = bridge.connected("hostile", None).await;
    refused.text(&deep).await;
    refused.until(b"Unauthorized room access").await;
    drop(refused);
    let mut unmasked = bridge.connected("hostile", None).await;
    unmasked.write(b"\x81\x013").await;
    unmasked.rest().await;
    let mut twice = bridge.connected("hostile", None).await;
    twice.text(&format!("40{{\"token\":\"{}\"}}", bridge.token("hostile"))).await;
    twice.rest().await;
    bridge.is_at_baseline(1.0).await;
    notices_nothing(&bridge, &mut witness, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_or_never_ends_is_cut() {
    let bridge = Embedded::start(|config| config.socket.write_deadline = Duration::from_secs(1)).await;
    let mut witness = bridge.client("witness").await;
    for size in [15_u64, 17] {
        let mut peers = Vec::new();
        for _ in 0..100 {
            let mut peer = bridge.websocket(None).await;
            let mut head = vec![0x81, 0xff];
            head.extend((size << 20).to_be_bytes());
            head.extend([0; 4]);
            head.extend(vec![b'x'; 65_536]);
            peer.write(&head).await;
            peers.push(peer);
        }
        for mut peer in peers {
            peer.rest().await;
        }
    }
    assert!(bridge.metric("rtmn_transports_closed_total", "too_large").await > 199.0);
    // A message that is begun and never finished; and one of ever more fragments.
    let mut unfinished = bridge.connected("u", None).await;
    unfinished.write(b"\x81\xfe\x10\x00\0\0\0\0xxx").await;
    unfinished.rest().await;
    let mut endless = bridge.connected("u", None).await;
    endless.frame(0x01, b"4").await;
    let started = Instant::now();
    while endless.stream.try_read(&mut [0; 16]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock) {
        endless.write(&[0x00, 0x81, 0, 0, 0, 0, b'x'].repeat(10)).await;
        assert!(started.elapsed() < PATIENCE, "fragments for ever");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bridge.is_at_baseline(1.0).await;
    notices_nothing(&bridge, &mut witness, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_refused_and_then_cut() {
    let bridge = Embedded::start(|config| config.socket.connect_timeout = Duration::from_secs(1)).await;
    let mut witness = bridge.client("witness").await;
    let mut namespaces = bridge.websocket(None).await;
    for number in 0..20_000 {
        namespaces.text(&format!("40/n{number},")).await;
    }
    let answers = namespaces.rest().await;
    assert!(answers.windows(4).filter(|window| window == b"44/n").count() < 100, "answered without limit");
    let mut events = bridge.connected("flood", None).await;
    for number in 0..50_000 {
        events.text(&format!("42{number}[\"order:subscribe\",1]")).await;
    }
    events.rest().await;
    // Forty at once in one segment: none is left in a buffer.
    let mut burst = bridge.connected("burst", None).await;
    let one: Vec<u8> = [&[0x81, 0x8b, 0, 0, 0, 0], &b"427[\"none\"]"[..]].concat();
    burst.write(&one.repeat(40)).await;
    let mut seen = Vec::new();
    while seen.windows(3).filter(|window| window == b"437").count() < 40 {
        seen.extend(burst.until(b"unknown_event").await);
    }
    // No CONNECT, and DISCONNECT without going.
    bridge.websocket(None).await.rest().await;
    let mut left = bridge.connected("left", None).await;
    left.text("41").await;
    left.rest().await;
    drop(burst);
    bridge.is_at_baseline(1.0).await;
    notices_nothing(&bridge, &mut witness, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ack_is_answered_whatever_was_asked() {
    let bridge = Embedded::start(|config| {
        config.socket.order_wait = Duration::from_millis(50);
        config.limits.rooms_per_socket = 5;
        config.limits.connections_per_user = 2;
    })
    .await;
    let client = bridge.client("asker").await;
    let emitter = client.emitter();
    for event in ["order:subscribe", "order:unsubscribe", "join", "leave", "auth:refresh", "nonsense"] {
        for wrong in ["1", "null", "[]", "{}", "{\"orderId\":{}}", "true", "\"*\"", "\"1:user:2\"", "\"\\u0000\""] {
            let argument: serde_json::Value = serde_json::from_str(wrong).unwrap();
            let answer = emitter.ask(event, &argument).await.unwrap();
            assert!(answer[0].get().contains("\"ok\":false"), "{event} {wrong}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut limited = 0;
    for sale in 0..8 {
        let answer = emitter.ask("join", &format!("flash_sale:{sale}").into()).await.unwrap();
        limited += usize::from(answer[0].get().contains("\"limit\""));
    }
    assert_eq!(limited, 5, "everyone, user and three sales are five rooms");
    let _second = bridge.client("asker").await;
    let mut third = bridge.websocket(None).await;
    third.text(&format!("40{{\"token\":\"{}\"}}", bridge.token("asker"))).await;
    third.rest().await;
    bridge.settles("rtmn_connects_refused_total", "connections_per_user", |n| n > 0.5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_end_in_time() {
    let bridge = Embedded::start(|config| config.server.request_timeout = Duration::from_secs(1)).await;
    let mut witness = bridge.client("witness").await;
    let mut peers = Vec::new();
    let (_, open) = bridge.http("GET", "EIO=4&transport=polling", "").await;
    let sid = &open[open.find("sid\":\"").unwrap() + 6..][..20];
    for head in [
        "G".to_owned(),
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n".to_owned(),
        format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n40"
        ),
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n40".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ] {
        let mut peer = bridge.peer().await;
        peer.write(head.as_bytes()).await;
        peers.push(peer);
    }
    let started = Instant::now();
    for mut peer in peers {
        peer.rest().await;
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    notices_nothing(&bridge, &mut witness, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_session_opens_none() {
    let bridge = Embedded::start(|config| config.socket.max_payload = 10_000).await;
    for query in ["EIO=3&transport=polling", "EIO=4&transport=smoke", "EIO=4", "", "EIO=4&transport=polling&sid=none"] {
        assert_eq!(bridge.http("GET", query, "").await.0, 400, "{query}");
    }
    assert_eq!(bridge.http("POST", "EIO=4&transport=polling", "40").await.0, 400);
    assert_eq!(bridge.http("GET", "EIO=4&transport=polling&token=x", "").await.0, 400);
    assert!(bridge.metric("rtmn_transports_opened_total", "").await < 0.5);

    let open = async || {
        let (status, open) = bridge.http("GET", "EIO=4&transport=polling", "").await;
        assert_eq!(status, 200);
        let sid = &open[open.find("sid\":\"").unwrap() + 6..][..20];
        format!("EIO=4&transport=polling&sid={sid}")
    };
    let session = open().await;
    assert!((400..=413).contains(&bridge.http("POST", &session, &"4".repeat(10_001)).await.0), "too large");
    assert_eq!(bridge.http("POST", &session, "abc").await.0, 400);
    assert_eq!(bridge.http("GET", &session, "").await.0, 400, "ended by nonsense");
    // Two polls at once end the session; the first is told.
    let session = open().await;
    let mut first = bridge.peer().await;
    first.write(format!("GET /socket.io/?{session} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bridge.http("GET", &session, "").await.0, 400);
    assert!(first.rest().await.ends_with(b"\r\n\r\n1"));
    // A poll that is given up ends the session.
    let session = open().await;
    let mut poll = bridge.peer().await;
    poll.write(format!("GET /socket.io/?{session} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(poll);
    bridge.is_at_baseline(0.0).await;
    assert_eq!(bridge.http("GET", &session, "").await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_in_the_middle_of_a_subscription_leaves_no_ghost() {
    let bridge = Embedded::start(|config| config.socket.order_wait = Duration::from_millis(30)).await;
    let mut witness = bridge.client("witness").await;
    for number in 0..1_000_u64 {
        let mut peer = bridge.websocket(None).await;
        peer.text(&format!("40{{\"token\":\"{}\"}}", bridge.token(&format!("u{}", number % 100)))).await;
        peer.text("42[\"join\",\"flash_sale:1\"]").await;
        peer.text("421[\"order:subscribe\",\"unknown\"]").await;
        if number % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(number % 51)).await;
        }
    }
    bridge.is_at_baseline(1.0).await;
    bridge.settles("rtmn_rooms", "", |n| n < 1.5).await;
    notices_nothing(&bridge, &mut witness, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_cap_wait_for_a_place() {
    let bridge = Embedded::start(|config| config.server.max_connections = 3).await;
    let mut peers = Vec::new();
    for user in ["u1", "u2", "u3"] {
        peers.push(bridge.connected(user, None).await);
    }
    let fourth = bridge.connected("u4", None);
    tokio::pin!(fourth);
    assert!(timeout(Duration::from_millis(500), &mut fourth).await.is_err(), "one too many");
    peers.pop();
    fourth.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_right_behind_the_upgrade_request_is_read() {
    let bridge = Embedded::start(|_| {}).await;
    let mut peer = bridge.peer().await;
    let connect = format!("40{{\"token\":\"{}\"}}", bridge.token("eager"));
    let mut request = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\xfe"
        .to_vec();
    request.extend(u16::try_from(connect.len()).unwrap().to_be_bytes());
    request.extend([0; 4]);
    request.extend(connect.as_bytes());
    peer.write(&request).await;
    peer.until(b"40{\"sid\"").await;
}
