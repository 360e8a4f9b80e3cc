//! The child Mosquitto: its files and its supervision.
//!
//! It listens on 127.0.0.1 and where the configuration says, refuses anonymous clients, lets devices only write and the
//! centre only read, dies with its parent (`setpriv --pdeathsig`), and is started again with back-off when it ends. Who may
//! log in is written again whenever it changes; a running broker then reads it anew (SIGHUP) and cuts off at once whoever
//! may no longer.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use domain::ids::SensorId;
use runtime::{password, retry::Backoff};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, SensingError, Status,
    config::Listen,
    formats::Formats,
    logins::{Fixed, House, Login, Logins, replace},
    status::BrokerState,
};

/// Largest packet that the child broker takes, bytes: far above what a device sends, so that the centre sees, records and
/// acknowledges what is too large. One that sends more is cut off, which the broker tells and [`crate::run`] records: a
/// broker that drops it would acknowledge it and tell nobody.
pub const PACKET_LIMIT: usize = 1 << 20;
/// Messages that the broker sends ahead of our answers: enough for a commit to be worth its fsync at 20,000 a second.
pub const WINDOW: u16 = 2_048;
/// Messages that the broker keeps for us while nothing can be stored, beyond which it drops and says so: 50 seconds at
/// 20,000 a second.
const QUEUED: usize = 1_000_000;
/// Name of the user that devices without a password of their own log in with.
pub const DEVICE_USER: &str = "device";
pub(crate) const CENTRE_USER: &str = "centre";
/// A run shorter than this counts as a failed start.
const STABLE: Duration = Duration::from_secs(10);
/// Time that the centre has to reach a broker before it is signalled all the same.
const REACHED: Duration = Duration::from_secs(5);
/// Time that the broker has to write its store at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// A child broker that is ready to start.
pub struct Child {
    config: Config,
    conf: PathBuf,
    /// Its port.
    pub port: u16,
    pub(crate) centre_password: String,
    /// The name of the centre's session. Whoever knew it could end the session, and with it what waits there.
    pub(crate) client_id: String,
    dir: PathBuf,
    house: House,
    /// Those that the broker has read.
    written: Arc<Vec<Login>>,
    /// A write of the files under way: it goes on when nobody waits for it any more.
    writing: Option<JoinHandle<Result<(), SensingError>>>,
}

/// What a child broker tells besides its state.
pub(crate) struct Told {
    /// Each device that it cuts off for a packet beyond [`PACKET_LIMIT`].
    pub(crate) cut: mpsc::Sender<()>,
    /// The sensors whose login it has put out of force, until the worker takes them.
    pub(crate) gone: watch::Sender<BTreeSet<SensorId>>,
}

/// The password of [`DEVICE_USER`], made on the first call for this folder.
pub fn device_password(dir: &Path) -> Result<String, SensingError> {
    secret(dir, "device.secret")
}

fn file_error(file: &Path) -> impl FnOnce(io::Error) -> SensingError + '_ {
    |source| SensingError::File { file: file.display().to_string(), source }
}

fn secret(dir: &Path, name: &str) -> Result<String, SensingError> {
    std::fs::create_dir_all(dir).map_err(file_error(dir))?;
    let file = dir.join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim().len() >= 32 => Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(&file)(error)),
        _ => {
            let text = hex::encode(rand::random::<[u8; 24]>());
            replace(&file, &text)?;
            Ok(text)
        }
    }
}

/// The listener for devices elsewhere; TLS 1.2 or newer. Where each device has a name of its own, that is its client id
/// too: none can take over the session of another. The centre's has a part that nobody knows.
fn listener(listen: &Listen, shared_user: bool) -> String {
    let mut text = format!("listener {} {}\n", listen.address.port(), listen.address.ip());
    if !shared_user {
        text += "use_username_as_clientid true\n";
    }
    if let (Some(cert), Some(key)) = (&listen.cert_file, &listen.key_file) {
        let (cert, key) = (cert.display(), key.display());
        text += &format!("certfile {cert}\nkeyfile {key}\ntls_version tlsv1.2\n");
    }
    text
}

/// `elsewhere` says whether the listener for devices elsewhere can be had.
fn conf(dir: &Path, port: u16, config: &Config, elsewhere: bool) -> String {
    let dir = dir.display();
    let listen = config.listen.as_ref().filter(|_| elsewhere);
    let listener = listen.map(|l| listener(l, config.shared_user)).unwrap_or_default();
    format!(
        "# Written at each start; changes are lost.\n\
         user root\n\
         listener {port} 127.0.0.1\n\
         {listener}\
         allow_anonymous false\n\
         password_file {dir}/passwd\n\
         acl_file {dir}/acl\n\
         persistence true\n\
         persistence_location {dir}/store/\n\
         autosave_interval 30\n\
         persistent_client_expiration 30d\n\
         max_packet_size {PACKET_LIMIT}\n\
         max_inflight_messages {WINDOW}\n\
         max_queued_messages {QUEUED}\n\
         max_queued_bytes 268435456\n\
         max_keepalive 600\n\
         sys_interval 0\n\
         connection_messages true\n\
         log_dest stderr\n\
         log_type error\n\
         log_type warning\n\
         log_type notice\n"
    )
}

const READS: &str = "topic read #\n";
/// What the shared user writes: all that is listened to.
fn shared(formats: &Formats) -> String {
    let each = |filter: String| format!("topic write {filter}\n");
    std::iter::once("mjw/v1/#".to_owned()).chain(formats.decoder_filters()).map(each).collect()
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Child {
    /// Writes its files. The folder keeps the centre's passwords and the broker's store from run to run.
    pub async fn prepare(
        config: &Config,
        dir: &Path,
        logins: Arc<Vec<Login>>,
        formats: Arc<Formats>,
    ) -> Result<Self, SensingError> {
        let (config, dir) = (config.clone(), dir.to_owned());
        let work = move || {
            let store = dir.join("store");
            std::fs::create_dir_all(&store).map_err(file_error(&store))?;
            let dir = dir.canonicalize().map_err(file_error(&dir))?;
            let centre = secret(&dir, "centre.secret")?;
            let port = if config.port == 0 { free_port().map_err(file_error(&dir))? } else { config.port };
            let mut fixed = vec![Fixed { name: CENTRE_USER, hash: password::hash(&centre), access: READS.to_owned() }];
            if config.shared_user {
                let (hash, shared) = (password::hash(&device_password(&dir)?), shared(&formats));
                fixed.push(Fixed { name: DEVICE_USER, hash, access: shared });
            }
            let client_id = format!("{}-{}", config.client_id, secret(&dir, "session.secret")?);
            let house = House { fixed, client_id: client_id.clone(), formats };
            house.write(&dir, &logins)?;
            let file = dir.join("mosquitto.conf");
            let (conf, written, writing) = (file, logins, None);
            Ok(Self { config, conf, port, centre_password: centre, client_id, dir, house, written, writing })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(broken(error)))
    }

    /// Keeps it running until `stop`, for those of `logins`.
    pub(crate) async fn supervise(
        mut self,
        status: &watch::Sender<Status>,
        mut logins: watch::Receiver<Logins>,
        told: Told,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));
        status.send_modify(|s| s.port = Some(self.port));
        while !stop.is_cancelled() {
            let started = tokio::time::Instant::now();
            self.run_once(status, &mut logins, &told, &stop).await;
            status.send_modify(|s| s.broker_pid = None);
            if started.elapsed() > STABLE {
                backoff.reset();
            }
            if !stop.is_cancelled() {
                let pause = backoff.delay();
                tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(pause) => {} }
            }
        }
    }

    /// Writes those who may log in whenever they change, and lets the running broker read them. What is not done when it
    /// ends is done for the next one.
    async fn follow(
        &mut self,
        pid: Option<u32>,
        status: &watch::Sender<Status>,
        logins: &mut watch::Receiver<Logins>,
        gone: &watch::Sender<BTreeSet<SensorId>>,
    ) -> Infallible {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));
        loop {
            let other = |now: &Logins| now.as_ref().is_some_and(|now| *now != self.written);
            let Ok(now) = logins.wait_for(other).await.map(|now| now.clone().unwrap_or_default()) else {
                return std::future::pending().await;
            };
            if let Err(error) = self.rewrite(now.clone()).await {
                tracing::warn!(%error, "who may log in to the MQTT broker cannot be written and is tried again");
                tokio::time::sleep(backoff.delay()).await;
                continue;
            }
            // One that is still starting would die of the signal; it would be started again and read the same files.
            let mut reached = status.subscribe();
            let reached = reached.wait_for(|s| s.broker == BrokerState::Connected);
            let _ = tokio::time::timeout(REACHED, reached).await.map(drop);
            if let Some(pid) = pid {
                if let Err(error) = signal(pid, "-HUP").await {
                    tracing::warn!(%error, "the MQTT broker cannot be told who may log in and is told again");
                    tokio::time::sleep(backoff.delay()).await;
                    continue;
                }
                status.send_modify(|s| s.counts.broker_reloads += 1);
            }
            backoff.reset();
            let left = without_login(&self.written, &now);
            gone.send_modify(|all| all.extend(left));
            self.written = now;
        }
    }

    /// Only one write at a time: they share a file on the way.
    async fn rewrite(&mut self, logins: Arc<Vec<Login>>) -> Result<(), SensingError> {
        if let Some(before) = &mut self.writing {
            let _ = before.await;
        }
        let (house, dir) = (self.house.clone(), self.dir.clone());
        let work = self.writing.insert(tokio::task::spawn_blocking(move || house.write(&dir, &logins)));
        let done = work.await;
        self.writing = None;
        done.unwrap_or_else(|error| Err(broken(error)))
    }

    /// Writes its configuration; without the listener for devices elsewhere while that cannot be had, which is told: it
    /// would not start, also for those on this machine.
    async fn configure(&self, status: &watch::Sender<Status>) -> Result<(), SensingError> {
        let (config, dir, file, port) = (self.config.clone(), self.dir.clone(), self.conf.clone(), self.port);
        let work = tokio::task::spawn_blocking(move || {
            let fault = config.listen.as_ref().and_then(|l| l.usable().err());
            replace(&file, &conf(&dir, port, &config, fault.is_none())).map(|()| fault)
        });
        let fault = work.await.unwrap_or_else(|error| Err(broken(error)))?.map(|error| error.to_string());
        if let Some(error) = &fault {
            tracing::warn!(error, "the MQTT broker does not listen for devices elsewhere");
        }
        status.send_modify(|s| s.listener = fault);
        Ok(())
    }

    async fn run_once(
        &mut self,
        status: &watch::Sender<Status>,
        logins: &mut watch::Receiver<Logins>,
        told: &Told,
        stop: &CancellationToken,
    ) {
        if let Err(error) = self.configure(status).await {
            tracing::error!(%error, "the MQTT broker cannot be configured");
            return;
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", &self.config.program, "-c"]).arg(&self.conf);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, program = %self.config.program, "the MQTT broker cannot be started");
                return;
            }
        };
        let pid = child.id();
        status.send_modify(|s| {
            s.counts.broker_starts += 1;
            s.broker_pid = pid;
        });
        let log = child.stderr.take().map(BufReader::new);
        let missing = self.config.listen.clone().filter(|_| status.borrow().listener.is_some());
        let ended = tokio::select! {
            ended = async { tokio::join!(child.wait(), forward(log, &told.cut)).0 } => Some(ended),
            () = stop.cancelled() => None,
            () = mended(missing) => None,
            never = self.follow(pid, status, logins, &told.gone) => match never {},
        };
        match ended {
            Some(Ok(code)) => tracing::warn!(%code, "the MQTT broker ended and is started again"),
            Some(Err(error)) => tracing::warn!(%error, "the MQTT broker is lost and is started again"),
            None => goodbye(&mut child).await,
        }
    }
}

/// Waits until a listener that could not be had can be; for ever if none is missing.
async fn mended(missing: Option<Listen>) {
    let Some(listen) = missing else { return std::future::pending().await };
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        tokio::time::sleep(backoff.delay()).await;
        let listen = listen.clone();
        if tokio::task::spawn_blocking(move || listen.usable().is_ok()).await.is_ok_and(|usable| usable) {
            return;
        }
    }
}

/// The sensors that somebody spoke for before and nobody with a password of its own does now. Those that a ThingsBoard
/// gateway spoke for are not known.
fn without_login(before: &[Login], now: &[Login]) -> BTreeSet<SensorId> {
    let all = |logins: &[Login]| -> BTreeSet<SensorId> {
        let own = logins.iter().map(|l| SensorId::new(l.device.as_str()));
        own.chain(logins.iter().flat_map(|l| l.behind.iter().cloned())).collect()
    };
    let now = all(now);
    all(before).into_iter().filter(|id| !now.contains(id)).collect()
}

fn broken(error: tokio::task::JoinError) -> SensingError {
    SensingError::File { file: "mosquitto.conf".to_owned(), source: io::Error::other(error) }
}

async fn signal(pid: u32, name: &str) -> io::Result<()> {
    let done = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status().await?;
    if done.success() { Ok(()) } else { Err(io::Error::other(format!("kill: {done}"))) }
}

/// Lets the broker write its store, then ends it.
async fn goodbye(child: &mut tokio::process::Child) {
    if let Some(pid) = child.id() {
        let _ = signal(pid, "-TERM").await;
        if tokio::time::timeout(GOODBYE, child.wait()).await.is_ok() {
            return;
        }
    }
    let _ = child.kill().await;
}

/// What a line of the broker's log means to us.
#[derive(Debug, PartialEq)]
enum Line {
    /// A fault of the broker, or messages that it drops because we take none and its queue is full.
    Loud,
    /// A device was cut off for a packet beyond [`PACKET_LIMIT`].
    Oversize,
    /// Somebody came or went.
    Traffic,
    /// Anything else.
    Plain,
}

fn line(text: &str) -> Line {
    if text.ends_with("disconnected due to oversize packet.") {
        Line::Oversize
    } else if text.starts_with("Error") || text.contains("messages are being dropped") {
        Line::Loud
    } else if text.starts_with("New c") || text.starts_with("Client ") {
        Line::Traffic
    } else {
        Line::Plain
    }
}

/// The broker's own words go into our log.
async fn forward(log: Option<BufReader<tokio::process::ChildStderr>>, cut: &mpsc::Sender<()>) {
    let Some(log) = log else { return };
    let mut lines = log.lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let text = text.split_once(": ").map_or(text.as_str(), |(_, text)| text);
        match line(text) {
            Line::Loud => tracing::warn!(target: "sensing::mosquitto", "{text}"),
            Line::Oversize => {
                tracing::info!(target: "sensing::mosquitto", "{text}");
                // When nothing can be stored these wait no longer than the queue is: the log has them.
                let _ = cut.try_send(());
            }
            Line::Traffic => tracing::debug!(target: "sensing::mosquitto", "{text}"),
            Line::Plain => tracing::info!(target: "sensing::mosquitto", "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_broker_are_told_apart() {
        // Mosquitto says it once for each time that the queue fills, as a notice.
        assert_eq!(line("Outgoing messages are being dropped for client maojiawan-sensing."), Line::Loud);
        assert_eq!(line("Error: Unable to open log file."), Line::Loud);
        assert_eq!(line("Client meter-7 disconnected due to oversize packet."), Line::Oversize);
        assert_eq!(line("Client meter-7 closed its connection."), Line::Traffic);
        assert_eq!(line("New connection from 127.0.0.1:4711 on port 1883."), Line::Traffic);
        assert_eq!(line("Saving in-memory database."), Line::Plain);
        assert!(conf(Path::new("/d"), 1, &Config::default(), true).contains("\nlog_type notice\n"));
    }

    #[test]
    fn sensors_are_left_alone_when_the_last_login_that_speaks_for_them_goes() {
        let login = |device: &str, behind: &[&str]| Login {
            device: device.into(),
            voice: domain::device::Voice::Mjw,
            behind: behind.iter().map(|id| (*id).into()).collect(),
            hash: String::new(),
        };
        let before = [login("s1", &[]), login("hub", &["s1", "s2", "s3"]), login("other", &["s3"])];
        let now = [login("hub", &["s2"]), login("other", &["s3"])];
        assert_eq!(without_login(&before, &now), BTreeSet::from(["s1".into()]));
        assert_eq!(without_login(&now, &before), BTreeSet::new());
    }

    #[test]
    fn names_are_client_ids_where_nobody_shares_one() {
        let config = |shared_user| {
            let listen = Listen { address: ([127, 0, 0, 1], 9).into(), cert_file: None, key_file: None };
            Config { listen: Some(listen), shared_user, ..Config::default() }
        };
        let line = "listener 9 127.0.0.1\nuse_username_as_clientid true\n";
        assert!(conf(Path::new("/d"), 1, &config(false), true).contains(line));
        assert!(!conf(Path::new("/d"), 1, &config(true), true).contains("use_username"));
        assert!(!conf(Path::new("/d"), 1, &config(false), false).contains("listener 9"));
    }
}
