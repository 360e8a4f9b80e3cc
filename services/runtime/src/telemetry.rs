//! Logs and metrics of the process. Metric names stand here so that none is spelt twice; units are in the names and no
//! label ever carries a personal value.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

/// Names of metrics.
pub mod names {
    /// Inputs that the writer took, by outcome.
    pub const INPUTS: &str = "maojiawan_inputs_total";
    /// Events committed.
    pub const EVENTS: &str = "maojiawan_events_total";
    /// Time of one commit, seconds.
    pub const COMMIT_SECONDS: &str = "maojiawan_commit_seconds";
    /// Inputs a commit, count.
    pub const BATCH_INPUTS: &str = "maojiawan_batch_inputs";
    /// Feed sockets open.
    pub const FEED_CLIENTS: &str = "maojiawan_feed_clients";
    /// Feed clients that fell off the ring and got a snapshot.
    pub const FEED_RESYNCS: &str = "maojiawan_feed_resyncs_total";
    /// Feed clients that were cut off because they took nothing.
    pub const FEED_STUCK: &str = "maojiawan_feed_stuck_total";
    /// Feed snapshots made; more clients were served from them.
    pub const FEED_SNAPSHOTS: &str = "maojiawan_feed_snapshots_made_total";
    /// Gaps of feed clients read from the ledger; more clients were served from them.
    pub const FEED_GAPS: &str = "maojiawan_feed_gaps_read_total";
    /// Events that a gateway read from the ledger because the bus skipped them.
    pub const GAP_FILLED: &str = "maojiawan_gap_filled_events_total";
    /// Messages that the bus took.
    pub const BUS_PUBLISHED: &str = "maojiawan_bus_published_total";
    /// Messages for the bus that were given up, by reason; followers read them from the ledger.
    pub const BUS_DROPPED: &str = "maojiawan_bus_dropped_total";
    /// Messages too long for the bus, in whose place only the head was sent.
    pub const BUS_HEADS: &str = "maojiawan_bus_heads_only_total";
    /// Messages from the bus that were damaged, forged or of an unknown version.
    pub const BUS_UNREADABLE: &str = "maojiawan_bus_unreadable_total";
    /// Connections to the bus that ended or failed, by side.
    pub const BUS_RECONNECTS: &str = "maojiawan_bus_reconnects_total";
    /// Whether a side of the bus is connected, 0 or 1.
    pub const BUS_CONNECTED: &str = "maojiawan_bus_connected";
    /// Media sockets open.
    pub const MEDIA_CLIENTS: &str = "maojiawan_media_clients";
    /// Cameras, by state.
    pub const CAMERAS: &str = "maojiawan_cameras";
    /// Bytes of video received.
    pub const VIDEO_BYTES: &str = "maojiawan_video_received_bytes_total";
    /// Camera sessions that ended and are opened again.
    pub const VIDEO_RECONNECTS: &str = "maojiawan_video_reconnects_total";
    /// Bytes in the rings of all cameras.
    pub const VIDEO_RING_BYTES: &str = "maojiawan_video_ring_bytes";
    /// Live subscriptions.
    pub const VIDEO_VIEWERS: &str = "maojiawan_video_viewers";
    /// Key frames given to decode children, by outcome.
    pub const DECODED: &str = "maojiawan_video_decoded_pictures_total";
    /// Decode children killed or lost.
    pub const DECODE_RESTARTS: &str = "maojiawan_decode_restarts_total";
    /// MQTT messages, by outcome.
    pub const MQTT_MESSAGES: &str = "maojiawan_mqtt_messages_total";
    /// MQTT messages that the broker was answered, after what they say was stored.
    pub const MQTT_ANSWERS: &str = "maojiawan_mqtt_answers_total";
    /// Calls to and from departments and the SMS gateway, by direction and outcome.
    pub const EXCHANGE_CALLS: &str = "maojiawan_exchange_calls_total";
    /// Rows of the outbox that wait.
    pub const OUTBOX_WAITING: &str = "maojiawan_outbox_waiting";
}

/// Whether `text` is a filter that [`logs`] can follow; otherwise it takes `info`.
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// Installs the log writer (stderr). `filter` as of `RUST_LOG`; `json` for machines.
pub fn logs(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // A second installation (tests) keeps the first.
    let _ = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}

/// The metrics of the process, as Prometheus reads them.
#[derive(Clone)]
pub struct MetricsPage(PrometheusHandle);

impl MetricsPage {
    /// The page.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds samples into their summaries, which otherwise only a reader of the page would do; to be called every few
    /// seconds, so that memory stays bounded when nobody reads.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

/// Installs the recorder. `None` when one is installed already.
pub fn metrics() -> Option<MetricsPage> {
    PrometheusBuilder::new().install_recorder().ok().map(MetricsPage)
}
