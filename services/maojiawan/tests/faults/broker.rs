//! A real Mosquitto that forgets everything when it is killed, and a tap on the line between it and the centre.
//!
//! The tap reads along: which messages the centre acknowledged is known from what the centre itself sent. Messages to the
//! centre it holds, swaps and doubles.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr, TcpStream as StdStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rumqttc::mqttbytes::{self, v4::Packet};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use crate::{
    cluster::behind,
    spoil::{Spoiler, Spoilt},
    support::free_port,
};

/// What is held goes on after this time at the latest.
const LINGER: Duration = Duration::from_millis(20);
/// Longest packet, bytes.
const MOST: usize = 1 << 20;

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
    chance: Option<Mutex<StdRng>>,
    spoilt: Mutex<Spoilt>,
}

/// Messages on their way to the centre on one connection, by packet id, and how many answers are still to come.
type Sent = Mutex<HashMap<u16, (Vec<u8>, u32)>>;

impl Tap {
    /// One that passes on what comes.
    pub(crate) async fn new() -> Arc<Self> {
        Self::here(None).await
    }

    /// One that holds, swaps and doubles messages.
    pub(crate) async fn spoiling(seed: u64) -> Arc<Self> {
        Self::here(Some(seed)).await
    }

    async fn here(seed: Option<u64>) -> Arc<Self> {
        let [at, broker] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        Self::between(at, broker, seed).await
    }

    pub(crate) async fn between(at: SocketAddr, broker: SocketAddr, seed: Option<u64>) -> Arc<Self> {
        let listener = TcpListener::bind(at).await.unwrap();
        let (acknowledged, subscribed) = (watch::Sender::default(), watch::Sender::default());
        let (chance, spoilt) = (seed.map(|seed| Mutex::new(StdRng::seed_from_u64(seed))), Mutex::default());
        Arc::new(Self { at, broker, listener, acknowledged, subscribed, chance, spoilt })
    }

    /// For the configuration of its centre.
    pub(crate) fn config(&self) -> String {
        format!("[sensing.external]\nhost = \"{}\"\nport = {}\n", self.at.ip(), self.at.port())
    }

    /// What became of messages so far.
    pub(crate) fn spoilt(&self) -> Spoilt {
        *self.spoilt.lock().unwrap()
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
        let chance = self.chance.as_ref().map(|chance| StdRng::seed_from_u64(chance.lock().unwrap().random()));
        let mut spoiler = Spoiler::new(chance);
        tokio::select! {
            () = carry(from_broker, to_centre, |packet| self.to_centre(&sent, &mut spoiler, packet)) => {}
            () = carry(from_centre, to_broker, |packet| self.to_broker(&sent, packet)) => {}
        }
    }

    fn to_centre(&self, sent: &Sent, spoiler: &mut Spoiler, packet: Option<Bytes>) -> Vec<Bytes> {
        let before = spoiler.spoilt;
        let on = match packet.map(|packet| (read(&packet), packet)) {
            None => spoiler.idle(),
            Some((Packet::Publish(publish), packet)) => {
                let (on, doubled) = spoiler.take(packet, &publish.topic);
                let answers = 1 + u32::from(doubled);
                sent.lock().unwrap().insert(publish.pkid, (publish.payload.to_vec(), answers));
                on
            }
            Some((other, packet)) => {
                self.subscribed.send_if_modified(|n| {
                    let confirmed = matches!(other, Packet::SubAck(_));
                    *n += u64::from(confirmed);
                    confirmed
                });
                vec![packet]
            }
        };
        let (now, mut all) = (spoiler.spoilt, self.spoilt.lock().unwrap());
        all.swapped += now.swapped - before.swapped;
        all.doubled += now.doubled - before.doubled;
        all.overtaken += now.overtaken - before.overtaken;
        on
    }

    /// The broker hears of the last answer only: what it does not know of must not use its number while it is given anew.
    fn to_broker(&self, sent: &Sent, packet: Option<Bytes>) -> Vec<Bytes> {
        let Some(packet) = packet else { return Vec::new() };
        if let Packet::PubAck(ack) = read(&packet) {
            let mut sent = sent.lock().unwrap();
            let (payload, left) = sent.get_mut(&ack.pkid).expect("only what was sent is acknowledged");
            self.acknowledged.send_modify(|all| _ = all.insert(payload.clone()));
            *left -= 1;
            if *left > 0 {
                return Vec::new();
            }
            sent.remove(&ack.pkid);
        }
        vec![packet]
    }
}

fn read(packet: &Bytes) -> Packet {
    Packet::read(&mut BytesMut::from(&packet[..]), MOST).unwrap()
}

/// Passes packets on as `pass` says, which is also asked when none came for a while.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut pass: impl FnMut(Option<Bytes>) -> Vec<Bytes>) {
    let mut bytes = BytesMut::with_capacity(16 << 10);
    loop {
        let mut on = Vec::new();
        match timeout(LINGER, from.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {
                while let Some(packet) = next(&mut bytes) {
                    on.extend(pass(Some(packet)));
                }
            }
            Ok(_) => return,
            Err(_) => on = pass(None),
        }
        if to.write_all(&on.concat()).await.is_err() {
            return;
        }
    }
}

/// A whole packet from the front.
fn next(bytes: &mut BytesMut) -> Option<Bytes> {
    match mqttbytes::check(bytes.iter(), MOST) {
        Ok(header) => Some(bytes.split_to(header.frame_length()).freeze()),
        Err(mqttbytes::Error::InsufficientBytes(_)) => None,
        Err(error) => panic!("no MQTT: {error}"),
    }
}
