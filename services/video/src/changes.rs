//! Announces which cameras changed. A slow listener gets the newest state of each camera, never a backlog: what waits is
//! a set of cameras. Locks are held for a moment only.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::Notify;

/// One listener's cameras that changed since it last looked.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    dirty: Mutex<BTreeSet<usize>>,
    wake: Notify,
}

impl Listener {
    /// The next camera that changed; cancel safe.
    pub(crate) async fn next(&self) -> usize {
        loop {
            let first = self.dirty.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match first {
                Some(index) => return index,
                None => self.wake.notified().await,
            }
        }
    }
}

/// All listeners.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Vec<Weak<Listener>>>);

impl Changes {
    /// A new listener; dropping it ends it.
    pub(crate) fn listen(&self) -> Arc<Listener> {
        let listener = Arc::new(Listener::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&listener));
        listener
    }

    /// Camera `index` changed.
    pub(crate) fn announce(&self, index: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|weak| {
            weak.upgrade().is_some_and(|listener| {
                listener.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
                listener.wake.notify_one();
                true
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_listener_gets_each_camera_once() {
        let changes = Changes::default();
        let listener = changes.listen();
        for index in [3, 1, 3, 3] {
            changes.announce(index);
        }
        assert_eq!((listener.next().await, listener.next().await), (1, 3));
        changes.announce(2);
        assert_eq!(listener.next().await, 2);
        drop(listener);
        changes.announce(1);
        assert!(changes.0.lock().unwrap().is_empty());
    }
}
