//! A ledger in memory for models: what it holds is a disk that outlives the handles on it, every handle is one process's,
//! and a [`Weather`] decides how each call goes: slow, refused, or ended without saying whether it was stored.
//!
//! A killed handle never answers again, so its process can neither store nor learn anything. Files are not kept. Nothing
//! here blocks but for a short lock, never held across an await.
#![allow(clippy::missing_panics_doc, reason = "locks are not poisoned")]

mod data;
mod port;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{LedgerError, Result};
use data::Data;

/// What a call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Where the log is.
    Head,
    /// Only to look.
    Read,
    /// To become the writer, or to store something beside the log.
    Write,
    /// To append.
    Append,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Good,
    /// The store does not answer; nothing came to it.
    Unavailable,
    /// The store is full.
    Full,
    /// The store failed without saying whether the call was done; `stored` is what is true.
    Unknown {
        /// Whether it was done.
        stored: bool,
    },
}

/// How one call goes.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    /// Waits so long before it is done.
    pub before: Duration,
    /// How it ends.
    pub ending: Ending,
    /// Waits so long after it is done and before it answers.
    pub after: Duration,
}

impl Fate {
    /// At once, and good.
    pub const GOOD: Self = Self { before: Duration::ZERO, ending: Ending::Good, after: Duration::ZERO };
}

/// Decides how calls go.
pub trait Weather: Send + Sync {
    /// The fate of the next call.
    fn of(&self, call: Call) -> Fate;
}

struct Fair;

impl Weather for Fair {
    fn of(&self, _: Call) -> Fate {
        Fate::GOOD
    }
}

/// What outlives processes.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<Data>>);

impl MemoryDisk {
    /// An empty one; the seed decides its ids and its secret.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Data::new(seed))))
    }

    /// A handle in fair weather.
    pub fn open(&self) -> MemoryStore {
        self.open_in(Arc::new(Fair))
    }

    /// A handle in this weather.
    pub fn open_in(&self, weather: Arc<dyn Weather>) -> MemoryStore {
        MemoryStore { disk: self.clone(), weather, alive: Arc::new(AtomicBool::new(true)) }
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process's handle.
#[derive(Clone)]
pub struct MemoryStore {
    disk: MemoryDisk,
    weather: Arc<dyn Weather>,
    alive: Arc<AtomicBool>,
}

impl MemoryStore {
    /// Its process died: calls under way are done or not as they stand, and none is ever answered again.
    pub fn kill(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    async fn living(&self) {
        if !self.alive.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    async fn call<T>(&self, call: Call, work: impl FnOnce(&mut Data) -> Result<T> + Send) -> Result<T> {
        self.living().await;
        let fate = self.weather.of(call);
        wait(fate.before).await;
        self.living().await;
        let told = |why: &str| -> Box<dyn std::error::Error + Send + Sync> { why.into() };
        let done = match fate.ending {
            Ending::Good => work(&mut self.disk.lock()),
            Ending::Unavailable => Err(LedgerError::Unavailable(told("the model's weather"))),
            Ending::Full if !matches!(call, Call::Head | Call::Read) => {
                Err(LedgerError::Full(told("the model's weather")))
            }
            Ending::Full => work(&mut self.disk.lock()),
            Ending::Unknown { stored } => {
                if stored {
                    // Whether it was refused is not told either.
                    let _ = work(&mut self.disk.lock());
                }
                Err(LedgerError::Io(told("the model's weather")))
            }
        };
        wait(fate.after).await;
        self.living().await;
        done
    }
}

async fn wait(time: Duration) {
    if time.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(time).await;
    }
}
