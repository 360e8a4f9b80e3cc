//! Sensors over MQTT: payload formats, threshold rules, time series.
//!
//! The way of a message: the broker delivers it (QoS 1) → it is parsed and put before the rules → readings, rule states
//! and pending observations commit to the telemetry store in one transaction → the observations go to the writer →
//! only then the broker is answered. Whatever fails in between is tried again, without an answer, so that the broker
//! keeps what we have not.
//!
//! Invariants: an acknowledged message survives a crash and takes effect once (each observation has a key with the
//! telemetry epoch, the sensor, the rule and the number of the edge); answers of an old connection are dropped; what
//! cannot be read is recorded, then acknowledged; every queue is bounded. Nothing here knows SQL or Redis, and nothing
//! blocks a thread.

pub mod broker;
pub mod config;
pub mod formats;
pub mod logins;
pub mod rules;
pub mod status;

mod connection;
mod engine;
mod sweep;
mod worker;

use std::{path::PathBuf, sync::Arc};

use domain::site::Site;
use link::intake::SharedIntake;
use runtime::{Clock, SteadyClock};
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
    /// The shipped rules cannot be read.
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

/// Runs until `stop`. Returns early only when it cannot start, which the status then says; everything later is contained
/// and retried.
pub async fn run(parts: Parts, stop: CancellationToken) -> Result<(), SensingError> {
    let status = parts.status.clone();
    let outcome = serve(parts, stop).await;
    if let Err(error) = &outcome {
        status.send_modify(|s| s.broker = BrokerState::Lost(error.to_string()));
    }
    outcome
}

async fn serve(parts: Parts, stop: CancellationToken) -> Result<(), SensingError> {
    let Parts { config, dir, site, intake, telemetry, clock, steady, mut logins, status } = parts;
    status.send_modify(|s| s.since_ms = clock.now_ms());
    config.check()?;
    let rules = if config.rules.is_empty() { rules::shipped()? } else { config.rules.clone() };
    rules::check(&rules)?;
    let child = match &config.external {
        Some(_) => None,
        None => {
            let known = tokio::select! {
                known = logins.wait_for(Option::is_some) => known.ok().and_then(|l| l.clone()),
                () = stop.cancelled() => return Ok(()),
            };
            Some(broker::Child::prepare(&config, &dir, known.unwrap_or_default()).await?)
        }
    };
    let options = connection::options(&config, child.as_ref()).await?;
    let (deliveries_tx, deliveries) = mpsc::channel(QUEUE);
    let max = config.max_payload;
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
    };
    // The broker outlives its client, so that the last answers reach it.
    let broker_stop = CancellationToken::new();
    let (cut, cut_rx) = mpsc::channel(CUTS);
    let client = async {
        let connection = connection::drive(options, max, deliveries_tx, acks_rx, &status, clock.as_ref(), stop.clone());
        tokio::join!(connection, worker.run(deliveries, acks, cut_rx, stop.clone()));
        broker_stop.cancel();
    };
    let broker = async {
        if let Some(child) = child {
            child.supervise(&status, logins, cut, broker_stop.clone()).await;
        }
    };
    tokio::join!(client, broker);
    Ok(())
}
