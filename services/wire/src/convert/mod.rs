//! Domain values as messages of `store.proto`, by area.

mod case;
pub(crate) mod records;
mod site;

use domain::{
    account::{Account, DutyPost, Role},
    event::{By, Mode},
};

use crate::{
    WireError,
    field::{as_message, enums, messages},
    store as pb,
};

enums! {
    Mode { Real, Exercise, Test }
    Role { DutyOfficer, Dispatcher, ShiftChief, DepartmentClerk, GridManager, WallDisplay }
    DutyPost { Leader, Chief, Officer }
}

messages! {
    Account { id, role, unit, grid, name, active }
}

as_message!(By as pb::By: put_by, get_by);

fn put_by(by: &By) -> pb::By {
    use pb::by::Who;
    let who = match by {
        By::Account(id) => Who::Account(id.to_string()),
        By::Unit(id) => Who::Unit(id.to_string()),
        By::Rule(id) => Who::Rule(id.to_string()),
        By::Resident => Who::Resident(pb::Nothing {}),
        By::System => Who::System(pb::Nothing {}),
    };
    pb::By { who: Some(who) }
}

fn get_by(stored: pb::By) -> Result<By, WireError> {
    use pb::by::Who;
    Ok(match stored.who.ok_or(WireError::Missing("By.who"))? {
        Who::Account(id) => By::Account(id.into()),
        Who::Unit(id) => By::Unit(id.into()),
        Who::Rule(id) => By::Rule(id.into()),
        Who::Resident(_) => By::Resident,
        Who::System(_) => By::System,
    })
}
