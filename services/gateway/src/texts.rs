//! Opened values of the vault, kept for a while: what the feed shows is asked for again and again. Bounded; the whole
//! of it is dropped when anything is erased, and a value that was opened before an erasure is never kept after it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use domain::text::Ref;
use ledger::{Opened, Store, limits};

/// Values kept.
const KEPT: usize = 50_000;

/// Values by reference, as needed for one view.
pub(crate) type Values = HashMap<Ref, Opened>;

#[derive(Default)]
struct Inner {
    /// Counts erasures.
    generation: u64,
    values: Values,
    order: VecDeque<Ref>,
}

/// The cache.
pub(crate) struct Texts {
    store: Arc<dyn Store>,
    inner: Mutex<Inner>,
}

impl Texts {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, inner: Mutex::default() }
    }

    /// Adds the values of `refs` to `into`.
    pub(crate) async fn open(&self, refs: &[Ref], into: &mut Values) -> ledger::Result<()> {
        let (generation, missing) = self.known(refs, into);
        for page in missing.chunks(limits::PAGE) {
            let ids: Vec<u64> = page.iter().map(|r| r.0).collect();
            let opened = self.store.open(&ids).await?;
            self.keep(generation, &opened);
            into.extend(opened.into_iter().map(|(id, value)| (domain::ids::VaultId(id), value)));
        }
        Ok(())
    }

    fn known(&self, refs: &[Ref], into: &mut Values) -> (u64, Vec<Ref>) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        for r in refs.iter().filter(|r| !into.contains_key(r)).copied().collect::<std::collections::BTreeSet<_>>() {
            match inner.values.get(&r) {
                Some(value) => {
                    into.insert(r, value.clone());
                }
                None => missing.push(r),
            }
        }
        (inner.generation, missing)
    }

    fn keep(&self, generation: u64, opened: &[(u64, Opened)]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.generation != generation {
            return;
        }
        for (id, value) in opened {
            let r = domain::ids::VaultId(*id);
            // What is missing now may only be on its way.
            if !matches!(value, Opened::Missing) && inner.values.insert(r, value.clone()).is_none() {
                inner.order.push_back(r);
            }
        }
        while inner.order.len() > KEPT {
            if let Some(oldest) = inner.order.pop_front() {
                inner.values.remove(&oldest);
            }
        }
    }

    /// Something was erased.
    pub(crate) fn forget(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner = Inner { generation: inner.generation + 1, ..Inner::default() };
    }
}
