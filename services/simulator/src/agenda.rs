//! Everything that happens later: a bounded list of actions by due time, run by one task in order. A full agenda
//! refuses; nothing is dropped silently.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Actions that may wait at once.
const CAPACITY: usize = 4_096;

/// The agenda is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("待办已满，请稍后再试 the agenda is full, try again later")]
pub struct Full;

/// By due time, then by order of arrival.
type Due<T> = BTreeMap<(Instant, u64), T>;

/// Actions by due time. Locks are held for a map operation only.
#[derive(Debug)]
pub struct Agenda<T> {
    due: Mutex<(u64, Due<T>)>,
    changed: Notify,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { due: Mutex::new((0, BTreeMap::new())), changed: Notify::new() }
    }
}

impl<T> Agenda<T> {
    /// Adds an action for later; actions of one instant keep their order.
    pub fn after(&self, delay: Duration, action: T) -> Result<(), Full> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.1.len() >= CAPACITY {
            return Err(Full);
        }
        due.0 += 1;
        let key = (Instant::now() + delay, due.0);
        due.1.insert(key, action);
        drop(due);
        self.changed.notify_one();
        Ok(())
    }

    /// Drops the actions for which `gone` is true.
    pub fn remove(&self, gone: impl Fn(&T) -> bool) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).1.retain(|_, action| !gone(action));
        self.changed.notify_one();
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).1.len()
    }

    /// The next action when it is due. Cancel-safe: an action is taken only when it is returned.
    pub async fn next(&self) -> T {
        loop {
            let first = {
                let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                match due.1.first_key_value().map(|(key, _)| key.0) {
                    Some(at) if at <= Instant::now() => {
                        if let Some((_, action)) = due.1.pop_first() {
                            return action;
                        }
                        None
                    }
                    other => other,
                }
            };
            let changed = self.changed.notified();
            match first {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn actions_come_in_order_of_their_time() {
        let agenda = Agenda::default();
        let start = Instant::now();
        for (delay, name) in [(30, "c"), (10, "a"), (10, "b")] {
            assert_eq!(agenda.after(Duration::from_secs(delay), name), Ok(()));
        }
        agenda.remove(|name| *name == "b");
        assert_eq!(agenda.next().await, "a");
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(agenda.next().await, "c");
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_action_wakes_the_waiting() {
        let agenda = Agenda::default();
        assert_eq!(agenda.after(Duration::from_secs(60), 60), Ok(()));
        let (first, ()) = tokio::join!(agenda.next(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(agenda.after(Duration::from_secs(1), 2), Ok(()));
        });
        assert_eq!(first, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_agenda_refuses() {
        let agenda = Agenda::default();
        for i in 0..CAPACITY {
            assert_eq!(agenda.after(Duration::from_secs(1), i), Ok(()));
        }
        assert_eq!(agenda.after(Duration::ZERO, 0), Err(Full));
        assert_eq!(agenda.waiting(), CAPACITY);
    }
}
