//! Documents: the current state of each aggregate as bytes. Loading all documents of a state and its counters into an
//! empty [`State`] gives an equal one.

use std::sync::LazyLock;

use domain::{
    State,
    event::Key,
    thing::{Thing as _, Tier},
};
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
/// Kinds of the documents that a [`State`] is loaded from: those of live things, and the counters.
pub static KINDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let live = Key::KINDS.iter().filter(|(_, tier)| *tier == Tier::Live).map(|(kind, _)| *kind);
    live.chain([COUNTERS]).collect()
});

/// The bytes of the document of `key`; `None` if the state has no such aggregate.
pub fn encode(state: &State, key: &Key) -> Option<Vec<u8>> {
    let kind = match key {
        Key::Site => Kind::Site(state.site.as_ref()?.put()?),
        Key::Account(id) => Kind::Account(state.accounts.get(id)?.put()?),
        Key::Duty => Kind::Duty(put_duty(&state.duty)),
        Key::Alarm(id) => Kind::Alarm(state.alarms.get(id)?.put()?),
        Key::Incident(id) => Kind::Incident(state.incidents.get(id)?.put()?),
        Key::Sensor(id) => Kind::Sensor(state.sensors.get(id)?.put()?),
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
    match key {
        Some(key) => state.copy(&read, &key),
        None => state.counters = read.counters,
    }
    Ok(())
}

/// Reads the content into an empty state; `None` are the counters.
fn take(read: &mut State, content: Kind) -> Result<Option<Key>, WireError> {
    macro_rules! entry {
        ($map:ident, $key:ident, $stored:expr) => {{
            let value = one(&read.$map, $stored)?;
            let id = value.id();
            read.$map.insert(id.clone(), value);
            Key::$key(id)
        }};
    }
    Ok(Some(match content {
        Kind::Site(stored) => {
            read.site = Some(Field::get(Some(stored), "Document.site")?);
            Key::Site
        }
        Kind::Account(stored) => entry!(accounts, Account, stored),
        Kind::Duty(stored) => {
            read.duty = get_duty(stored)?;
            Key::Duty
        }
        Kind::Alarm(stored) => entry!(alarms, Alarm, stored),
        Kind::Incident(stored) => entry!(incidents, Incident, stored),
        Kind::Sensor(stored) => entry!(sensors, Sensor, stored),
        Kind::Camera(stored) => entry!(cameras, Camera, stored),
        Kind::Light(stored) => entry!(lights, Light, stored),
        Kind::Patrol(stored) => entry!(patrols, Patrol, stored),
        Kind::Message(stored) => entry!(messages, Message, stored),
        Kind::Unreadable(stored) => {
            read.unreadable = get_unreadable(stored)?;
            Key::Unreadable
        }
        Kind::Erasures(stored) => {
            read.erased = get_erasures(stored)?;
            Key::Erasures
        }
        Kind::Credential(stored) => entry!(credentials, Credential, stored),
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
