//! The video patrol: planned, run over every camera, findings for each that does not show a living picture.

use std::{sync::Arc, time::Duration};

use domain::{
    alarm::Source,
    event::Mode,
    ids::PatrolId,
    input::{Input, Observation},
    patrol::PatrolKind,
    time::Timestamp,
};
use link::{
    intake::{Done, Intake, Submission},
    media::{CameraState, CameraStatus, Media, PictureFault},
};
use runtime::Clock;
use tokio_util::sync::CancellationToken;

/// Schedule of the video patrol.
#[derive(Debug, Clone)]
pub struct VideoPatrol {
    /// Name of the round that screens show.
    pub subject: String,
    /// From one start to the next.
    pub every: Duration,
    /// Time before the first start, in which cameras come up.
    pub first: Duration,
}

/// Runs rounds until stopped.
pub async fn patrol_video(
    media: Arc<dyn Media>,
    intake: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    plan: VideoPatrol,
    stop: CancellationToken,
) {
    let mut wait = plan.first;
    loop {
        let due = Timestamp(clock.now_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        let subject = plan.subject.clone();
        let planned = observe(&intake, Observation::PatrolPlanned { kind: PatrolKind::Video, subject, due }).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = plan.every;
        if let Some(patrol) = planned.and_then(|d| d.refs.patrol) {
            round(&media, &intake, patrol).await;
        }
    }
}

async fn round(media: &Arc<dyn Media>, intake: &Arc<dyn Intake>, patrol: PatrolId) {
    let cameras = media.cameras().await;
    let total = u32::try_from(cameras.len()).unwrap_or(u32::MAX);
    if observe(intake, Observation::PatrolStarted { patrol, total }).await.is_none() {
        return;
    }
    for camera in &cameras {
        if let Some(what) = finding(camera) {
            let source = Source::Camera(camera.camera.clone());
            observe(intake, Observation::PatrolFound { patrol, source, what: what.to_owned() }).await;
        }
    }
    // A camera without a picture was not looked at, and the figure says so.
    let checked = cameras.iter().filter(|c| c.state == CameraState::Online).count();
    let checked = u32::try_from(checked).unwrap_or(u32::MAX);
    observe(intake, Observation::PatrolFinished { patrol, checked }).await;
}

fn finding(status: &CameraStatus) -> Option<&'static str> {
    match (status.state, status.fault) {
        (CameraState::Online, None) => None,
        (CameraState::Online, Some(PictureFault::Frozen)) => Some("frozen"),
        (CameraState::Online, Some(PictureFault::Black)) => Some("black"),
        (state, _) => Some(state.name()),
    }
}

/// A patrol that cannot be recorded goes on; the next step says why the writer stands still.
async fn observe(intake: &Arc<dyn Intake>, observation: Observation) -> Option<Done> {
    let input = Input::Observe { mode: Mode::Real, observation };
    match intake.submit(Submission::keyless(input)).await {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::warn!(error = %error, "patrol step not recorded");
            None
        }
    }
}
