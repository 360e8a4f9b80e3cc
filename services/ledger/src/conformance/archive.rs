//! Old events in monthly files.

use std::{fs, path::Path, sync::Arc};

use super::{Backend, append, event};
use crate::{Archiving, EventRow, LedgerError, Store, StoredEvent, limits, testing::broken_off};

const DAY_MS: i64 = 86_400_000;
/// 2024-01-01 00:00 at UTC+8.
const YEAR_MS: i64 = 1_704_038_400_000;
/// The 15th of a month of 2024, counted from 0.
const fn month(n: i64) -> i64 {
    YEAR_MS + n * 30 * DAY_MS + 14 * DAY_MS
}

const fn keep_two(now_ms: i64) -> Archiving<'static> {
    Archiving { site: "mao", now_ms, months: 2 }
}

fn at(at_ms: i64, n: u64) -> EventRow {
    EventRow { at_ms, ..event(&format!("incident/{}", n % 7), &format!("{n} 卯家湾")) }
}

/// Events of six months, 2,100 each, so that a month has several pages.
async fn half_a_year(store: &dyn Store) -> Vec<StoredEvent> {
    let mut head = store.open_writer().await.unwrap();
    for m in 0..6 {
        let events = (0..2_100).map(|n| at(month(m) + n, head.seq + n as u64)).collect();
        head = append(store, head, events).await;
    }
    all(store).await
}

/// The whole log, page by page, without gaps.
async fn all(store: &dyn Store) -> Vec<StoredEvent> {
    let mut found = Vec::new();
    loop {
        let page = store.tail(found.len() as u64, 701).await.unwrap();
        assert!(page.iter().zip(found.len() as u64 + 1..).all(|(e, seq)| e.seq == seq), "after {}", found.len());
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

/// Reads are the same before and after, whoever reads.
pub async fn old_months_move_to_files_and_are_read_as_before(backend: &dyn Backend) {
    let store = backend.open().await;
    let before = half_a_year(&*store).await;
    let streams = |store: Arc<dyn Store>| async move {
        let mut found = Vec::new();
        for (stream, after, limit) in
            [("incident/3", 0, 1_000), ("incident/3", 4_100, 1_000), ("incident/3", 12_500, 9)]
        {
            found.push(store.stream_tail(stream, after, limit).await.unwrap());
        }
        found
    };
    let of_streams = streams(store.clone()).await;
    let other = backend.open().await;
    assert!(store.archive(&keep_two(month(2))).await.unwrap().files.is_empty(), "nothing is old enough");
    let done = store.archive(&keep_two(month(5))).await.unwrap();
    assert_eq!(done.files, ["mao-2024-01.mjw.zst", "mao-2024-02.mjw.zst", "mao-2024-03.mjw.zst"]);
    assert_eq!(done.events, 6_300);
    for store in [&store, &other, &backend.open().await] {
        assert_eq!(all(&**store).await, before);
        assert_eq!(streams(store.clone()).await, of_streams);
        for (after, limit) in [(6_299, 3), (6_300, 2), (2_099, 2), (12_599, 9), (12_600, 9), (0, 0)] {
            let expected: Vec<_> = before.iter().skip(after).take(limit).cloned().collect();
            assert_eq!(store.tail(after as u64, limit).await.unwrap(), expected, "{after} {limit}");
        }
    }
    assert_eq!(store.archive(&keep_two(month(5))).await.unwrap(), crate::Archived::default(), "once is enough");
    // Everything may move: then the table is empty, and the log goes on.
    let done = store.archive(&keep_two(month(11))).await.unwrap();
    assert_eq!((done.files.len(), done.events), (3, 6_300));
    assert_eq!(all(&*other).await, before);
    let head = store.open_writer().await.unwrap();
    assert_eq!(head.seq, 12_600);
    append(&*store, head, vec![at(month(11), 1)]).await;
    assert_eq!(store.tail(12_600, 5).await.unwrap().len(), 1);
    assert_eq!(store.tail(12_599, 5).await.unwrap().len(), 2, "the last of the files and the first of the table");
    assert_eq!(all(&*store).await.len(), 12_601);
}

/// Broken off after each step in turn, the log is complete, and the next run completes the work.
pub async fn a_crash_at_any_step_leaves_the_log_complete(backend: &dyn Backend) {
    let store = backend.open().await;
    let before = half_a_year(&*store).await;
    let mut crashes = 0;
    for steps in 0.. {
        let done = broken_off(steps, store.archive(&keep_two(month(7)))).await;
        assert_eq!(all(&*backend.open().await).await, before, "after {steps} steps");
        assert_eq!(all(&*store).await, before, "after {steps} steps");
        match done {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, LedgerError::Io(_)), "{error:?}"),
        }
        crashes += 1;
        // From the beginning again, with one step more: some months have moved already.
        assert!(steps < 100);
    }
    assert!(crashes > 5, "{crashes}");
    assert_eq!(store.archive(&keep_two(month(7))).await.unwrap(), crate::Archived::default());
}

/// Clocks that were wrong, and what came late.
pub async fn late_and_future_events_keep_nothing_from_moving(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let times = [month(0), month(60), month(0), month(1), month(0), month(1), month(3), month(0), month(2)];
    append(&*store, head, times.iter().zip(1..).map(|(ms, n)| at(*ms, n)).collect()).await;
    let before = all(&*store).await;
    let done = store.archive(&keep_two(month(4))).await.unwrap();
    assert_eq!(done.files, ["mao-2024-01.mjw.zst", "mao-2024-02.mjw.zst"]);
    assert_eq!(done.events, 6, "up to the first that is young, and that one is the seventh");
    assert_eq!(all(&*store).await, before);
    let done = store.archive(&keep_two(month(8))).await.unwrap();
    assert_eq!(
        (done.files, done.events),
        (vec!["mao-2024-04.mjw.zst".to_owned()], 3),
        "the late ones with the one before"
    );
    assert_eq!(all(&*store).await, before);
}

/// Names and months.
pub async fn what_cannot_be_archived_is_refused(backend: &dyn Backend) {
    let store = backend.open().await;
    for (site, months) in [("", 2), ("a/b", 2), ("..", 2), ("mao", 0)] {
        let refused = store.archive(&Archiving { site, now_ms: month(5), months }).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { what: "archiving", .. })), "{site}: {refused:?}");
    }
    assert_eq!(store.archive(&keep_two(month(5))).await.unwrap(), crate::Archived::default(), "an empty log");
}

/// Pages read while the table lets go of them.
pub async fn a_follower_reads_on_while_events_move(backend: &dyn Backend) {
    let store = backend.open().await;
    let before = half_a_year(&*store).await;
    let reader = backend.open().await;
    let read = async {
        let mut rounds = 0;
        loop {
            let mut found = Vec::new();
            while found.len() < before.len() {
                let page = reader.tail(found.len() as u64, limits::PAGE).await.unwrap();
                assert!(!page.is_empty(), "after {}", found.len());
                found.extend(page);
            }
            assert!(found == before, "the log is another one");
            rounds += 1;
            if rounds > 3 {
                break;
            }
        }
    };
    let what = keep_two(month(11));
    let (moved, ()) = tokio::join!(store.archive(&what), read);
    assert_eq!(moved.unwrap().events, 12_600);
    assert_eq!(all(&*reader).await, before);
}

/// Reads on until the end, or until it is told what is wrong; a gap is worse than either.
async fn read_on(store: &dyn Store, before: &[StoredEvent]) -> Result<(), LedgerError> {
    let mut found = 0;
    while found < before.len() {
        let page = store.tail(found as u64, limits::PAGE).await?;
        assert!(!page.is_empty(), "silence after {found}");
        assert!(before[found..].starts_with(&page), "another log after {found}");
        found += page.len();
    }
    Ok(())
}

/// As `read_on`, of one stream, which is in every file.
async fn read_stream(store: &dyn Store, before: &[StoredEvent]) -> Result<(), LedgerError> {
    let wanted: Vec<_> = before.iter().filter(|e| e.event.stream == "incident/3").collect();
    let mut found = 0_usize;
    loop {
        let after = found.checked_sub(1).map_or(0, |last| wanted[last].seq);
        let page = store.stream_tail("incident/3", after, limits::PAGE).await?;
        assert!(page.iter().eq(wanted[found..].iter().copied().take(page.len())), "another stream after {after}");
        found += page.len();
        if page.is_empty() {
            assert_eq!(found, wanted.len(), "silence after {after}");
            return Ok(());
        }
    }
}

/// Damage of every kind to each file in turn, in a process that has read the files and in one that has not.
pub async fn damage_of_old_events_is_told_and_the_rest_goes_on(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut before = half_a_year(&*store).await;
    let names = store.archive(&keep_two(month(5))).await.unwrap().files;
    damage(backend, &before, &names, &before[6_300..6_302]).await;
    // The last file too, with nothing behind it that could be missed.
    store.archive(&keep_two(month(11))).await.unwrap();
    damage(backend, &before, &["mao-2024-06.mjw.zst".to_owned()], &[]).await;
    let head = store.open_writer().await.unwrap();
    append(&*store, head, vec![at(month(11), 1)]).await;
    before = all(&*backend.open().await).await;
    assert_eq!(before.len(), 12_601, "what was put right is read again");
}

async fn damage(backend: &dyn Backend, before: &[StoredEvent], names: &[String], young: &[StoredEvent]) {
    let knows = backend.open().await;
    read_on(&*knows, before).await.unwrap();
    for name in names {
        let path = backend.files().join("archive").join(name);
        let whole = fs::read(&path).unwrap();
        let flipped = |n: usize| whole.iter().enumerate().map(|(i, b)| if i == n { b ^ 4 } else { *b }).collect();
        let harms: [(&str, Option<Vec<u8>>); 5] = [
            ("removed", None),
            ("emptied", Some(Vec::new())),
            ("cut off", Some(whole[..whole.len() / 2].to_vec())),
            ("a block damaged", Some(flipped(whole.len() / 3))),
            ("its header damaged", Some(flipped(3))),
        ];
        for (how, bytes) in harms {
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            for (who, store) in [("who has read it", knows.clone()), ("who has not", backend.open().await)] {
                // Whoever knows where the blocks are needs no header.
                for read in [read_on(&*store, before).await, read_stream(&*store, before).await] {
                    if how == "its header damaged" && who == "who has read it" {
                        read.unwrap();
                    } else {
                        assert_told(&read.unwrap_err(), &path, &format!("{name} {how}, {who}"));
                    }
                }
                young_is_well(&*store, before, young).await;
            }
            fs::write(&path, &whole).unwrap();
        }
        read_on(&*knows, before).await.unwrap();
    }
}

/// It says that the store is damaged, and where.
fn assert_told(error: &LedgerError, path: &Path, how: &str) {
    match error {
        LedgerError::File { file, .. } => assert_eq!(file, &path.display().to_string(), "{how}"),
        LedgerError::Corrupt { what, .. } => assert!(what.contains("archive file"), "{how}: {what}"),
        other => panic!("{how}: {other:?}"),
    }
    assert!(!error.is_transient(), "{how}: to try again is of no use");
}

/// What is in the table is read, and the log goes on.
async fn young_is_well(store: &dyn Store, before: &[StoredEvent], young: &[StoredEvent]) {
    if let Some(first) = young.first() {
        assert_eq!(store.tail(first.seq - 1, young.len()).await.unwrap(), young);
    }
    let head = store.open_writer().await.unwrap();
    assert_eq!(head.seq, before.len() as u64);
}
