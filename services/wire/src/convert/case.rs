//! Alarms and incidents with their parts.

use domain::{
    alarm::{Alarm, Evidence, Judgement, Shelf, Source, SourceState, Verdict},
    attention::{Attention, Why},
    event::By,
    ids::MessageId,
    incident::*,
    task::*,
    time::Timestamp,
};

use crate::{
    WireError,
    field::{Field, as_message, enums, messages},
    store as pb,
};

enums! {
    Verdict { Genuine, False, Test, Maintenance }
    Stage {
        Reported, Rejected, Merged, Accepted, Filed, PendingApproval, Approved, Dispatched, Handling,
        AwaitingVerification, Verified, Closed,
    }
    Channel { Alarm, Call, Visit, Forwarded, Department, Grid, Video }
    ReporterKind { Named, Confidential, Anonymous }
    Receipt { Http, Client }
    Why { Opened, Worse, Idle, Unacknowledged, Support, Declined }
    FeedbackResult { Done, NeedSupport, NothingFound }
    TaskState { Pushed, Delivered, Acknowledged, EnRoute, OnScene, Done, Declined, Recalled }
    ExhibitKind { Photo, Still, Clip }
}

messages! {
    Evidence { source, kind, at, value, text }
    SourceState { evidence, first, risen, count, active }
    Judgement { verdict, by, at, text }
    Shelf { until, reason, by }
    Alarm {
        id, kind, level, place, code, mode, raised, last, cleared, confirmed, sounded, judged, incident, shelf, sources,
        unlisted, exhibits,
    }
    Reporter { kind, person, name, phone }
    TaskTerms { lead, mandatory, acknowledge, arrive, handle, decline }
    Feedback { at, by, result, text, photos }
    TaskTimes { pushed, delivered, acknowledged, en_route, on_scene, ended }
    Task {
        id, unit, terms, state, times, receipt, external, text, reason, replaces, feedback, reworks,
    }
    Attention { why, task, since, taken }
    Exhibit { blob, kind, camera, from, to }
    Times { reported, accepted, filed, approved, pushed, delivered, done, verified, ended, reopened }
    Incident {
        id, class, level, place, mode, stage, channel, code, first_owner, reporter, text, alarms, merged_into, absorbed,
        approved_by, approved_after, reason, tasks, exhibits, times, reopened, bounces, attention, acted,
    }
}

/// No receipt is the unspecified one.
impl Field<i32> for Option<Receipt> {
    fn put(&self) -> i32 {
        self.as_ref().map_or(0, Field::put)
    }
    fn get(stored: i32, at: &'static str) -> Result<Self, WireError> {
        if stored == 0 { Ok(None) } else { Receipt::get(stored, at).map(Some) }
    }
}

as_message!((By, Timestamp) as pb::Confirmed:
    |value: &(By, Timestamp)| pb::Confirmed { by: value.0.put(), at: value.1.put() },
    |stored: pb::Confirmed| Ok((Field::get(stored.by, "Confirmed.by")?, Field::get(stored.at, "Confirmed.at")?)));

as_message!(Source as pb::Source: put_source, get_source);

fn put_source(source: &Source) -> pb::Source {
    use pb::source::What;
    let what = match source {
        Source::Sensor { sensor, rule } => What::Sensor(pb::SensorSource { sensor: sensor.put(), rule: rule.put() }),
        Source::Camera(camera) => What::Camera(camera.to_string()),
        Source::Rule { rule, key } => What::Rule(pb::RuleSource { rule: rule.put(), key: key.clone() }),
        Source::Message(id) => What::Message(id.0),
        Source::Unit { unit, external } => What::Unit(pb::UnitSource { unit: unit.put(), external: external.clone() }),
    };
    pb::Source { what: Some(what) }
}

fn get_source(stored: pb::Source) -> Result<Source, WireError> {
    use pb::source::What;
    Ok(match stored.what.ok_or(WireError::Missing("Source.what"))? {
        What::Sensor(s) => Source::Sensor {
            sensor: Field::get(s.sensor, "SensorSource.sensor")?,
            rule: Field::get(s.rule, "SensorSource.rule")?,
        },
        What::Camera(id) => Source::Camera(id.into()),
        What::Rule(s) => Source::Rule { rule: Field::get(s.rule, "RuleSource.rule")?, key: s.key },
        What::Message(id) => Source::Message(MessageId(id)),
        What::Unit(s) => Source::Unit { unit: Field::get(s.unit, "UnitSource.unit")?, external: s.external },
    })
}
