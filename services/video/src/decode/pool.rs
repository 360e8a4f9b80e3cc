//! The parent's side: a few children, each served by one task, all fed from one bounded queue.
//!
//! A child that takes too long for a picture, or whose pipe breaks, is killed and started again after a back-off; the
//! picture that did it is answered with [`Failure::Killed`], so that the caller can leave it out. Others go on.

use std::{process::Stdio, sync::Arc, time::Duration};

use runtime::retry::Backoff;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::protocol::{MAX_MESSAGE, Picture, Reply, Request};
use crate::{camera::KeyFrame, config::StillsConfig, sps};

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The picture cannot be decoded.
    Undecodable,
    /// The picture took a child with it.
    Killed,
    /// No child is up, or too much waits.
    Unavailable,
}

struct Job {
    request: Request,
    reply: oneshot::Sender<Result<Reply, Failure>>,
}

/// A handle to the children; clones share them.
#[derive(Clone)]
pub(crate) struct Pool {
    jobs: mpsc::Sender<Job>,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    /// How long a caller waits for a child to be free and to answer; zero = there are no children.
    patience: Duration,
}

impl Pool {
    pub(crate) fn new(config: &StillsConfig) -> Self {
        let (jobs, receiver) = mpsc::channel(config.queue.max(1));
        let patience = if config.decode_command.is_empty() { Duration::ZERO } else { 2 * config.decode_timeout };
        Self { jobs, queue: Arc::new(Mutex::new(receiver)), patience }
    }

    async fn ask(&self, request: Request) -> Result<Reply, Failure> {
        if self.patience.is_zero() {
            return Err(Failure::Unavailable);
        }
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { request, reply }).map_err(|_| Failure::Unavailable)?;
        timeout(self.patience, answer)
            .await
            .map_or(Err(Failure::Unavailable), |r| r.unwrap_or(Err(Failure::Unavailable)))
    }

    /// Decodes a key frame, with a still of 640 × 360 if `still`.
    pub(crate) async fn picture(&self, key: &KeyFrame, still: bool) -> Result<Picture, Failure> {
        // One picture alone waits for no other: a decoder that knows gives it at once.
        let alone = if key.init.reorder > 0 { sps::with_reordering(&key.init.sps, 0) } else { None };
        let request = Request::Picture {
            still,
            sps: alone.unwrap_or_else(|| key.init.sps.to_vec()),
            pps: key.init.pps.to_vec(),
            access_unit: key.data.to_vec(),
        };
        match self.ask(request).await? {
            Reply::Picture(picture) => Ok(picture),
            _ => Err(Failure::Undecodable),
        }
    }

    /// Encodes a raw sheet.
    pub(crate) async fn sheet(&self, width: u16, height: u16, planes: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match self.ask(Request::Sheet { width, height, planes }).await? {
            Reply::Jpeg(jpeg) => Ok(jpeg),
            _ => Err(Failure::Undecodable),
        }
    }

    /// Whether a child's sockets and files are denied.
    pub(crate) async fn probe(&self) -> Result<bool, Failure> {
        Ok(self.ask(Request::Probe).await? == Reply::Probed(true))
    }

    /// Runs one child after the other until the stop.
    pub(crate) async fn serve(self, config: StillsConfig, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(4));
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.one_child(&config, &mut backoff) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = sleep(backoff.delay()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Starts a child and feeds it until it fails. Dropping kills it.
    async fn one_child(&self, config: &StillsConfig, backoff: &mut Backoff) {
        let mut pipe = match start(config).await {
            Ok(pipe) => pipe,
            Err(why) => {
                tracing::warn!(error = %why, "decode child did not start");
                return;
            }
        };
        loop {
            let job = tokio::select! {
                biased;
                // One that ends while it has nothing to do is no picture's fault.
                _ = pipe.child.wait() => {
                    tracing::info!("decode child ended");
                    metrics::counter!(runtime::telemetry::names::DECODE_RESTARTS).increment(1);
                    return;
                }
                job = async { self.queue.lock().await.recv().await } => job,
            };
            let Some(job) = job else { return };
            if job.reply.is_closed() {
                continue;
            }
            match timeout(config.decode_timeout, pipe.turn(&job.request)).await {
                Ok(Ok(reply)) => {
                    backoff.reset();
                    let answer = if reply == Reply::Undecodable { Err(Failure::Undecodable) } else { Ok(reply) };
                    let _ = job.reply.send(answer);
                }
                failed => {
                    let why =
                        failed.map_or_else(|_| "too slow".to_owned(), |r| r.map_or_else(|e| e, |_| String::new()));
                    tracing::info!(error = %why, "decode child killed");
                    metrics::counter!(runtime::telemetry::names::DECODE_RESTARTS).increment(1);
                    let _ = job.reply.send(Err(Failure::Killed));
                    return;
                }
            }
        }
    }
}

struct Pipe {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

async fn start(config: &StillsConfig) -> Result<Pipe, String> {
    let (program, arguments) = config.decode_command.split_first().ok_or("no decode command")?;
    // The child dies with the centre and inherits nothing of it but three pipes.
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--no-new-privs", "--", program])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GST_REGISTRY_FORK", "no")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| e.to_string())?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipes".to_owned());
    };
    let mut pipe = Pipe { child, input, output };
    match timeout(config.start_timeout, pipe.read()).await {
        Ok(Ok(Reply::Ready)) => Ok(pipe),
        Ok(Ok(Reply::Broken(why))) => Err(why),
        Ok(Ok(_)) => Err("unexpected hello".to_owned()),
        Ok(Err(why)) => Err(why),
        Err(_) => Err("did not come up in time".to_owned()),
    }
}

impl Pipe {
    async fn turn(&mut self, request: &Request) -> Result<Reply, String> {
        self.input.write_all(&request.encode()).await.map_err(|e| e.to_string())?;
        self.read().await
    }

    async fn read(&mut self) -> Result<Reply, String> {
        let len = self.output.read_u32().await.map_err(|e| e.to_string())? as usize;
        if len > MAX_MESSAGE {
            return Err("reply too long".to_owned());
        }
        let mut message = vec![0; len];
        self.output.read_exact(&mut message).await.map_err(|e| e.to_string())?;
        Reply::decode(&message).ok_or_else(|| "reply not understood".to_owned())
    }
}
