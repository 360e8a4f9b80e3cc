//! Documents: the current state of each aggregate as bytes. Loading all documents of a state and its counters into an
//! empty [`State`] gives an equal one.

use domain::{State, event::Key};
use prost::Message as _;

use crate::{
    WireError,
    convert::records::*,
    field::Field,
    store::{Document, document::Kind},
};

/// The version that is written.
pub const VERSION: u32 = 1;
/// Kind of the document of the counters; its id is empty.
pub const COUNTERS: &str = "counters";
/// All kinds of documents that a [`State`] is loaded from.
pub const KINDS: [&str; 14] = [
    "site",
    "account",
    "duty",
    "alarm",
    "incident",
    "sensor",
    "camera",
    "light",
    "patrol",
    "message",
    "unreadable",
    "erasures",
    "credential",
    COUNTERS,
];

/// The bytes of the document of `key`; `None` if the state has no such aggregate.
pub fn encode(state: &State, key: &Key) -> Option<Vec<u8>> {
    let kind = match key {
        Key::Site => Kind::Site(state.site.as_ref()?.put()?),
        Key::Account(id) => Kind::Account(state.accounts.get(id)?.put()?),
        Key::Duty => Kind::Duty(put_duty(&state.duty)),
        Key::Alarm(id) => Kind::Alarm(state.alarms.get(id)?.put()?),
        Key::Incident(id) => Kind::Incident(state.incidents.get(id)?.put()?),
        Key::Sensor(id) => state.sensors.get(id).map(|(on, since)| Kind::Sensor(put_sensor(id, *on, *since)))?,
        Key::Camera(id) => Kind::Camera(state.cameras.get(id)?.put()?),
        Key::Light(id) => Kind::Light(state.lights.get(id)?.put()?),
        Key::Patrol(id) => Kind::Patrol(state.patrols.get(id)?.put()?),
        Key::Message(id) => Kind::Message(state.messages.get(id)?.put()?),
        Key::Unreadable => Kind::Unreadable(put_unreadable(&state.unreadable)),
        Key::Erasures => Kind::Erasures(put_erasures(&state.erased)),
        Key::Credential(id) => Kind::Credential(state.credentials.get(id)?.put()?),
    };
    Some(write(kind))
}

/// The bytes of the document of the counters.
pub fn counters(state: &State) -> Vec<u8> {
    state.counters.put().map(Kind::Counters).map(write).unwrap_or_default()
}

fn write(kind: Kind) -> Vec<u8> {
    Document { version: VERSION, kind: Some(kind) }.encode_to_vec()
}

/// Puts a document into `state`, in place of what is there under its key.
///
/// # Errors
/// A version that was never released, bytes that do not fit it, or bytes of another kind or id than the row says. The
/// state is then unchanged.
pub fn load(state: &mut State, kind: &str, id: &str, bytes: &[u8]) -> Result<(), WireError> {
    let stored = Document::decode(bytes)?;
    if stored.version != VERSION {
        // The next version is upgraded to from here.
        return Err(WireError::Version(stored.version));
    }
    let content = stored.kind.ok_or(WireError::Missing("Document.kind"))?;
    let mut read = State::default();
    let key = take(&mut read, content)?;
    let (found_kind, found_id) = key.as_ref().map_or((COUNTERS, String::new()), Key::parts);
    if (found_kind, found_id.as_str()) != (kind, id) {
        return Err(WireError::Mismatch { row: format!("{kind}/{id}"), bytes: format!("{found_kind}/{found_id}") });
    }
    adopt(state, read, key.as_ref());
    Ok(())
}

/// Reads the content into an empty state; `None` are the counters.
fn take(read: &mut State, content: Kind) -> Result<Option<Key>, WireError> {
    macro_rules! entry {
        ($map:ident, $id:ident, $key:ident, $stored:expr) => {{
            let value = one(&read.$map, $stored)?;
            let id = value.$id.clone();
            read.$map.insert(id.clone(), value);
            Key::$key(id)
        }};
    }
    Ok(Some(match content {
        Kind::Site(stored) => {
            read.site = Some(Field::get(Some(stored), "Document.site")?);
            Key::Site
        }
        Kind::Account(stored) => entry!(accounts, id, Account, stored),
        Kind::Duty(stored) => {
            read.duty = get_duty(stored)?;
            Key::Duty
        }
        Kind::Alarm(stored) => entry!(alarms, id, Alarm, stored),
        Kind::Incident(stored) => entry!(incidents, id, Incident, stored),
        Kind::Sensor(stored) => {
            let (id, facts) = get_sensor(stored)?;
            read.sensors.insert(id.clone(), facts);
            Key::Sensor(id)
        }
        Kind::Camera(stored) => entry!(cameras, camera, Camera, stored),
        Kind::Light(stored) => entry!(lights, unit, Light, stored),
        Kind::Patrol(stored) => entry!(patrols, id, Patrol, stored),
        Kind::Message(stored) => entry!(messages, id, Message, stored),
        Kind::Unreadable(stored) => {
            read.unreadable = get_unreadable(stored)?;
            Key::Unreadable
        }
        Kind::Erasures(stored) => {
            read.erased = get_erasures(stored)?;
            Key::Erasures
        }
        Kind::Credential(stored) => entry!(credentials, device, Credential, stored),
        Kind::Counters(stored) => {
            read.counters = Field::get(Some(stored), "Document.counters")?;
            return Ok(None);
        }
    }))
}

/// A value of the map's type.
fn one<K, V: Field<Option<P>>, P>(_: &std::collections::BTreeMap<K, V>, stored: P) -> Result<V, WireError> {
    V::get(Some(stored), "Document.kind")
}

fn adopt(state: &mut State, read: State, key: Option<&Key>) {
    match key {
        None => state.counters = read.counters,
        Some(Key::Site) => state.site = read.site,
        Some(Key::Duty) => state.duty = read.duty,
        Some(Key::Unreadable) => state.unreadable = read.unreadable,
        Some(Key::Erasures) => state.erased = read.erased,
        Some(_) => {
            state.accounts.extend(read.accounts);
            state.alarms.extend(read.alarms);
            state.incidents.extend(read.incidents);
            state.sensors.extend(read.sensors);
            state.cameras.extend(read.cameras);
            state.lights.extend(read.lights);
            state.patrols.extend(read.patrols);
            state.messages.extend(read.messages);
            state.credentials.extend(read.credentials);
        }
    }
}

/// The keys of everything that `state` holds, in the order in which a reader wants them: the site first.
pub fn keys(state: &State) -> Vec<Key> {
    let mut keys = Vec::new();
    keys.extend(state.site.iter().map(|_| Key::Site));
    keys.extend(state.accounts.keys().cloned().map(Key::Account));
    keys.extend((!state.duty.is_empty()).then_some(Key::Duty));
    keys.extend(state.alarms.keys().copied().map(Key::Alarm));
    keys.extend(state.incidents.keys().copied().map(Key::Incident));
    keys.extend(state.sensors.keys().cloned().map(Key::Sensor));
    keys.extend(state.cameras.keys().cloned().map(Key::Camera));
    keys.extend(state.lights.keys().cloned().map(Key::Light));
    keys.extend(state.patrols.keys().copied().map(Key::Patrol));
    keys.extend(state.messages.keys().copied().map(Key::Message));
    keys.extend((state.unreadable != domain::state::Unreadable::default()).then_some(Key::Unreadable));
    keys.extend((!state.erased.is_empty()).then_some(Key::Erasures));
    keys.extend(state.credentials.keys().cloned().map(Key::Credential));
    keys
}
