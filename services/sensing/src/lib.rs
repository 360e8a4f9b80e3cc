//! Sensors over MQTT: payload formats, threshold rules, time series.
//!
//! The way of a message: the broker delivers it (QoS 1) → it is parsed and put before the rules → readings, rule states
//! and pending observations commit to the telemetry store in one transaction → the observations go to the writer →
//! only then the broker is answered. Whatever fails in between is tried again, without an answer, so that the broker
//! keeps what we have not.
//!
//! Invariants: an acknowledged message survives a crash; each edge takes effect once (each observation has a key with the
//! telemetry epoch, the sensor, the rule and the number of the edge), and a message that comes again makes no second one
//! if its readings have times of their own. Of those without, which are heard as they arrive, the child broker's packet ids
//! say so when only the connection was lost; when this process ended between storing and answering, or a broker elsewhere
//! delivers again, the rules see them a second time. Answers of an old connection are dropped; what cannot be read is
//! recorded, then acknowledged; every queue is bounded. Nothing here knows SQL or Redis, and nothing blocks a thread.

pub mod broker;
pub mod config;
pub mod devices;
pub mod formats;
pub mod logins;
pub mod rules;
pub mod status;

mod again;
mod connection;
mod device_clock;
mod engine;
mod silence;
mod sweep;
mod worker;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::site::Site;
use link::intake::SharedIntake;
use rumqttc::MqttOptions;
use runtime::{Clock, SteadyClock, retry::Backoff};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use logins::Login;
use status::BrokerState;
pub use status::Status;

/// Why sensing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SensingError {
    /// A value of the configuration.
    #[error("{key}: {message}")]
    Config {
        /// Dotted key.
        key: &'static str,
        /// What is wrong, in both languages.
        message: &'static str,
    },
    /// Files of the child broker cannot be written, or a named file cannot be read.
    #[error("{file}: 无法读写 cannot be read or written")]
    File {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The rules are wrong.
    #[error(transparent)]
    Rule(#[from] rules::BadRule),
    /// A decoder is wrong.
    #[error(transparent)]
    Decoder(#[from] formats::BadDecoder),
    /// The shipped rules or limits cannot be read.
    #[error("内置规则无法读取 the shipped rules cannot be read")]
    Shipped(#[from] serde_json::Error),
    /// TLS cannot be set up.
    #[error("{file}: 不是可用的证书或私钥 is no usable certificate or key")]
    Tls {
        /// The file.
        file: String,
    },
}

/// What sensing needs.
pub struct Parts {
    /// Configuration.
    pub config: Config,
    /// Folder of the child broker; created.
    pub dir: PathBuf,
    /// The site whose sensors report.
    pub site: Arc<Site>,
    /// The writer.
    pub intake: SharedIntake,
    /// Values and rule states.
    pub telemetry: Arc<dyn ledger::Telemetry>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Time as far as it may make values old.
    pub steady: Arc<SteadyClock>,
    /// Who may log in to the child broker besides the centre and the shared user. It starts as soon as they are known.
    pub logins: watch::Receiver<logins::Logins>,
    /// Where the state is shown.
    pub status: watch::Sender<Status>,
}

/// Deliveries and answers that may wait between the connection and the worker. More than the broker's window, so that
/// QoS 1 never fills it.
const QUEUE: usize = 4_096;
/// Batches of answers that may wait.
const ANSWERS: usize = 16;
/// Devices cut off by the broker that wait to be recorded.
const CUTS: usize = 64;

/// Runs until `stop`. Returns early only when its configuration is wrong, which the status then says; everything else is
/// contained and retried.
pub async fn run(parts: Parts, stop: CancellationToken) -> Result<(), SensingError> {
    let status = parts.status.clone();
    let outcome = serve(parts, stop).await;
    if let Err(error) = &outcome {
        status.send_modify(|s| s.broker = BrokerState::Lost(error.to_string()));
    }
    outcome
}

/// The broker's files and how to reach it; `None` when stopped meanwhile. What somebody may put right without a restart, a
/// file that is missing or wrong, is tried again and shown until then.
async fn begin(
    (config, formats): (&Config, &Arc<formats::Formats>),
    dir: &Path,
    logins: &mut watch::Receiver<logins::Logins>,
    status: &watch::Sender<Status>,
    stop: &CancellationToken,
) -> Result<Option<(Option<broker::Child>, MqttOptions)>, SensingError> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        let attempt = async {
            let child = if config.external.is_some() {
                None
            } else {
                let known = logins.wait_for(Option::is_some).await.ok().and_then(|l| l.clone());
                Some(broker::Child::prepare(config, dir, known.unwrap_or_default(), formats.clone()).await?)
            };
            let options = connection::options(config, child.as_ref()).await?;
            Ok((child, options))
        };
        let outcome = tokio::select! {
            outcome = attempt => outcome,
            () = stop.cancelled() => return Ok(None),
        };
        match outcome {
            Ok(begun) => return Ok(Some(begun)),
            Err(error @ (SensingError::File { .. } | SensingError::Tls { .. })) => {
                tracing::warn!(%error, "sensing cannot start and tries again");
                status.send_modify(|s| s.broker = BrokerState::Lost(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.delay()) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

async fn serve(parts: Parts, stop: CancellationToken) -> Result<(), SensingError> {
    let Parts { config, dir, site, intake, telemetry, clock, steady, mut logins, status } = parts;
    status.send_modify(|s| s.since_ms = clock.now_ms());
    config.check()?;
    let rules = rules::merged(&config.rules)?;
    rules::check(&rules, &site.alarm_kinds)?;
    let formats = Arc::new(config.formats()?);
    let silence = silence::Silence::new(&config.silence_s)?;
    let around = engine::Around { formats: formats.clone(), seen: status.borrow().devices.clone(), silence };
    let begun = begin((&config, &formats), &dir, &mut logins, &status, &stop).await?;
    let Some((child, options)) = begun else { return Ok(()) };
    let (deliveries_tx, deliveries) = mpsc::channel(QUEUE);
    let wants = (config.max_payload, formats.filters());
    let (acks, acks_rx) = mpsc::channel(ANSWERS);
    let worker = worker::Worker {
        site,
        rules,
        intake,
        telemetry,
        clock: clock.clone(),
        steady,
        status: status.clone(),
        max_payload: config.max_payload,
        keep: sweep::Keep { values_days: config.history_days, minutes_days: config.minutes_days },
        around,
        logins: logins.clone(),
        gone: watch::channel(BTreeSet::new()).0,
        child: child.is_some(),
    };
    let gone = worker.gone.clone();
    // The broker outlives its client, so that the last answers reach it.
    let broker_stop = CancellationToken::new();
    let (cut, cut_rx) = mpsc::channel(CUTS);
    let client = async {
        let connection =
            connection::drive(options, wants, deliveries_tx, acks_rx, &status, clock.as_ref(), stop.clone());
        tokio::join!(connection, worker.run(deliveries, acks, cut_rx, stop.clone()));
        broker_stop.cancel();
    };
    let broker = async {
        if let Some(child) = child {
            child.supervise(&status, logins, broker::Told { cut, gone }, broker_stop.clone()).await;
        }
    };
    tokio::join!(client, broker);
    Ok(())
}
