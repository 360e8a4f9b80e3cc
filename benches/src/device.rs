//! A device gateway that publishes by QoS 1, and a screen that reads the feed: the two ends of the event path. Both note
//! when, in nanoseconds since one moment, so that one clock measures.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use futures::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use rumqttc::{Connect, Packet, Publish, QoS};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use wire::feed::{self, server_message::Kind};

const MOST: usize = 65_536;

/// One reading that crosses a rule.
pub(crate) struct Step {
    pub(crate) sensor: String,
    /// Above the threshold; else back to normal.
    pub(crate) raised: bool,
    pub(crate) value: f64,
}

/// A plan of readings and when each was where.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Steps of each sensor, raising and ending ones apart, in order.
    of: HashMap<(String, bool), Vec<usize>>,
    begun: Instant,
    /// Written to the broker's socket, ns; 0 = not yet.
    pub(crate) sent: Vec<AtomicU64>,
    /// The broker's answer, ns; 0 = not yet.
    pub(crate) acked: Vec<AtomicU64>,
}

impl Plan {
    pub(crate) fn new(steps: Vec<Step>) -> Arc<Self> {
        let mut of: HashMap<_, Vec<usize>> = HashMap::new();
        for (i, step) in steps.iter().enumerate() {
            of.entry((step.sensor.clone(), step.raised)).or_default().push(i);
        }
        let times = || steps.iter().map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { of, begun: Instant::now(), sent: times(), acked: times(), steps })
    }

    /// Nanoseconds since the plan was made, never 0.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// The device's side.
pub(crate) struct Device {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

/// The name that devices share.
const USER: &str = "device";

/// Logs in to a broker on loopback. Without a password it must take everybody. `lasting`: the broker keeps the session, and
/// what it kept may stand in the buffer already.
pub(crate) async fn log_in(
    port: u16,
    id: &str,
    password: Option<&str>,
    lasting: bool,
) -> anyhow::Result<(OwnedReadHalf, OwnedWriteHalf, BytesMut)> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let mut connect = Connect::new(id);
    if let Some(password) = password {
        connect.set_login(USER, password);
    }
    (connect.keep_alive, connect.clean_session) = (600, !lasting);
    let mut buffer = BytesMut::new();
    connect.write(&mut buffer).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    writer.write_all(&buffer).await?;
    buffer.clear();
    match packet(&mut reader, &mut buffer).await? {
        Packet::ConnAck(ack) if ack.code == rumqttc::ConnectReturnCode::Success => Ok((reader, writer, buffer)),
        other => bail!("the broker answered {other:?}"),
    }
}

impl Device {
    pub(crate) async fn connect(port: u16, password: &str) -> anyhow::Result<Self> {
        let (reader, writer, _) = log_in(port, "bench-gateway", Some(password), false).await?;
        Ok(Self { reader, writer })
    }

    /// Publishes the plan at `rate` a second and reads the answers; the connection again.
    pub(crate) async fn publish(self, plan: &Arc<Plan>, rate: f64) -> anyhow::Result<Self> {
        let Self { mut reader, mut writer } = self;
        let answers = plan.clone();
        let read = async {
            let mut buffer = BytesMut::new();
            for _ in 0..answers.steps.len() {
                match packet(&mut reader, &mut buffer).await? {
                    Packet::PubAck(ack) => note(&answers.acked, usize::from(ack.pkid), &answers),
                    other => bail!("the broker answered {other:?}"),
                }
            }
            Ok(reader)
        };
        let write = async {
            let begun = tokio::time::Instant::now();
            let mut buffer = BytesMut::new();
            for (i, step) in plan.steps.iter().enumerate() {
                let due = begun + std::time::Duration::from_secs_f64(i as f64 / rate);
                if due > tokio::time::Instant::now() {
                    tokio::time::sleep_until(due).await;
                }
                buffer.clear();
                message(step, i)?.write(&mut buffer).map_err(|e| anyhow::anyhow!("{e:?}"))?;
                plan.sent[i].store(plan.now(), Ordering::Relaxed);
                writer.write_all(&buffer).await?;
            }
            anyhow::Ok(writer)
        };
        let (reader, writer) = tokio::try_join!(read, write)?;
        Ok(Self { reader, writer })
    }
}

/// Packet ids go round; the answer belongs to the oldest step of that id without one.
fn note(times: &[AtomicU64], pkid: usize, plan: &Plan) {
    let mut i = pkid - 1;
    while let Some(time) = times.get(i) {
        if time.load(Ordering::Relaxed) == 0 {
            return time.store(plan.now(), Ordering::Relaxed);
        }
        i += usize::from(u16::MAX);
    }
}

fn message(step: &Step, i: usize) -> anyhow::Result<Publish> {
    let at = runtime::Clock::now_ms(&runtime::SystemClock);
    let payload = format!("{{\"v\":{},\"t\":{at}}}", step.value);
    let mut publish = Publish::new(format!("mjw/v1/sensors/{}/reading", step.sensor), QoS::AtLeastOnce, payload);
    publish.pkid = u16::try_from(i % usize::from(u16::MAX) + 1)?;
    Ok(publish)
}

pub(crate) async fn packet(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) -> anyhow::Result<Packet> {
    loop {
        match Packet::read(buffer, MOST) {
            Ok(packet) => return Ok(packet),
            Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {}
            Err(error) => bail!("{error:?}"),
        }
        if reader.read_buf(buffer).await? == 0 {
            bail!("the broker closed the connection");
        }
    }
}

/// A screen's side.
pub(crate) struct Screen {
    socket: WebSocketStream<TcpStream>,
    cursor: u64,
}

impl Screen {
    /// Opens the lossless feed and takes the snapshot.
    pub(crate) async fn open(address: &str, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/api/v1/feed").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("origin", format!("http://{address}").parse()?);
        headers.insert("cookie", format!("mjw_session={token}").parse()?);
        headers.insert("sec-websocket-protocol", "maojiawan.feed.v1".parse()?);
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        let mut screen = Self { socket, cursor: 0 };
        let hello = feed::Hello { log_id: 0, cursor: 0, conflate: false };
        let hello = feed::ClientMessage { kind: Some(feed::client_message::Kind::Hello(hello)) };
        screen.socket.send(Message::Binary(hello.encode_to_vec().into())).await?;
        loop {
            if let Kind::Snapshot(snapshot) = screen.next().await? {
                screen.cursor = snapshot.seq;
                return Ok(screen);
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Kind> {
        loop {
            match self.socket.next().await.context("the feed ended")?? {
                Message::Binary(bytes) => return feed::ServerMessage::decode(bytes)?.kind.context("empty message"),
                Message::Close(frame) => bail!("the feed closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Reads until every step has come once; when each came, ns. A gap, a resync or a missing step is an error.
    pub(crate) async fn follow(mut self, plan: Arc<Plan>) -> anyhow::Result<(Self, Vec<u64>)> {
        let (mut came, mut left) = (vec![0; plan.steps.len()], plan.steps.len());
        let mut turn: HashMap<(String, bool), usize> = HashMap::new();
        while left > 0 {
            let frame = match self.next().await? {
                Kind::Frame(frame) => frame,
                Kind::Resync(resync) => bail!("the feed began anew: {}", resync.reason),
                _ => continue,
            };
            let now = plan.now();
            if frame.after != self.cursor {
                bail!("a gap after {}", self.cursor);
            }
            self.cursor = frame.upto;
            for event in frame.items.into_iter().filter_map(|item| item.event) {
                let raised = match event.kind.as_str() {
                    "alarm_raised" | "alarm_evidence" => true,
                    "alarm_source_cleared" => false,
                    _ => continue,
                };
                let key = (event.source, raised);
                let Some(steps) = plan.of.get(&key) else { continue };
                let turn = turn.entry(key).or_default();
                // One reading may end the same source in several alarms; the first line counts.
                if let Some(i) = steps.get(*turn).filter(|i| plan.sent[**i].load(Ordering::Relaxed) > 0) {
                    (came[*i], *turn, left) = (now, *turn + 1, left - 1);
                }
            }
        }
        Ok((self, came))
    }
}
