//! What a broadcast costs: the shard's way from a routed record to the sockets, beside a loop that writes the same bytes
//! to the same number of sockets and does nothing else. CPU time of the one thread that does the work, in one run.

use std::io::{IoSlice, Read as _};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use rtmn_bridge::hub::outbox::Bounds;
use rtmn_bridge::hub::shard::Shard;
use rtmn_bridge::hub::{Census, Entry, Frame, Hub, Input, Outbox, Source, Window};
use rtmn_bridge::metrics::Metrics;
use rtmn_bridge::position::{Epoch, Position, TopicCode};
use rtmn_bridge::route::projection::Projection;
use rtmn_bridge::route::{Class, Emission, EmitSpec, Room};
use smallvec::smallvec;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

const SOCKETS: usize = 2_000;
const RECORDS: u64 = 100;
/// In a debug build with everything counted. A copy, an encode or a shared lock per socket costs more than this.
const AT_MOST: f64 = 2.5;

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Connected pairs; a thread reads the other ends dry until told to stop.
fn pairs(done: &Arc<AtomicBool>) -> (Vec<StdStream>, std::thread::JoinHandle<u64>) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..SOCKETS {
        let stream = StdStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        far.push(stream);
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        near.push(stream);
    }
    let done = Arc::clone(done);
    let reader = std::thread::spawn(move || {
        let (mut total, mut buffer) = (0, vec![0; 64 * 1024]);
        loop {
            let last = done.load(Ordering::Acquire);
            for stream in &mut far {
                while let Ok(read) = stream.read(&mut buffer) {
                    if read == 0 {
                        break;
                    }
                    total += read as u64;
                }
            }
            if last {
                return total;
            }
        }
    });
    (near, reader)
}

fn entry(seq: u64, position: &mut Position) -> Arc<Entry> {
    let topic = TopicCode::of("rtmn.promotions");
    let slot = position.slot(topic, 0).unwrap();
    let spec = Arc::new(EmitSpec {
        event: "promotion.flashSaleStarted".into(),
        class: Class::Every,
        keep: None,
        projection: Projection::Identity,
    });
    let data = Bytes::from(format!("{{\"id\":\"flash_sale_{seq}\",\"title\":\"{}\"}}", "x".repeat(200)));
    let emission = Emission { ordinal: 0, rooms: smallvec![Room::everyone()], latest_key: Box::default(), spec, data };
    let offset = i64::try_from(seq).unwrap();
    Entry::new(seq, Source::Record { topic, partition: 0, offset, slot }, None, 0, smallvec![emission])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_costs_a_small_multiple_of_the_bare_write() {
    let done = Arc::new(AtomicBool::new(false));
    let (near, reader) = pairs(&done);
    let mut sockets = Vec::new();
    for stream in near {
        let stream = Arc::new(TcpStream::from_std(stream).unwrap());
        stream.writable().await.unwrap();
        sockets.push(stream);
    }
    let mut position = Position::new(Epoch::of("test"));
    let entries: Vec<_> = (0..RECORDS).map(|seq| entry(seq, &mut position)).collect();
    let start = position.clone();

    // The floor: the same frames, encoded beforehand, written one by one.
    let frames: Vec<Frame> = (0..RECORDS).map(|_| Frame::text(&[b'x'; 330])).collect();
    let before = cpu();
    for frame in &frames {
        for socket in &sockets {
            // With one socket buffer of room each; what the reader has not taken yet is not the floor's affair.
            let _ = socket.try_write_vectored(&[IoSlice::new(frame.wire())]);
        }
    }
    let bare = cpu().saturating_sub(before);

    let metrics = Arc::new(Metrics::new());
    let window = Arc::new(Window::new(1 << 24, Duration::from_mins(10)));
    let mut shard = Shard::new(start, window, Arc::clone(&metrics), Arc::new(Census::default()));
    let hub = Hub::start(&rtmn_bridge::config::Hub::default(), &position, &metrics, &TaskTracker::new());
    let outboxes: Vec<_> =
        sockets.iter().map(|_| Arc::new(Outbox::new(Bounds { messages: 1024, bytes: 1 << 20 }))).collect();
    for (outbox, socket) in outboxes.iter().zip(&sockets) {
        outbox.attach(Arc::clone(socket));
        let id = hub.new_socket();
        shard.handle(Input::Connect {
            socket: id,
            outbox: Arc::clone(outbox),
            rooms: vec![Room::everyone()],
            hello: Frame::text(b"40{}"),
        });
        shard.handle(Input::Release(id));
    }
    shard.flush();
    let before = cpu();
    for entry in entries {
        shard.handle(Input::Entries(Arc::new([entry])));
        shard.flush();
    }
    let hubs = cpu().saturating_sub(before);

    // Nothing was lost: whatever the kernel did not take at once is still queued, and goes out as the reader reads.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    for outbox in &outboxes {
        while !outbox.is_flushed() {
            assert!(tokio::time::Instant::now() < deadline, "a socket was never flushed");
            outbox.flush();
            tokio::task::yield_now().await;
        }
        assert_eq!(outbox.sent().frames, RECORDS + 1);
    }
    done.store(true, Ordering::Release);
    assert!(reader.join().unwrap() > 0);

    let deliveries = f64::from(u32::try_from(SOCKETS as u64 * RECORDS).unwrap());
    let (bare, hubs) = (bare.as_secs_f64() * 1e6 / deliveries, hubs.as_secs_f64() * 1e6 / deliveries);
    println!("CPU per delivery: bare write {bare:.2} us, through the hub {hubs:.2} us, {:.2} times", hubs / bare);
    assert!(hubs / bare <= AT_MOST, "{hubs:.2} us per delivery, bare {bare:.2} us");
}
