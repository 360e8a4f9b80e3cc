//! Keeps sessions running: one task a camera for its sub stream, another for its main stream while somebody watches.
//!
//! A session ends by a fault or a data time-out and is opened again after a jittered back-off, for ever. The first
//! failure of a session that ran is not announced: many cameras drop a session now and then and take the next one at
//! once. Nothing blocks.

use std::{sync::Arc, time::Duration};

use domain::time::Timestamp;
use link::media::{CameraState, Quality};
use runtime::{Clock, retry::Backoff};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    camera::Camera,
    config::Limits,
    gate::Gate,
    source::{Fault, Opener},
};

/// A session that ran this long starts its back-off anew.
const RAN_WELL: Duration = Duration::from_secs(5);
/// Frames without any key frame for this long are of no use.
const KEY_TIMEOUT: Duration = Duration::from_secs(30);
/// A stream that no browser here can play is asked for again after this time.
const CODEC_RETRY: Duration = Duration::from_secs(60);
/// Cameras lock an account out after a few wrong passwords in a row; somebody has to change it anyway.
const PASSWORD_RETRY: Duration = Duration::from_secs(30);
/// How often a main stream looks whether it still has viewers.
const MAIN_CHECK: Duration = Duration::from_secs(1);
/// Stopping waits this long for TEARDOWN.
const TEARDOWN: Duration = Duration::from_secs(1);

/// What the tasks need.
pub(crate) struct Puller {
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    pub opener: Arc<dyn Opener>,
    pub gate: Gate,
    pub stop: CancellationToken,
    pub received: metrics::Counter,
    pub reconnects: metrics::Counter,
}

/// How a session ended.
struct Ended {
    fault: Fault,
    /// Time since the first picture; `None` = there was none.
    ran: Option<Duration>,
}

/// How long to wait before the next try.
fn pause(fault: &Fault, backoff: &mut Backoff) -> Duration {
    match fault {
        Fault::UnsupportedCodec(_) => CODEC_RETRY,
        Fault::Unauthorised => PASSWORD_RETRY,
        _ => backoff.delay(),
    }
}

impl Puller {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.limits.backoff_first, self.limits.backoff_cap)
    }

    /// The sub stream of one camera until the stop.
    pub(crate) async fn sub(self: Arc<Self>, camera: Arc<Camera>) {
        let mut backoff = self.backoff();
        camera.set_state(CameraState::Connecting, self.now());
        let mut first = true;
        loop {
            let run = self.run(&camera, Quality::Sub, first);
            let ended = tokio::select! {
                ended = run => ended,
                () = self.stop.cancelled() => break,
            };
            first = false;
            self.reconnects.increment(1);
            if ended.ran.is_some_and(|ran| ran >= RAN_WELL) {
                backoff.reset();
            }
            let forgiven = ended.ran.is_some() && ended.fault != Fault::Stalled;
            tracing::debug!(camera.id = %camera.config.id, error = %ended.fault, "camera session ended");
            if !forgiven && camera.state() != ended.fault.state() {
                tracing::info!(camera.id = %camera.config.id, error = %ended.fault, "camera lost");
                camera.set_state(ended.fault.state(), self.now());
            }
            tokio::select! {
                () = sleep(pause(&ended.fault, &mut backoff)) => {}
                () = self.stop.cancelled() => break,
            }
        }
        // The dropped session says good-bye in the background.
        let _ = timeout(TEARDOWN, self.opener.settle(&camera.config.server)).await;
    }

    /// The main stream of one camera until the stop or until nobody wants it.
    pub(crate) async fn main(self: Arc<Self>, camera: Arc<Camera>) {
        let mut backoff = self.backoff();
        let mut first = true;
        loop {
            let ended = tokio::select! {
                ended = self.run(&camera, Quality::Main, first) => Some(ended),
                () = self.unwanted(&camera) => None,
                () = self.stop.cancelled() => return,
            };
            first = false;
            camera.main_lost();
            let Some(ended) = ended else {
                if camera.main_end(false) {
                    return;
                }
                continue;
            };
            tracing::debug!(camera.id = %camera.config.id, error = %ended.fault, "main stream ended");
            if ended.ran.is_some_and(|ran| ran >= RAN_WELL) {
                backoff.reset();
            }
            tokio::select! {
                () = sleep(pause(&ended.fault, &mut backoff)) => {}
                () = self.unwanted(&camera) => {}
                () = self.stop.cancelled() => return,
            }
            if !camera.main_wanted() && camera.main_end(false) {
                return;
            }
        }
    }

    /// Returns when nobody has wanted the main stream for the linger time.
    async fn unwanted(&self, camera: &Camera) {
        let mut since = None;
        loop {
            sleep(MAIN_CHECK).await;
            match (camera.main_wanted(), since) {
                (true, _) => since = None,
                (false, None) => since = Some(Instant::now()),
                (false, Some(t)) if t.elapsed() >= self.limits.main_linger => return,
                (false, Some(_)) => {}
            }
        }
    }
}

impl Puller {
    /// One session from handshake to fault.
    async fn run(&self, camera: &Camera, quality: Quality, first: bool) -> Ended {
        let mut session = match self.open(camera, quality, first).await {
            Ok(session) => session,
            Err(fault) => return Ended { fault, ran: None },
        };
        camera.begin(quality);
        let opened = Instant::now();
        let (mut last, mut shown) = (opened, None);
        // One timer a session, moved only when it fires: cheaper than one a frame.
        let timer = sleep_until(last + self.limits.data_timeout);
        tokio::pin!(timer);
        let fault = loop {
            let frame = tokio::select! {
                biased;
                frame = session.next() => frame,
                () = &mut timer => {
                    if last.elapsed() >= self.limits.data_timeout {
                        break Fault::Stalled;
                    }
                    timer.as_mut().reset(last + self.limits.data_timeout);
                    continue;
                }
            };
            match frame {
                Ok(frame) => {
                    last = Instant::now();
                    self.received.increment(frame.data.len() as u64);
                    if camera.frame(quality, frame, self.now()) {
                        shown.get_or_insert(last);
                    } else if shown.is_none() && opened.elapsed() > KEY_TIMEOUT {
                        break Fault::Protocol("no key frame".to_owned());
                    }
                }
                Err(fault) => break fault,
            }
        };
        Ended { fault, ran: shown.map(|s: Instant| s.elapsed()) }
    }

    async fn open(
        &self,
        camera: &Camera,
        quality: Quality,
        first: bool,
    ) -> Result<Box<dyn crate::source::Session>, Fault> {
        let server = &camera.config.server;
        if !first {
            let _ = timeout(self.limits.stale_wait, self.opener.settle(server)).await;
        }
        let _permit = self.gate.enter(server).await;
        timeout(self.limits.handshake_timeout, self.opener.open(&camera.config, quality))
            .await
            .unwrap_or_else(|_| Err(Fault::Unreachable("handshake timed out".to_owned())))
    }
}
