//! Events of the log as bytes.
//!
//! An event row holds kind, version and bytes. [`encode`] always writes [`VERSION`]; [`decode`] reads every version that
//! was ever released: an old one is decoded by its own schema and brought up to the present one, step by step.

use domain::event::{Body, Event};
use prost::Message as _;

use crate::{WireError, field::Field, store as pb};

/// The version that [`encode`] writes.
pub const VERSION: u16 = 1;

/// The bytes of an event.
pub fn encode(event: &Event) -> Vec<u8> {
    let Event { at, happened, mode, by, vault_next, body } = event;
    let body = Some(put_body(body));
    let (at, happened) = (at.put(), happened.put());
    pb::Event { at, happened, mode: mode.put(), by: by.put(), vault_next: vault_next.put(), body }.encode_to_vec()
}

/// Reads an event row. `kind` is [`Body::name`] of what was stored.
///
/// # Errors
/// A version that was never released, bytes that do not fit it, or bytes of another kind.
pub fn decode(kind: &str, version: u16, bytes: &[u8]) -> Result<Event, WireError> {
    let event = get_event(upgrade(version, bytes)?)?;
    match event.body.name() {
        name if name == kind => Ok(event),
        name => Err(WireError::Mismatch { row: kind.to_owned(), bytes: name.to_owned() }),
    }
}

/// Any released version as a message of the present one. The next version adds its arm above and a step here.
fn upgrade(version: u16, bytes: &[u8]) -> Result<pb::Event, WireError> {
    match version {
        VERSION => Ok(pb::Event::decode(bytes)?),
        unknown => Err(WireError::Version(unknown.into())),
    }
}

fn get_event(stored: pb::Event) -> Result<Event, WireError> {
    Ok(Event {
        at: Field::get(stored.at, "Event.at")?,
        happened: Field::get(stored.happened, "Event.happened")?,
        mode: Field::get(stored.mode, "Event.mode")?,
        by: Field::get(stored.by, "Event.by")?,
        vault_next: Field::get(stored.vault_next, "Event.vault_next")?,
        body: get_body(stored.body.ok_or(WireError::Missing("Event.body"))?)?,
    })
}

macro_rules! bodies {
    ($($name:ident { $($field:ident),* })*) => {
        /// Every variant of [`Body`], for samples: one that is left out does not compile.
        #[cfg(test)]
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Variant { $($name),* }
        #[cfg(test)]
        impl Variant {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];
        }

        fn put_body(body: &Body) -> pb::event::Body {
            match body {
                $(Body::$name { $($field),* } => pb::event::Body::$name(pb::$name { $($field: Field::put($field)),* }),)*
            }
        }

        fn get_body(stored: pb::event::Body) -> Result<Body, WireError> {
            Ok(match stored {
                $(pb::event::Body::$name(pb::$name { $($field),* }) => Body::$name {
                    $($field: Field::get($field, concat!(stringify!($name), ".", stringify!($field)))?),*
                },)*
            })
        }
    };
}

bodies! {
    SiteChanged { site }
    AccountChanged { account }
    DutyChanged { post, account }
    AlarmRaised { alarm, kind, level, place, code, evidence }
    AlarmEvidence { alarm, level, kind, evidence }
    AlarmSourceCleared { alarm, source }
    AlarmConfirmed { alarm }
    AlarmSounded { alarm }
    AlarmJudged { alarm, verdict, incident, text }
    AlarmShelved { alarm, until, reason }
    AlarmUnshelved { alarm }
    AlarmExhibit { alarm, exhibit }
    AlarmMoved { alarm, incident }
    AlarmPlaced { alarm, place }
    Reported { incident, class, level, place, channel, code, reporter, text, alarm }
    Accepted { incident }
    Rejected { incident, reason }
    Merged { incident, into }
    Absorbed { incident, from, alarms, exhibits, level }
    Filed { incident, class, level }
    Approved { incident }
    ApprovalRefused { incident, reason }
    TaskPushed { incident, task, unit, terms, text, replaces }
    TaskDelivered { incident, task, receipt, external }
    TaskAcknowledged { incident, task }
    TaskEnRoute { incident, task }
    TaskOnScene { incident, task }
    TaskFeedback { incident, task, result, text, photos }
    TaskDeclined { incident, task, reason }
    TaskRecalled { incident, task, reason }
    ReworkOrdered { incident, task, reason }
    Verified { incident, text }
    Closed { incident, text }
    Reopened { incident, reason }
    Noted { incident, text }
    PlaceCorrected { incident, place, before }
    AttentionCalled { incident, why, task }
    Attended { incident, text }
    ExhibitAdded { incident, exhibit }
    SensorLink { sensor, online }
    CameraFact { camera, state, fault, since }
    DeviceCredentialIssued { device, voice, behind, hash }
    DeviceCredentialRevoked { device }
    LightChanged { unit, light, last }
    PatrolPlanned { patrol, kind, subject, due }
    PatrolStarted { patrol, total }
    PatrolFound { patrol, finding }
    PatrolFinished { patrol, checked }
    MessageKept { message }
    MessageSent { message, ok }
    Unreadable { source, why, size }
    Erased { subject }
}
