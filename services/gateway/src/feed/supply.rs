//! What clients get that are not up to date: snapshots, and what came before the ring. Both are made once and shared, a
//! few at a time, so that ten thousand clients that come at once cost no more than one.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use domain::{
    access::{self, Sight},
    event::{Body, Key},
    incident::IncidentEvent,
    thing::InSnapshot,
    time::Timestamp,
};
use ledger::{Position, limits};
use tokio::time::Instant;
use wire::{feed, view};

use super::{
    form,
    hub::{Hub, Taken, mark_last, news},
    ring::{Look, Ring},
    stream::Stream,
};
use crate::{
    error::GatewayError,
    mirror::{Seen, read_event},
    texts::Values,
};

/// Gaps read from the store at once.
pub(super) const GAP_READS: usize = 4;
/// Snapshots made at once.
pub(super) const SNAPSHOTS: usize = 2;
/// Ended alarms, incidents, patrols and messages of a snapshot, each.
const RECENT: usize = 500;
/// Ended ones younger than this are in a snapshot.
const RECENT_MS: i64 = 26 * 3_600_000;
/// A snapshot serves on while this much, or its own length, of frames came after it; bytes …
const CHEAP: usize = 64 << 10;
/// … and no longer than this, ms: whoever comes anew should not see much of the past go by. Without frames, for ever.
const FRESH_MS: i64 = 30_000;
/// History is read anew, if somebody still asks, after this long.
const KEEP_HISTORY: Duration = Duration::from_secs(60);

/// An encoded snapshot.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(super) epoch: u64,
    pub(super) log_id: u64,
    pub(super) seq: u64,
    /// When it was made, ms.
    made: i64,
    body: form::Body,
}

impl Snapshot {
    pub(super) fn message(&self, now: i64) -> [Bytes; 2] {
        self.body.message(now)
    }
}

/// One frame for each of the last events before `end`, from the log.
pub(crate) struct History {
    epoch: u64,
    ring: Ring,
    end: u64,
    made: Instant,
}

impl History {
    /// The frames after `cursor`, up to a bound; `None` when there are none.
    pub(super) fn look(&self, cursor: u64) -> Option<(Vec<Bytes>, u64)> {
        match self.ring.look(cursor) {
            Look::Messages(messages, upto) if !messages.is_empty() => Some((messages, upto)),
            Look::Messages(..) | Look::Off => None,
        }
    }
}

impl Hub {
    /// A snapshot of a stream from which the ring goes on.
    pub(super) async fn snapshot(&self, stream: &Stream, epoch: u64) -> Result<Snapshot, GatewayError> {
        if let Some(cached) = cached(stream, epoch, self.clock.now_ms()) {
            return Ok(cached);
        }
        let _one = stream.making.lock().await;
        // Whoever was before us may have made it.
        if let Some(cached) = cached(stream, epoch, self.clock.now_ms()) {
            return Ok(cached);
        }
        let _permit = self.snapshots.acquire().await;
        let snapshot = self.make(stream, epoch).await?;
        *stream.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
        self.bound_snapshots();
        Ok(snapshot)
    }

    async fn make(&self, stream: &Stream, epoch: u64) -> Result<Snapshot, GatewayError> {
        let now = self.clock.now_ms();
        let refs = |seen: &Seen| {
            let visible = |k: &Key| access::sees(&stream.audience, &seen.state, k) != Sight::Hidden;
            let keys = snapshot_keys(seen, now).into_iter().filter(visible);
            keys.flat_map(|k| view::refs_of_state(&seen.state, &k)).collect()
        };
        let make = |seen: &Seen, values: &Values| {
            let keys = snapshot_keys(seen, now);
            let states = keys.iter().filter_map(|k| seen.view(&stream.audience, k, values)).collect();
            let Position { log_id, seq } = seen.head.unwrap_or(Position { log_id: 0, seq: 0 });
            feed::Snapshot { log_id, seq, server_time: 0, states, audience: stream.audience.key() }
        };
        let made = self.mirror.with(refs, make).await?;
        metrics::counter!(runtime::telemetry::names::FEED_SNAPSHOTS).increment(1);
        let body = stream.form.snapshot(&made);
        Ok(Snapshot { epoch, log_id: made.log_id, seq: made.seq, made: now, body })
    }

    /// All cached snapshots together take no more than `snapshot_bytes`; the oldest go first.
    fn bound_snapshots(&self) {
        let streams = self.list();
        let held = |s: &Arc<Stream>| {
            let snapshot = s.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            snapshot.as_ref().map(|snapshot| (snapshot.made, snapshot.body.len()))
        };
        let mut held: Vec<_> = streams.iter().filter_map(|s| held(s).map(|(made, len)| (made, len, s))).collect();
        held.sort_by_key(|(made, ..)| *made);
        let mut bytes: usize = held.iter().map(|(_, len, _)| len).sum();
        for (_, len, stream) in held {
            if bytes <= self.snapshot_bytes {
                return;
            }
            bytes -= len;
            *stream.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// What leads from `cursor` to where the ring goes on; `None` when only a snapshot can.
    pub(super) async fn history(
        &self,
        stream: &Stream,
        epoch: u64,
        cursor: u64,
    ) -> Result<Option<Arc<History>>, GatewayError> {
        if stream.conflate {
            return Ok(None);
        }
        let mut held = stream.history.lock().await;
        let ring = |at: u64| stream.lock().ring.behind(at).is_some();
        if let Some(history) = held.as_ref().filter(|h| h.epoch == epoch && ring(h.end)) {
            return Ok(Some(history.clone()).filter(|h| h.ring.start() <= cursor && cursor < h.end));
        }
        let Some(head) = self.mirror.read().head else { return Ok(None) };
        if cursor >= head.seq || head.seq - cursor > limits::PAGE as u64 {
            return Ok(None);
        }
        let Ok(_permit) = self.gaps.acquire().await else { return Ok(None) };
        *held = self.read_history(stream, epoch, head).await?.map(Arc::new);
        Ok(held.clone().filter(|h| h.ring.start() <= cursor))
    }

    async fn read_history(&self, stream: &Stream, epoch: u64, head: Position) -> Result<Option<History>, GatewayError> {
        let mut start = head.seq.saturating_sub(limits::PAGE as u64);
        let mut taken = Vec::new();
        for stored in self.store.tail(start, limits::PAGE).await?.iter().filter(|s| s.seq <= head.seq) {
            match read_event(stored) {
                // A client must drop what was erased, and what went out of its sight while it was away.
                Ok(event) if !loses_sight(&event.body) => {
                    taken.push(Taken { seq: stored.seq, key: event.body.key(), event, last: false });
                }
                // Nor does it lead over what cannot be read.
                _ => {
                    taken.clear();
                    start = stored.seq;
                }
            }
        }
        mark_last(&mut taken);
        let whole = taken.iter().zip(start + 1..).all(|(t, seq)| t.seq == seq);
        if !whole || taken.last().is_none_or(|t| t.seq != head.seq) {
            return Ok(None);
        }
        let refs = |seen: &Seen| {
            let states = taken.iter().filter(|t| t.last).flat_map(|t| view::refs_of_state(&seen.state, &t.key));
            states.chain(taken.iter().flat_map(|t| view::refs_of_event(&seen.state, &t.event))).collect()
        };
        let none = HashSet::new();
        let make = |seen: &Seen, values: &Values| {
            let log_id = seen.head.map(|h| h.log_id);
            // Of what memory has forgotten nobody can say here who sees it.
            let known = log_id == Some(head.log_id) && taken.iter().all(|t| seen.holds(&t.key));
            known.then(|| news(stream, &none, &taken, seen, values).items)
        };
        let Some(items) = self.mirror.with(refs, make).await? else { return Ok(None) };
        metrics::counter!(runtime::telemetry::names::FEED_GAPS).increment(1);
        let mut ring = Ring::new(stream.form, head.log_id, start, limits::PAGE + 1, self.ring_bytes, false);
        let now = self.clock.now_ms();
        for item in items {
            if let Some(seq) = item.event.as_ref().map(|e| e.seq) {
                ring.push_items(seq, now, stream.form.items(&[item]));
            }
        }
        ring.extend(head.seq);
        ring.flush(now);
        Ok(Some(History { epoch, ring, end: head.seq, made: Instant::now() }))
    }

    /// Forgets history that has served its time.
    pub(super) fn forget_history(stream: &Stream) {
        if let Ok(mut held) = stream.history.try_lock()
            && held.as_ref().is_some_and(|h| h.made.elapsed() > KEEP_HISTORY)
        {
            *held = None;
        }
    }

    /// Whether a stream has been without clients for `beats` heartbeats. Only the map may hold it then: somebody might
    /// just be about to sit down, or a porter is passing.
    pub(super) fn unused(stream: &Arc<Stream>, beats: u32) -> bool {
        if stream.clients() > 0 {
            stream.idle.store(0, Ordering::Relaxed);
            return false;
        }
        stream.idle.fetch_add(1, Ordering::Relaxed) >= beats && Arc::strong_count(stream) == 1
    }
}

/// The cached snapshot, if going on from it costs less than a new one.
fn cached(stream: &Stream, epoch: u64, now: i64) -> Option<Snapshot> {
    let cached = stream.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let cached = cached.filter(|s| s.epoch == epoch)?;
    let behind = stream.lock().ring.behind(cached.seq)?;
    let fresh = (0..=FRESH_MS).contains(&(now - cached.made)) && behind <= cached.body.len().max(CHEAP);
    (behind == 0 || fresh).then_some(cached)
}

/// Takes something out of somebody's sight.
fn loses_sight(body: &Body) -> bool {
    matches!(body, Body::Erasures(_) | Body::Incident(IncidentEvent::PlaceCorrected { .. }))
}

/// What a snapshot holds: everything open or lasting, and of what ended the newest of the last day.
fn snapshot_keys(seen: &Seen, now: i64) -> Vec<Key> {
    let since = Timestamp(now - RECENT_MS);
    let state = &seen.state;
    let mut recent: HashMap<&str, usize> = HashMap::new();
    let mut keys = state.keys();
    // Newest first, so that the bound keeps them.
    keys.reverse();
    keys.retain(|key| match state.in_snapshot(key, since) {
        InSnapshot::Always => true,
        InSnapshot::Recent => {
            let taken = recent.entry(key.kind()).or_default();
            *taken += 1;
            *taken <= RECENT
        }
        InSnapshot::Past => false,
    });
    keys.reverse();
    keys
}

#[cfg(test)]
mod tests {
    use domain::access::Audience;

    use super::*;
    use crate::feed::{
        conn::Conn,
        form::Form,
        io::Io,
        model::pipe::pipe,
        porter::{Porters, Seat},
        stream::{Epoch, Kind},
    };

    #[test]
    fn a_stream_without_clients_is_given_up_after_a_while() {
        let kind = Kind { audience: Audience::Wall, conflate: true, form: Form::Json };
        let ring = Ring::new(kind.form, 1, 0, 8, 1 << 10, true);
        let epoch = Epoch::FIRST;
        let porters = Arc::new(Porters::new(1));
        let stream = Arc::new(Stream::new(kind, ring, epoch, porters.clone()));
        let beats = || [(); 3].map(|()| Hub::unused(&stream, 2));
        assert_eq!(beats(), [false, false, true]);
        // Somebody passes by, or is about to sit down.
        let passing = stream.clone();
        assert_eq!(beats(), [false; 3]);
        drop(passing);
        assert_eq!(beats(), [true; 3], "that was no client");
        let conn = Arc::new(Conn::new(Io::Pipe(pipe(64).0)));
        let seat = Seat::take(&porters, stream.clone(), conn);
        assert_eq!(beats(), [false; 3]);
        drop(seat);
        assert_eq!(beats(), [false, false, true]);
    }
}
