//! How one value becomes one field and back. The macros name every field on both sides, so that a field or variant
//! added on one side only does not compile.

use std::sync::Arc;

use domain::{ids::*, text::Subject, time::*};

use crate::WireError;

/// A domain value that is stored as a field of type `P`. `get` is given the field's name for its error.
pub(crate) trait Field<P>: Sized {
    fn put(&self) -> P;
    fn get(stored: P, at: &'static str) -> Result<Self, WireError>;
}

/// Stored as they are; absence is zero, false, empty or, where tracked, `None`.
macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Field<$type> for $type {
            fn put(&self) -> $type { self.clone() }
            fn get(stored: $type, _: &'static str) -> Result<Self, WireError> { Ok(stored) }
        }
    )*};
}
plain!(bool, u32, u64, f64, String, Option<bool>, Option<f64>, Option<String>, Vec<String>);

/// Smaller integers than protobuf has.
macro_rules! narrow {
    ($($type:ty as $stored:ty),*) => {$(
        impl Field<$stored> for $type {
            fn put(&self) -> $stored { (*self).into() }
            fn get(stored: $stored, field: &'static str) -> Result<Self, WireError> {
                stored.try_into().map_err(|_| WireError::Unknown { field, value: stored.into() })
            }
        }
        impl Field<Option<$stored>> for Option<$type> {
            fn put(&self) -> Option<$stored> { self.map(Into::into) }
            fn get(stored: Option<$stored>, at: &'static str) -> Result<Self, WireError> {
                stored.map(|value| Field::get(value, at)).transpose()
            }
        }
    )*};
}
narrow!(u8 as u32, u16 as u32, i8 as i32);

/// Values whose presence is tracked: required, or an `Option` on both sides.
macro_rules! tracked {
    ($($type:ty as $stored:ty: $put:expr, $get:expr;)*) => {$(
        impl Field<Option<$stored>> for $type {
            fn put(&self) -> Option<$stored> { Some($put(self)) }
            fn get(stored: Option<$stored>, at: &'static str) -> Result<Self, WireError> {
                Ok($get(stored.ok_or(WireError::Missing(at))?))
            }
        }
        impl Field<Option<$stored>> for Option<$type> {
            fn put(&self) -> Option<$stored> { self.as_ref().map($put) }
            fn get(stored: Option<$stored>, _: &'static str) -> Result<Self, WireError> { Ok(stored.map($get)) }
        }
        impl Field<Vec<$stored>> for Vec<$type> {
            fn put(&self) -> Vec<$stored> { self.iter().map($put).collect() }
            fn get(stored: Vec<$stored>, _: &'static str) -> Result<Self, WireError> {
                Ok(stored.into_iter().map($get).collect())
            }
        }
    )*};
}
macro_rules! names { ($($type:ident)*) => { tracked! { $($type as String: |v: &$type| v.as_str().to_owned(), $type::from;)* } } }
macro_rules! numbers { ($($type:ident)*) => { tracked! { $($type as u64: |v: &$type| v.0, $type;)* } } }
names! { SiteId CommunityId GridId BuildingId LandmarkId CameraId SensorId DeviceId UnitId AccountId ClassId AlarmKindId RuleId TourId BlobId }
numbers! { AlarmId IncidentId TaskId PatrolId MessageId VaultId }
tracked! { Timestamp as i64: |v: &Timestamp| v.0, Timestamp; }

impl Field<i64> for Millis {
    fn put(&self) -> i64 {
        self.0
    }
    fn get(stored: i64, _: &'static str) -> Result<Self, WireError> {
        Ok(Self(stored))
    }
}

/// A counter that must be there.
impl Field<Option<u64>> for u64 {
    fn put(&self) -> Option<u64> {
        Some(*self)
    }
    fn get(stored: Option<u64>, at: &'static str) -> Result<Self, WireError> {
        stored.ok_or(WireError::Missing(at))
    }
}

impl Field<Option<String>> for Subject {
    fn put(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn get(stored: Option<String>, field: &'static str) -> Result<Self, WireError> {
        let text = stored.ok_or(WireError::Missing(field))?;
        Self::parse(&text).ok_or(WireError::Unknown { field, value: 0 })
    }
}

impl<P, T: Field<P>> Field<P> for Arc<T> {
    fn put(&self) -> P {
        self.as_ref().put()
    }
    fn get(stored: P, at: &'static str) -> Result<Self, WireError> {
        T::get(stored, at).map(Self::new)
    }
}

/// Messages: required, optional, repeated. `Put` and `Get` are closures over the whole message.
macro_rules! as_message {
    ($type:ty as $stored:ty: $put:expr, $get:expr) => {
        impl $crate::field::Field<Option<$stored>> for $type {
            fn put(&self) -> Option<$stored> {
                Some($put(self))
            }
            fn get(stored: Option<$stored>, at: &'static str) -> Result<Self, $crate::WireError> {
                $get(stored.ok_or($crate::WireError::Missing(at))?)
            }
        }
        impl $crate::field::Field<Option<$stored>> for Option<$type> {
            fn put(&self) -> Option<$stored> {
                self.as_ref().map($put)
            }
            fn get(stored: Option<$stored>, _: &'static str) -> Result<Self, $crate::WireError> {
                stored.map($get).transpose()
            }
        }
        impl $crate::field::Field<Vec<$stored>> for Vec<$type> {
            fn put(&self) -> Vec<$stored> {
                self.iter().map($put).collect()
            }
            fn get(stored: Vec<$stored>, _: &'static str) -> Result<Self, $crate::WireError> {
                stored.into_iter().map($get).collect()
            }
        }
    };
}

/// Structs whose fields have the same names on both sides.
macro_rules! messages {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        $crate::field::as_message!($name as $crate::store::$name:
            |value: &$name| {
                let $name { $($field),* } = value;
                $crate::store::$name { $($field: $crate::field::Field::put($field)),* }
            },
            |stored: $crate::store::$name| {
                let $crate::store::$name { $($field),* } = stored;
                Ok($name {
                    $($field: $crate::field::Field::get($field, concat!(stringify!($name), ".", stringify!($field)))?),*
                })
            });
    )*};
}

/// Enums without fields; the stored side has `Unspecified` besides.
macro_rules! enums {
    ($($name:ident { $($variant:ident),* $(,)? })*) => {$(
        #[cfg(test)]
        impl $crate::samples::Listed for $name {
            const LIST: &'static [Self] = &[$(Self::$variant),*];
        }
        impl $crate::field::Field<i32> for $name {
            fn put(&self) -> i32 {
                match self { $(Self::$variant => $crate::store::$name::$variant.into()),* }
            }
            fn get(stored: i32, field: &'static str) -> Result<Self, $crate::WireError> {
                match $crate::store::$name::try_from(stored) {
                    $(Ok($crate::store::$name::$variant) => Ok(Self::$variant),)*
                    Ok($crate::store::$name::Unspecified) => Err($crate::WireError::Missing(field)),
                    Err(_) => Err($crate::WireError::Unknown { field, value: stored.into() }),
                }
            }
        }
        impl $crate::field::Field<Option<i32>> for Option<$name> {
            fn put(&self) -> Option<i32> {
                self.as_ref().map($crate::field::Field::put)
            }
            fn get(stored: Option<i32>, field: &'static str) -> Result<Self, $crate::WireError> {
                stored.map(|value| $crate::field::Field::get(value, field)).transpose()
            }
        }
    )*};
}

pub(crate) use {as_message, enums, messages};
