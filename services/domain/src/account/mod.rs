//! Accounts and the duty roster. Passwords and sessions are no business of the core.

mod decide;
mod event;

use std::collections::BTreeMap;

use crate::{
    event::{By, Event, Key},
    ids::*,
    site::Site,
    state::{Counters, State},
    text::Ref,
    thing::{InSnapshot, Index, Relation, Single, Thing},
    time::Timestamp,
};

pub use event::{AccountEvent, DutyEvent};

/// What a person may do; the scope is in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 值班员: watches, confirms, takes calls.
    DutyOfficer,
    /// 调度员: assigns and verifies.
    Dispatcher,
    /// 值班长: approves as well.
    ShiftChief,
    /// 部门经办人: the tasks of one unit.
    DepartmentClerk,
    /// 网格管理员: one grid and the tasks of its team.
    GridManager,
    /// A wall that only shows; its session does not expire.
    WallDisplay,
}

/// An account. Posts are not people: a person may have several accounts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name used to log in.
    pub id: AccountId,
    /// Role.
    pub role: Role,
    /// The unit of a clerk, or the team of a grid manager.
    pub unit: Option<UnitId>,
    /// The grid of a grid manager.
    pub grid: Option<GridId>,
    /// The owner's name.
    pub name: Ref,
    /// May log in.
    pub active: bool,
}

impl Thing for Account {
    type Id = AccountId;
    type Event = AccountEvent;
    fn id(&self) -> AccountId {
        self.id.clone()
    }
    fn begin(what: &AccountEvent, _: &Event) -> Option<Self> {
        let AccountEvent::Changed { account } = what;
        Some(account.clone())
    }
    fn apply(&mut self, what: &AccountEvent, _: &Event) {
        let AccountEvent::Changed { account } = what;
        *self = account.clone();
    }
    fn count(_: &AccountEvent, _: &mut Counters) {}
    fn index(&self, _: Option<&Site>) -> Index {
        let (grid, unit) = (self.grid.clone().map(Relation::Grid), self.unit.clone().map(Relation::Unit));
        Index::standing(grid.into_iter().chain(unit).collect())
    }
    fn companions(&self) -> Vec<Key> {
        Vec::new()
    }
    fn forgettable(&self, _: &State) -> bool {
        false
    }
    fn in_snapshot(&self, _: Timestamp) -> InSnapshot {
        InSnapshot::Always
    }
}

/// Posts of the roster that the wall's header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DutyPost {
    /// 带班领导.
    Leader,
    /// 值班长.
    Chief,
    /// 值班员.
    Officer,
}

/// Who holds a post since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who; a post may be vacant.
    pub account: Option<AccountId>,
    /// Since when.
    pub since: Timestamp,
    /// Who entered it.
    pub by: By,
}

/// The roster as it is now.
pub type Duty = BTreeMap<DutyPost, Holder>;

impl Single for Duty {
    type Event = DutyEvent;
    fn apply(&mut self, what: &DutyEvent, event: &Event) {
        let DutyEvent::Changed { post, account } = what;
        let holder = Holder { account: account.clone(), since: event.at, by: event.by.clone() };
        self.insert(*post, holder);
    }
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}
