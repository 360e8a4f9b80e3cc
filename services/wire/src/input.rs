//! Inputs as messages of `link.proto`, on their way from one node to the writer on another. They are read by the release
//! that wrote them or its neighbour, and never stored.

use domain::{
    ids::{AlarmId, IncidentId},
    input::{Actor, Command, ExhibitOf, Input, Observation, PushTarget, ReporterInput},
    time::Millis,
};

use crate::{
    WireError,
    field::{Field, as_message},
    link as pb, store,
};

/// The message of an input.
pub fn put(input: &Input) -> pb::Input {
    use pb::input::What;
    let what = match input {
        Input::Command { actor, mode, happened, command } => {
            let (actor, command) = (Some(put_actor(actor)), Some(put_command(command)));
            What::Command(pb::Commanded { actor, mode: mode.put(), happened: happened.put(), command })
        }
        Input::Observe { mode, observation } => {
            What::Observe(pb::Observed { mode: mode.put(), observation: Some(put_observation(observation)) })
        }
        Input::Tick => What::Tick(store::Nothing {}),
    };
    pb::Input { what: Some(what) }
}

/// Reads an input.
///
/// # Errors
/// A part is missing, or this release does not know it.
pub fn get(stored: pb::Input) -> Result<Input, WireError> {
    use pb::input::What;
    Ok(match stored.what.ok_or(WireError::Missing("Input.what"))? {
        What::Command(pb::Commanded { actor, mode, happened, command }) => Input::Command {
            actor: get_actor(actor.ok_or(WireError::Missing("Commanded.actor"))?)?,
            mode: Field::get(mode, "Commanded.mode")?,
            happened: Field::get(happened, "Commanded.happened")?,
            command: get_command(command.ok_or(WireError::Missing("Commanded.command"))?)?,
        },
        What::Observe(pb::Observed { mode, observation }) => Input::Observe {
            mode: Field::get(mode, "Observed.mode")?,
            observation: get_observation(observation.ok_or(WireError::Missing("Observed.observation"))?)?,
        },
        What::Tick(store::Nothing {}) => Input::Tick,
    })
}

fn put_actor(actor: &Actor) -> pb::Actor {
    use pb::actor::Who;
    let who = match actor {
        Actor::Account { id, role, unit, grid } => {
            Who::Person(pb::Person { id: id.put(), role: role.put(), unit: unit.put(), grid: grid.put() })
        }
        Actor::Unit(unit) => Who::Unit(unit.to_string()),
        Actor::System => Who::System(store::Nothing {}),
    };
    pb::Actor { who: Some(who) }
}

fn get_actor(stored: pb::Actor) -> Result<Actor, WireError> {
    use pb::actor::Who;
    Ok(match stored.who.ok_or(WireError::Missing("Actor.who"))? {
        Who::Person(pb::Person { id, role, unit, grid }) => Actor::Account {
            id: Field::get(id, "Person.id")?,
            role: Field::get(role, "Person.role")?,
            unit: Field::get(unit, "Person.unit")?,
            grid: Field::get(grid, "Person.grid")?,
        },
        Who::Unit(unit) => Actor::Unit(unit.into()),
        Who::System(store::Nothing {}) => Actor::System,
    })
}

/// A value that a `oneof` holds bare: it is there when its case is.
fn bare<P: Default, T: Field<Option<P>>>(value: &T) -> P {
    value.put().unwrap_or_default()
}

/// Variants by name: those with fields are messages of the same name and fields, the others hold one value.
macro_rules! variants {
    (
        $type:ident as $what:path, $put:ident, $get:ident:
        messages { $($name:ident { $($field:ident),* })* }
        values { $($value:ident)* }
    ) => {
        /// Every variant, for samples: one that is left out does not compile.
        #[cfg(test)]
        pub(crate) mod $get {
            #[derive(Clone, Copy, Debug)]
            pub(crate) enum Variant { $($name,)* $($value),* }
            impl Variant {
                pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)* $(Self::$value),*];
            }
        }

        fn $put(value: &$type) -> pb::$type {
            use $what as What;
            let what = match value {
                $($type::$name { $($field),* } => What::$name(pb::$name { $($field: Field::put($field)),* }),)*
                $($type::$value(it) => What::$value(bare(it)),)*
            };
            pb::$type { what: Some(what) }
        }

        fn $get(stored: pb::$type) -> Result<$type, WireError> {
            use $what as What;
            Ok(match stored.what.ok_or(WireError::Missing(concat!(stringify!($type), ".what")))? {
                $(What::$name(pb::$name { $($field),* }) => $type::$name {
                    $($field: Field::get($field, concat!(stringify!($name), ".", stringify!($field)))?),*
                },)*
                $(What::$value(it) => $type::$value(Field::get(Some(it), stringify!($value))?),)*
            })
        }
    };
}

variants! {
    Command as pb::command::What, put_command, get_command:
    messages {
        SetAccount { account, name }
        SetDuty { post, account }
        JudgeAlarm { alarm, verdict, class, text }
        ShelveAlarm { alarm, span, reason }
        Report { class, level, place, channel, reporter, text, into }
        Attend { incident, text }
        Reject { incident, reason }
        Merge { incident, into }
        File { incident, class, level }
        RefuseApproval { incident, reason }
        Push { incident, targets, text }
        Deliver { task, receipt, external }
        Feedback { task, result, text, photos }
        Decline { task, reason }
        Recall { task, reason }
        Reassign { task, unit, reason }
        Verify { incident, text }
        Rework { task, reason }
        Close { incident, text }
        Reopen { incident, reason }
        Note { incident, text }
        CorrectPlace { incident, place }
        PlaceAlarm { alarm, place }
        PlaceMessage { message, place, class }
        AddExhibit { of, exhibit }
        IssueCredential { device, voice, behind, hash }
    }
    values {
        SetSite ConfirmAlarm UnshelveAlarm Accept Approve Acknowledge EnRoute OnScene Erase RevokeCredential
    }
}

variants! {
    Observation as pb::observation::What, put_observation, get_observation:
    messages {
        SensorEdge { sensor, rule, kind, raised, value, at }
        SensorLink { sensor, online }
        CameraFact { camera, state, fault, since, alarm }
        MessageIn { from, person, text, place }
        MessageSent { message, ok }
        UnitReport { unit, external, class, place, text }
        RuleHit { rule, kind, key, place, text }
        LightChanged { unit, light, last }
        PatrolPlanned { kind, subject, due }
        PatrolStarted { patrol, total }
        PatrolFound { patrol, source, what }
        PatrolFinished { patrol, checked }
        Unreadable { source, why, size }
        PushFailed { incident, task, text }
    }
    values {}
}

macro_rules! parts {
    ($($name:ident { $($field:ident),* })*) => {$(
        as_message!($name as pb::$name:
            |value: &$name| {
                let $name { $($field),* } = value;
                pb::$name { $($field: Field::put($field)),* }
            },
            |stored: pb::$name| {
                let pb::$name { $($field),* } = stored;
                Ok($name {
                    $($field: Field::get($field, concat!(stringify!($name), ".", stringify!($field)))?),*
                })
            });
    )*};
}

parts! {
    PushTarget { unit, lead, mandatory, arrive }
    ReporterInput { kind, name, phone, person }
}

as_message!(ExhibitOf as pb::ExhibitOf: put_of, get_of);

fn put_of(of: &ExhibitOf) -> pb::ExhibitOf {
    use pb::exhibit_of::What;
    let what = match of {
        ExhibitOf::Alarm(id) => What::Alarm(id.0),
        ExhibitOf::Incident(id) => What::Incident(id.0),
    };
    pb::ExhibitOf { what: Some(what) }
}

fn get_of(stored: pb::ExhibitOf) -> Result<ExhibitOf, WireError> {
    use pb::exhibit_of::What;
    Ok(match stored.what.ok_or(WireError::Missing("ExhibitOf.what"))? {
        What::Alarm(id) => ExhibitOf::Alarm(AlarmId(id)),
        What::Incident(id) => ExhibitOf::Incident(IncidentId(id)),
    })
}

impl Field<Option<i64>> for Option<Millis> {
    fn put(&self) -> Option<i64> {
        self.map(|span| span.0)
    }
    fn get(stored: Option<i64>, _: &'static str) -> Result<Self, WireError> {
        Ok(stored.map(Millis))
    }
}
