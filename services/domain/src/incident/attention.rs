//! What asks for a person of the centre 提醒. It sounds until somebody takes it.

use crate::{event::By, ids::TaskId, time::Timestamp};

/// Why a case asks for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A rule opened it, or somebody outside of the centre reported it.
    Opened,
    /// A further source, a higher level, or the condition is back.
    Worse,
    /// Red, and nobody of the centre acts.
    Idle,
    /// Red and pushed, and no unit takes it.
    Unacknowledged,
    /// 需支援: the scene asks for more.
    Support,
    /// 退回: a unit gave its task back.
    Declined,
}

impl Why {
    /// Taking it only silences it: a push or a reason answers it.
    pub const fn wants_answer(self) -> bool {
        matches!(self, Self::Support | Self::Declined)
    }
}

/// One request for attention; a case has at most one for each reason and task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Why.
    pub why: Why,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// When it sounded last.
    pub since: Timestamp,
    /// Who took it, and when; `None` while it sounds.
    pub taken: Option<(By, Timestamp)>,
}

/// Makes an entry sound, a new one or again.
pub(crate) fn call(list: &mut Vec<Attention>, why: Why, task: Option<TaskId>, now: Timestamp) {
    match list.iter_mut().find(|a| (a.why, a.task) == (why, task)) {
        Some(known) => (known.since, known.taken) = (now, None),
        None => list.push(Attention { why, task, since: now, taken: None }),
    }
}

/// Somebody has seen all of it: what wants an answer stays, silent.
pub(crate) fn take(list: &mut Vec<Attention>, by: &By, now: Timestamp) {
    list.retain(|a| a.why.wants_answer());
    for a in list.iter_mut().filter(|a| a.taken.is_none()) {
        a.taken = Some((by.clone(), now));
    }
}
