//! Patrols, messages, devices' facts, the roster, erasures and counters.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    account::{Duty, Holder},
    camera::CameraFacts,
    device::{Credential, SensorFacts, Voice},
    light::{DepartmentLight, Light},
    message::Message,
    patrol::{Finding, Patrol, PatrolKind},
    state::Counters,
    text::Subject,
    unreadable::Unreadable,
};

use crate::{
    WireError,
    field::{Field, as_message, enums, messages},
    store as pb,
};

enums! {
    PatrolKind { Data, Video, Message }
    Light { Unknown, Green, Yellow, Red }
    Voice { Own, Mjw, Zigbee2mqtt, Thingsboard }
}

messages! {
    Finding { at, source, what, alarm }
    Patrol { id, kind, subject, due, started, finished, total, checked, findings, unlisted }
    DepartmentLight { unit, light, last, since }
    CameraFacts { camera, state, fault, since }
    Message { id, inbound, at, phone, person, text, place, alarm, reply_to, sent }
    Credential { device, voice, behind, hash, since, by }
    Counters { alarm, incident, task, patrol, message, vault }
}

pub(crate) fn put_duty(duty: &Duty) -> pb::DutyDoc {
    let holder = |(post, holder): (&_, &Holder)| {
        let Holder { account, since, by } = holder;
        pb::Holder { post: Field::put(post), account: account.put(), since: since.put(), by: by.put() }
    };
    pb::DutyDoc { holders: duty.iter().map(holder).collect() }
}

pub(crate) fn get_duty(stored: pb::DutyDoc) -> Result<Duty, WireError> {
    let holder = |h: pb::Holder| {
        let holder = Holder {
            account: Field::get(h.account, "Holder.account")?,
            since: Field::get(h.since, "Holder.since")?,
            by: Field::get(h.by, "Holder.by")?,
        };
        Ok((Field::get(h.post, "Holder.post")?, holder))
    };
    stored.holders.into_iter().map(holder).collect()
}

as_message!(SensorFacts as pb::SensorDoc:
|facts: &SensorFacts| {
    let SensorFacts { sensor, online, since } = facts;
    pb::SensorDoc { sensor: sensor.put(), online: *online, since: since.put() }
},
|stored: pb::SensorDoc| Ok(SensorFacts {
    sensor: Field::get(stored.sensor, "SensorDoc.sensor")?,
    online: stored.online,
    since: Field::get(stored.since, "SensorDoc.since")?,
}));

pub(crate) fn put_unreadable(unreadable: &Unreadable) -> pb::UnreadableDoc {
    let Unreadable { counts, last } = unreadable;
    let count = |((source, why), count): (&(String, String), &u64)| pb::UnreadableCount {
        source: source.clone(),
        why: why.clone(),
        count: *count,
    };
    pb::UnreadableDoc { counts: counts.iter().map(count).collect(), last: last.put() }
}

pub(crate) fn get_unreadable(stored: pb::UnreadableDoc) -> Result<Unreadable, WireError> {
    let counts: BTreeMap<_, _> = stored.counts.into_iter().map(|c| ((c.source, c.why), c.count)).collect();
    Ok(Unreadable { counts, last: Field::get(stored.last, "UnreadableDoc.last")? })
}

pub(crate) fn put_erasures(erased: &BTreeSet<Subject>) -> pb::ErasuresDoc {
    pb::ErasuresDoc { subjects: erased.iter().map(Subject::to_string).collect() }
}

pub(crate) fn get_erasures(stored: pb::ErasuresDoc) -> Result<BTreeSet<Subject>, WireError> {
    stored.subjects.into_iter().map(|s| Field::get(Some(s), "ErasuresDoc.subjects")).collect()
}
