//! A real Mosquitto that forgets everything when it is killed, and a tap on the line between it and the centre.
//!
//! The tap passes bytes on as they come, and reads along: which messages the centre acknowledged is known from what the
//! centre itself sent.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr, TcpStream as StdStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use bytes::BytesMut;
use rumqttc::mqttbytes::{self, v4::Packet};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::{cluster::behind, support::free_port};

/// A broker.
pub(crate) struct Mosquitto {
    config: PathBuf,
    /// What it runs by way of.
    behind: Vec<String>,
    at: SocketAddr,
    child: Option<Child>,
}

impl Mosquitto {
    pub(crate) fn new(folder: &Path, at: SocketAddr) -> Self {
        Self::behind(folder, at, &[])
    }

    /// One that runs by way of another program, such as `ip netns exec NAME`.
    pub(crate) fn behind(folder: &Path, at: SocketAddr, program: &[String]) -> Self {
        let config = folder.join("mosquitto.conf");
        let text = format!(
            "user root\nlistener {} {}\nallow_anonymous true\npersistence false\nlog_type none\n\
             max_inflight_messages 2048\nmax_queued_messages 100000\n",
            at.port(),
            at.ip(),
        );
        std::fs::write(&config, text).unwrap();
        Self { config, behind: program.to_vec(), at, child: None }
    }

    /// Returns when it listens.
    pub(crate) fn start(&mut self) {
        let program = behind(&self.behind, "mosquitto");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program.get_program()).args(program.get_args());
        command.arg("-c").arg(&self.config);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while StdStream::connect(self.at).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "mosquitto ended before it listened");
            std::thread::yield_now();
        }
        self.child = Some(child);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the tap knows.
pub(crate) struct Tap {
    /// Where the centre connects to.
    pub(crate) at: SocketAddr,
    /// Where the broker listens.
    pub(crate) broker: SocketAddr,
    listener: TcpListener,
    /// Payloads of messages that the centre acknowledged; each is sent under one payload of its own.
    pub(crate) acknowledged: watch::Sender<HashSet<Vec<u8>>>,
    /// How often the centre's subscriptions were confirmed.
    pub(crate) subscribed: watch::Sender<u64>,
}

/// Messages on their way to the centre on one connection, by packet id.
type Sent = Arc<Mutex<HashMap<u16, Vec<u8>>>>;

impl Tap {
    pub(crate) async fn new() -> Arc<Self> {
        let [at, broker] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        Self::between(at, broker).await
    }

    pub(crate) async fn between(at: SocketAddr, broker: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind(at).await.unwrap();
        let (acknowledged, subscribed) = (watch::Sender::default(), watch::Sender::default());
        Arc::new(Self { at, broker, listener, acknowledged, subscribed })
    }

    /// For the configuration of its centre.
    pub(crate) fn config(&self) -> String {
        format!("[sensing.external]\nhost = \"{}\"\nport = {}\n", self.at.ip(), self.at.port())
    }

    /// Passes on until it is dropped.
    pub(crate) async fn pass(self: Arc<Self>) {
        let mut lines = JoinSet::new();
        loop {
            let (centre, _) = self.listener.accept().await.unwrap();
            lines.spawn(self.clone().line(centre));
            while let Some(ended) = lines.try_join_next() {
                ended.unwrap();
            }
        }
    }

    /// One connection; it ends for both when it ends for one.
    async fn line(self: Arc<Self>, centre: TcpStream) {
        let Ok(broker) = TcpStream::connect(self.broker).await else { return };
        let (from_centre, to_centre) = centre.into_split();
        let (from_broker, to_broker) = broker.into_split();
        let sent = Sent::default();
        tokio::select! {
            () = carry(from_broker, to_centre, |packet| self.to_centre(&sent, packet)) => {}
            () = carry(from_centre, to_broker, |packet| self.to_broker(&sent, &packet)) => {}
        }
    }

    fn to_centre(&self, sent: &Sent, packet: Packet) {
        match packet {
            Packet::Publish(publish) => {
                sent.lock().unwrap().insert(publish.pkid, publish.payload.to_vec());
            }
            Packet::SubAck(_) => self.subscribed.send_modify(|n| *n += 1),
            _ => {}
        }
    }

    fn to_broker(&self, sent: &Sent, packet: &Packet) {
        if let Packet::PubAck(ack) = packet {
            let payload = sent.lock().unwrap().remove(&ack.pkid).expect("only what was sent is acknowledged");
            self.acknowledged.send_modify(|all| _ = all.insert(payload));
        }
    }
}

/// Passes bytes on, and the packets in them to `tell`, each before its last byte goes on.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, tell: impl Fn(Packet)) {
    let (mut bytes, mut packets) = (BytesMut::with_capacity(16 << 10), BytesMut::new());
    loop {
        match from.read_buf(&mut bytes).await {
            Ok(1..) => packets.extend_from_slice(&bytes),
            _ => return,
        }
        loop {
            match Packet::read(&mut packets, 1 << 20) {
                Ok(packet) => tell(packet),
                Err(mqttbytes::Error::InsufficientBytes(_)) => break,
                Err(error) => panic!("no MQTT: {error}"),
            }
        }
        if to.write_all_buf(&mut bytes).await.is_err() {
            return;
        }
    }
}
