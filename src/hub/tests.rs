//! Window and outbox, each by itself. The shard with both below it is tried by simulation.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;
use tokio::net::{TcpListener, TcpStream};

use super::outbox::{Bounds, CloseReason, Outbox, Push};
use super::window::{Evicted, Window};
use super::{Entry, Frame, Source};
use crate::position::{Epoch, Position, Slot, TopicCode};
use crate::route::projection::Projection;
use crate::route::{Class, Emission, EmitSpec, Room};

const TOPIC: &str = "rtmn.orders";

fn entry(seq: u64, slot: Slot, offset: i64, room: &str, read_ms: i64) -> Arc<Entry> {
    let spec =
        Arc::new(EmitSpec { event: "e".into(), class: Class::Every, keep: None, projection: Projection::Identity });
    let room = Room::parse(room).unwrap();
    let data = Bytes::from_static(b"{}");
    let emission = Emission { ordinal: 0, rooms: smallvec![room], latest_key: Box::default(), spec, data };
    let source = Source::Record { topic: TopicCode::of(TOPIC), partition: 0, offset, slot };
    Entry::new(seq, source, None, read_ms, smallvec![emission])
}

/// A window of 1,000 entries over two partitions, alternating, and what the position was before each.
fn filled(window: &Window) -> (Vec<Arc<Entry>>, Vec<Position>) {
    let mut position = Position::new(Epoch::of("test"));
    let slots = [0, 1].map(|partition| position.slot(TopicCode::of(TOPIC), partition).unwrap());
    let (mut entries, mut before) = (Vec::new(), Vec::new());
    for seq in 0..1_000u64 {
        let slot = slots[usize::try_from(seq % 2).unwrap()];
        // Offsets have holes.
        let offset = i64::try_from(seq * 3).unwrap();
        let entry = entry(seq, slot, offset, &format!("order:o{}", seq % 7), i64::try_from(seq).unwrap());
        before.push(position.clone());
        entry.cover(&mut position);
        entries.push(entry);
    }
    for chunk in 0..10 {
        let range = chunk * 100..(chunk + 1) * 100;
        window.append(&entries[range.clone()], &before[range.start], 0);
    }
    (entries, before)
}

#[test]
fn the_position_before_any_entry_is_what_it_was_then() {
    let window = Window::new(usize::MAX, Duration::from_hours(1));
    let (_, before) = filled(&window);
    for (seq, position) in before.iter().enumerate() {
        assert_eq!(window.position_before(seq as u64).as_ref(), Ok(position), "before {seq}");
    }
}

#[test]
fn a_room_is_read_in_order_from_where_it_was_joined() {
    let window = Window::new(usize::MAX, Duration::from_hours(1));
    filled(&window);
    let (three, five) = (Room::parse("order:o3").unwrap(), Room::parse("order:o5").unwrap());
    let read = window.entries([(&three, 0), (&five, 500)].into_iter(), 10, 900, usize::MAX).unwrap();
    let expected: Vec<u64> = (10..900).filter(|seq| seq % 7 == 3 || (seq % 7 == 5 && *seq >= 500)).collect();
    assert_eq!(read.iter().map(|entry| entry.seq).collect::<Vec<_>>(), expected);
    let limited = window.entries([(&three, 0), (&five, 500)].into_iter(), 10, 900, 40).unwrap();
    assert_eq!(limited.iter().map(|entry| entry.seq).collect::<Vec<_>>(), expected[..40]);
}

#[test]
fn what_is_evicted_is_told_and_leaves_nothing() {
    let window = Window::new(usize::MAX, Duration::from_millis(400));
    let (_, before) = filled(&window);
    window.expire(1_000);
    let fill = window.fill();
    assert_eq!((fill.entries, fill.oldest_ms), (400, Some(600)));
    let room = Room::parse("order:o3").unwrap();
    assert_eq!(window.entries([(&room, 0)].into_iter(), 599, 1_000, 10).err(), Some(Evicted));
    assert!(window.entries([(&room, 0)].into_iter(), 600, 1_000, 10).is_ok());
    assert!(window.position_before(100).is_err());
    assert_eq!(window.position_before(600).as_ref(), Ok(&before[600]));
    window.expire(100_000);
    let fill = window.fill();
    assert_eq!((fill.entries, fill.bytes, fill.oldest_ms), (0, 0, None));
    // Who has read everything needs nothing of what is gone.
    assert!(window.entries([(&room, 0)].into_iter(), 1_000, 1_000, 10).is_ok());
}

#[test]
fn bytes_bound_the_window() {
    let window = Window::new(50_000, Duration::from_hours(1));
    filled(&window);
    let fill = window.fill();
    assert!(fill.bytes <= 50_000 && fill.entries > 10, "{fill:?}");
}

fn event(text: &str) -> Frame {
    Frame::text(format!("42[\"{text}\"]").as_bytes())
}

#[test]
fn a_full_queue_turns_away_and_says_once_when_there_is_room() {
    let outbox = Outbox::new(Bounds { messages: 4, bytes: 1_000_000 });
    for n in 0..4 {
        assert_eq!(outbox.push(event(&n.to_string())), Push::Queued);
    }
    assert_eq!(outbox.push(event("no")), Push::Full);
    assert!(!outbox.take_drained());
    assert_eq!(outbox.take_payload(8).as_deref(), Some(&b"42[\"0\"]"[..]), "one packet at least");
    assert_eq!(outbox.take_payload(1_000).as_deref(), Some(&b"42[\"1\"]\x1e42[\"2\"]\x1e42[\"3\"]"[..]));
    assert!(outbox.take_drained());
    assert!(!outbox.take_drained());
    assert_eq!(outbox.take_payload(1_000), None);
    assert_eq!(outbox.queued_bytes(), 0);
}

#[test]
fn one_frame_larger_than_the_bound_still_goes() {
    let outbox = Outbox::new(Bounds { messages: 4, bytes: 10 });
    assert_eq!(outbox.push(event(&"x".repeat(100))), Push::Queued);
    assert_eq!(outbox.push(event("y")), Push::Full);
}

#[test]
fn unread_answers_end_the_connection() {
    let outbox = Outbox::new(Bounds { messages: 4, bytes: 1_000_000 });
    for _ in 0..9 {
        outbox.answer(Frame::text(b"430[{}]"));
    }
    assert_eq!(outbox.closing(), Some(CloseReason::Limit));
    assert_eq!(outbox.push(event("late")), Push::Closed);
}

async fn pair() -> (Arc<TcpStream>, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().await.unwrap();
    near.writable().await.unwrap();
    (Arc::new(near), far)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_overtakes_a_full_queue_at_a_frames_boundary() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new(Bounds { messages: 10_000, bytes: usize::MAX / 4 });
    outbox.attach(Arc::clone(&near));
    // More than the kernel takes: the wire is blocked in the middle of some frame.
    let big = "x".repeat(64 * 1024);
    let mut pushed = 0u32;
    while outbox.blocked_since().is_none() {
        assert_eq!(outbox.push(event(&big)), Push::Queued);
        outbox.flush();
        pushed += 1;
    }
    for _ in 0..3 {
        assert_eq!(outbox.push(event(&big)), Push::Queued);
        pushed += 1;
    }
    outbox.control(Frame::text(b"2"));

    let reader = std::thread::spawn(move || {
        let (mut kinds, mut header) = (Vec::new(), [0; 10]);
        while kinds.len() < usize::try_from(pushed).unwrap() + 1 {
            far.read_exact(&mut header[..2]).unwrap();
            assert_eq!(header[0], 0x81, "a frame begins where the one before it ended");
            let len = match header[1] {
                127 => {
                    far.read_exact(&mut header[2..]).unwrap();
                    u64::from_be_bytes(header[2..].try_into().unwrap())
                }
                short => u64::from(short),
            };
            let mut packet = vec![0; usize::try_from(len).unwrap()];
            far.read_exact(&mut packet).unwrap();
            kinds.push(packet[0]);
        }
        kinds
    });
    while !outbox.is_flushed() {
        tokio::time::timeout(Duration::from_secs(10), near.writable()).await.unwrap().unwrap();
        outbox.flush();
    }
    let kinds = tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap();
    let ping = kinds.iter().position(|kind| *kind == b'2').unwrap();
    assert!(ping < kinds.len() - 3, "the ping did not overtake what was queued before it: {ping} of {}", kinds.len());
    assert_eq!(kinds.iter().filter(|kind| char::from(**kind) == '4').count(), usize::try_from(pushed).unwrap());
}
