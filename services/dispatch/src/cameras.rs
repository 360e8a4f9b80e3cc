//! Turns camera states into facts of the log, and faults that last into alarms.
//!
//! A change of state is a fact at once; an alarm needs the fault to stand for its hold time, so that a reconnect of a
//! few seconds never rings. One task; the newest state of a camera wins.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    event::Mode,
    ids::{AlarmKindId, CameraId},
    input::{Input, Observation},
    time::{Millis, Timestamp},
};
use link::{
    intake::{Intake, IntakeError, Submission},
    media::{CameraState, CameraStatus, Media, PictureFault},
};
use runtime::Clock;
use tokio_util::sync::CancellationToken;

/// Hold times, and how often they are looked at.
#[derive(Debug, Clone, Copy)]
pub struct CameraWatch {
    /// A camera is offline for this long before it is an alarm.
    pub offline: Millis,
    /// A picture is frozen or black for this long before it is an alarm; the diagnosis has its own hysteresis.
    pub picture: Millis,
    /// How often.
    pub every: Duration,
}

impl Default for CameraWatch {
    fn default() -> Self {
        Self { offline: Millis::seconds(30), picture: Millis(0), every: Duration::from_secs(1) }
    }
}

/// What was reported last of one camera.
#[derive(Debug, Clone, PartialEq)]
struct Reported {
    state: &'static str,
    fault: Option<&'static str>,
    alarm: Option<&'static str>,
}

/// Watches until stopped.
pub async fn watch_cameras(
    media: Arc<dyn Media>,
    intake: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    watch: CameraWatch,
    stop: CancellationToken,
) {
    let mut reported: BTreeMap<CameraId, Reported> = BTreeMap::new();
    // Hold times begin with the watch: what was down before we looked gets its time to come up.
    let begun = Timestamp(clock.now_ms());
    let mut every = tokio::time::interval(watch.every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut changes = media.changes().await;
    let mut open = true;
    loop {
        let statuses = tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv(), if open => match change {
                Some(status) => vec![status],
                None => { open = false; continue }
            },
            _ = every.tick() => media.cameras().await,
        };
        let now = Timestamp(clock.now_ms());
        for status in statuses {
            let next = judge(&status, watch, begun, now);
            let Some(next) = next.filter(|n| reported.get(&status.camera) != Some(n)) else { continue };
            if report(intake.as_ref(), &status, &next).await {
                reported.insert(status.camera.clone(), next);
            }
        }
    }
}

/// What is to be reported of a camera now; `None` while it only connects.
fn judge(status: &CameraStatus, watch: CameraWatch, begun: Timestamp, now: Timestamp) -> Option<Reported> {
    let lasted = |since: Timestamp, hold: Millis| now - since.max(begun) >= hold;
    let (fault, alarm) = match status.state {
        CameraState::Unknown | CameraState::Connecting => return None,
        CameraState::Online => match status.fault {
            None => (None, None),
            Some(fault) => {
                let (name, kind) = match fault {
                    PictureFault::Frozen => ("frozen", "camera_frozen"),
                    PictureFault::Black => ("black", "camera_black"),
                };
                let since = status.fault_since.unwrap_or(status.since);
                (Some(name), lasted(since, watch.picture).then_some(kind))
            }
        },
        CameraState::Unreachable
        | CameraState::Refused
        | CameraState::Unauthorised
        | CameraState::NotFound
        | CameraState::NoVideo
        | CameraState::UnsupportedCodec
        | CameraState::Stalled
        | CameraState::Protocol => (None, lasted(status.since, watch.offline).then_some("camera_offline")),
    };
    Some(Reported { state: status.state.name(), fault, alarm })
}

/// Whether the log has it now. A refusal is final (the site does not know the camera); a failure is tried again.
async fn report(intake: &dyn Intake, status: &CameraStatus, what: &Reported) -> bool {
    let observation = Observation::CameraFact {
        camera: status.camera.clone(),
        state: what.state.to_owned(),
        fault: what.fault.map(str::to_owned),
        since: status.fault_since.filter(|_| what.fault.is_some()).unwrap_or(status.since),
        alarm: what.alarm.map(AlarmKindId::new),
    };
    let input = Input::Observe { mode: Mode::Real, observation };
    match intake.submit(Submission::keyless(input)).await {
        Ok(_) => true,
        Err(IntakeError::Refused(refusal)) => {
            tracing::warn!(camera.id = %status.camera, code = refusal.code.as_str(), "camera fact refused");
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(state: CameraState, fault: Option<PictureFault>) -> CameraStatus {
        CameraStatus {
            camera: "c001".into(),
            state,
            since: Timestamp(1_000),
            fault,
            fault_since: fault.map(|_| Timestamp(2_000)),
            last_frame: None,
            codec: None,
            size: None,
            fps: 0.0,
            bitrate: 0,
        }
    }

    #[test]
    fn a_short_loss_is_a_fact_but_no_alarm() {
        let watch = CameraWatch::default();
        let short = judge(&status(CameraState::Stalled, None), watch, Timestamp(0), Timestamp(10_000)).unwrap();
        assert_eq!((short.state, short.alarm), ("stalled", None));
        let long = judge(&status(CameraState::Stalled, None), watch, Timestamp(0), Timestamp(31_000)).unwrap();
        assert_eq!(long.alarm, Some("camera_offline"));
    }

    #[test]
    fn hold_times_begin_with_the_watch() {
        let watch = CameraWatch::default();
        let down = status(CameraState::Unreachable, None);
        let early = judge(&down, watch, Timestamp(90_000), Timestamp(100_000)).unwrap();
        assert_eq!(early.alarm, None, "down for long, watched for ten seconds");
        assert!(judge(&down, watch, Timestamp(90_000), Timestamp(120_000)).unwrap().alarm.is_some());
    }

    #[test]
    fn a_frozen_picture_is_an_alarm_and_connecting_is_nothing() {
        let watch = CameraWatch::default();
        let frozen =
            judge(&status(CameraState::Online, Some(PictureFault::Frozen)), watch, Timestamp(0), Timestamp(2_000))
                .unwrap();
        assert_eq!((frozen.fault, frozen.alarm), (Some("frozen"), Some("camera_frozen")));
        assert_eq!(judge(&status(CameraState::Connecting, None), watch, Timestamp(0), Timestamp(90_000)), None);
    }
}
