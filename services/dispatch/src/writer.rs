//! The writer's task and the handle that others submit through.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    Context, State, decide,
    device::Credential,
    ids::{DeviceId, SiteId},
    input::{Command, Input, Refs},
    time::Timestamp,
};
use ledger::{Bus, Head, KeyRow, LedgerError, Published, Store};
use link::intake::{Done, Intake, IntakeError, MAX_KEY, Position, Submission};
use runtime::{Clock, Criticality, Tasks, retry::Backoff, tasks::Stage, telemetry::names};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{DispatchError, batch::Collector, load};

/// Longest request kept for comparison, bytes.
const MAX_REQUEST: usize = 256 * 1024;
/// What is told once the writer takes nothing more.
const STOPPING: &str = "正在停止 stopping";
/// A batch ends early at this many events, far below the ledger's limit.
const MAX_EVENTS: usize = 1_000;

/// Bounds of the writer.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// Inputs that may wait; a further one is told `Busy`.
    pub queue: usize,
    /// Inputs of one commit.
    pub batch: usize,
    /// How often time passes for the core.
    pub tick: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { queue: 4_096, batch: 256, tick: Duration::from_secs(1) }
    }
}

/// Whether the writer can take inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// It can.
    pub ok: bool,
    /// Since when, ms.
    pub since_ms: i64,
    /// Why not, Chinese and English; names no values.
    pub reason: String,
    /// Another writer has the log: this one is over for good, and so is its process.
    pub fenced: bool,
}

/// How devices log in, as the newest commit left it; `None` before the first load.
pub type Credentials = Option<Arc<BTreeMap<DeviceId, Credential>>>;

/// The handle. Clones share the writer.
#[derive(Clone)]
pub struct Writer {
    site: SiteId,
    inbox: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
    credentials: watch::Receiver<Credentials>,
}

impl Writer {
    /// Follows the writer's state.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Follows how devices log in.
    pub fn credentials(&self) -> watch::Receiver<Credentials> {
        self.credentials.clone()
    }
}

struct Request {
    submission: Submission,
    reply: oneshot::Sender<Result<Done, IntakeError>>,
}

#[async_trait]
impl Intake for Writer {
    fn site(&self) -> SiteId {
        self.site.clone()
    }

    async fn submit(&self, submission: Submission) -> Result<Done, IntakeError> {
        if let Some(key) = &submission.key
            && (key.key.len() > MAX_KEY || key.scope.len() > MAX_KEY || key.key.is_empty())
        {
            return Err(IntakeError::TooLong("key"));
        }
        if submission.request.len() > MAX_REQUEST {
            return Err(IntakeError::TooLong("request"));
        }
        let (reply, answer) = oneshot::channel();
        self.inbox.try_send(Request { submission, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::Busy,
            mpsc::error::TrySendError::Closed(_) => IntakeError::Unavailable(STOPPING.to_owned()),
        })?;
        // It may have been in a commit by then.
        answer.await.unwrap_or_else(|_| Err(IntakeError::Unknown(STOPPING.to_owned())))
    }
}

/// Starts the writer of `site` under `tasks`.
pub fn start(
    site: SiteId,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    options: WriterOptions,
    tasks: &Tasks,
) -> Writer {
    let (sender, inbox) = mpsc::channel(options.queue.max(1));
    let first = Status {
        ok: false,
        since_ms: clock.now_ms(),
        reason: "正在读取台账 the log is being read".to_owned(),
        fenced: false,
    };
    let (status_sender, status) = watch::channel(first);
    let (credentials_sender, credentials) = watch::channel(None);
    let core = Core {
        store,
        bus,
        clock,
        options,
        memory: None,
        status: status_sender,
        credentials: credentials_sender,
        own: None,
        fenced: false,
    };
    let stop = tasks.stop(Stage::Core);
    tasks.spawn("dispatch.writer", Stage::Core, Criticality::Critical, core.run(inbox, stop));
    Writer { site, inbox: sender, status, credentials }
}

struct Core {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    options: WriterOptions,
    /// Dropped after any commit error.
    memory: Option<(Head, State)>,
    status: watch::Sender<Status>,
    credentials: watch::Sender<Credentials>,
    /// The log and the terms that are this writer's own; `None` before it first had one.
    own: Option<(u64, RangeInclusive<u64>)>,
    /// Another writer has the log: this one ends, and its process with it.
    fenced: bool,
}

/// An answer that waits for the commit, with the request in case the commit is taken apart.
type Waiting = (Request, Result<Done, IntakeError>);

impl Core {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>, stop: tokio_util::sync::CancellationToken) {
        let mut tick = tokio::time::interval(self.options.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut requests = Vec::new();
        loop {
            if self.memory.is_none() {
                if let Err(error) = self.load().await {
                    self.fail(&error);
                    refuse_all(&mut inbox, &error.words());
                    if self.fenced {
                        return;
                    }
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(backoff.delay()) => continue,
                    }
                }
                backoff.reset();
            }
            let ticked = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Before the inputs, so that a queue that never empties does not stop time.
                _ = tick.tick() => true,
                n = inbox.recv_many(&mut requests, self.options.batch) => if n == 0 { break } else { false },
            };
            if ticked {
                self.tick().await;
            } else {
                self.serve(std::mem::take(&mut requests)).await;
            }
        }
        // What was taken into the queue before the drain is still decided.
        inbox.close();
        while inbox.recv_many(&mut requests, self.options.batch).await > 0 {
            self.serve(std::mem::take(&mut requests)).await;
        }
    }

    async fn load(&mut self) -> Result<(), DispatchError> {
        if self.fenced {
            return Err(DispatchError::Fenced);
        }
        let head = self.take_log().await?;
        let loaded = (head, load::state(self.store.as_ref()).await?);
        tracing::info!(log.seq = loaded.0.seq, log.term = loaded.0.term, "writer has the log");
        self.tell_credentials(&loaded.1);
        self.memory = Some(loaded);
        self.set_status(true, String::new());
        Ok(())
    }

    /// Becomes the writer, unless another one did since: a writer that lost its database for a while must not take the
    /// log back from its successor.
    async fn take_log(&mut self) -> Result<Head, DispatchError> {
        if let Some((log_id, terms)) = &mut self.own {
            let head = self.store.head().await?;
            if head.log_id != *log_id || !terms.contains(&head.term) {
                return Err(DispatchError::Fenced);
            }
            *terms = head.term..=head.term;
        }
        match self.store.open_writer().await {
            Ok(head) => {
                self.own = Some((head.log_id, head.term..=head.term));
                Ok(head)
            }
            Err(error) => {
                // Only then may it have succeeded all the same.
                if let (LedgerError::Io(_), Some((_, terms))) = (&error, &mut self.own) {
                    *terms = *terms.start()..=terms.end() + 1;
                }
                Err(error.into())
            }
        }
    }

    fn tell_credentials(&self, state: &State) {
        self.credentials.send_if_modified(|known| {
            let changed = known.as_deref() != Some(&state.credentials);
            if changed {
                *known = Some(Arc::new(state.credentials.clone()));
            }
            changed
        });
    }

    fn fail(&mut self, error: &DispatchError) {
        self.fenced |= matches!(error, DispatchError::Fenced | DispatchError::Ledger(LedgerError::Fenced { .. }));
        let words = error.words();
        if self.status.borrow().reason != words {
            tracing::error!(error = %error.reason(), "the writer cannot store");
        }
        self.set_status(false, words);
    }

    fn set_status(&self, ok: bool, reason: String) {
        let (since_ms, fenced) = (self.clock.now_ms(), self.fenced);
        self.status.send_if_modified(|s| {
            let changed = s.ok != ok || s.reason != reason || s.fenced != fenced;
            if changed {
                *s = Status { ok, since_ms, reason, fenced };
            }
            changed
        });
    }

    async fn tick(&mut self) {
        let Some((head, mut state)) = self.memory.take() else { return };
        let mut batch = Collector::new(head);
        let now = Timestamp(self.clock.now_ms());
        if let Ok(decision) = decide(&state, &Input::Tick, context(now)) {
            batch.take(&mut state, decision, now.0);
        }
        match self.commit(head, state, batch).await {
            Ok(events) => self.publish(events).await,
            Err(error) => self.fail(&error),
        }
    }

    /// Decides a batch of inputs, commits, answers.
    async fn serve(&mut self, requests: Vec<Request>) {
        metrics::histogram!(names::BATCH_INPUTS).record(count(requests.len()));
        let mut rest = VecDeque::from(requests);
        // So many inputs at the front get a commit each, because one of them spoiled the commit of all.
        let mut singly = 0_usize;
        while !rest.is_empty() {
            if self.memory.is_none()
                && let Err(error) = self.load().await
            {
                self.fail(&error);
                let why = error.words();
                for request in rest.drain(..) {
                    let _ = request.reply.send(Err(IntakeError::Unavailable(why.clone())));
                }
                return;
            }
            let spoilt = self.serve_some(&mut rest, singly > 0).await;
            singly = if spoilt > 0 { spoilt } else { singly.saturating_sub(1) };
        }
    }

    /// Takes inputs from the front into one commit; how many came back, because it cannot be stored as it is.
    async fn serve_some(&mut self, rest: &mut VecDeque<Request>, singly: bool) -> usize {
        let known = match self.known_keys(rest).await {
            Ok(known) => known,
            Err(error) => {
                let error = error.into();
                self.fail(&error);
                self.memory = None;
                let why = error.words();
                for request in rest.drain(..) {
                    let _ = request.reply.send(Err(IntakeError::Unavailable(why.clone())));
                }
                return 0;
            }
        };
        let Some((head, mut state)) = self.memory.take() else { return 0 };
        let next = rest.iter().take(if singly { 1 } else { rest.len() }).map(|r| &r.submission.input);
        let unread = load::named(self.store.as_ref(), &mut state, next).await;
        let mut round = Round { batch: Collector::new(head), known, waiting: Vec::new(), log_id: head.log_id };
        let mut alone = false;
        while let Some(request) = rest.front() {
            let erases = matches!(&request.submission.input, Input::Command { command: Command::Erase(_), .. });
            // An erasure must not share a commit with new values of its subject.
            if alone || round.batch.events() >= MAX_EVENTS || (erases && !round.batch.is_empty()) {
                break;
            }
            alone = erases || singly;
            let Some(request) = rest.pop_front() else { break };
            if let Some(why) = unread.of(&request.submission.input) {
                round.waiting.push((request, Err(IntakeError::Unavailable(why))));
                continue;
            }
            let now = Timestamp(self.clock.now_ms());
            round.decide(self.store.as_ref(), &mut state, request, now);
        }
        let Round { batch, waiting, .. } = round;
        let (events, failed) = match self.commit(head, state, batch).await {
            Ok(events) => (events, None),
            Err(error) if spoils(&error) && waiting.len() > 1 => {
                tracing::warn!(error = %error.reason(), inputs = waiting.len(), "a commit is taken apart");
                let spoilt = waiting.len();
                waiting.into_iter().rev().for_each(|(request, _)| rest.push_front(request));
                return spoilt;
            }
            // The store is well: only this input cannot be stored, and never can.
            Err(DispatchError::Ledger(error @ LedgerError::Invalid { .. })) => {
                tracing::warn!(%error, "an input cannot be stored");
                (Vec::new(), Some(IntakeError::Unstorable))
            }
            Err(error) => {
                self.fail(&error);
                let why = error.words();
                // After `Io` of an append all of it may be stored.
                let unknown = matches!(error, DispatchError::Ledger(LedgerError::Io(_)));
                let told = if unknown { IntakeError::Unknown(why) } else { IntakeError::Unavailable(why) };
                (Vec::new(), Some(told))
            }
        };
        for (request, answer) in waiting {
            let answer = failed.clone().map_or(answer, Err);
            count_answer(&answer);
            let _ = request.reply.send(answer);
        }
        self.publish(events).await;
        0
    }

    async fn known_keys(&self, requests: &VecDeque<Request>) -> ledger::Result<HashMap<ledger::InputKey, KeyRow>> {
        let keys = requests.iter().filter_map(|r| r.submission.key.as_ref());
        let keys: Vec<_> = keys.map(|k| ledger::InputKey::new(&*k.scope, &*k.key)).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self.store.keys(&keys).await?;
        Ok(rows.into_iter().map(|row| (row.key.clone(), row)).collect())
    }

    /// Commits; what to publish once the inputs are answered. After an error the memory is gone.
    async fn commit(
        &mut self,
        head: Head,
        mut state: State,
        batch: Collector,
    ) -> Result<Vec<Arc<Published>>, DispatchError> {
        if batch.is_empty() {
            // What refused inputs named was fetched for them only.
            state.trim();
            self.memory = Some((head, state));
            return Ok(Vec::new());
        }
        let moved = batch.moves_credentials();
        let batch = batch.finish(&state);
        let head = self.store.append(&batch).await?;
        if moved {
            self.tell_credentials(&state);
        }
        state.trim();
        self.memory = Some((head, state));
        self.set_status(true, String::new());
        Ok(batch.into_published())
    }

    async fn publish(&self, events: Vec<Arc<Published>>) {
        if !events.is_empty()
            && let Err(error) = self.bus.publish(events).await
        {
            tracing::warn!(error = %error, "bus delayed: followers will poll");
        }
    }
}

/// One commit in the making.
struct Round {
    batch: Collector,
    /// Keys taken before, by earlier commits or by this one.
    known: HashMap<ledger::InputKey, KeyRow>,
    waiting: Vec<Waiting>,
    log_id: u64,
}

impl Round {
    fn decide(&mut self, store: &dyn Store, state: &mut State, request: Request, now: Timestamp) {
        let answer = self.answer(store, state, &request.submission, now);
        self.waiting.push((request, answer));
    }

    fn answer(
        &mut self,
        store: &dyn Store,
        state: &mut State,
        submission: &Submission,
        now: Timestamp,
    ) -> Result<Done, IntakeError> {
        let Submission { key, request, input, settles } = submission;
        self.batch.settle(settles);
        let key = key.as_ref().map(|k| (ledger::InputKey::new(&*k.scope, &*k.key), store.request_hash(request)));
        if let Some((key, hash)) = &key
            && let Some(row) = self.known.get(key)
        {
            return if &row.request_hash == hash { replay(self.log_id, row) } else { Err(IntakeError::KeyReused) };
        }
        match decide(state, input, context(now)) {
            Err(refusal) => Err(IntakeError::Refused(refusal)),
            Ok(decision) => {
                let refs = decision.refs.clone();
                self.batch.take(state, decision, now.0);
                let seq = self.batch.head().seq;
                if let Some((key, hash)) = key {
                    self.remember(key, hash, &refs, seq, now);
                }
                Ok(Done { position: Position { log_id: self.log_id, seq }, refs, replayed: false })
            }
        }
    }

    fn remember(&mut self, key: ledger::InputKey, request_hash: [u8; 32], refs: &Refs, seq: u64, now: Timestamp) {
        let outcome = outcome(seq, refs).into();
        let row = KeyRow { key: key.clone(), request_hash, outcome, at_ms: now.0 };
        self.batch.key(row.clone());
        self.known.insert(key, row);
    }
}

/// Whether the fault may lie with one input of the commit and not with the store.
fn spoils(error: &DispatchError) -> bool {
    matches!(error, DispatchError::Ledger(LedgerError::Invalid { .. } | LedgerError::Conflict { .. }))
}

fn replay(log_id: u64, row: &KeyRow) -> Result<Done, IntakeError> {
    let unreadable = || IntakeError::Unavailable("该键的结果无法读取 the outcome of the key is unreadable".to_owned());
    let (seq, refs) = row.outcome.split_first_chunk().ok_or_else(unreadable)?;
    let refs = wire::refs::decode(refs).map_err(|_| unreadable())?;
    Ok(Done { position: Position { log_id, seq: u64::from_be_bytes(*seq) }, refs, replayed: true })
}

/// What a repetition of the input is answered: where the log stood, and the references.
fn outcome(seq: u64, refs: &Refs) -> Vec<u8> {
    let mut bytes = seq.to_be_bytes().to_vec();
    bytes.extend(wire::refs::encode(refs));
    bytes
}

fn context(now: Timestamp) -> Context {
    Context { now, entropy: runtime::chance::draw() }
}

fn refuse_all(inbox: &mut mpsc::Receiver<Request>, why: &str) {
    while let Ok(request) = inbox.try_recv() {
        let _ = request.reply.send(Err(IntakeError::Unavailable(why.to_owned())));
    }
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn count_answer(answer: &Result<Done, IntakeError>) {
    let outcome = match answer {
        Ok(done) if done.replayed => "replayed",
        Ok(_) => "taken",
        Err(IntakeError::Refused(_)) => "refused",
        Err(IntakeError::KeyReused) => "key_reused",
        Err(IntakeError::Unstorable) => "unstorable",
        Err(_) => "failed",
    };
    metrics::counter!(names::INPUTS, "outcome" => outcome).increment(1);
}
