//! Departments and the message platform, in and out.
//!
//! One connector, described by data, serves every department: signed calls in (task steps, reports, records), pushes and
//! recalls out of the outbox, records pulled on a schedule, a freshness light. Messages of residents come and go by an
//! HTTP gateway interface. Data rules over departments' records run as data patrols, incoming messages as message
//! patrols.
//!
//! Invariants: a call is answered after its outcome is durable; a key takes effect once; a delivery is repeated until it
//! is answered or visibly given up, and one dead department delays no other; records and queues are bounded; no rule of
//! the domain is decided here. Personal values appear only in requests and their bodies, never in logs or metrics.

pub mod config;
pub mod ports;
pub mod preview;
pub mod rules;
pub mod sign;

mod fields;
mod http;
mod inbound;
mod light;
mod outbound;
mod parts;
mod patrol;
mod problem;
mod pull;
mod receipt;
mod records;
mod source;
mod table;
mod tally;
mod trouble;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use domain::{
    ids::{MessageId, UnitId},
    light::Light,
    refusal::Refusal,
    site::Site,
};
use link::intake::{Done, IntakeError, SharedIntake, Submission};
use runtime::{Clock, retry::Backoff};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

pub use config::Config;
use config::Connector;
pub use tally::{SetAside, SourceFacts};

/// Messages that wait for the message patrol; further ones are no findings, and counted.
const MESSAGES: usize = 1_024;

/// Why the exchange cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// A value of the configuration.
    #[error("{key}: {message}")]
    Config {
        /// Dotted key.
        key: String,
        /// What is wrong, in both languages.
        message: &'static str,
    },
    /// The authorities cannot be read.
    #[error("{file}: 不是可用的证书 is no usable certificate")]
    Certificates {
        /// The file.
        file: String,
    },
    /// The HTTP client cannot be made.
    #[error("HTTP 客户端无法创建 the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    /// The shipped rules cannot be read.
    #[error("内置数据规则无法读取 the shipped data rules cannot be read")]
    Shipped(#[from] serde_json::Error),
}

/// What the exchange needs.
pub struct Parts {
    /// Configuration.
    pub config: Config,
    /// The site.
    pub site: Arc<Site>,
    /// The writer.
    pub intake: SharedIntake,
    /// Deliveries.
    pub outbox: Arc<dyn ledger::Outbox>,
    /// Reads what an outbox row holds; `None` when it cannot be read.
    pub decode: ports::Decode,
    /// Reads what deliveries point at, at the moment of sending.
    pub content: Arc<dyn ports::Content>,
    /// Hides values.
    pub hash: ports::KeyedHash,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The exchange: routes to mount, and tasks to run.
#[derive(Clone)]
pub struct Exchange {
    shared: Arc<Shared>,
    messages: Arc<Mutex<Option<mpsc::Receiver<MessageId>>>>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) connectors: BTreeMap<String, Connector>,
    pub(crate) rules: Vec<rules::DataRule>,
    pub(crate) site: Arc<Site>,
    pub(crate) intake: SharedIntake,
    pub(crate) outbox: Arc<dyn ledger::Outbox>,
    pub(crate) decode: ports::Decode,
    pub(crate) content: Arc<dyn ports::Content>,
    pub(crate) hash: ports::KeyedHash,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: reqwest::Client,
    pub(crate) records: Mutex<records::Records>,
    pub(crate) pulses: Mutex<BTreeMap<String, light::Pulse>>,
    pub(crate) tallies: Mutex<tally::Tallies>,
    pub(crate) troubles: Mutex<BTreeMap<String, trouble::Trouble>>,
    pub(crate) holds: Mutex<BTreeMap<String, i64>>,
    pub(crate) unreadable: Mutex<inbound::Limiter>,
    pub(crate) parts: Mutex<parts::Parts>,
    pub(crate) recent: Mutex<parts::Recent>,
    pub(crate) messages: mpsc::Sender<MessageId>,
    pub(crate) nudge: Notify,
}

impl Exchange {
    /// Checks the configuration and makes the exchange; nothing runs yet.
    pub fn new(parts: Parts) -> Result<Self, ExchangeError> {
        let Parts { config, site, intake, outbox, decode, content, hash, clock } = parts;
        let rules = config.rules()?;
        config.check_with(&rules)?;
        let now = clock.now_ms();
        let connectors: BTreeMap<_, _> = config.departments.iter().map(|c| (c.unit.clone(), c.clone())).collect();
        let pulses = connectors.keys().map(|unit| (unit.clone(), light::Pulse::new(now))).collect();
        let (messages, received) = mpsc::channel(MESSAGES);
        let shared = Shared {
            client: http::client(config.ca_file.as_deref())?,
            records: Mutex::new(records::Records::new(&config.departments)),
            pulses: Mutex::new(pulses),
            tallies: Mutex::default(),
            troubles: Mutex::default(),
            holds: Mutex::default(),
            unreadable: Mutex::default(),
            parts: Mutex::default(),
            recent: Mutex::default(),
            nudge: Notify::new(),
            config,
            connectors,
            rules,
            site,
            intake,
            outbox,
            decode,
            content,
            hash,
            clock,
            messages,
        };
        Ok(Self { shared: Arc::new(shared), messages: Arc::new(Mutex::new(Some(received))) })
    }

    /// `POST /{department}/inbound` and `POST /sms/inbound`, to be mounted under `/api/v1/exchange`. Every request is
    /// signed; no session is needed.
    pub fn router(&self) -> Router {
        inbound::router(self.shared.clone())
    }

    /// Runs deliveries, pulls, lights and patrols until `stop`. Only the first call runs the message patrol.
    pub async fn run(&self, stop: CancellationToken) {
        let shared = &self.shared;
        let messages = guard(&self.messages).take();
        let pulls = futures::future::join_all(shared.connectors.values().map(|c| pull::run(shared, c)));
        let patrols = futures::future::join_all(shared.rules.iter().map(|r| patrol::data(shared, r)));
        let work = async {
            tokio::join!(outbound::run(shared), light::run(shared), inbound::run(shared), pulls, patrols, async {
                if let Some(messages) = messages {
                    patrol::messages(shared, messages).await;
                }
            })
        };
        tokio::select! {
            _ = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// Looks at the outbox now instead of at the next look.
    pub fn nudge(&self) {
        self.shared.nudge.notify_one();
    }

    /// How each department is connected and when it last showed life; names no addresses and no secrets.
    pub fn facts(&self) -> Vec<Facts> {
        let now = self.shared.clock.now_ms();
        let pulses = guard(&self.shared.pulses);
        let troubles = guard(&self.shared.troubles);
        let tallies = guard(&self.shared.tallies);
        let facts = self.shared.connectors.iter().filter_map(|(unit, connector)| {
            let pulse = pulses.get(unit)?;
            Some(Facts {
                unit: UnitId::new(unit),
                push: connector.push.is_some(),
                pull_every_s: connector.pull.as_ref().map(|p| p.every_s),
                records: connector.records.keys().cloned().collect(),
                light: pulse.light(connector, now),
                heard_ms: pulse.heard_ms(),
                failures: pulse.failures(),
                denied_ms: trouble::since(&troubles, unit),
                sources: tallies.facts(unit),
            })
        });
        facts.collect()
    }
}

/// How a department is connected, and how that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Unit.
    pub unit: UnitId,
    /// Tasks are pushed to its system.
    pub push: bool,
    /// Records are fetched this often, seconds; none = it sends them.
    pub pull_every_s: Option<u32>,
    /// Kinds of records that are kept.
    pub records: Vec<String>,
    /// Its light now.
    pub light: Light,
    /// Last call from it or answer of it, ms since 1970.
    pub heard_ms: Option<i64>,
    /// Calls to it that failed since then.
    pub failures: u32,
    /// Since when it refuses our credentials, ms since 1970, if it does.
    pub denied_ms: Option<i64>,
    /// Where its records come from and what became of them.
    pub sources: Vec<SourceFacts>,
}

impl Shared {
    /// The name of a unit or of the message platform, Chinese.
    pub(crate) fn name<'a>(&'a self, of: &'a str) -> &'a str {
        let unit = self.site.unit(&of.into()).map(|u| u.name.zh.as_str());
        unit.unwrap_or(if of == "sms" { "短信平台" } else { of })
    }

    pub(crate) fn heard(&self, unit: &str) {
        if let Some(pulse) = guard(&self.pulses).get_mut(unit) {
            pulse.heard(self.clock.now_ms());
        }
    }

    pub(crate) fn failed(&self, unit: &str) {
        if let Some(pulse) = guard(&self.pulses).get_mut(unit) {
            pulse.failed();
        }
    }

    /// Submits until there is an outcome; `Err` is the core's refusal, which would only be repeated.
    pub(crate) async fn insist(&self, submission: Submission) -> Result<Done, Refused> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            match self.intake.submit(submission.clone()).await {
                Ok(done) => return Ok(done),
                Err(IntakeError::Busy | IntakeError::Unavailable(_) | IntakeError::Unknown(_)) => {
                    tokio::time::sleep(backoff.delay()).await;
                }
                Err(IntakeError::Refused(refusal)) => return Err(Refused::Core(refusal)),
                Err(IntakeError::KeyReused) => return Err(Refused::Known),
                Err(IntakeError::TooLong(what)) => return Err(Refused::TooLong(what)),
                Err(IntakeError::Unstorable) => return Err(Refused::Unstorable),
            }
        }
    }

    /// Waits until the clock shows `at`. Looks often enough to follow a clock that jumps.
    pub(crate) async fn until(&self, at: i64) {
        loop {
            let rest = at.saturating_sub(self.clock.now_ms());
            if rest <= 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(rest.clamp(1, 1_000).unsigned_abs())).await;
        }
    }
}

/// Why an input of our own had no effect.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The core refuses.
    Core(Refusal),
    /// The key took effect before, with another request.
    Known,
    /// Longer than taken.
    TooLong(&'static str),
    /// The store takes it neither now nor later.
    Unstorable,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Core(refusal) => refusal.fmt(f),
            Self::Known => f.write_str("the key is known"),
            Self::TooLong(what) => write!(f, "{what} is too long"),
            Self::Unstorable => f.write_str("it cannot be stored"),
        }
    }
}

/// Locks hold for a map operation only; a poisoned one still holds whole values.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
