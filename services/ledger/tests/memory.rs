//! The conformance suite on the ledger of models, as far as it applies: it keeps no files and seals nothing.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ledger::{
    Batch, Log, Store, Telemetry,
    conformance::{self, Backend},
    testing::memory::{Call, Ending, Fate, MemoryDisk, Weather},
};

struct Memory(MemoryDisk);

impl Memory {
    fn new() -> Self {
        Self(MemoryDisk::new(7))
    }
}

#[async_trait]
impl Backend for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.open())
    }

    async fn telemetry(&self) -> Arc<dyn Telemetry> {
        panic!("models have no sensors")
    }

    async fn raw(&self) -> Vec<u8> {
        Vec::new()
    }
}

ledger::conformance! { @tests Memory::new();
    log: a_new_log_is_empty_and_terms_rise, events_are_in_order_without_gaps, a_stale_writer_is_fenced,
        a_moved_head_is_refused, a_batch_is_stored_whole_or_not_at_all, keys_are_found_kept_and_expire,
        documents_are_filtered_and_paged, deleted_documents_are_hidden_but_told, limits_are_refused,
        a_snapshot_holds_what_is_open_and_the_newest_that_ended,
        a_snapshot_and_its_head_agree, a_restore_makes_old_cursors_worthless, a_dropped_append_is_whole_or_nothing,
        a_batch_of_many_rows_is_stored;
    record: documents_are_found_by_what_they_refer_to, what_is_due_comes_soonest_first, documents_are_read_by_name,
        documents_are_counted, limits_of_references_are_refused;
    sealed: an_erased_subject_is_gone, a_batch_cannot_write_and_erase_a_subject;
    side: the_outbox_delivers_at_least_once, login_failures_are_counted, sessions_are_bounded_and_end;
    bus: a_reader_yields_each_event_once_on_a_good_bus, a_reader_yields_each_event_once_on_a_bad_bus,
        a_lost_last_message_is_noticed, a_slow_reader_fills_the_gap, a_late_reader_starts_at_its_cursor,
        a_reader_outlives_its_bus, a_changed_log_is_told;
}

struct Storm(Fate);

impl Weather for Storm {
    fn of(&self, _: Call) -> Fate {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_as_the_weather_will() {
    let disk = MemoryDisk::new(1);
    let head = disk.open().open_writer().await.unwrap();
    let one = |head| Batch { events: vec![conformance::event("a/1", "x")], ..Batch::new(head) };
    for (ending, stored) in [
        (Ending::Unavailable, 0),
        (Ending::Full, 0),
        (Ending::Unknown { stored: false }, 0),
        (Ending::Unknown { stored: true }, 1),
    ] {
        let store = disk.open_in(Arc::new(Storm(Fate { ending, ..Fate::GOOD })));
        assert!(store.append(&one(head)).await.is_err());
        assert_eq!(disk.open().head().await.unwrap().seq, head.seq + stored, "{ending:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_process_stores_what_was_done_and_learns_nothing() {
    let disk = MemoryDisk::new(1);
    let second = Duration::from_secs(1);
    for (fate, stored) in [(Fate { before: second, ..Fate::GOOD }, 0), (Fate { after: second, ..Fate::GOOD }, 1)] {
        let head = disk.open().open_writer().await.unwrap();
        let store = disk.open_in(Arc::new(Storm(fate)));
        let batch = Batch { events: vec![conformance::event("a/1", "x")], ..Batch::new(head) };
        let killed = async {
            tokio::time::sleep(second / 2).await;
            store.kill();
        };
        let (answer, ()) = tokio::join!(tokio::time::timeout(second * 9, store.append(&batch)), killed);
        assert!(answer.is_err(), "no answer ever: {:?}", answer.is_ok());
        assert_eq!(disk.open().head().await.unwrap().seq, head.seq + stored);
    }
}
