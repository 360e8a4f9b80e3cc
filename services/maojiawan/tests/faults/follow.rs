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
    pub(crate) cursor: u64,
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

    fn take(&mut self, told: &Told) {
        match told {
            Told::Connected => self.connections += 1,
            Told::Step(step) => self.step(step),
            Told::Lost(_) => {}
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Snapshot(snapshot) if self.began.is_none() => {
                (self.began, self.cursor) = (Some(snapshot.seq), snapshot.seq);
            }
            Step::Snapshot(snapshot) => {
                self.resyncs.push(format!("a snapshot at {}", snapshot.seq));
                self.cursor = snapshot.seq;
            }
            Step::Resync(reason) => self.resyncs.push(reason.clone()),
            Step::Frame(frame) => {
                self.events.extend(frame.items.iter().filter_map(|i| i.event.as_ref()).map(|e| e.seq));
                self.cursor = frame.upto;
            }
            Step::Handover { .. } | Step::Heartbeat { .. } | Step::Pong { .. } => {}
        }
    }
}

/// Where a client goes when its gateway is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the next one. It begins at the one of its number.
    Roams,
    /// Nowhere else: it waits for this one.
    Stays(usize),
    /// As [`Route::Roams`], from this one on, with the pauses that the client has by itself.
    Leaves(usize),
}

impl Route {
    fn options(self, load: &Load, name: usize) -> (usize, Options) {
        let place = match self {
            Self::Roams => name,
            Self::Stays(place) | Self::Leaves(place) => place,
        };
        let options = Options::at(load.address(place));
        let soon = (Duration::from_millis(10), Duration::from_millis(200));
        if matches!(self, Self::Leaves(_)) {
            return (place, options);
        }
        // Whoever stays away as long as it is asked to misses more, between many kills, than a gap may have.
        (place, Options { pause: soon, asked: soon.0, ..options })
    }
}

/// Follows until everything that was acknowledged is seen; says what it was told, and what it has seen by then.
pub(crate) async fn follow(load: Arc<Load>, name: usize, route: Route, mut say: impl FnMut(&Told, &Seen)) -> Seen {
    let mut seen = Seen { name, ..Seen::default() };
    let (mut place, options) = route.options(&load, name);
    let mut follower = Follower::new(options, load.session.clone(), None);
    loop {
        let told = follower.next().await.unwrap();
        seen.take(&told);
        say(&told, &seen);
        if matches!(told, Told::Lost(_)) && !matches!(route, Route::Stays(_)) {
            place += 1;
            follower.turn_to(load.address(place));
        }
        if load.is_answered() && seen.began.is_some() && seen.cursor >= load.head() {
            return seen;
        }
    }
}
