//! What must hold at the end, computed from the log alone.

use std::collections::BTreeMap;

use domain::{
    State,
    access::{self, Audience, Sight},
    account::AccountEvent,
    event::{Body, Event, Key},
    incident::IncidentEvent,
    input::Actor,
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
    // Texts that were erased, by incident: they can only be counted.
    let mut erased: BTreeMap<u64, u64> = BTreeMap::new();
    for stored in log {
        let body = decode(stored).body;
        let key = body.key();
        let text = if let Body::Incident(IncidentEvent::Reported { text, .. }) = body {
            text
        } else if let Body::Incident(IncidentEvent::Noted { text, .. }) = body {
            Some(text)
        } else {
            None
        };
        let Some(text) = text else { continue };
        match store.open(&[text.0]).await.unwrap().remove(0).1 {
            Opened::Value { full, .. } => found.entry(full.text()).or_default().push(stored.seq),
            Opened::Erased => {
                let Key::Incident(id) = key else { continue };
                *erased.entry(id.0).or_default() += 1;
            }
            other => tally.violation(format!("the text of event {} is {other:?}", stored.seq)),
        }
    }
    for (text, seqs) in found.iter().filter(|(_, seqs)| seqs.len() > 1) {
        tally.doubled += 1;
        tally.violation(format!("input {text} is in the log at {seqs:?}"));
    }
    let head = log.len() as u64;
    for ack in acks {
        let mut there = found.get(&ack.text).is_some_and(|seqs| seqs.iter().all(|s| *s <= ack.seq));
        let left = ack.incident.and_then(|id| erased.get_mut(&id)).filter(|n| **n > 0);
        if let (false, false, Some(left)) = (there, ack.text.is_empty(), left) {
            *left -= 1;
            there = true;
        }
        if ack.seq > head || !(there || ack.text.is_empty()) {
            tally.lost += 1;
            tally.violation(format!("acknowledged and not in the log: {ack:?}"));
        }
    }
    for (incident, n) in erased.into_iter().filter(|(_, n)| *n > 0) {
        tally.doubled += n;
        tally.violation(format!("{n} erased texts of incident {incident} are of no input"));
    }
}

/// What each account saw from when on; nothing while it is locked out.
type Rights = BTreeMap<String, Vec<(u64, Option<Audience>)>>;

fn rights(log: &[StoredEvent]) -> Rights {
    let mut rights = Rights::new();
    for stored in log {
        let Body::Account(AccountEvent::Changed { account }) = decode(stored).body else { continue };
        let (id, role, unit, grid) = (account.id.clone(), account.role, account.unit.clone(), account.grid.clone());
        let audience = Audience::of(&Actor::Account { id, role, unit, grid }).ok().filter(|_| account.active);
        rights.entry(account.id.to_string()).or_default().push((stored.seq, audience));
    }
    rights
}

/// What a client was given under which rights: always those that it had at that place of the log.
fn under_rights(screen: &Screen, rights: &Rights, tally: &mut Tally) {
    let name = &screen.who.name;
    let changes = rights.get(&screen.who.account).cloned().unwrap_or_default();
    let at = |seq: u64| changes.iter().rev().find(|(since, _)| *since <= seq).and_then(|(_, a)| a.clone());
    for stretch in &screen.stretches {
        let before = at(stretch.after);
        if before.as_ref().map(Audience::key).as_ref() != Some(&stretch.audience) {
            let (place, got) = (stretch.after, &stretch.audience);
            tally
                .violation(format!("client {name} got a snapshot at {place} with the rights of {got}, not {before:?}"));
        }
        let within = |seq: u64| seq > stretch.after && seq <= stretch.upto;
        let change = changes.iter().find(|(seq, audience)| within(*seq) && *audience != before);
        if let Some((seq, _)) = change {
            let upto = stretch.upto;
            tally.violation(format!("client {name} is served up to {upto} with rights that ended at {seq}"));
        }
    }
}

/// Every client saw each event that it may see, once and in order, in every stretch between two snapshots.
pub(super) fn screens(log: &[StoredEvent], screens: &[Screen], tally: &mut Tally) {
    let rights = rights(log);
    let mut seen_by: BTreeMap<String, Vec<(u64, bool)>> = BTreeMap::new();
    for audience in rights.values().flatten().filter_map(|(_, audience)| audience.as_ref()) {
        seen_by.entry(audience.key()).or_insert_with(|| visible(log, audience));
    }
    for screen in screens {
        under_rights(screen, &rights, tally);
    }
    for screen in screens.iter().filter(|s| !s.who.conflate) {
        for stretch in &screen.stretches {
            let Some(visible) = seen_by.get(&stretch.audience) else { continue };
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

/// The events that an audience may see; whether from their own moment on, and so in any case.
fn visible(log: &[StoredEvent], audience: &Audience) -> Vec<(u64, bool)> {
    let events: Vec<_> = log.iter().map(|e| (e.seq, decode(e))).collect();
    let mut state = State::default();
    let mut own = Vec::new();
    for (_, event) in &events {
        state.apply(event);
        own.push(access::sees(audience, &state, &event.body.key()) != Sight::Hidden);
    }
    // In this model nothing goes out of sight again.
    let later = |event: &Event| access::sees(audience, &state, &event.body.key()) != Sight::Hidden;
    let all = events.iter().zip(own);
    all.filter(|((_, event), own)| *own || later(event)).map(|((seq, _), own)| (*seq, own)).collect()
}
