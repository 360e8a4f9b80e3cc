//! Outcomes of inputs as bytes: told again when an input is repeated.

use domain::input::Refs;
use prost::Message as _;

use crate::{WireError, field::Field, store as pb};

/// The version that is written.
pub const VERSION: u32 = 1;

/// The bytes of an outcome.
pub fn encode(refs: &Refs) -> Vec<u8> {
    let Refs { alarm, incident, tasks, patrol, message, code } = refs;
    pb::Refs {
        version: VERSION,
        alarm: alarm.put(),
        incident: incident.put(),
        tasks: tasks.put(),
        patrol: patrol.put(),
        message: message.put(),
        code: code.put(),
    }
    .encode_to_vec()
}

/// Reads an outcome.
///
/// # Errors
/// A version that was never released, or bytes that do not fit it.
pub fn decode(bytes: &[u8]) -> Result<Refs, WireError> {
    let stored = pb::Refs::decode(bytes)?;
    if stored.version != VERSION {
        return Err(WireError::Version(stored.version));
    }
    Ok(Refs {
        alarm: Field::get(stored.alarm, "Refs.alarm")?,
        incident: Field::get(stored.incident, "Refs.incident")?,
        tasks: Field::get(stored.tasks, "Refs.tasks")?,
        patrol: Field::get(stored.patrol, "Refs.patrol")?,
        message: Field::get(stored.message, "Refs.message")?,
        code: Field::get(stored.code, "Refs.code")?,
    })
}
