//! Batches of messages: store, tell the writer, then acknowledge. Everything that fails is repeated as it was; while it
//! fails nothing is acknowledged and the broker keeps the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use domain::{
    event::Mode,
    ids::SensorId,
    input::{Input, Observation},
    site::Site,
};
use futures::{StreamExt, stream};
use ledger::{LedgerError, PendingObservation, Telemetry, TelemetryBatch, limits};
use link::intake::{InputKey, SharedIntake, Submission};
use runtime::{Clock, SteadyClock, retry::Backoff, telemetry::names};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Status,
    again::{Doubt, Taken},
    broker::{PACKET_LIMIT, WINDOW},
    connection::{Ack, Delivery},
    devices::Raw,
    engine::{Around, Came, Changes, Engine, PendingEdge},
    formats::{Message, Reading, Why},
    logins::Logins,
    rules::{Arrival, Rule},
    sweep::{Keep, Sweep},
};

/// Messages of one batch: all that the broker sends ahead.
const BATCH: usize = WINDOW as usize;
/// Observations under way at once.
const CONCURRENT: usize = 64;
/// Our own clock that goes so much otherwise than time passed was set, ms.
const LEAP_MS: u64 = 60_000;
/// How often time is put before the rules.
const TICK_MS: i64 = 250;
const TICK: Duration = Duration::from_millis(250);
/// Events of one reason in a minute; further ones only count.
const UNREADABLE_A_MINUTE: u32 = 4;

pub(crate) struct Worker {
    pub(crate) site: Arc<Site>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) intake: SharedIntake,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) steady: Arc<SteadyClock>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) max_payload: usize,
    pub(crate) keep: Keep,
    pub(crate) around: Around,
    pub(crate) logins: watch::Receiver<Logins>,
    /// Sensors whose logins the child broker has cut off.
    pub(crate) gone: watch::Sender<BTreeSet<SensorId>>,
    /// The broker is our child, of which it is known how it numbers messages.
    pub(crate) child: bool,
}

/// What a worker remembers besides the rules.
#[derive(Default)]
struct Seen {
    taken: Taken,
    doubt: Doubt,
}

/// It is time to stop; what was not acknowledged comes again.
struct Stopped;

/// At most a few events of one reason in a minute.
#[derive(Default)]
struct Limiter(BTreeMap<Why, (i64, u32)>);

impl Limiter {
    fn allow(&mut self, why: Why, now: i64) -> bool {
        let (since, count) = self.0.entry(why).or_insert((now, 0));
        if now.saturating_sub(*since) >= 60_000 {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= UNREADABLE_A_MINUTE
    }
}

impl Worker {
    pub(crate) async fn run(
        self,
        deliveries: mpsc::Receiver<Delivery>,
        acks: mpsc::Sender<Vec<Ack>>,
        cut: mpsc::Receiver<()>,
        stop: CancellationToken,
    ) {
        let work = self.work(deliveries, acks, cut);
        tokio::select! {
            biased;
            Stopped = work => {}
            () = stop.cancelled() => {}
        }
    }

    async fn work(
        &self,
        mut deliveries: mpsc::Receiver<Delivery>,
        acks: mpsc::Sender<Vec<Ack>>,
        mut cut: mpsc::Receiver<()>,
    ) -> Stopped {
        let mut engine = self.restore().await;
        let (mut limiter, mut seen) = (Limiter::default(), Seen::default());
        let mut logins = self.logins.clone();
        logins.mark_changed();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = Sweep::default();
        let mut batch = Vec::with_capacity(BATCH);
        let mut ticked = i64::MIN;
        let (mut then, mut at) = (self.clock.now_ms(), Instant::now());
        loop {
            tokio::select! {
                n = deliveries.recv_many(&mut batch, BATCH) => if n == 0 { return Stopped },
                _ = tick.tick() => {}
            }
            let now = self.clock.now_ms();
            let passed = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
            if (now - then).abs_diff(passed) > LEAP_MS {
                engine.leapt();
            }
            (then, at) = (now, Instant::now());
            if logins.has_changed().is_ok_and(|changed| changed) {
                let known = logins.borrow_and_update().clone();
                engine.allow(&known.unwrap_or_default());
            }
            self.gone.send_if_modified(|gone| {
                engine.leave(std::mem::take(gone), now);
                false
            });
            sweep.step(self.keep, self.telemetry.as_ref(), self.steady.removal_ms()).await;
            let mut changes = Changes::default();
            // How large it was is not known: it was never read to its end.
            while cut.try_recv().is_ok() {
                changes.unreadable.push((Why::Oversize, PACKET_LIMIT as u64 + 1));
            }
            let mut done = Vec::with_capacity(batch.len());
            let taken = batch.len() as u64;
            if taken > 0 {
                self.status.send_modify(|s| s.counts.messages += taken);
            }
            for delivery in batch.drain(..) {
                self.take(&mut engine, &delivery, &mut seen, now, &mut changes).await;
                done.push(delivery.ack());
                if changes.is_due() {
                    changes.seal(&engine);
                    let rest = changes.rest();
                    self.settle(std::mem::replace(&mut changes, rest), &mut limiter, now).await;
                    if !answer(&acks, &mut done).await {
                        return Stopped;
                    }
                }
            }
            // It asks every rule of every device: not with each batch. Also when the clock was set back.
            if now < ticked || now.saturating_sub(ticked) >= TICK_MS {
                engine.tick(now, &mut changes);
                ticked = now;
            }
            changes.seal(&engine);
            self.settle(changes, &mut limiter, now).await;
            if !answer(&acks, &mut done).await {
                return Stopped;
            }
        }
    }

    async fn take(&self, engine: &mut Engine, delivery: &Delivery, seen: &mut Seen, now: i64, changes: &mut Changes) {
        let p = &delivery.publish;
        if delivery.size > self.max_payload {
            changes.unreadable.push((Why::Oversize, delivery.size as u64));
            let raw = Raw::new(&p.topic, b"", delivery.size, p.retain, now);
            self.around.seen.aside(None, Raw { why: Some(Why::Oversize), ..raw });
            return;
        }
        // Of readings with a time the rules know that, whichever broker it is.
        if self.child && seen.taken.again(delivery) {
            return;
        }
        let arrival = match (p.retain, p.dup) {
            (true, _) => Arrival::Kept,
            (false, true) => Arrival::Again,
            (false, false) => Arrival::First,
        };
        let mut message = engine.parse(&p.topic, &p.payload);
        if arrival == Arrival::First && seen.doubt.of(delivery.connection, now) {
            match &mut message {
                Ok(Message::Reading(reading)) if self.is_known(engine, reading, changes).await => {
                    seen.doubt.founded(now);
                    message = Ok(Message::Nothing);
                }
                Ok(Message::Many { readings, .. }) => {
                    for reading in std::mem::take(readings) {
                        if self.is_known(engine, &reading, changes).await {
                            seen.doubt.founded(now);
                        } else {
                            readings.push(reading);
                        }
                    }
                }
                _ => {}
            }
        }
        engine.apply(message, Came { topic: &p.topic, payload: &p.payload, arrival, now }, changes);
    }

    /// Whether a reading that looks as if the device's clock had gone back is one that was stored long ago: the broker
    /// crashed and forgot that it was answered.
    async fn is_known(&self, engine: &Engine, reading: &Reading, changes: &Changes) -> bool {
        let Some((sensor, at, value)) = engine.doubts(reading) else { return false };
        if engine.took(reading) || changes.holds(sensor, at, value) {
            return true;
        }
        let stored = self.stored(|| self.telemetry.history(sensor, at, at.saturating_add(1), 1)).await;
        stored.first().is_some_and(|r| r.value.to_bits() == value.to_bits())
    }

    /// The engine as the last run left it; what that run had not told is told first.
    async fn restore(&self) -> Engine {
        let epoch = self.stored(|| self.telemetry.epoch()).await;
        let states = self.stored(|| self.telemetry.rule_states()).await;
        loop {
            let pending = self.stored(|| self.telemetry.pending(limits::PAGE)).await;
            if pending.is_empty() {
                break;
            }
            self.tell(pending).await;
        }
        let now = self.clock.now_ms();
        Engine::new(&self.site, self.rules.clone(), epoch, &states, self.around.clone(), now)
    }

    /// Stores and tells everything of a batch, however long it takes.
    async fn settle(&self, mut changes: Changes, limiter: &mut Limiter, now: i64) {
        for batch in changes.commits() {
            self.commit(&batch).await;
            self.tell(batch.pending).await;
        }
        let Changes { links, unreadable, .. } = changes;
        // Of several states of one device in a batch the last one counts.
        let links: BTreeMap<SensorId, bool> = links.into_iter().collect();
        let links = links.into_iter().map(|(sensor, online)| {
            let observation = Observation::SensorLink { sensor, online };
            self.submit(None, Vec::new(), observation)
        });
        stream::iter(links.collect::<Vec<_>>()).buffer_unordered(CONCURRENT).for_each(|()| async {}).await;
        for (why, size) in unreadable {
            self.count(why);
            if limiter.allow(why, now) {
                let why = why.code().to_owned();
                let observation = Observation::Unreadable { source: "mqtt".to_owned(), why, size };
                self.submit(None, Vec::new(), observation).await;
            }
        }
    }

    /// Stores one commit. What the store will never take is given up, loudly: to repeat it would end all sensing. Its edges
    /// are told all the same.
    async fn commit(&self, batch: &TelemetryBatch) {
        let call = async || match self.telemetry.commit(batch.clone()).await {
            Err(error @ LedgerError::Invalid { .. }) => Ok(Err(error)),
            other => other.map(Ok),
        };
        let n = batch.readings.len() as u64;
        match self.stored(call).await {
            Ok(()) => {
                self.status.send_modify(|s| s.counts.readings += n);
                metrics::counter!(names::MQTT_MESSAGES, "outcome" => "stored").increment(n);
            }
            Err(error) => {
                tracing::error!(%error, readings = n, "the store refuses a batch of sensor values, which is given up");
                self.status.send_modify(|s| s.counts.refused += 1);
            }
        }
    }

    fn count(&self, why: Why) {
        metrics::counter!(names::MQTT_MESSAGES, "outcome" => why.code()).increment(1);
        self.status.send_modify(|s| match why {
            Why::Oversize => s.counts.oversize += 1,
            Why::Malformed => s.counts.malformed += 1,
            Why::UnknownDevice => s.counts.unknown_device += 1,
            Why::UnknownUnit => s.counts.unknown_unit += 1,
            Why::Old => s.counts.old += 1,
        });
    }

    /// Hands pending observations to the writer, those of one sensor in order, and crosses them out.
    async fn tell(&self, pending: Vec<PendingObservation>) {
        let keys: Vec<_> = pending.iter().map(|p| p.key.clone()).collect();
        for wave in waves(pending) {
            let all = wave.into_iter().map(|(key, payload, edge)| {
                let key = InputKey { scope: "mqtt".to_owned(), key };
                self.submit(Some(key), payload, edge.observation())
            });
            let count = stream::iter(all.collect::<Vec<_>>()).buffer_unordered(CONCURRENT).count().await;
            self.status.send_modify(|s| s.counts.edges += count as u64);
        }
        if !keys.is_empty() {
            self.stored(|| self.telemetry.pending_done(&keys)).await;
        }
    }

    /// Submits until there is an outcome. A refusal is one: the same input would be refused again.
    async fn submit(&self, key: Option<InputKey>, request: Vec<u8>, observation: Observation) {
        let input = Input::Observe { mode: Mode::Real, observation };
        let submission = Submission { key, request, input, settles: Vec::new() };
        let mut backoff = backoff();
        loop {
            match self.intake.submit(submission.clone()).await {
                Ok(_) => return self.flows(),
                Err(error) if error.passes() => {
                    self.held(&error.to_string());
                    tokio::time::sleep(backoff.delay()).await;
                }
                Err(error) => {
                    tracing::warn!(key = ?submission.key.map(|k| k.key), %error, "an observation was refused");
                    self.status.send_modify(|s| s.counts.refused += 1);
                    return self.flows();
                }
            }
        }
    }

    /// Repeats a call of the telemetry store until it succeeds.
    async fn stored<T, F: Future<Output = Result<T, LedgerError>>>(&self, call: impl Fn() -> F) -> T {
        let mut backoff = backoff();
        loop {
            match call().await {
                Ok(value) => {
                    self.flows();
                    return value;
                }
                Err(error) => {
                    self.held(&format!("{} {error}", error.zh()));
                    tokio::time::sleep(backoff.delay()).await;
                }
            }
        }
    }

    fn held(&self, why: &str) {
        let now = self.clock.now_ms();
        self.status.send_if_modified(|s| {
            let first = s.held.is_none();
            if first {
                tracing::warn!(error = why, "sensor messages wait: nothing can be stored");
                s.held = Some((why.to_owned(), now));
            }
            first
        });
    }

    fn flows(&self) {
        self.status.send_if_modified(|s| s.held.take().is_some());
    }
}

/// Hands the answers over; false when nobody takes them any more.
async fn answer(acks: &mpsc::Sender<Vec<Ack>>, done: &mut Vec<Ack>) -> bool {
    done.is_empty() || acks.send(std::mem::take(done)).await.is_ok()
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5))
}

/// Groups of which each holds at most one observation of a sensor, in order.
fn waves(pending: Vec<PendingObservation>) -> Vec<Vec<(String, Vec<u8>, PendingEdge)>> {
    let mut waves: Vec<Vec<_>> = Vec::new();
    let mut seen: BTreeMap<SensorId, usize> = BTreeMap::new();
    for p in pending {
        let edge: PendingEdge = match serde_json::from_slice(&p.payload) {
            Ok(edge) => edge,
            Err(error) => {
                tracing::error!(key = %p.key, %error, "a pending observation is unreadable and given up");
                continue;
            }
        };
        let turn = seen.entry(SensorId::new(&edge.sensor)).or_default();
        let index = *turn;
        *turn += 1;
        if waves.len() <= index {
            waves.resize_with(index + 1, Vec::new);
        }
        if let Some(wave) = waves.get_mut(index) {
            wave.push((p.key, p.payload.to_vec(), edge));
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn unreadable_events_are_few_a_minute() {
        let mut limiter = Limiter::default();
        let allowed = (0..100).filter(|i| limiter.allow(Why::Malformed, i * 100)).count();
        assert_eq!(allowed, 4);
        assert!(limiter.allow(Why::Oversize, 0), "reasons count apart");
        assert!(limiter.allow(Why::Malformed, 60_000), "the next minute");
    }

    #[test]
    fn observations_of_one_sensor_keep_their_order() {
        let pending = |sensor: &str, n: u32| {
            let edge = PendingEdge {
                sensor: sensor.into(),
                rule: "r".into(),
                kind: "k".into(),
                raised: n % 2 == 1,
                value: None,
                at: 0,
            };
            let payload = serde_json::to_vec(&edge).unwrap().into();
            PendingObservation { key: format!("1/{sensor}/r/{n}"), payload }
        };
        let bad = PendingObservation { key: "x".into(), payload: "{".into() };
        let all = vec![pending("a", 1), pending("b", 1), bad, pending("a", 2), pending("a", 3)];
        let keys: Vec<Vec<_>> = waves(all).into_iter().map(|w| w.into_iter().map(|e| e.0).collect()).collect();
        assert_eq!(keys, [vec!["1/a/r/1", "1/b/r/1"], vec!["1/a/r/2"], vec!["1/a/r/3"]]);
    }
}
