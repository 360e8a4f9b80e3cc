//! Clients of the feed that take up where they stood, at another gateway when theirs is lost.

use std::{sync::Arc, time::Duration};

use client::{Follower, Options, Step, Told};

use crate::load::Load;

/// What a client has seen.
#[derive(Default)]
pub(crate) struct Seen {
    name: usize,
    /// Where its first snapshot stood.
    began: Option<u64>,
    cursor: u64,
    pub(crate) connections: u64,
    /// Why it had to begin anew.
    resyncs: Vec<String>,
    events: Vec<u64>,
}

impl Seen {
    /// Every event after the snapshot, once and in order, up to `head` at least.
    pub(crate) fn check(&self, head: u64) {
        let (name, began) = (self.name, self.began.unwrap());
        assert_eq!(self.resyncs, Vec::<String>::new(), "client {name}: its gaps are short enough to be filled");
        assert!(self.cursor >= head, "client {name} stands at {} of {head}", self.cursor);
        let whole = self.events.iter().copied().eq(began + 1..=self.cursor);
        assert!(whole, "client {name} began at {began}: {:?}", self.events);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Snapshot(snapshot) if self.began.is_none() => {
                (self.began, self.cursor) = (Some(snapshot.seq), snapshot.seq);
            }
            Step::Snapshot(snapshot) => self.resyncs.push(format!("a snapshot at {}", snapshot.seq)),
            Step::Resync(reason) => self.resyncs.push(reason),
            Step::Frame(frame) => {
                self.events.extend(frame.items.iter().filter_map(|i| i.event.as_ref()).map(|e| e.seq));
                self.cursor = frame.upto;
            }
            Step::Handover { .. } | Step::Heartbeat { .. } | Step::Pong { .. } => {}
        }
    }
}

/// Follows until everything that was acknowledged is seen.
pub(crate) async fn follow(load: Arc<Load>, name: usize) -> Seen {
    let mut seen = Seen { name, ..Seen::default() };
    let pause = (Duration::from_millis(10), Duration::from_millis(200));
    let options = Options { pause, ..Options::at(load.address(name)) };
    let mut follower = Follower::new(options, load.session.clone(), None);
    let mut place = name;
    loop {
        match follower.next().await.unwrap() {
            Told::Step(step) => seen.take(step),
            Told::Connected => seen.connections += 1,
            Told::Lost(_) => {
                place += 1;
                follower.turn_to(load.address(place));
            }
        }
        if load.is_answered() && seen.began.is_some() && seen.cursor >= load.head() {
            return seen;
        }
    }
}
