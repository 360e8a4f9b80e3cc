//! The one task that polls the MQTT connection and acknowledges.
//!
//! A poll is never given up half-way. Deliveries and answers carry the number of their connection: a packet id means
//! something else on the next one, so an answer of an old connection is dropped and the broker delivers again.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, PubAck, PubRec, Publish, QoS, StateError,
    SubscribeFilter, SubscribeReasonCode, TlsConfiguration, TlsError, Transport, mqttbytes,
};
use runtime::{Clock, retry::Backoff, telemetry::names};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    SensingError, Status,
    broker::{CENTRE_USER, Child, PACKET_LIMIT, WINDOW},
    config::{Config, External, Tls},
    status::BrokerState,
};

/// Largest packet that is read at first, bytes.
const INCOMING: usize = 2 * PACKET_LIMIT;
/// Largest packet that is read at all: an external broker's larger one blocks the session, which is shown.
const INCOMING_MOST: usize = 16 << 20;
/// Largest packet that we write: only subscriptions and answers.
const OUTGOING: usize = 65_536;
/// Requests that may wait for the socket: a subscription and an answer that wakes the poll.
const REQUESTS: usize = 64;
/// Longest that the socket may take no answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message with the connection that it came by.
pub(crate) struct Delivery {
    pub(crate) connection: u64,
    /// Without its payload when that is larger than taken, so that waiting messages stay small.
    pub(crate) publish: Publish,
    /// Length of its payload as it came, bytes.
    pub(crate) size: usize,
}

/// A message that may be acknowledged.
pub(crate) struct Ack {
    pub(crate) connection: u64,
    pub(crate) pkid: u16,
    pub(crate) qos: QoS,
}

impl Delivery {
    pub(crate) fn ack(&self) -> Ack {
        Ack { connection: self.connection, pkid: self.publish.pkid, qos: self.publish.qos }
    }
}

/// How to reach the broker.
pub(crate) async fn options(config: &Config, child: Option<&Child>) -> Result<MqttOptions, SensingError> {
    let (host, port) = match (&config.external, child) {
        (Some(e), _) => (e.host.clone(), e.port),
        (None, child) => ("127.0.0.1".to_owned(), child.map_or(config.port, |c| c.port)),
    };
    let name = child.map_or(&config.client_id, |c| &c.client_id);
    let mut options = MqttOptions::new(name, host, port);
    options.set_clean_session(false);
    options.set_manual_acks(true);
    options.set_keep_alive(Duration::from_secs(config.keep_alive_s.into()));
    options.set_inflight(WINDOW);
    options.set_max_packet_size(INCOMING, OUTGOING);
    if let Some(child) = child {
        options.set_credentials(CENTRE_USER, &child.centre_password);
    }
    if let Some(external) = &config.external {
        login(&mut options, external).await?;
    }
    Ok(options)
}

async fn login(options: &mut MqttOptions, external: &External) -> Result<(), SensingError> {
    if let Some(user) = &external.user {
        let password = match &external.password_file {
            Some(file) => tokio::fs::read_to_string(file)
                .await
                .map_err(|source| SensingError::File { file: file.display().to_string(), source })?,
            None => String::new(),
        };
        options.set_credentials(user, password.trim_end_matches(['\r', '\n']));
    }
    if let Some(tls) = &external.tls {
        let config = tls_config(tls)?;
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))));
    }
    Ok(())
}

fn bad(file: &Path) -> SensingError {
    SensingError::Tls { file: file.display().to_string() }
}

/// The certificates of a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SensingError> {
    let read = CertificateDer::pem_file_iter(file).map_err(|_| bad(file))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|_| bad(file))?;
    if all.is_empty() { Err(bad(file)) } else { Ok(all) }
}

/// Whether a server can show this certificate with this key; blocks.
pub(crate) fn check_pair(cert: &Path, key: &Path) -> Result<(), SensingError> {
    let (chain, private) = (certificates(cert)?, PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key))?);
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| bad(cert))?
        .with_no_client_auth();
    builder.with_single_cert(chain, private).map(drop).map_err(|_| bad(key))
}

fn tls_config(tls: &Tls) -> Result<ClientConfig, SensingError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca_file)? {
        roots.add(certificate).map_err(|_| bad(&tls.ca_file))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| bad(&tls.ca_file))?
        .with_root_certificates(roots);
    match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key))?;
            builder.with_client_auth_cert(certificates(cert)?, private).map_err(|_| bad(cert))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

struct Drive<'a> {
    client: AsyncClient,
    deliveries: mpsc::Sender<Delivery>,
    acks: mpsc::Receiver<Vec<Ack>>,
    status: &'a watch::Sender<Status>,
    clock: &'a dyn Clock,
    stop: CancellationToken,
    max_payload: usize,
    /// Topics to listen to.
    filters: Vec<String>,
    connection: u64,
    /// Answers that are not on the wire yet; at most 65,535, for each unanswered message has its own packet id.
    owed: VecDeque<Ack>,
}

/// Polls and acknowledges until `stop`, or until the worker is gone.
pub(crate) async fn drive(
    options: MqttOptions,
    (max_payload, filters): (usize, Vec<String>),
    deliveries: mpsc::Sender<Delivery>,
    acks: mpsc::Receiver<Vec<Ack>>,
    status: &watch::Sender<Status>,
    clock: &dyn Clock,
    stop: CancellationToken,
) {
    let (client, mut events) = AsyncClient::new(options, REQUESTS);
    let mut drive = Drive {
        client,
        deliveries,
        acks,
        status,
        clock,
        stop,
        max_payload,
        filters,
        connection: 0,
        owed: VecDeque::new(),
    };
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while let Some(event) = drive.poll(&mut events).await {
        match event {
            Ok(Event::Incoming(packet)) => {
                if matches!(packet, Packet::SubAck(_)) {
                    backoff.reset();
                }
                if !drive.incoming(packet).await {
                    return;
                }
            }
            Ok(Event::Outgoing(_)) => {}
            Err(error) => {
                drive.lost(&mut events, &error);
                if !drive.pause(backoff.delay()).await {
                    return;
                }
            }
        }
    }
}

impl Drive<'_> {
    /// The next event; answers go out meanwhile. `None` when it is time to stop.
    async fn poll(&mut self, events: &mut EventLoop) -> Option<Result<Event, ConnectionError>> {
        if let Err(error) = self.pay(events).await {
            events.clean();
            return Some(Err(error));
        }
        let poll = events.poll();
        tokio::pin!(poll);
        loop {
            tokio::select! {
                biased;
                event = &mut poll => return Some(event),
                acks = self.acks.recv() => {
                    owe(&mut self.owed, acks?);
                    self.wake();
                }
                () = self.stop.cancelled() => return None,
            }
        }
    }

    async fn incoming(&mut self, packet: Packet) -> bool {
        match packet {
            Packet::ConnAck(_) => {
                self.connection += 1;
                let filters = self.filters.iter().map(|t| SubscribeFilter::new(t.clone(), QoS::AtLeastOnce));
                if self.client.try_subscribe_many(filters).is_err() {
                    tracing::warn!("no room to subscribe; the next connection tries again");
                }
                true
            }
            Packet::SubAck(ack) => {
                let refused = ack.return_codes.iter().any(|c| matches!(c, SubscribeReasonCode::Failure));
                self.show(if refused {
                    BrokerState::Lost("订阅被拒绝 the broker refused a subscription".to_owned())
                } else {
                    BrokerState::Connected
                });
                true
            }
            Packet::Publish(mut publish) => {
                let size = publish.payload.len();
                if size > self.max_payload {
                    publish.payload = Default::default();
                }
                self.deliver(Delivery { connection: self.connection, publish, size }).await
            }
            _ => true,
        }
    }

    /// Hands a message to the worker. While there is no room nothing is polled; QoS 0 is dropped instead, and counted.
    async fn deliver(&mut self, delivery: Delivery) -> bool {
        let delivery = match self.deliveries.try_send(delivery) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(delivery)) => delivery,
        };
        if delivery.publish.qos == QoS::AtMostOnce {
            self.status.send_modify(|s| s.counts.dropped += 1);
            return true;
        }
        loop {
            tokio::select! {
                permit = self.deliveries.reserve() => {
                    let Ok(permit) = permit else { return false };
                    permit.send(delivery);
                    return true;
                }
                acks = self.acks.recv() => {
                    let Some(acks) = acks else { return false };
                    owe(&mut self.owed, acks);
                }
                () = self.stop.cancelled() => return false,
            }
        }
    }

    fn lost(&mut self, events: &mut EventLoop, error: &ConnectionError) {
        self.connection += 1;
        // Messages that were read but not handed out belong to the old connection; the broker sends them again.
        events.state.events.clear();
        let oversize = match error {
            ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(
                size,
            ))) => Some(*size),
            _ => None,
        };
        let words = match oversize {
            Some(size) if size < INCOMING_MOST => {
                events.mqtt_options.set_max_packet_size((size * 2).min(INCOMING_MOST), OUTGOING);
                format!("收到过大的报文 a packet of {size} bytes is read next time")
            }
            Some(size) => format!("代理持有过大的报文 a packet of {size} bytes blocks the session"),
            None => words(error),
        };
        if self.status.borrow().broker == BrokerState::Connected {
            tracing::info!(error = %words, "the connection to the MQTT broker is lost");
        }
        self.show(BrokerState::Lost(words));
    }

    /// Waits while answers of the old connection are dropped.
    async fn pause(&mut self, pause: Duration) -> bool {
        let sleep = tokio::time::sleep(pause);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return true,
                acks = self.acks.recv() => {
                    let Some(acks) = acks else { return false };
                    owe(&mut self.owed, acks);
                    self.drop_stale();
                }
                () = self.stop.cancelled() => return false,
            }
        }
    }

    fn show(&self, broker: BrokerState) {
        let now = self.clock.now_ms();
        self.status.send_if_modified(|s| {
            let changed = s.broker != broker;
            // The reason may change while it is away; since when it is away does not.
            if std::mem::discriminant(&s.broker) != std::mem::discriminant(&broker) {
                s.since_ms = now;
            }
            s.broker = broker;
            changed
        });
    }

    /// Drops answers of gone connections.
    fn drop_stale(&mut self) {
        let all = self.owed.len();
        self.owed.retain(|ack| ack.connection == self.connection);
        let stale = all - self.owed.len();
        if stale > 0 {
            self.status.send_modify(|s| s.counts.stale_acks += stale as u64);
        }
    }

    /// Hands one answer to the client, so that the poll under way ends and the others are [paid](Self::pay).
    fn wake(&mut self) {
        self.drop_stale();
        let Some(ack) = self.owed.front() else { return };
        let mut publish = Publish::new("", ack.qos, Vec::new());
        publish.pkid = ack.pkid;
        if self.client.try_ack(&publish).is_ok() {
            self.owed.pop_front();
            self.paid(1);
        }
    }

    /// Puts all answers on the wire in their order and in as few writes as they fit in: the client's own way costs a
    /// system call for each, here and at the broker.
    async fn pay(&mut self, events: &mut EventLoop) -> Result<(), ConnectionError> {
        self.drop_stale();
        let Some(network) = events.network.as_mut().filter(|_| !self.owed.is_empty()) else { return Ok(()) };
        let acked = self.owed.len() as u64;
        let owed = &mut self.owed;
        let write = async {
            for ack in owed.drain(..) {
                let packet = match ack.qos {
                    QoS::ExactlyOnce => Packet::PubRec(PubRec::new(ack.pkid)),
                    _ => Packet::PubAck(PubAck::new(ack.pkid)),
                };
                network.write(packet).await?;
            }
            network.flush().await
        };
        tokio::time::timeout(PATIENCE, write).await.map_err(|_| ConnectionError::FlushTimeout)??;
        self.paid(acked);
        Ok(())
    }

    fn paid(&self, answers: u64) {
        self.status.send_modify(|s| s.counts.acked += answers);
        metrics::counter!(names::MQTT_ANSWERS).increment(answers);
    }
}

/// Why there is no connection, for the page.
fn words(error: &ConnectionError) -> String {
    let untrusted = |e: &std::io::Error| {
        let inner = e.get_ref().and_then(|e| e.downcast_ref());
        matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
    };
    let what = match error {
        ConnectionError::Tls(TlsError::Io(e)) if untrusted(e) => {
            "代理的证书不可信 the broker's certificate is not trusted"
        }
        ConnectionError::Tls(_) => "无法建立 TLS no TLS with the broker",
        ConnectionError::ConnectionRefused(_) => "代理拒绝登录 the broker refuses the login",
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => "代理没有应答 the broker does not answer",
        _ => "与代理没有连接 no connection to the broker",
    };
    format!("{what}: {error}")
}

/// Answers are due, unless nobody waits for them.
fn owe(owed: &mut VecDeque<Ack>, acks: Vec<Ack>) {
    owed.extend(acks.into_iter().filter(|ack| ack.qos != QoS::AtMostOnce));
}
