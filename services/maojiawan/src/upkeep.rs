//! Forgets what is too old, moves old months to files, and counts what waits. What goes by age goes by a clock that is
//! believed (`runtime::steady`); its mark lies in the data folder.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gateway::{Dependency, Status};
use ledger::{Archiving, Store};
use runtime::{
    Clock, SteadyClock,
    telemetry::{MetricsPage, names},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const DAY_MS: i64 = 86_400_000;
/// A photo that no event named within a day never will be; a day more for a clock that is wrong.
const ORPHAN_MS: i64 = 2 * DAY_MS;
/// The file of the mark, in the data folder.
const MARK: &str = "clock";

/// How long things are kept.
pub(crate) struct Keep {
    pub(crate) site: String,
    pub(crate) key_days: u16,
    pub(crate) months: u16,
}

/// Why old months do not move, since when (ms); `None` = they do.
pub(crate) type Trouble = Option<(String, i64)>;

pub(crate) struct Upkeep {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) steady: Arc<SteadyClock>,
    pub(crate) keep: Keep,
    /// The data folder.
    pub(crate) folder: PathBuf,
    pub(crate) page: MetricsPage,
    pub(crate) trouble: watch::Sender<Trouble>,
}

/// The clock of the data folder, as the last process knew it, or else as the newest event tells.
pub(crate) async fn steady(folder: &Path, store: &dyn Store, clock: Arc<dyn Clock>) -> SteadyClock {
    let mark = std::fs::read_to_string(folder.join(MARK)).ok().and_then(|text| text.trim().parse().ok());
    let mark = if mark.is_some() { mark } else { newest(store).await };
    SteadyClock::new(clock, mark)
}

/// When the newest event was, ms; a log that cannot be read now is met again where it matters.
async fn newest(store: &dyn Store) -> Option<i64> {
    let head = store.head().await.ok()?.seq;
    store.tail(head.checked_sub(1)?, 1).await.ok()?.last().map(|e| e.event.at_ms)
}

impl Upkeep {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(Duration::from_secs(10));
        for turn in 0_u64.. {
            tokio::select! {
                () = stop.cancelled() => return self.note(),
                _ = every.tick() => {}
            }
            self.page.tidy();
            if self.store.journal_fault().is_some() {
                // `/readyz` says so until it is done; the store has logged why.
                let _ = self.store.write_journal().await;
            }
            // A leap shows when the clock is asked.
            self.steady.doubt();
            if let Ok(waiting) = self.store.outbox_waiting().await {
                metrics::gauge!(names::OUTBOX_WAITING).set(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)));
            }
            if turn % 360 == 0 {
                self.note();
                self.round().await;
            }
        }
    }

    /// Keeps what is known of the clock.
    fn note(&self) {
        let (new, place) = (self.folder.join("clock.tmp"), self.folder.join(MARK));
        let written = std::fs::write(&new, self.steady.mark().to_string()).and_then(|()| std::fs::rename(&new, &place));
        if let Err(error) = written {
            tracing::warn!(%error, "the clock's mark was not kept");
        }
    }

    async fn round(&self) {
        let now_ms = self.steady.removal_ms();
        sweep(self.store.as_ref(), now_ms, i64::from(self.keep.key_days) * DAY_MS).await;
        if let Some(now_ms) = now_ms {
            let what = Archiving { site: &self.keep.site, now_ms, months: self.keep.months };
            let trouble = archive(self.store.as_ref(), &what).await;
            let since = self.trouble.borrow().as_ref().map_or_else(|| self.clock.now_ms(), |(_, since)| *since);
            self.trouble.send_replace(trouble.map(|why| (why, since)));
        }
    }
}

/// Removes by age; without a clock to go by only what was erased.
async fn sweep(store: &dyn Store, now_ms: Option<i64>, keep_ms: i64) {
    if let Some(now_ms) = now_ms {
        // In pieces, so that the writer is not kept waiting.
        loop {
            match store.expire_keys(now_ms - keep_ms).await {
                Ok(0) => break,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => {
                    tracing::warn!(code = error.code(), "old keys were not removed");
                    break;
                }
            }
        }
        // They are refused before that.
        if let Err(error) = store.expire_sessions(now_ms).await {
            tracing::warn!(code = error.code(), "old sessions were not removed");
        }
    }
    // The store has logged what failed, and the next turn tries again.
    let _ = store.forget_destroyed().await;
    if let Err(error) = store.sweep_blobs(now_ms.map_or(0, |now| now - ORPHAN_MS)).await {
        tracing::warn!(code = error.code(), "orphans were not removed");
    }
}

/// Old months leave the database; why not.
async fn archive(store: &dyn Store, what: &Archiving<'_>) -> Option<String> {
    match store.archive(what).await {
        Ok(done) if done.files.is_empty() => None,
        Ok(done) => {
            tracing::info!(files = ?done.files, events = done.events, "old events moved to files");
            None
        }
        // What was cut off is completed the next time; the log is whole meanwhile.
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "old events did not move to files");
            Some(format!("旧事件未能移入归档文件：{} old events did not move to files: {error}", error.zh()))
        }
    }
}

/// For `/readyz`.
pub(crate) fn clock(steady: &SteadyClock, began_ms: i64) -> Dependency {
    let (state, since_ms, detail) = match steady.doubt() {
        None => (Status::Up, began_ms, None),
        Some(doubt) => {
            let hours = doubt.off_ms / 3_600_000;
            let detail = format!("时钟跳变，暂停清理旧数据 the clock leapt by {hours} h: nothing old is removed");
            (Status::Degraded, doubt.since_ms, Some(detail))
        }
    };
    Dependency { name: "clock".to_owned(), state, since_ms, fatal: false, detail }
}

/// For `/readyz`: named only when something is wrong.
pub(crate) fn files(trouble: &Trouble) -> Option<Dependency> {
    let (why, since_ms) = trouble.clone()?;
    let name = "archive".to_owned();
    Some(Dependency { name, state: Status::Degraded, since_ms, fatal: false, detail: Some(why) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use domain::{
        event::Mode,
        input::{Actor, Command, Input},
    };
    use ledger::{Accounts as _, Blobs as _, NewBlob, SqliteOptions, SqliteStore};
    use link::intake::{Done, Intake, Submission};
    use runtime::{ManualClock, Tasks};

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    /// A writer on a store, and its upkeep, on a machine whose clock and life are told.
    struct Machine {
        clock: ManualClock,
        lived: Arc<AtomicU64>,
        store: Arc<SqliteStore>,
        writer: dispatch::Writer,
        tasks: Tasks,
        steady: SteadyClock,
    }

    impl Machine {
        async fn start(folder: &Path, now: i64) -> Self {
            let (clock, lived) = (ManualClock::at(now), Arc::<AtomicU64>::default());
            let store = Arc::new(SqliteStore::open(&SqliteOptions::in_folder(folder)).await.unwrap());
            let (bus, tasks) = (Arc::new(ledger::LocalBus::new(64)), Tasks::default());
            let (ticks, options) = (Arc::new(clock.clone()), dispatch::WriterOptions::default());
            let writer = dispatch::start("maojiawan".into(), store.clone(), bus, ticks.clone(), options, &tasks);
            let known = steady(folder, store.as_ref(), ticks.clone()).await;
            let read = lived.clone();
            let lives = move || Duration::from_millis(read.load(Ordering::SeqCst));
            let steady = SteadyClock::with_lived(ticks, Some(known.mark()), lives);
            Self { clock, lived, store, writer, tasks, steady }
        }

        fn live(&self, hours: u32) {
            for _ in 0..hours {
                self.clock.advance(3_600_000);
                self.lived.fetch_add(3_600_000, Ordering::SeqCst);
                self.steady.doubt();
            }
        }

        async fn sweep(&self) {
            sweep(self.store.as_ref(), self.steady.removal_ms(), 30 * DAY_MS).await;
        }

        /// The same input each time.
        async fn ask(&self) -> Done {
            let site = site::built_in();
            let input = Input::Command {
                actor: Actor::System,
                mode: Mode::Real,
                happened: None,
                command: Command::SetSite(site),
            };
            self.writer.submit(Submission::keyed("test", "k", b"the same".to_vec(), input)).await.unwrap()
        }

        async fn stop(self) {
            self.tasks.drain(Duration::from_secs(5)).await;
            self.store.close().await;
        }
    }

    #[tokio::test]
    async fn a_clock_that_leaps_forty_days_forgets_no_key_and_no_photo() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::start(folder.path(), NOW).await;
        let first = machine.ask().await;
        let photo = NewBlob {
            subject: "alarm/1".to_owned(),
            content_type: "image/jpeg".to_owned(),
            max_bytes: 100,
            at_ms: NOW,
        };
        let photo = machine.store.put_blob(photo, &mut &b"photo"[..]).await.unwrap();
        let token_hash = [7; 32];
        let session = ledger::Session {
            token_hash,
            account: "duty".to_owned(),
            created_ms: NOW,
            last_seen_ms: NOW,
            expires_ms: NOW + 7 * DAY_MS,
        };
        machine.store.put_session(&session).await.unwrap();
        let is_kept = async || machine.store.session(&token_hash).await.unwrap().is_some();
        let is_there = async || matches!(machine.store.get_blob(&photo.id).await.unwrap(), ledger::FoundBlob::Blob(_));
        machine.clock.advance(40 * DAY_MS);
        machine.sweep().await;
        machine.live(5);
        machine.sweep().await;
        let again = machine.ask().await;
        assert!(again.replayed && again.position == first.position, "the one answer");
        assert!(is_there().await && is_kept().await);
        let shown = clock(&machine.steady, NOW);
        assert_eq!((shown.state, shown.since_ms), (Status::Degraded, NOW + 40 * DAY_MS));
        // The clock is put right.
        machine.clock.advance(-40 * DAY_MS);
        machine.sweep().await;
        assert_eq!(clock(&machine.steady, NOW).state, Status::Up);
        assert!(machine.ask().await.replayed && is_there().await);
        machine.live(31 * 24);
        machine.sweep().await;
        assert!(!machine.ask().await.replayed, "what is old goes as ever");
        assert!(!is_there().await && !is_kept().await);
        machine.stop().await;
    }

    #[tokio::test]
    async fn after_forty_days_off_what_is_old_goes_as_usual() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::start(folder.path(), NOW).await;
        machine.ask().await;
        machine.stop().await;
        // No mark was kept: the newest event tells how long it was off.
        let machine = Machine::start(folder.path(), NOW + 40 * DAY_MS).await;
        machine.sweep().await;
        assert!(machine.ask().await.replayed, "off for long, or a wrong clock? nobody knows yet");
        machine.live(13);
        machine.sweep().await;
        assert!(!machine.ask().await.replayed);
        machine.stop().await;
    }

    #[tokio::test]
    async fn the_mark_is_kept_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::start(folder.path(), NOW).await;
        machine.ask().await;
        machine.clock.advance(40 * DAY_MS);
        let mark = machine.steady.mark();
        assert_eq!(mark, NOW);
        // The wrong clock writes into the log too; the mark is what counts.
        machine.ask().await;
        std::fs::write(folder.path().join(MARK), mark.to_string()).unwrap();
        machine.stop().await;
        let machine = Machine::start(folder.path(), NOW + 40 * DAY_MS).await;
        assert_eq!(machine.steady.removal_ms(), None);
        machine.stop().await;
    }
}
