//! Deliveries of the outbox as bytes.

use domain::input::Outgoing;
use prost::Message as _;

use crate::{
    WireError,
    field::Field,
    store::{self as pb, outgoing as part, outgoing::What},
};

/// The version that is written.
pub const VERSION: u32 = 1;

/// The bytes of a delivery.
pub fn encode(outgoing: &Outgoing) -> Vec<u8> {
    pb::Outgoing { version: VERSION, what: Some(put(outgoing)) }.encode_to_vec()
}

/// Reads a delivery.
///
/// # Errors
/// A version that was never released, or bytes that do not fit it.
pub fn decode(bytes: &[u8]) -> Result<Outgoing, WireError> {
    let stored = pb::Outgoing::decode(bytes)?;
    match stored.version {
        VERSION => get(stored.what.ok_or(WireError::Missing("Outgoing.what"))?),
        unknown => Err(WireError::Version(unknown)),
    }
}

macro_rules! kinds {
    ($($name:ident { $($field:ident),* })*) => {
        fn put(outgoing: &Outgoing) -> What {
            match outgoing {
                $(Outgoing::$name { $($field),* } => What::$name(part::$name { $($field: Field::put($field)),* }),)*
            }
        }

        fn get(stored: What) -> Result<Outgoing, WireError> {
            Ok(match stored {
                $(What::$name(part::$name { $($field),* }) => Outgoing::$name {
                    $($field: Field::get($field, concat!(stringify!($name), ".", stringify!($field)))?),*
                },)*
            })
        }
    };
}

kinds! {
    Push { unit, incident, task }
    Recall { unit, incident, task }
    Sms { message }
    Clip { alarm, camera, from, to }
}
