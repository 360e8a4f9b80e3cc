//! What must hold at the end, computed from the log alone.

use std::collections::BTreeMap;

use domain::{
    State,
    access::{self, Sight},
    event::{Body, Event},
};
use ledger::{Log as _, Opened, StoredEvent, Vault as _, limits, testing::memory::MemoryStore};

use super::{Tally, screen::Screen, source::Ack};

/// The whole log.
pub(super) async fn log(store: &MemoryStore) -> Vec<StoredEvent> {
    let mut log: Vec<StoredEvent> = Vec::new();
    loop {
        let page = store.tail(log.last().map_or(0, |e| e.seq), limits::PAGE).await.unwrap();
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

fn decode(stored: &StoredEvent) -> Event {
    wire::event::decode(&stored.event.kind, stored.event.version, &stored.event.payload).unwrap()
}

/// The log has no gaps; every acknowledged input is in it once, at its place, and none twice.
pub(super) async fn inputs(store: &MemoryStore, log: &[StoredEvent], acks: &[Ack], tally: &mut Tally) {
    if !log.iter().map(|e| e.seq).eq(1..=log.len() as u64) {
        tally.violation("the log has a gap".to_owned());
    }
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for stored in log {
        let text = match decode(stored).body {
            Body::Reported { text, .. } => text,
            Body::Noted { text, .. } => Some(text),
            _ => None,
        };
        let Some(text) = text else { continue };
        match store.open(&[text.0]).await.unwrap().remove(0).1 {
            Opened::Value { full, .. } => found.entry(full.text()).or_default().push(stored.seq),
            other => tally.violation(format!("the text of event {} is {other:?}", stored.seq)),
        }
    }
    for (text, seqs) in found.iter().filter(|(_, seqs)| seqs.len() > 1) {
        tally.doubled += 1;
        tally.violation(format!("input {text} is in the log at {seqs:?}"));
    }
    let head = log.len() as u64;
    for ack in acks {
        let there = found.get(&ack.text).is_some_and(|seqs| seqs.iter().all(|s| *s <= ack.seq));
        if ack.seq > head || !(there || ack.text.is_empty()) {
            tally.lost += 1;
            tally.violation(format!("acknowledged and not in the log: {ack:?}"));
        }
    }
}

/// Every client saw each event that it may see, once and in order, in every stretch between two snapshots.
pub(super) fn screens(log: &[StoredEvent], screens: &[Screen], tally: &mut Tally) {
    for screen in screens.iter().filter(|s| !s.who.conflate) {
        let visible = visible(log, screen);
        for stretch in &screen.stretches {
            let within = |seq: u64| seq > stretch.after && seq <= stretch.upto;
            let missing: Vec<u64> = (visible.iter().filter(|(seq, always)| *always && within(*seq)))
                .map(|(seq, _)| *seq)
                .filter(|seq| !stretch.events.contains(seq))
                .collect();
            let seen = |seq: &u64| visible.iter().any(|(s, _)| s == seq);
            let forbidden: Vec<u64> = stretch.events.iter().filter(|s| !seen(s)).copied().collect();
            if !missing.is_empty() || !forbidden.is_empty() {
                let name = &screen.who.name;
                tally.lost += missing.len() as u64;
                tally.violation(format!("client {name} missed {missing:?}, should not see {forbidden:?}"));
            }
            if !stretch.events.is_sorted_by(|a, b| a < b) {
                tally.doubled += 1;
                tally.violation(format!("client {} saw {:?}", screen.who.name, stretch.events));
            }
        }
    }
}

/// The events that a client may see; whether from their own moment on, and so in any case.
fn visible(log: &[StoredEvent], screen: &Screen) -> Vec<(u64, bool)> {
    let events: Vec<_> = log.iter().map(|e| (e.seq, decode(e))).collect();
    let mut state = State::default();
    let mut own = Vec::new();
    for (_, event) in &events {
        state.apply(event);
        own.push(access::sees(&screen.who.audience, &state, &event.body.key()) != Sight::Hidden);
    }
    // In this model nothing goes out of sight again.
    let later = |event: &Event| access::sees(&screen.who.audience, &state, &event.body.key()) != Sight::Hidden;
    let all = events.iter().zip(own);
    all.filter(|((_, event), own)| *own || later(event)).map(|((seq, _), own)| (*seq, own)).collect()
}
