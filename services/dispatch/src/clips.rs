//! Cuts the clips that alarms asked for: reads the outbox, takes the film from the media role, stores it sealed, and
//! names it in an event. At least once; a clip that cannot be cut any more is given up and said so.

use std::{sync::Arc, time::Duration};

use domain::{
    event::Mode,
    ids::{AlarmId, BlobId, CameraId},
    incident::{Exhibit, ExhibitKind},
    input::{Actor, Command, ExhibitOf, Input, Outgoing},
    text::Subject,
};
use ledger::{NewBlob, Store, StoredOutbox};
use link::{
    intake::{Intake, Submission},
    media::{Clip, Media},
};
use runtime::Clock;
use tokio_util::sync::CancellationToken;

/// Largest clip, bytes.
const MAX_CLIP: u64 = 64 << 20;
/// After this many failures the film is gone from every ring.
const ATTEMPTS: u32 = 5;
/// How long a failed one waits.
const RETRY_MS: i64 = 3_000;
/// How often the outbox is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// Rows a look.
const PAGE: usize = 100;

/// Works until stopped. Without cameras no alarm has a film, and what was asked for is forgotten.
pub async fn cut_clips(
    media: Option<Arc<dyn Media>>,
    store: Arc<dyn Store>,
    intake: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let due = match store.outbox_due(&["clip"], clock.now_ms(), PAGE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = %error, "outbox not read");
                continue;
            }
        };
        for row in due {
            if stop.is_cancelled() {
                return;
            }
            one(media.as_ref(), &store, &intake, clock.as_ref(), &row).await;
        }
    }
}

async fn one(
    media: Option<&Arc<dyn Media>>,
    store: &Arc<dyn Store>,
    intake: &Arc<dyn Intake>,
    clock: &dyn Clock,
    row: &StoredOutbox,
) {
    let Ok(Outgoing::Clip { alarm, camera, from, to }) = wire::outgoing::decode(&row.row.payload) else {
        tracing::error!(outbox.id = row.id, "outbox row unreadable");
        settle(intake, row.id).await;
        return;
    };
    let Some(media) = media else { return settle(intake, row.id).await };
    match media.clip(&camera, from, to).await {
        Ok(clip) => keep(store, intake, clock, row, alarm, clip).await,
        Err(error) => retry(store, intake, clock, row, &camera, &error.to_string()).await,
    }
}

async fn keep(
    store: &Arc<dyn Store>,
    intake: &Arc<dyn Intake>,
    clock: &dyn Clock,
    row: &StoredOutbox,
    alarm: AlarmId,
    clip: Clip,
) {
    let new = NewBlob {
        subject: Subject::Alarm(alarm).to_string(),
        content_type: "video/mp4".to_owned(),
        max_bytes: MAX_CLIP,
        at_ms: clock.now_ms(),
    };
    let stored = match store.put_blob(new, &mut &clip.mp4[..]).await {
        Ok(info) => info,
        Err(error) => return retry(store, intake, clock, row, &clip.camera, &error.to_string()).await,
    };
    let exhibit = Exhibit {
        blob: BlobId::new(stored.id.as_str()),
        kind: ExhibitKind::Clip,
        camera: Some(clip.camera.clone()),
        from: clip.from,
        to: clip.to,
    };
    let command = Command::AddExhibit { of: ExhibitOf::Alarm(alarm), exhibit };
    let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
    let submission = Submission::keyed("outbox", row.id.to_string(), Vec::new(), input).settling(row.id);
    if let Err(error) = intake.submit(submission).await {
        tracing::warn!(alarm.id = alarm.0, error = %error, "clip not recorded");
        if error.passes() {
            // Its row is still there: not at once again, since each try leaves an orphan in the blob store.
            retry(store, intake, clock, row, &clip.camera, &error.to_string()).await;
        }
    }
}

async fn retry(
    store: &Arc<dyn Store>,
    intake: &Arc<dyn Intake>,
    clock: &dyn Clock,
    row: &StoredOutbox,
    camera: &CameraId,
    why: &str,
) {
    let attempts = row.attempts.saturating_add(1);
    if attempts >= ATTEMPTS {
        tracing::info!(camera.id = %camera, reason = why, "clip given up");
        settle(intake, row.id).await;
        return;
    }
    let due = clock.now_ms().saturating_add(RETRY_MS);
    if let Err(error) = store.outbox_retry(row.id, due, attempts, why).await {
        tracing::warn!(error = %error, "outbox not written");
    }
}

/// Ends an outbox row without an event.
async fn settle(intake: &Arc<dyn Intake>, row: u64) {
    let submission = Submission::keyless(Input::Tick).settling(row);
    if let Err(error) = intake.submit(submission).await
        && error.passes()
    {
        tracing::debug!(error = %error, "outbox row stays for the next look");
    }
}
