//! One suite for every backend and every bus: `ledger::conformance!(backend)` makes a test of each function here.
//!
//! Each function takes an empty backend and panics when the backend breaks the port.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests, compiled for the feature `testing` only")]

pub mod archive;
pub mod bus;
pub mod log;
pub mod record;
pub mod sealed;
pub mod side;
pub mod telemetry;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Batch, Columns, DocumentRow, EventRow, Head, Store, Telemetry};

/// A backend under test, empty at first.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Opens the data, as another process would: several may be open at once.
    async fn open(&self) -> Arc<dyn Store>;
    /// Opens the telemetry data.
    async fn telemetry(&self) -> Arc<dyn Telemetry>;
    /// All bytes that the backend keeps, keys excepted, to look for what must not be there.
    async fn raw(&self) -> Vec<u8>;
    /// The folder of its files; the archive is in `archive/`.
    fn files(&self) -> &Path {
        panic!("it keeps no files")
    }
}

/// An event for tests.
pub fn event(stream: &str, text: &str) -> EventRow {
    EventRow {
        at_ms: 1_700_000_000_000,
        kind: "test.happened".into(),
        version: 1,
        stream: stream.into(),
        mode: 0,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// An open document for tests.
pub fn document(kind: &str, id: &str, rev_seq: u64) -> DocumentRow {
    DocumentRow {
        kind: kind.into(),
        id: id.into(),
        rev_seq,
        deleted: false,
        open: true,
        columns: Columns { at_ms: 1_700_000_000_000, ..Columns::default() },
        payload: Bytes::copy_from_slice(format!("{kind}/{id}@{rev_seq}").as_bytes()),
    }
}

/// Appends one batch of events.
pub async fn append(store: &dyn Store, expect: Head, events: Vec<EventRow>) -> Head {
    store.append(&Batch { events, ..Batch::new(expect) }).await.unwrap()
}

/// Whether `needle` stands in `hay`.
pub fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|w| w == needle)
}

/// Makes the tests. `$backend` is an expression that makes an empty [`Backend`], evaluated once a test.
#[macro_export]
macro_rules! conformance {
    ($backend:expr) => {
        $crate::conformance! { @tests $backend;
            log: a_new_log_is_empty_and_terms_rise, events_are_in_order_without_gaps, a_stale_writer_is_fenced,
                a_moved_head_is_refused, a_batch_is_stored_whole_or_not_at_all, keys_are_found_kept_and_expire,
                documents_are_filtered_and_paged, deleted_documents_are_hidden_but_told, limits_are_refused,
                a_snapshot_holds_what_is_open_and_the_newest_that_ended,
                a_snapshot_and_its_head_agree, a_restore_makes_old_cursors_worthless, a_dropped_append_is_whole_or_nothing,
                a_batch_of_many_rows_is_stored;
            record: documents_are_found_by_what_they_refer_to, what_is_due_comes_soonest_first,
                documents_are_read_by_name, documents_are_counted, limits_of_references_are_refused,
                random_batches_agree_with_a_model;
            sealed: values_are_sealed_and_open, an_erased_subject_is_gone, a_batch_cannot_write_and_erase_a_subject,
                blobs_are_sealed_and_open, blobs_are_bounded, blobs_read_by_range, orphan_blobs_are_swept,
                a_blob_of_an_erased_subject_is_gone;
            side: the_outbox_delivers_at_least_once, login_failures_are_counted, sessions_are_bounded_and_end;
            telemetry: values_states_and_observations_commit_together, history_is_bounded, bad_values_are_refused,
                minutes_agree_with_a_naive_model, minutes_outlive_values_within_their_bound,
                strangers_are_kept_within_a_bound, the_epoch_stays_until_renewed;
            archive: old_months_move_to_files_and_are_read_as_before, a_crash_at_any_step_leaves_the_log_complete,
                late_and_future_events_keep_nothing_from_moving, what_cannot_be_archived_is_refused,
                a_follower_reads_on_while_events_move, damage_of_old_events_is_told_and_the_rest_goes_on;
            bus: a_reader_yields_each_event_once_on_a_good_bus, a_reader_yields_each_event_once_on_a_bad_bus,
                a_lost_last_message_is_noticed, a_slow_reader_fills_the_gap, a_late_reader_starts_at_its_cursor,
                a_reader_outlives_its_bus, a_changed_log_is_told;
        }
    };
    (@tests $backend:expr; $($module:ident: $($name:ident),+;)+) => {$(
        mod $module {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                $crate::conformance::$module::$name(&$backend).await;
            })+
        }
    )+};
}
