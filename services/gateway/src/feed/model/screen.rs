//! A client: connects to any gateway, takes up where it stands, and checks everything that it is sent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prost::Message as _;
use wire::feed::{self, client_message, server_message::Kind, state};

use super::{centre::Gate, driver::Shared, pipe::Line};

/// Without a heartbeat for so long a connection is given up.
const SILENCE: Duration = Duration::from_secs(4);

/// An unbroken stretch of the log as a client saw it: from a snapshot, or from the start.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// For whom the snapshot was.
    pub(super) audience: String,
    /// Where the snapshot stood.
    pub(super) after: u64,
    /// Where the client stands.
    pub(super) upto: u64,
    /// The events it was sent.
    pub(super) events: Vec<u64>,
}

/// State by aggregate, with its revision.
pub(super) type Held = BTreeMap<String, (u64, Vec<u8>)>;

/// Who looks.
#[derive(Clone)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) token: [u8; 32],
    pub(super) conflate: bool,
}

pub(super) struct Screen {
    pub(super) who: Who,
    world: Arc<Shared>,
    log_id: u64,
    pub(super) cursor: u64,
    pub(super) held: Held,
    pub(super) stretches: Vec<Stretch>,
    /// A resync was told and its snapshot has not come.
    told: bool,
    /// Messages of this connection so far that carry a position.
    answers: usize,
    /// It leaves after its first snapshot.
    once: bool,
}

/// The name of an aggregate.
fn key(state: &feed::State) -> Option<(String, bool)> {
    let of = |kind: &str, id: &dyn ToString| Some((format!("{kind}/{}", id.to_string()), false));
    match state.kind.as_ref()? {
        state::Kind::Alarm(a) => of("alarm", &a.id),
        state::Kind::Incident(i) => of("incident", &i.id),
        state::Kind::Duty(_) => of("duty", &""),
        state::Kind::Camera(c) => of("camera", &c.id),
        state::Kind::Sensor(s) => of("sensor", &s.id),
        state::Kind::Light(l) => of("light", &l.unit),
        state::Kind::Patrol(p) => of("patrol", &p.id),
        state::Kind::Message(m) => of("message", &m.id),
        state::Kind::Account(a) => of("account", &a.id),
        state::Kind::Unreadable(_) => of("unreadable", &""),
        state::Kind::Site(_) => of("site", &""),
        state::Kind::Gone(g) => Some((format!("{}/{}", g.kind, g.id), true)),
    }
}

impl Screen {
    pub(super) fn new(who: Who, world: Arc<Shared>) -> Self {
        Self {
            who,
            world,
            log_id: 0,
            cursor: 0,
            held: Held::new(),
            stretches: Vec::new(),
            told: false,
            answers: 0,
            once: false,
        }
    }

    fn violation(&self, what: &str) {
        self.world.chance.tally().violation(format!("client {}: {what}", self.who.name));
    }

    /// Follows until the world ends.
    pub(super) async fn run(mut self) -> Self {
        let over = self.world.over.clone();
        loop {
            tokio::select! {
                biased;
                () = over.cancelled() => return self,
                () = self.connection() => {}
            }
        }
    }

    /// Comes as far as its first snapshot.
    pub(super) async fn first(mut self) -> Self {
        self.once = true;
        while self.stretches.is_empty() {
            self.connection().await;
        }
        self
    }

    /// One connection, from its opening to its end.
    async fn connection(&mut self) {
        let chance = self.world.chance.clone();
        chance.sleep(1..300).await;
        let gates: Vec<_> = self.world.gates.lock().unwrap().iter().flatten().cloned().collect();
        let Some(gate) = chance.pick(&gates) else { return };
        let room = usize::try_from(64 + chance.below(24_000)).unwrap();
        let Some(mut line) = gate.connect(self.who.token, room).await else { return };
        let hello = feed::Hello { log_id: self.log_id, cursor: self.cursor, conflate: self.who.conflate };
        let hello = feed::ClientMessage { kind: Some(client_message::Kind::Hello(hello)) };
        line.say(&hello.encode_to_vec());
        (self.told, self.answers) = (false, 0);
        while self.message(gate, &mut line).await {
            if self.once && !self.stretches.is_empty() {
                return;
            }
            if chance.strikes(10, "client cut off") {
                return;
            }
            if chance.strikes(6, "client stalls") {
                chance.sleep(1_000..25_000).await;
            } else if chance.strikes(30, "client slow") {
                chance.sleep(1..400).await;
            }
        }
    }

    /// Takes one message; false when the connection ended.
    async fn message(&mut self, gate: &Gate, line: &mut Line) -> bool {
        let came = tokio::select! {
            biased;
            () = gate.dead.cancelled() => return false,
            came = tokio::time::timeout(SILENCE, line.next()) => came,
        };
        let Ok(Some(bytes)) = came else { return false };
        let Some(kind) = feed::ServerMessage::decode(bytes.as_slice()).unwrap().kind else { return false };
        match kind {
            Kind::Snapshot(snapshot) => self.snapshot(&snapshot),
            Kind::Frame(frame) => self.frame(&frame),
            Kind::Resync(resync) => {
                self.world.chance.tally().trace((&self.who.name, &resync.reason));
                self.told = true;
            }
            Kind::Handover(handover) => {
                if handover.cursor != 0 && (handover.log_id, handover.cursor) != (self.log_id, self.cursor) {
                    self.violation(&format!("handed over at {} and not at {}", handover.cursor, self.cursor));
                }
            }
            Kind::Heartbeat(_) | Kind::Pong(_) => {}
        }
        true
    }

    fn snapshot(&mut self, snapshot: &feed::Snapshot) {
        if self.answers > 0 && !self.told {
            self.violation("a snapshot came without a word");
        }
        if snapshot.log_id == self.log_id && snapshot.seq < self.cursor {
            self.violation(&format!("a snapshot at {} took it back from {}", snapshot.seq, self.cursor));
        }
        (self.told, self.answers) = (false, self.answers + 1);
        (self.log_id, self.cursor) = (snapshot.log_id, snapshot.seq);
        self.held.clear();
        snapshot.states.iter().for_each(|state| self.hold(state));
        let (audience, at) = (snapshot.audience.clone(), self.cursor);
        self.stretches.push(Stretch { audience, after: at, upto: at, events: Vec::new() });
        let mut tally = self.world.chance.tally();
        tally.snapshots += 1;
        tally.trace((&self.who.name, "snapshot", self.cursor));
    }

    fn frame(&mut self, frame: &feed::Frame) {
        self.answers += 1;
        if self.told {
            self.violation("a frame came in place of the snapshot that was told");
        }
        if (frame.log_id, frame.after) != (self.log_id, self.cursor) || frame.upto < frame.after {
            self.violation(&format!("a frame ({}, {}] at cursor {}", frame.after, frame.upto, self.cursor));
        }
        let mut last = frame.after;
        for item in &frame.items {
            if let Some(event) = &item.event {
                if event.seq <= last || event.seq > frame.upto || self.who.conflate {
                    self.violation(&format!("event {} after {last} in a frame up to {}", event.seq, frame.upto));
                }
                last = event.seq;
                self.stretches.last_mut().unwrap().events.push(event.seq);
                self.world.chance.tally().seen += 1;
            }
            if let Some(state) = &item.state {
                self.hold(state);
            }
        }
        self.cursor = frame.upto;
        self.stretches.last_mut().unwrap().upto = frame.upto;
        self.world.chance.tally().trace((&self.who.name, frame.upto, frame.items.len()));
        self.world.cursors.lock().unwrap().insert(self.who.name.clone(), (self.log_id, self.cursor));
    }

    fn hold(&mut self, state: &feed::State) {
        let Some((key, gone)) = key(state) else { return self.violation("a state of nothing") };
        let newer = self.held.get(&key).is_none_or(|(rev, _)| *rev <= state.rev);
        if newer && gone {
            self.held.remove(&key);
        } else if newer {
            self.held.insert(key, (state.rev, state.encode_to_vec()));
        }
        self.world.cursors.lock().unwrap().insert(self.who.name.clone(), (self.log_id, self.cursor));
    }
}
