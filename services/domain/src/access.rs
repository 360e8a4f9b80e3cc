//! Who may do and see what. Asked for REST, feed, media and export alike; coarse at first.

use crate::{
    account::Role,
    alarm::Alarm,
    event::Key,
    ids::*,
    incident::Incident,
    input::{Actor, Command},
    refusal::{Code, Refusal},
    state::State,
};

/// Who looks: a policy, not a person, so that many clients share one stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// A wall: everything of the centre, no free text, nobody's name but the roster's.
    Wall,
    /// Duty officers, dispatchers and chiefs.
    Centre,
    /// The people of one unit: incidents in which it has or had a task.
    Unit(UnitId),
    /// A grid's staff: incidents of the grid, and of its team's tasks.
    Grid(GridId, UnitId),
}

impl Audience {
    /// The policy of an actor; a refusal if the account lacks its scope.
    pub fn of(actor: &Actor) -> Result<Self, Refusal> {
        match actor {
            Actor::System => Ok(Self::Centre),
            Actor::Unit(unit) => Ok(Self::Unit(unit.clone())),
            Actor::Account { role, unit, grid, .. } => match role {
                Role::WallDisplay => Ok(Self::Wall),
                Role::DutyOfficer | Role::Dispatcher | Role::ShiftChief => Ok(Self::Centre),
                Role::DepartmentClerk => unit.clone().map(Self::Unit).ok_or(Code::Forbidden.into()),
                Role::GridManager => match (grid, unit) {
                    (Some(grid), Some(unit)) => Ok(Self::Grid(grid.clone(), unit.clone())),
                    _ => Err(Code::Forbidden.into()),
                },
            },
        }
    }

    /// A stable name; equal keys share one stream.
    pub fn key(&self) -> String {
        match self {
            Self::Wall => "wall".to_owned(),
            Self::Centre => "centre".to_owned(),
            Self::Unit(unit) => format!("unit/{unit}"),
            Self::Grid(grid, unit) => format!("grid/{grid}/{unit}"),
        }
    }
}

/// What an audience gets of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// Nothing, not even that it is there.
    Hidden,
    /// Facts, no free text and no persons.
    Facts,
    /// Facts, and what was reported, starred ([`starred`](crate::text::starred)); no other free text and no persons.
    Words,
    /// Facts and free text; persons masked.
    Text,
}

impl Sight {
    /// Free text may be shown.
    pub fn text(self) -> bool {
        self == Self::Text
    }
}

/// What `audience` sees of an incident.
pub fn sees_incident(audience: &Audience, incident: &Incident) -> Sight {
    let seen = |yes: bool| if yes { Sight::Text } else { Sight::Hidden };
    match audience {
        Audience::Wall => Sight::Words,
        Audience::Centre => Sight::Text,
        Audience::Unit(unit) => seen(incident.units().any(|u| u == unit)),
        Audience::Grid(grid, unit) => seen(&incident.place.grid == grid || incident.units().any(|u| u == unit)),
    }
}

/// What `audience` sees of an alarm: alarms are the centre's until they are incidents.
pub fn sees_alarm(audience: &Audience, alarm: &Alarm) -> Sight {
    match audience {
        Audience::Wall => Sight::Words,
        Audience::Centre => Sight::Text,
        Audience::Unit(_) => Sight::Hidden,
        Audience::Grid(grid, _) if &alarm.place.grid == grid => Sight::Facts,
        Audience::Grid(..) => Sight::Hidden,
    }
}

/// What `audience` sees of the aggregate `key` of `state`.
pub fn sees(audience: &Audience, state: &State, key: &Key) -> Sight {
    match key {
        Key::Incident(id) => state.incidents.get(id).map_or(Sight::Hidden, |i| sees_incident(audience, i)),
        Key::Alarm(id) => state.alarms.get(id).map_or(Sight::Hidden, |a| sees_alarm(audience, a)),
        Key::Site => Sight::Text,
        Key::Duty | Key::Camera(_) | Key::Sensor(_) | Key::Light(_) | Key::Patrol(_) => match audience {
            Audience::Wall => Sight::Facts,
            Audience::Centre => Sight::Text,
            _ => Sight::Hidden,
        },
        Key::Account(_) | Key::Message(_) | Key::Unreadable | Key::Erasures | Key::Credential(_) => match audience {
            Audience::Centre => Sight::Text,
            _ => Sight::Hidden,
        },
    }
}

/// Whether `audience` may look through the cameras, live or stored.
pub fn sees_cameras(audience: &Audience) -> bool {
    matches!(audience, Audience::Wall | Audience::Centre)
}

/// Whether `audience` may see an exhibit of `incident`: the centre all, handlers those of their incidents.
pub fn sees_exhibit(audience: &Audience, incident: &Incident) -> bool {
    sees_incident(audience, incident) != Sight::Hidden
}

/// Not of the centre: what such an actor reports, nobody there knows of yet.
pub fn outside(actor: &Actor) -> bool {
    !matches!(
        actor,
        Actor::System | Actor::Account { role: Role::ShiftChief | Role::DutyOfficer | Role::Dispatcher, .. }
    )
}

/// Whether `actor` may give `command`. Whether the moment is right is [`decide`](fn@crate::decide)'s business.
pub fn permit(state: &State, actor: &Actor, command: &Command) -> Result<(), Refusal> {
    let allowed = match actor {
        Actor::System => true,
        Actor::Unit(unit) => {
            matches!(command, Command::Report { .. }) || task_of(command).is_some_and(|t| owns(state, unit, t))
        }
        Actor::Account { role, unit, grid, .. } => match role {
            Role::ShiftChief => !of_system(command) && !of_unit(command),
            Role::DutyOfficer | Role::Dispatcher => !of_system(command) && !of_unit(command) && !of_chief(command),
            Role::DepartmentClerk => by_unit(state, unit.as_ref(), command),
            Role::GridManager => match command {
                Command::Report { place, .. } => Some(&place.grid) == grid.as_ref(),
                other => by_unit(state, unit.as_ref(), other),
            },
            Role::WallDisplay => false,
        },
    };
    if allowed { Ok(()) } else { Err(Code::Forbidden.into()) }
}

fn by_unit(state: &State, unit: Option<&UnitId>, command: &Command) -> bool {
    let Some(unit) = unit else { return false };
    of_unit(command) && task_of(command).is_some_and(|task| owns(state, unit, task))
}

fn owns(state: &State, unit: &UnitId, task: TaskId) -> bool {
    state.incident_of(task).and_then(|i| i.task(task)).is_some_and(|t| &t.unit == unit)
}

/// The steps that a unit takes.
fn of_unit(command: &Command) -> bool {
    matches!(
        command,
        Command::Deliver { .. }
            | Command::Acknowledge(_)
            | Command::EnRoute(_)
            | Command::OnScene(_)
            | Command::Feedback { .. }
            | Command::Decline { .. }
    )
}

fn of_chief(command: &Command) -> bool {
    matches!(
        command,
        Command::Approve(_)
            | Command::RefuseApproval { .. }
            | Command::SetDuty { .. }
            | Command::IssueCredential { .. }
            | Command::RevokeCredential(_)
    )
}

fn of_system(command: &Command) -> bool {
    matches!(command, Command::SetSite(_) | Command::SetAccount { .. } | Command::Erase(_))
}

fn task_of(command: &Command) -> Option<TaskId> {
    match command {
        Command::Deliver { task, .. }
        | Command::Acknowledge(task)
        | Command::EnRoute(task)
        | Command::OnScene(task)
        | Command::Feedback { task, .. }
        | Command::Decline { task, .. } => Some(*task),
        _ => None,
    }
}
