//! The hub follows the log: it alone writes the mirror, and it encodes what each stream sees.
//!
//! Lock order: streams, then the mirror, then one stream; none across an await.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    access::{self, Audience, Sight},
    event::{Body, Event, Key},
    incident::IncidentEvent,
};
use futures::FutureExt;
use ledger::{Bus, Known, Position, Published, Reader, Step, Store};
use runtime::{Clock, Criticality, Tasks, retry::Backoff, tasks::Stage};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::{
    feed::{self, server_message::Kind},
    view,
};

use super::{
    form::Form,
    porter::{Beat, Porters},
    ring::Ring,
    stream::{self, Epoch, News, Stream, Why},
    supply::{GAP_READS, SNAPSHOTS},
};
use crate::{
    config::{CONFLATE_TICK, Config, HEAD_POLL, HEARTBEAT},
    error::GatewayError,
    mirror::{self, Fetched, Mirror, Seen, document_of, read_event},
    session::Sessions,
    texts::Values,
};

/// Events taken at once when they wait.
const BATCH: usize = 256;
/// How long the store's word on the log's end is true enough for a heartbeat.
const SURE: Duration = HEAD_POLL.saturating_mul(2);
/// Heartbeats after which a stream without clients is given up.
const IDLE_BEATS: u32 = 600;
/// Most porters. The model has one: tokio wakes several that wait for one watch in random order.
const LANES: usize = if cfg!(test) { 1 } else { 8 };

/// An event of the batch in work.
pub(super) struct Taken {
    pub(super) seq: u64,
    pub(super) event: Event,
    pub(super) key: Key,
    /// The newest of its aggregate in this batch.
    pub(super) last: bool,
}

type Streams = BTreeMap<(String, bool, Form), Arc<Stream>>;

pub(crate) struct Hub {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) mirror: Arc<Mirror>,
    sessions: Arc<Sessions>,
    ring_frames: usize,
    pub(super) ring_bytes: usize,
    pub(super) snapshot_bytes: usize,
    streams: Mutex<(Streams, Epoch)>,
    /// The last event of which all streams and sessions know; `None` before the first load.
    followed: Mutex<Option<Position>>,
    pub(super) porters: Arc<Porters>,
    pub(super) gaps: Semaphore,
    pub(super) snapshots: Semaphore,
    /// Whether the log is followed, since when (ms), and why not.
    status: Mutex<(bool, i64, String)>,
}

impl Hub {
    pub(crate) fn new(
        config: &Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mirror: Arc<Mirror>,
        sessions: Arc<Sessions>,
    ) -> Self {
        let status = Mutex::new((false, clock.now_ms(), "正在读取台账 the log is being read".to_owned()));
        let lanes = std::thread::available_parallelism().map_or(1, usize::from).min(LANES);
        Self {
            store,
            clock,
            mirror,
            sessions,
            ring_frames: config.ring_frames,
            ring_bytes: config.ring_bytes,
            snapshot_bytes: config.snapshot_bytes,
            streams: Mutex::new((Streams::new(), Epoch::FIRST)),
            followed: Mutex::default(),
            porters: Arc::new(Porters::new(lanes)),
            gaps: Semaphore::new(GAP_READS),
            snapshots: Semaphore::new(SNAPSHOTS),
            status,
        }
    }

    /// Follows the log until told to stop.
    async fn run(self: Arc<Self>, bus: Arc<dyn Bus>, began: CancellationToken, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let error = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                followed = self.follow(bus.as_ref(), &began, &mut backoff) => followed.err(),
            };
            if let Some(error) = error {
                self.failed(&error);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(backoff.delay()) => {}
                }
            }
        }
    }

    /// Spawns what follows the log and the porters; `began` tells that people can log in.
    pub(crate) fn start(self: &Arc<Self>, bus: Arc<dyn Bus>, began: CancellationToken, tasks: &Tasks) {
        let stop = tasks.stop(Stage::Sockets);
        tasks.spawn("gateway.feed", Stage::Sockets, Criticality::Critical, self.clone().run(bus, began, stop.clone()));
        for lane in 0..self.porters.lanes() {
            let (hub, stop) = (self.clone(), stop.clone());
            let porter = async move { hub.porters.run(lane, || hub.list(), stop).await };
            tasks.spawn(format!("gateway.porter.{lane}"), Stage::Sockets, Criticality::Critical, porter);
        }
    }

    /// Where the log is, whatever this gateway knows.
    pub(super) async fn log_head(&self) -> Result<Position, GatewayError> {
        let ledger::Head { log_id, seq, .. } = self.store.head().await?;
        Ok(Position { log_id, seq })
    }

    /// Whether the log is followed, since when, and why not.
    pub(crate) fn status(&self) -> (bool, i64, String) {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_status(&self, ok: bool, why: String) {
        let now = self.clock.now_ms();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.0 != ok || status.2 != why {
            *status = (ok, now, why);
        }
    }

    fn failed(&self, error: &GatewayError) {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(next) = source {
            why = format!("{why}: {next}");
            source = next.source();
        }
        let told = format!("{} {why}", error.zh());
        if self.status().2 != told {
            tracing::error!(error = %why, "the feed does not follow the log");
        }
        self.set_status(false, told);
        self.porters.hush();
    }

    /// What a load means to those who were served before. The first one means nothing: streams are made from then on.
    fn loaded(&self, position: Position) {
        let followed = self.followed().replace(position);
        let Some(followed) = followed else { return };
        let goes_on = reached(followed, position);
        let after = if goes_on { followed.seq } else { 0 };
        let changed: Vec<_> = {
            let seen = self.mirror.read();
            let accounts = seen.state.accounts.keys();
            accounts.filter(|id| seen.rev(&Key::Account((*id).clone())) > after).cloned().collect()
        };
        if !changed.is_empty() {
            // Before anybody is given what came under the new rights.
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            judge_anew(&mut streams);
        }
        if goes_on {
            self.refill(position);
        } else {
            self.restart(position, Why::LogReplaced);
        }
        changed.into_iter().for_each(|account| self.sessions.account_changed(account));
    }

    fn followed(&self) -> MutexGuard<'_, Option<Position>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log went on while it was not followed: clients get what lies between from the log itself.
    fn refill(&self, position: Position) {
        for stream in self.list() {
            stream.refill(self.ring(position, stream.conflate, stream.form));
        }
    }

    /// Loads, then follows; returns when the log was replaced.
    async fn follow(
        &self,
        bus: &dyn Bus,
        began: &CancellationToken,
        backoff: &mut Backoff,
    ) -> Result<(), GatewayError> {
        self.porters.hush();
        let position = self.mirror.load().await?;
        self.loaded(position);
        let mut reader = Reader::follow(self.store.clone(), bus, position, HEAD_POLL).await?;
        let known = reader.knows();
        tracing::info!(log.seq = position.seq, "the feed follows the log");
        self.set_status(true, String::new());
        began.cancel();
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut conflate_at: Option<Instant> = None;
        let mut conflated = Instant::now();
        let mut failing = None;
        loop {
            // The same step goes on whatever comes between: a slow store would never answer one that begins anew.
            let step = {
                let mut step = pin!(step(&mut reader, failing));
                loop {
                    tokio::select! {
                        biased;
                        () = due(conflate_at) => {
                            self.conflate().await?;
                            (conflate_at, conflated) = (None, Instant::now());
                        }
                        _ = beat.tick() => self.beat(*known.borrow()),
                        step = &mut step => break step,
                    }
                }
            };
            match step {
                Ok(Followed::Level) => {
                    failing = None;
                    self.set_status(true, String::new());
                    backoff.reset();
                }
                Ok(Followed::Behind) => failing = None,
                Ok(Followed::Step(Step::Event(event))) => {
                    self.set_status(true, String::new());
                    backoff.reset();
                    self.take_all(&drain(event, &mut reader)).await?;
                    if conflate_at.is_none() && self.dirty() {
                        conflate_at = Some((conflated + CONFLATE_TICK).max(Instant::now()));
                    }
                }
                Ok(Followed::Step(Step::LogChanged(head))) => {
                    tracing::warn!(log.seq = head.seq, "the log was replaced");
                    return Ok(());
                }
                Err(error) => {
                    failing = Some(backoff.delay());
                    self.failed(&error.into());
                }
            }
        }
    }

    /// Every stream starts anew at `position`.
    fn restart(&self, position: Position, why: Why) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.void(&mut streams, position, why);
    }

    fn void(&self, streams: &mut (Streams, Epoch), position: Position, why: Why) {
        streams.1 = streams.1.anew(why);
        for stream in streams.0.values() {
            stream.restart(self.ring(position, stream.conflate, stream.form), streams.1);
        }
    }

    fn ring(&self, at: Position, conflate: bool, form: Form) -> Ring {
        Ring::new(form, at.log_id, at.seq, self.ring_frames, self.ring_bytes, conflate)
    }

    pub(super) fn list(&self) -> Vec<Arc<Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).0.values().cloned().collect()
    }

    fn dirty(&self) -> bool {
        self.list().iter().any(|s| s.conflate && s.dirty())
    }

    /// Tells every client the time and where the log is, if the store has just said so, and gives up what nobody uses.
    fn beat(&self, known: Option<Known>) {
        let now = self.clock.now_ms();
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).0.retain(|_, s| !Self::unused(s, IDLE_BEATS));
        for stream in self.list() {
            Self::forget_history(&stream);
            if !stream.dirty() {
                stream.flush(now);
            }
        }
        let Some(Known { head: Position { log_id, seq }, .. }) = known.filter(|k| k.asked.elapsed() <= SURE) else {
            return self.porters.hush();
        };
        // The bus may have brought more since.
        let head = self.mirror.read().head.map_or(seq, |h| h.seq.max(seq));
        let heartbeat = || Kind::Heartbeat(feed::Heartbeat { server_time: now, head, log_id });
        let [protobuf, json] = Form::ALL.map(|form| form.message(heartbeat()));
        self.porters.beat(Beat { at: Instant::now(), protobuf, json });
    }

    /// The stream of an audience; `None` before the first load.
    pub(super) fn stream(&self, kind: stream::Kind) -> Option<(Arc<Stream>, Epoch)> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = streams.1;
        let key = (kind.audience.key(), kind.conflate, kind.form);
        if let Some(stream) = streams.0.get(&key) {
            return Some((stream.clone(), epoch));
        }
        let head = self.mirror.read().head?;
        let ring = self.ring(head, kind.conflate, kind.form);
        let stream = Arc::new(Stream::new(kind, ring, epoch, self.porters.clone()));
        streams.0.insert(key, stream.clone());
        Some((stream, epoch))
    }

    /// Takes events into the mirror and the streams.
    pub(super) async fn take_all(&self, published: &[Arc<Published>]) -> Result<(), GatewayError> {
        let mut taken = read(published)?;
        let mut rest = published;
        while !taken.is_empty() {
            let later = taken.split_off(together(&taken));
            let (now, behind) = rest.split_at_checked(taken.len()).unwrap_or((rest, &[]));
            mark_last(&mut taken);
            self.take(now, &taken).await?;
            (taken, rest) = (later, behind);
        }
        Ok(())
    }

    async fn take(&self, published: &[Arc<Published>], taken: &[Taken]) -> Result<(), GatewayError> {
        let Some(upto) = taken.last().map(|t| t.seq) else { return Ok(()) };
        let forgotten = self.forgotten(published, taken).await?;
        let streams = self.apply(taken, &forgotten, upto);
        self.encode(&streams, taken, upto).await?;
        self.trim();
        self.afterwards(taken);
        if let Some(followed) = self.followed().as_mut() {
            followed.seq = upto;
        }
        Ok(())
    }

    /// Documents of aggregates that memory has forgotten and these events touch.
    async fn forgotten(
        &self,
        published: &[Arc<Published>],
        taken: &[Taken],
    ) -> Result<Vec<ledger::DocumentRow>, GatewayError> {
        let mut rows = Vec::new();
        for (message, t) in published.iter().zip(taken) {
            let absent = !t.event.begins() && !self.mirror.read().holds(&t.key);
            if !absent || taken.iter().any(|o| o.seq < t.seq && o.key == t.key) {
                continue;
            }
            let row = match document_of(message, &t.key) {
                Some(row) => Some(row.clone()),
                None => {
                    let (kind, id) = t.key.parts();
                    self.store.document(kind, &mirror::row_id(id)).await?
                }
            };
            if let Some(row) = row {
                rows.extend(self.mirror.alarms_of(&row).await?);
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Applies; the streams that see the whole batch, with the aggregates that each saw before.
    fn apply(&self, taken: &[Taken], forgotten: &[ledger::DocumentRow], upto: u64) -> Vec<(Arc<Stream>, HashSet<Key>)> {
        let mut all = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.mirror.write(|seen| {
            let before = |audience: &Audience| {
                let visible = |t: &&Taken| access::sees(audience, &seen.state, &t.key) != Sight::Hidden;
                taken.iter().filter(visible).map(|t| t.key.clone()).collect::<HashSet<Key>>()
            };
            let streams: Vec<_> = all.0.values().map(|s| (s.clone(), before(&s.audience))).collect();
            for row in forgotten {
                if let Err(error) = mirror::take(seen, row) {
                    self.failed(&error);
                }
            }
            for t in taken {
                // A document that was fetched may include the event already.
                if t.seq > seen.rev(&t.key) {
                    seen.state.apply(&t.event);
                    seen.revs.insert(t.key.clone(), t.seq);
                }
            }
            if let Some(head) = &mut seen.head {
                head.seq = upto;
            }
            // Whoever holds the erased values drops them with everything else. Together with the mirror, so that nobody
            // comes past the erasure without: it might go on from there elsewhere.
            if let Some(head) = seen.head
                && taken.iter().any(|t| matches!(t.event.body, Body::Erasures(_)))
            {
                self.mirror.texts.forget();
                self.void(&mut all, head, Why::Policy);
            }
            // Together with the mirror, so that nobody is given what came later under rights of before.
            if taken.iter().any(|t| matches!(t.event.body, Body::Account(_))) && heard() {
                judge_anew(&mut all);
            }
            streams
        })
    }

    async fn encode(
        &self,
        streams: &[(Arc<Stream>, HashSet<Key>)],
        taken: &[Taken],
        upto: u64,
    ) -> Result<(), GatewayError> {
        let refs = |seen: &Seen| {
            let states = taken.iter().filter(|t| t.last).flat_map(|t| view::refs_of_state(&seen.state, &t.key));
            states.chain(taken.iter().flat_map(|t| view::refs_of_event(&seen.state, &t.event))).collect()
        };
        let make = |seen: &Seen, values: &Values| -> Vec<News> {
            streams.iter().map(|(stream, before)| news(stream, before, taken, seen, values)).collect()
        };
        let all = self.mirror.with(refs, make).await?;
        let now = self.clock.now_ms();
        for ((stream, _), news) in streams.iter().zip(all) {
            stream.push(upto, now, news);
        }
        Ok(())
    }

    /// What a batch means beyond its own frames.
    fn afterwards(&self, taken: &[Taken]) {
        for t in taken {
            if let Key::Account(id) = &t.key {
                self.sessions.account_changed(id.clone());
            }
        }
    }

    /// Frames with the latest states, for conflating streams.
    async fn conflate(&self) -> Result<(), GatewayError> {
        let streams: Vec<_> = self.list().into_iter().filter(|s| s.conflate && s.dirty()).collect();
        let waiting: Vec<Vec<Key>> = streams.iter().map(|s| s.waiting()).collect();
        let refs = |seen: &Seen| {
            let keys: BTreeSet<&Key> = waiting.iter().flatten().collect();
            keys.into_iter().flat_map(|k| view::refs_of_state(&seen.state, k)).collect()
        };
        let make = |seen: &Seen, values: &Values| {
            let items = |(stream, keys): (&Arc<Stream>, &Vec<Key>)| {
                let gone: Vec<Key> = stream.lock().gone.iter().cloned().collect();
                let states = keys.iter().filter_map(|k| seen.view(&stream.audience, k, values));
                let states = states.chain(gone.iter().map(|k| gone_state(k, seen.last_rev(k))));
                states.map(|state| feed::Item { event: None, state: Some(state) }).collect::<Vec<_>>()
            };
            (seen.head.map_or(0, |h| h.seq), streams.iter().zip(&waiting).map(items).collect::<Vec<_>>())
        };
        let (upto, all) = self.mirror.with(refs, make).await?;
        let now = self.clock.now_ms();
        for (stream, items) in streams.iter().zip(all) {
            stream.conflated(upto, now, &items);
        }
        self.trim();
        Ok(())
    }

    /// Forgets what ended long ago, but for what a conflating stream still has to show as ended.
    fn trim(&self) {
        if !self.dirty() {
            self.mirror.write(Seen::trim);
        }
    }
}

/// Each client looks what it sees before it is given more.
fn judge_anew(streams: &mut (Streams, Epoch)) {
    streams.1 = streams.1.rights();
    streams.0.values().for_each(|s| s.rights(streams.1));
}

/// Whether changes of rights are heard at once: always, unless a test plants that they are not.
#[cfg(not(test))]
const fn heard() -> bool {
    true
}

#[cfg(test)]
fn heard() -> bool {
    !super::model::RIGHTS_UNHEARD.get()
}

/// Whether `now` is in the log of `known`, and not before it.
fn reached(known: Position, now: Position) -> bool {
    now.log_id == known.log_id && now.seq >= known.seq
}

/// What following the log brought.
enum Followed {
    Step(Step),
    /// After an error: the log is where the reader is …
    Level,
    /// … or further.
    Behind,
}

/// A while after an error the log is looked at, because no event may come for long.
async fn step(reader: &mut Reader, failing: Option<Duration>) -> ledger::Result<Followed> {
    let Some(pause) = failing else { return reader.next().await.map(Followed::Step) };
    tokio::time::sleep(pause).await;
    Ok(if reader.look().await? { Followed::Level } else { Followed::Behind })
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The event with those that are ready behind it.
fn drain(first: Arc<Published>, reader: &mut Reader) -> Vec<Arc<Published>> {
    let mut batch = vec![first];
    while batch.len() < BATCH {
        match reader.next().now_or_never() {
            Some(Ok(Step::Event(event))) => batch.push(event),
            // An error or a replaced log is met again by the next call.
            _ => break,
        }
    }
    batch
}

fn read(published: &[Arc<Published>]) -> Result<Vec<Taken>, GatewayError> {
    let mut taken = Vec::with_capacity(published.len());
    for message in published {
        let event = read_event(&message.event)?;
        taken.push(Taken { seq: message.event.seq, key: event.body.key(), event, last: false });
    }
    Ok(taken)
}

/// How many of these events are one batch. A correction of a place is its own: whoever saw the case at another gateway,
/// just before, is told that it is gone.
fn together(taken: &[Taken]) -> usize {
    let moves = |t: &Taken| matches!(t.event.body, Body::Incident(IncidentEvent::PlaceCorrected { .. }));
    taken.iter().position(moves).unwrap_or(taken.len()).max(1)
}

pub(super) fn mark_last(taken: &mut [Taken]) {
    let mut known = HashSet::new();
    for t in taken.iter_mut().rev() {
        t.last = known.insert(t.key.clone());
    }
}

/// What a batch of events means to one stream.
pub(super) fn news(stream: &Stream, before: &HashSet<Key>, taken: &[Taken], seen: &Seen, values: &Values) -> News {
    let mut news = News::default();
    for t in taken {
        let sight = access::sees(&stream.audience, &seen.state, &t.key);
        if sight == Sight::Hidden {
            if t.last && before.contains(&t.key) {
                let state = Some(gone_state(&t.key, t.seq));
                news.items.push(feed::Item { event: None, state });
                news.gone.push(t.key.clone());
            }
            continue;
        }
        if stream.conflate {
            if t.last {
                news.touched.push(t.key.clone());
            }
            continue;
        }
        let event = Some(view::event(&seen.state, t.seq, &t.event, sight, &Fetched(values)));
        let state = if t.last { seen.view(&stream.audience, &t.key, values) } else { None };
        news.items.push(feed::Item { event, state });
    }
    news
}

fn gone_state(key: &Key, rev: u64) -> feed::State {
    let (kind, id) = key.parts();
    feed::State { rev, kind: Some(feed::state::Kind::Gone(feed::Gone { kind: kind.to_owned(), id })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_log_or_an_earlier_place_makes_everybody_start_anew() {
        let known = Position { log_id: 4, seq: 7 };
        for (log_id, seq, same) in [(4, 7, true), (4, 9, true), (4, 6, false), (5, 9, false)] {
            assert_eq!(reached(known, Position { log_id, seq }), same, "{log_id} {seq}");
        }
    }
}
