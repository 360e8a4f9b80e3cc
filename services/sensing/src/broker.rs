//! The child Mosquitto: its files, its two users, and its supervision.
//!
//! It listens on 127.0.0.1 only, refuses anonymous clients, lets devices only write and the centre only read, dies with
//! its parent (`setpriv --pdeathsig`), and is started again with back-off when it ends.

use std::{
    io,
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use runtime::retry::Backoff;
use sha2::Sha512;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{Config, SensingError, Status, config::Listen};

/// Largest packet that the child broker takes, bytes: far above what a device sends, so that the centre sees, records and
/// acknowledges what is too large. One that sends more is cut off, which the broker tells and [`crate::run`] records: a
/// broker that drops it would acknowledge it and tell nobody.
pub const PACKET_LIMIT: usize = 1 << 20;
/// Messages that the broker sends ahead of our answers: enough for a commit to be worth its fsync at 20,000 a second.
pub const WINDOW: u16 = 2_048;
/// Messages that the broker keeps for us while nothing can be stored, beyond which it drops and says so: 50 seconds at
/// 20,000 a second.
const QUEUED: usize = 1_000_000;
/// Name of the user that devices log in with.
pub const DEVICE_USER: &str = "device";
pub(crate) const CENTRE_USER: &str = "centre";
/// A run shorter than this counts as a failed start.
const STABLE: Duration = Duration::from_secs(10);
/// Time that the broker has to write its store at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// A child broker that is ready to start.
pub struct Child {
    program: String,
    conf: PathBuf,
    /// Its port.
    pub port: u16,
    pub(crate) centre_password: String,
}

/// The password of [`DEVICE_USER`], made on the first call for this folder.
pub fn device_password(dir: &Path) -> Result<String, SensingError> {
    secret(dir, "device.secret")
}

fn file_error(file: &Path) -> impl FnOnce(io::Error) -> SensingError + '_ {
    |source| SensingError::File { file: file.display().to_string(), source }
}

fn write_private(file: &Path, text: &str) -> Result<(), SensingError> {
    let write = || {
        let mut options = std::fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
        io::Write::write_all(&mut out, text.as_bytes())
    };
    write().map_err(file_error(file))
}

fn secret(dir: &Path, name: &str) -> Result<String, SensingError> {
    std::fs::create_dir_all(dir).map_err(file_error(dir))?;
    let file = dir.join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim().len() >= 32 => Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(&file)(error)),
        _ => {
            let text = hex::encode(rand::random::<[u8; 24]>());
            write_private(&file, &text)?;
            Ok(text)
        }
    }
}

/// A line of Mosquitto's password file: PBKDF2 with HMAC-SHA512. The password has 192 random bits, so few rounds do.
fn password_line(user: &str, password: &str) -> String {
    const ROUNDS: u32 = 101;
    let salt: [u8; 12] = rand::random();
    let prf = |data: &[&[u8]]| -> [u8; 64] {
        // HMAC takes keys of any length; the error arm never runs.
        let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(password.as_bytes()) else { return [0; 64] };
        data.iter().for_each(|d| mac.update(d));
        mac.finalize().into_bytes().into()
    };
    let mut block = prf(&[&salt, &1_u32.to_be_bytes()]);
    let mut sum = block;
    for _ in 1..ROUNDS {
        block = prf(&[&block]);
        sum.iter_mut().zip(block).for_each(|(s, b)| *s ^= b);
    }
    format!("{user}:$7${ROUNDS}${}${}\n", STANDARD.encode(salt), STANDARD.encode(sum))
}

/// The listener for devices elsewhere; TLS 1.2 or newer.
fn listener(listen: &Listen) -> String {
    let mut text = format!("listener {} {}\n", listen.address.port(), listen.address.ip());
    if let (Some(cert), Some(key)) = (&listen.cert_file, &listen.key_file) {
        let (cert, key) = (cert.display(), key.display());
        text += &format!("certfile {cert}\nkeyfile {key}\ntls_version tlsv1.2\n");
    }
    text
}

fn conf(dir: &Path, port: u16, listen: Option<&Listen>) -> String {
    let dir = dir.display();
    let listener = listen.map(listener).unwrap_or_default();
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

const ACL: &str = "user centre\ntopic read #\n\nuser device\ntopic write mjw/v1/#\ntopic write zigbee2mqtt/#\n\
                   topic write tele/#\ntopic write v1/gateway/#\n";

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Child {
    /// Writes its files. The folder keeps the passwords and the broker's store from run to run.
    pub async fn prepare(config: &Config, dir: &Path) -> Result<Self, SensingError> {
        let (wanted, program, dir) = (config.port, config.program.clone(), dir.to_owned());
        let listen = config.listen.clone();
        let work = move || {
            let store = dir.join("store");
            std::fs::create_dir_all(&store).map_err(file_error(&store))?;
            let dir = dir.canonicalize().map_err(file_error(&dir))?;
            let (centre, device) = (secret(&dir, "centre.secret")?, device_password(&dir)?);
            let port = if wanted == 0 { free_port().map_err(file_error(&dir))? } else { wanted };
            let users = password_line(CENTRE_USER, &centre) + &password_line(DEVICE_USER, &device);
            write_private(&dir.join("passwd"), &users)?;
            write_private(&dir.join("acl"), ACL)?;
            let file = dir.join("mosquitto.conf");
            write_private(&file, &conf(&dir, port, listen.as_ref()))?;
            Ok(Self { program, conf: file, port, centre_password: centre })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(SensingError::File { file: "mosquitto.conf".to_owned(), source: io::Error::other(error) })
        })
    }

    /// Keeps it running until `stop`. Each device that it cuts off for a packet beyond [`PACKET_LIMIT`] goes to `cut`.
    pub(crate) async fn supervise(
        self,
        status: &watch::Sender<Status>,
        cut: mpsc::Sender<()>,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));
        status.send_modify(|s| s.port = Some(self.port));
        while !stop.is_cancelled() {
            let started = tokio::time::Instant::now();
            self.run_once(status, &cut, &stop).await;
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

    async fn run_once(&self, status: &watch::Sender<Status>, cut: &mpsc::Sender<()>, stop: &CancellationToken) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", &self.program, "-c"]).arg(&self.conf);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, program = %self.program, "the MQTT broker cannot be started");
                return;
            }
        };
        let pid = child.id();
        status.send_modify(|s| {
            s.counts.broker_starts += 1;
            s.broker_pid = pid;
        });
        let log = child.stderr.take().map(BufReader::new);
        let ended = tokio::select! {
            ended = async { tokio::join!(child.wait(), forward(log, cut)).0 } => Some(ended),
            () = stop.cancelled() => None,
        };
        match ended {
            Some(Ok(code)) => tracing::warn!(%code, "the MQTT broker ended and is started again"),
            Some(Err(error)) => tracing::warn!(%error, "the MQTT broker is lost and is started again"),
            None => goodbye(&mut child).await,
        }
    }
}

/// Lets the broker write its store, then ends it.
async fn goodbye(child: &mut tokio::process::Child) {
    if let Some(pid) = child.id() {
        let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
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
        assert!(conf(Path::new("/d"), 1, None).contains("\nlog_type notice\n"));
    }
}
