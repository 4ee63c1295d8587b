//! What is played: each step of the simulation, and what the oracle expects of it.

use super::*;

impl Sim {
    pub(super) fn new(seed: u64, metrics: &Arc<Metrics>) -> Self {
        let mut dice = Dice(seed);
        let bytes = if dice.chance(50) { 2_000 + dice.below(40_000) } else { usize::MAX };
        let window = Arc::new(Window::new(bytes, Duration::from_millis(if dice.chance(20) { 300 } else { 1_000_000 })));
        let census = Arc::new(Census::default());
        let position = Position::new(Epoch::of("sim"));
        let shards = (0..=dice.below(3))
            .map(|_| {
                let shard = Shard::new(position.clone(), Arc::clone(&window), Arc::clone(metrics), Arc::clone(&census));
                (shard, VecDeque::new(), 0)
            })
            .collect();
        let mut sim = Self {
            dice,
            shards,
            sockets: Vec::new(),
            window,
            census,
            position,
            slots: Vec::new(),
            log: Vec::new(),
            acks: 0,
            now: 0,
            lost: 0,
            received: 0,
        };
        sim.assign("t0", 0);
        sim
    }

    pub(super) fn tell_all(&mut self, ask: impl Fn() -> Ask) {
        self.shards.iter_mut().for_each(|(_, asks, _)| asks.push_back(ask()));
    }

    pub(super) fn moved(&mut self, moved: (TopicCode, i32, i64)) {
        self.window.remember(self.log.len() as u64, &self.position);
        let moved: Arc<[_]> = [moved].into();
        self.tell_all(|| Ask::Assigned(Arc::clone(&moved)));
    }

    pub(super) fn assign(&mut self, topic: &str, partition: i32) {
        let code = TopicCode::of(topic);
        if self.slots.iter().any(|(c, p, _)| (*c, *p) == (code, partition)) {
            return;
        }
        let slot = self.position.slot(code, partition).unwrap();
        let offset = self.dice.below(50).try_into().unwrap();
        self.position.advance(slot, offset);
        self.slots.push((code, partition, slot));
        self.moved((code, partition, offset));
    }

    /// Offsets without emissions are passed.
    pub(super) fn pass(&mut self) {
        let (topic, partition, slot) = self.slots[self.dice.below(self.slots.len())];
        let next = self.position.next(slot) + 3;
        self.position.advance(slot, next);
        self.moved((topic, partition, next));
    }

    pub(super) fn publish(&mut self) {
        let before = self.position.clone();
        let mut batch = Vec::new();
        for _ in 0..=self.dice.below(4) {
            let seq = self.log.len() as u64;
            let all = rooms();
            let mut emissions: SmallVec<[Emission; 3]> = SmallVec::new();
            for index in 0..=self.dice.below(4) {
                let class = match self.dice.below(4) {
                    0 => Class::Transient,
                    1 => Class::Latest,
                    _ => Class::Every,
                };
                let mut to: SmallVec<[Room; 2]> = SmallVec::new();
                if self.dice.chance(10) {
                    to.push(Room::everyone());
                } else {
                    for _ in 0..=self.dice.below(2) {
                        to.push(all[self.dice.below(all.len())].clone());
                    }
                }
                let event = EVENTS[self.dice.below(EVENTS.len())].into();
                let spec = EmitSpec { event, class, keep: None, projection: Projection::Identity };
                emissions.push(Emission {
                    ordinal: index.try_into().unwrap(),
                    rooms: to,
                    latest_key: Box::default(),
                    spec: Arc::new(spec),
                    data: Bytes::from(format!("[{seq},{index}]")),
                });
            }
            let (topic, partition, slot) = self.slots[self.dice.below(self.slots.len())];
            // Offsets have holes.
            let offset = self.position.next(slot) + i64::try_from(self.dice.below(2)).unwrap();
            let source = if self.dice.chance(5) {
                Source::Tick { name: "tick", tick: seq.try_into().unwrap() }
            } else {
                Source::Record { topic, partition, offset, slot }
            };
            let entry = Entry::new(seq, source, None, self.now, emissions);
            self.log.push((Arc::clone(&entry), self.position.clone()));
            entry.cover(&mut self.position);
            batch.push(entry);
        }
        self.window.append(&batch, &before, self.now);
        let batch: Arc<[_]> = batch.into();
        self.tell_all(|| Ask::Entries(Arc::clone(&batch)));
    }

    pub(super) fn ask(&mut self, socket: usize, ask: Ask) {
        let shard = self.sockets[socket].shard;
        self.shards[shard].1.push_back(ask);
    }

    pub(super) fn connect(&mut self) {
        let index = self.sockets.len();
        let messages = 1 + self.dice.below(6);
        let bytes = if self.dice.chance(30) { 200 + self.dice.below(400) } else { usize::MAX / 4 };
        let bounds = Bounds { messages, bytes };
        let mut rooms = rooms();
        rooms.retain(|_| self.dice.chance(50));
        rooms.push(Room::everyone());
        self.sockets.push(Socket {
            id: SocketId(index as u64),
            shard: self.dice.below(self.shards.len()),
            outbox: Arc::new(Outbox::new(bounds)),
            bounds,
            rooms: Vec::new(),
            due: VecDeque::new(),
            acked: HashSet::from([0]),
            said: 0,
            over: bytes < 1000,
            from: 0,
            connected: false,
            gone: false,
        });
        self.ask(index, Ask::Connect(index, rooms));
        // Held for a while, or released at once.
        if self.dice.chance(50) {
            self.ask(index, Ask::Release(index));
        }
    }

    /// A shard handles its next input; the oracle takes note of what it has to lead to.
    pub(super) fn work(&mut self, index: usize) {
        let Some(ask) = self.shards[index].1.pop_front() else { return };
        let input = match ask {
            Ask::Entries(entries) => {
                for entry in entries.iter() {
                    self.expect(index, entry);
                }
                self.shards[index].2 = entries.last().map_or(0, |entry| entry.seq + 1);
                Input::Entries(entries)
            }
            Ask::Assigned(moved) => Input::Assigned(moved),
            Ask::Connect(socket, rooms) => {
                let from = self.shards[index].2;
                let socket = &mut self.sockets[socket];
                socket.rooms = rooms.iter().map(|room| (room.clone(), 0)).collect();
                (socket.connected, socket.from) = (true, from);
                socket.say();
                let hello = Frame::text(b"40{}");
                Input::Connect { socket: socket.id, outbox: Arc::clone(&socket.outbox), rooms, hello }
            }
            Ask::Join(socket, room, ack) => {
                let socket = &mut self.sockets[socket];
                if socket.connected && !socket.rooms.iter().any(|(joined, _)| *joined == room) {
                    socket.rooms.push((room.clone(), ack));
                }
                socket.say();
                Input::Join { socket: socket.id, room, answer: Some(answer(ack)) }
            }
            Ask::Leave(socket, room, ack) => {
                let socket = &mut self.sockets[socket];
                socket.rooms.retain(|(joined, _)| *joined != room);
                for way in socket.due.iter_mut().flat_map(|due| &mut due.ways) {
                    if way.left.is_none() && way.rooms.iter().all(|(opened, _)| *opened == room) {
                        way.left = Some(ack);
                    } else if way.left.is_none() {
                        way.rooms.retain(|(opened, _)| *opened != room);
                    }
                }
                socket.say();
                Input::Leave { socket: socket.id, room, answer: Some(answer(ack)) }
            }
            Ask::Release(socket) => Input::Release(self.sockets[socket].id),
            Ask::Drained(socket) => Input::Drained(self.sockets[socket].id),
            Ask::Disconnect(socket) => {
                let socket = &mut self.sockets[socket];
                (socket.gone, socket.connected) = (true, false);
                Input::Disconnect(socket.id)
            }
        };
        self.shards[index].0.handle(input);
        if self.dice.chance(60) {
            self.shards[index].0.flush();
        }
        self.note_losses();
    }

    pub(super) fn expect(&mut self, shard: usize, entry: &Entry) {
        for socket in self.sockets.iter_mut().filter(|s| s.shard == shard && s.connected) {
            let mut names: Vec<(&str, Due)> = Vec::new();
            for (index, shared) in entry.emissions.iter().enumerate() {
                let to = &shared.emission.rooms;
                let rooms: Vec<_> = socket.rooms.iter().filter(|(room, _)| to.contains(room)).cloned().collect();
                if rooms.is_empty() {
                    continue;
                }
                let transient = shared.emission.spec.class == Class::Transient;
                let way = Way { emission: index, transient, rooms, left: None };
                if let Some((_, due)) = names.iter_mut().find(|(name, _)| *name == &*shared.emission.spec.event) {
                    due.ways.push(way);
                } else {
                    let due = Due { seq: entry.seq, ways: vec![way], optional: false };
                    names.push((&*shared.emission.spec.event, due));
                }
            }
            for (_, mut due) in names {
                // Who cannot be behind gets the transient ones too.
                socket.over |= socket.due.len() + 1 + socket.said > socket.bounds.messages;
                due.optional = socket.over && due.ways.iter().any(|way| way.transient);
                socket.due.push_back(due);
            }
        }
    }

    /// A socket may be lost only to eviction.
    pub(super) fn note_losses(&mut self) {
        let first = self.log.len() as u64 - self.window.fill().entries as u64;
        for socket in self.sockets.iter_mut().filter(|socket| socket.connected) {
            if let Some(reason) = socket.outbox.closing() {
                // Answers that nobody reads are the other end.
                assert!(matches!(reason, CloseReason::Behind | CloseReason::Limit), "{reason:?}");
                if reason == CloseReason::Behind {
                    let needed = socket.due.front().map_or(socket.from, |due| due.seq.min(socket.from));
                    assert!(needed < first, "lost at {needed} although the window reaches back to {first}");
                    self.lost += 1;
                } else {
                    assert!(socket.said >= socket.bounds.messages || socket.bounds.bytes < 1000, "no flood of answers");
                }
                (socket.connected, socket.gone) = (false, true);
            }
        }
    }

    /// A socket reads one payload.
    pub(super) fn read(&mut self, index: usize) {
        let max = 1 + self.dice.below(600);
        let socket = &mut self.sockets[index];
        if socket.gone {
            return;
        }
        let Some(payload) = socket.outbox.take_payload(max) else { return };
        let payload = String::from_utf8(payload).unwrap();
        for packet in payload.split('\x1e') {
            if let Some(ack) = packet.strip_prefix("43") {
                let ack: u64 = ack.split_once('[').unwrap().0.parse().unwrap();
                socket.said -= 1;
                socket.acked.insert(ack);
                for due in &mut socket.due {
                    due.ways.retain(|way| way.left != Some(ack));
                }
                socket.due.retain(|due| !due.ways.is_empty());
            } else if let Some(event) = packet.strip_prefix("42") {
                self.received += 1;
                let (name, (seq, emission), position): (String, (u64, usize), String) =
                    serde_json::from_str(event).unwrap();
                let mut at = 0;
                let due = loop {
                    let due = socket.due.get(at).unwrap_or_else(|| panic!("{seq}/{emission} came twice or unasked"));
                    if due.seq == seq && due.ways.iter().any(|way| way.emission == emission) {
                        break socket.due.remove(at).unwrap();
                    }
                    // Of one record, an event whose first way was closed meanwhile comes by a later one.
                    let required = due.ways.iter().find(|way| way.left.is_none() && !due.optional);
                    let late = required.is_some_and(|way| way.emission < emission);
                    if due.seq == seq && !late && due.ways.iter().any(|way| way.emission > emission) {
                        at += 1;
                        continue;
                    }
                    // What stands before it was not required.
                    assert!(!due.is_required(), "{due:?} is missing before {seq}/{emission} for {:?}", socket.id);
                    socket.due.remove(at);
                };
                let way = due.ways.iter().find(|way| way.emission == emission).unwrap();
                let first = due.ways.iter().find(|way| way.left.is_none());
                assert!(way.left.is_some() || first.unwrap().emission == emission, "the narrower audience goes first");
                assert!(way.rooms.iter().any(|(_, ack)| socket.acked.contains(ack)), "an event before its join's ack");
                let (entry, before) = &self.log[usize::try_from(seq).unwrap()];
                assert_eq!(name, &*entry.emissions[emission].emission.spec.event);
                let within = match entry.source {
                    Source::Record { offset, slot, .. } => {
                        Some((slot, offset, entry.emissions[emission].emission.ordinal))
                    }
                    Source::Tick { .. } => None,
                };
                let mut cursor = String::new();
                Cursor::write(&mut cursor, before, within);
                assert_eq!(position.split_once('.').unwrap().1, cursor, "the cursor states what was covered");
            } else {
                assert_eq!(packet, "40{}");
                socket.said -= 1;
            }
        }
        if socket.outbox.take_drained() {
            self.ask(index, Ask::Drained(index));
        }
    }

    pub(super) fn step(&mut self) {
        self.now += 1;
        let open: Vec<usize> = (0..self.sockets.len()).filter(|socket| !self.sockets[*socket].gone).collect();
        let socket = (!open.is_empty()).then(|| open[self.dice.below(open.len().max(1))]);
        let room = rooms()[self.dice.below(4)].clone();
        match (self.dice.below(100), socket) {
            (0..=24, _) => self.publish(),
            (25..=27, _) => self.pass(),
            (28..=29, _) => {
                let (topic, partition) = (["t0", "t1", "t2"][self.dice.below(3)], self.dice.below(4));
                self.assign(topic, partition.try_into().unwrap());
            }
            (30..=34, _) if open.len() < 8 => self.connect(),
            (35..=39, Some(socket)) => self.answered(socket, |socket, ack| Ask::Join(socket, room, ack)),
            (40..=44, Some(socket)) => self.answered(socket, |socket, ack| Ask::Leave(socket, room, ack)),
            (45..=49, Some(socket)) => self.ask(socket, Ask::Release(socket)),
            (50, Some(socket)) => self.ask(socket, Ask::Disconnect(socket)),
            (51..=70, Some(socket)) => self.read(socket),
            (71, _) => self.window.expire(self.now),
            _ => {
                let shard = self.dice.below(self.shards.len());
                (0..=self.dice.below(6)).for_each(|_| self.work(shard));
            }
        }
        self.calm();
    }

    pub(super) fn answered(&mut self, socket: usize, ask: impl FnOnce(usize, u64) -> Ask) {
        self.acks += 1;
        let ask = ask(socket, self.acks);
        self.ask(socket, ask);
    }

    /// Who has everything that it is due, and whose shard has been told all, is live for sure.
    pub(super) fn calm(&mut self) {
        for socket in &mut self.sockets {
            let idle = self.shards[socket.shard].1.is_empty() && !socket.outbox.is_waiting() && socket.said == 0;
            if idle && socket.due.is_empty() && socket.bounds.bytes > 1000 {
                socket.over = false;
            }
        }
    }

    pub(super) fn finish(&mut self) {
        for socket in 0..self.sockets.len() {
            self.ask(socket, Ask::Release(socket));
        }
        // Each round, everybody reads on: a bound on rounds, not on time.
        for _ in 0..100_000 {
            let busy = (0..self.shards.len()).filter(|shard| !self.shards[*shard].1.is_empty()).count();
            for shard in 0..self.shards.len() {
                self.work(shard);
            }
            let before = self.received;
            for socket in 0..self.sockets.len() {
                self.read(socket);
            }
            let waiting = self.sockets.iter().any(|s| !s.gone && s.outbox.is_waiting());
            if busy == 0 && before == self.received && !waiting && self.shards.iter().all(|s| s.1.is_empty()) {
                break;
            }
        }
        for socket in self.sockets.iter().filter(|socket| !socket.gone) {
            let missing: Vec<_> = socket.due.iter().filter(|due| due.is_required()).collect();
            assert!(missing.is_empty(), "{:?} never got {missing:?}", socket.id);
        }
        for socket in 0..self.sockets.len() {
            self.ask(socket, Ask::Disconnect(socket));
        }
        for shard in 0..self.shards.len() {
            while !self.shards[shard].1.is_empty() {
                self.work(shard);
            }
        }
        assert_eq!(self.census.rooms.load(Ordering::Relaxed), 0, "no ghost room");
        for kind in [RoomKind::User, RoomKind::Order, RoomKind::FlashSale, RoomKind::Everyone] {
            assert_eq!(self.census.memberships(kind), 0, "no ghost membership");
        }
    }
}
