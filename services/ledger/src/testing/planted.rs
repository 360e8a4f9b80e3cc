//! Bugs planted in the [`Reader`](crate::Reader), so that a test can prove that it would find them. They exist only with
//! the feature `testing`, only while planted, and only for the thread that planted them.

use std::cell::Cell;

/// A mistake in the fill of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A gap is filled without its first event.
    FirstOfGapLost,
    /// The newest message of the bus is believed, whatever is missing before it.
    NewestBelieved,
    /// The head is not asked: a lost last message is never noticed.
    HeadNotPolled,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug for this thread; `None` takes it out.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
