//! Who may do and see what. Asked for REST, feed, media and export alike; coarse at first.

use crate::{
    account::Role,
    alarm::Alarm,
    event::Key,
    ids::*,
    incident::Incident,
    input::{Actor, Command},
    refusal::{Code, Refusal},
    site::Place,
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
            Audience::Unit(_) | Audience::Grid(..) => Sight::Hidden,
        },
        Key::Account(_) | Key::Message(_) | Key::Unreadable | Key::Erasures | Key::Credential(_) => match audience {
            Audience::Centre => Sight::Text,
            Audience::Wall | Audience::Unit(_) | Audience::Grid(..) => Sight::Hidden,
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

/// What may be done or looked at: the unit in which permission is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Own session: see it, end it.
    Session,
    /// The site document and its places.
    Site,
    /// Incidents, alarms, tasks, their pictures and the feed, as far as [`sees`] shows them.
    Cases,
    /// Devices, units, departments, patrols, roster and figures.
    Centre,
    /// Cameras, live and stored.
    Cameras,
    /// Messages of residents.
    Messages,
    /// Which devices log in by a password of their own.
    Credentials,
    /// Look for duplicates while a report is taken.
    Intake,
    /// Look up earlier reports of a telephone number.
    Numbers,
    /// Report an incident.
    Report,
    /// Judge alarms, and handle incidents from their acceptance to their closing.
    Handle,
    /// Keep a still or clip with an incident.
    Exhibit,
    /// Store a photo for a feedback.
    Photo,
    /// Take the steps of a task.
    Work,
    /// Approve or refuse approval.
    Approve,
    /// Change the duty roster.
    Roster,
    /// Issue and revoke passwords of devices.
    Devices,
    /// Change site and accounts, erase values.
    Administer,
    /// Let things happen on the simulated site.
    Demo,
}

/// How far a right reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Denied.
    No,
    /// Tasks of one's own unit, places in one's own grid.
    Own,
    /// Everything.
    All,
}

use Reach::{All, No, Own};

/// Who holds which right, and how far it reaches. A right without a row is nobody's.
#[rustfmt::skip]
const RIGHTS: &[(Right, [Reach; 8])] = &[
    //                    值班员  调度员  值班长  经办人  网格员  大屏   部门系统  中心
    //                    duty   disp.  chief  clerk  grid   wall   unit   system
    (Right::Session,     [All,   All,   All,   All,   All,   All,   No,    No]),
    (Right::Site,        [All,   All,   All,   All,   All,   All,   No,    No]),
    (Right::Cases,       [All,   All,   All,   Own,   Own,   All,   No,    No]),
    (Right::Centre,      [All,   All,   All,   No,    No,    All,   No,    No]),
    (Right::Cameras,     [All,   All,   All,   No,    No,    All,   No,    No]),
    (Right::Messages,    [All,   All,   All,   No,    No,    No,    No,    No]),
    (Right::Credentials, [All,   All,   All,   No,    No,    No,    No,    No]),
    (Right::Intake,      [All,   All,   All,   No,    Own,   No,    No,    No]),
    (Right::Numbers,     [All,   All,   All,   No,    No,    No,    No,    No]),
    (Right::Report,      [All,   All,   All,   No,    Own,   No,    All,   All]),
    (Right::Handle,      [All,   All,   All,   No,    No,    No,    No,    All]),
    (Right::Exhibit,     [All,   All,   All,   No,    No,    No,    No,    All]),
    (Right::Photo,       [All,   All,   All,   Own,   Own,   No,    No,    No]),
    (Right::Work,        [No,    No,    No,    Own,   Own,   No,    Own,   All]),
    (Right::Approve,     [No,    No,    All,   No,    No,    No,    No,    All]),
    (Right::Roster,      [No,    No,    All,   No,    No,    No,    No,    All]),
    (Right::Devices,     [No,    No,    All,   No,    No,    No,    No,    All]),
    (Right::Administer,  [No,    No,    No,    No,    No,    No,    No,    All]),
    (Right::Demo,        [All,   All,   All,   No,    No,    No,    No,    No]),
];

/// The actor's column of [`RIGHTS`].
const fn column(actor: &Actor) -> usize {
    match actor {
        Actor::Account { role, .. } => match role {
            Role::DutyOfficer => 0,
            Role::Dispatcher => 1,
            Role::ShiftChief => 2,
            Role::DepartmentClerk => 3,
            Role::GridManager => 4,
            Role::WallDisplay => 5,
        },
        Actor::Unit(_) => 6,
        Actor::System => 7,
    }
}

/// How far `right` reaches for `actor`.
pub fn reach(actor: &Actor, right: Right) -> Reach {
    RIGHTS.iter().find(|(r, _)| *r == right).map_or(No, |(_, row)| row[column(actor)])
}

/// What decides whether a command is within one's own.
enum About<'c> {
    Task(TaskId),
    Place(&'c Place),
    /// Nothing that could be one's own.
    Other,
}

/// The right that a command needs, and what it is about.
fn needs(command: &Command) -> (Right, About<'_>) {
    match command {
        Command::Report { place, .. } => (Right::Report, About::Place(place)),
        Command::Deliver { task, .. }
        | Command::Acknowledge(task)
        | Command::EnRoute(task)
        | Command::OnScene(task)
        | Command::Feedback { task, .. }
        | Command::Decline { task, .. } => (Right::Work, About::Task(*task)),
        Command::Recall { task, .. } | Command::Reassign { task, .. } | Command::Rework { task, .. } => {
            (Right::Handle, About::Task(*task))
        }
        Command::ConfirmAlarm(_)
        | Command::JudgeAlarm { .. }
        | Command::ShelveAlarm { .. }
        | Command::UnshelveAlarm(_)
        | Command::PlaceAlarm { .. }
        | Command::PlaceMessage { .. }
        | Command::Attend { .. }
        | Command::Accept(_)
        | Command::Reject { .. }
        | Command::Merge { .. }
        | Command::File { .. }
        | Command::Push { .. }
        | Command::Verify { .. }
        | Command::Close { .. }
        | Command::Reopen { .. }
        | Command::Note { .. }
        | Command::CorrectPlace { .. } => (Right::Handle, About::Other),
        Command::AddExhibit { .. } => (Right::Exhibit, About::Other),
        Command::Approve(_) | Command::RefuseApproval { .. } => (Right::Approve, About::Other),
        Command::SetDuty { .. } => (Right::Roster, About::Other),
        Command::IssueCredential { .. } | Command::RevokeCredential(_) => (Right::Devices, About::Other),
        Command::SetSite(_) | Command::SetAccount { .. } | Command::Erase(_) => (Right::Administer, About::Other),
    }
}

/// Whether `actor` may give `command`. Whether the moment is right is [`decide`](fn@crate::decide)'s business.
pub fn permit(state: &State, actor: &Actor, command: &Command) -> Result<(), Refusal> {
    let (right, about) = needs(command);
    let allowed = match reach(actor, right) {
        No => false,
        All => true,
        Own => match about {
            About::Task(task) => actor.unit().is_some_and(|unit| owns(state, unit, task)),
            About::Place(place) => grid(actor) == Some(&place.grid),
            About::Other => false,
        },
    };
    if allowed { Ok(()) } else { Err(Code::Forbidden.into()) }
}

/// Whether a task that `state` holds is out of the reach of `right` for `actor`. Told before a request about it is read;
/// of a task that is not there yet, [`permit`] decides.
pub fn beyond(state: &State, actor: &Actor, right: Right, task: TaskId) -> bool {
    match reach(actor, right) {
        No => true,
        All => false,
        Own => state.incident_of(task).is_some() && !actor.unit().is_some_and(|unit| owns(state, unit, task)),
    }
}

fn grid(actor: &Actor) -> Option<&GridId> {
    match actor {
        Actor::Account { grid, .. } => grid.as_ref(),
        Actor::Unit(_) | Actor::System => None,
    }
}

fn owns(state: &State, unit: &UnitId, task: TaskId) -> bool {
    state.incident_of(task).and_then(|i| i.task(task)).is_some_and(|t| &t.unit == unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_has_one_row() {
        for (n, (right, _)) in RIGHTS.iter().enumerate() {
            assert!(RIGHTS[..n].iter().all(|(r, _)| r != right), "{right:?} has two rows");
        }
    }
}
