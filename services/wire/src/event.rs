//! Events of the log as bytes.
//!
//! An event row holds kind, version and bytes. [`encode`] always writes [`VERSION`]; [`decode`] reads every version that
//! was ever released: an old one is decoded by its own schema and brought up to the present one, step by step.

use domain::{
    account::{AccountEvent, DutyEvent},
    alarm::AlarmEvent,
    camera::CameraEvent,
    device::{CredentialEvent, SensorEvent},
    erasure::ErasureEvent,
    event::{Body, Event},
    incident::IncidentEvent,
    light::LightEvent,
    message::MessageEvent,
    patrol::PatrolEvent,
    site::SiteEvent,
    unreadable::UnreadableEvent,
};
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

/// Kind by kind: `Stored name = variant of the domain { fields }`.
macro_rules! bodies {
    ($($kind:ident($event:ident): $($name:ident = $variant:ident { $($field:ident),* })*;)*) => {
        /// Every event, for samples: one that is left out does not compile.
        #[cfg(test)]
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Variant { $($($name),*),* }
        #[cfg(test)]
        impl Variant {
            pub(crate) const ALL: &'static [Self] = &[$($(Self::$name),*),*];
        }

        fn put_body(body: &Body) -> pb::event::Body {
            match body {
                $(Body::$kind(what) => match what {
                    $($event::$variant { $($field),* } => {
                        pb::event::Body::$name(pb::$name { $($field: Field::put($field)),* })
                    })*
                },)*
            }
        }

        fn get_body(stored: pb::event::Body) -> Result<Body, WireError> {
            Ok(match stored {
                $($(pb::event::Body::$name(pb::$name { $($field),* }) => Body::$kind($event::$variant {
                    $($field: Field::get($field, concat!(stringify!($name), ".", stringify!($field)))?),*
                }),)*)*
            })
        }
    };
}

bodies! {
    Site(SiteEvent):
        SiteChanged = Changed { site };
    Account(AccountEvent):
        AccountChanged = Changed { account };
    Duty(DutyEvent):
        DutyChanged = Changed { post, account };
    Alarm(AlarmEvent):
        AlarmRaised = Raised { alarm, kind, level, place, code, evidence }
        AlarmEvidence = EvidenceAdded { alarm, level, kind, evidence }
        AlarmSourceCleared = SourceCleared { alarm, source }
        AlarmConfirmed = Confirmed { alarm }
        AlarmSounded = Sounded { alarm }
        AlarmJudged = Judged { alarm, verdict, incident, text }
        AlarmShelved = Shelved { alarm, until, reason }
        AlarmUnshelved = Unshelved { alarm }
        AlarmExhibit = ExhibitAdded { alarm, exhibit }
        AlarmMoved = Moved { alarm, incident }
        AlarmPlaced = Placed { alarm, place };
    Incident(IncidentEvent):
        Reported = Reported { incident, class, level, place, channel, code, reporter, text, alarm }
        Accepted = Accepted { incident }
        Rejected = Rejected { incident, reason }
        Merged = Merged { incident, into }
        Absorbed = Absorbed { incident, from, alarms, exhibits, level }
        Filed = Filed { incident, class, level }
        Approved = Approved { incident }
        ApprovalRefused = ApprovalRefused { incident, reason }
        TaskPushed = TaskPushed { incident, task, unit, terms, text, replaces }
        TaskDelivered = TaskDelivered { incident, task, receipt, external }
        TaskAcknowledged = TaskAcknowledged { incident, task }
        TaskEnRoute = TaskEnRoute { incident, task }
        TaskOnScene = TaskOnScene { incident, task }
        TaskFeedback = TaskFeedback { incident, task, result, text, photos }
        TaskDeclined = TaskDeclined { incident, task, reason }
        TaskRecalled = TaskRecalled { incident, task, reason }
        ReworkOrdered = ReworkOrdered { incident, task, reason }
        Verified = Verified { incident, text }
        Closed = Closed { incident, text }
        Reopened = Reopened { incident, reason }
        Noted = Noted { incident, text }
        PlaceCorrected = PlaceCorrected { incident, place, before }
        AttentionCalled = AttentionCalled { incident, why, task }
        Attended = Attended { incident, text }
        ExhibitAdded = ExhibitAdded { incident, exhibit };
    Sensor(SensorEvent):
        SensorLink = Linked { sensor, online };
    Camera(CameraEvent):
        CameraFact = Changed { camera, state, fault, since };
    Credential(CredentialEvent):
        DeviceCredentialIssued = Issued { device, voice, behind, hash }
        DeviceCredentialRevoked = Revoked { device };
    Light(LightEvent):
        LightChanged = Changed { unit, light, last };
    Patrol(PatrolEvent):
        PatrolPlanned = Planned { patrol, kind, subject, due }
        PatrolStarted = Started { patrol, total }
        PatrolFound = Found { patrol, finding }
        PatrolFinished = Finished { patrol, checked };
    Message(MessageEvent):
        MessageKept = Kept { message }
        MessageSent = Sent { message, ok };
    Unreadable(UnreadableEvent):
        Unreadable = Counted { source, why, size };
    Erasures(ErasureEvent):
        Erased = Erased { subject };
}
