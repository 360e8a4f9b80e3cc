//! Documents by what they refer to, by their time, by name, and counted.

use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{Backend, document, event};
use crate::{
    Batch, Columns, DocumentRow, DueRow, Head, LedgerError, Log, Query, Store, Tally, TallyBy, limits,
    testing::memory::{MemoryDisk, MemoryStore},
};

fn refs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(role, id)| ((*role).to_owned(), (*id).to_owned())).collect()
}

fn referring(id: &str, rev_seq: u64, pairs: &[(&str, &str)]) -> DocumentRow {
    let mut row = document("person", id, rev_seq);
    row.columns.refs = refs(pairs);
    row
}

fn of(pairs: &[(&str, &str)]) -> Query {
    Query { kind: "person".into(), refs: refs(pairs), limit: 5, ..Query::default() }
}

async fn ids(store: &dyn Store, query: Query) -> String {
    let found = store.documents(&query).await.unwrap();
    found.iter().map(|d| &*d.id).collect::<Vec<_>>().join(" ")
}

/// Appends documents, with the event that each is the revision of.
async fn put(store: &dyn Store, head: Head, documents: Vec<DocumentRow>) -> Head {
    let seqs = documents.iter().map(|d| d.rev_seq).max().unwrap_or(0).saturating_sub(head.seq);
    let events = (0..seqs).map(|_| event("person/1", "x")).collect();
    store.append(&Batch { events, documents, ..Batch::new(head) }).await.unwrap()
}

/// Lists by reference.
pub async fn documents_are_found_by_what_they_refer_to(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let grid = |n: u64| if n.is_multiple_of(2) { "g2" } else { "g1" };
    let building = |n: u64| if n > 8 { "b9" } else { "b1" };
    let rows = (1..=12).map(|n| referring(&n.to_string(), n, &[("grid", grid(n)), ("building", building(n))]));
    let mut rows: Vec<_> = rows.collect();
    for (n, row) in (1..).zip(&mut rows) {
        row.open = n % 3 != 0;
        row.columns.at_ms = n;
        row.columns.stage = Some(if n < 6 { "old" } else { "new" }.into());
    }
    rows.push(DocumentRow { kind: "household".into(), ..referring("7", 12, &[("grid", "g1")]) });
    let head = put(&*store, head, rows.clone()).await;

    assert_eq!(store.document("person", "7").await.unwrap().as_ref(), rows.get(6), "they come back as they were");
    assert_eq!(ids(&*store, of(&[("grid", "g1")])).await, "11 9 7 5 3");
    assert_eq!(ids(&*store, Query { before: Some("3".into()), ..of(&[("grid", "g1")]) }).await, "1");
    assert_eq!(ids(&*store, Query { before: Some("10".into()), ..of(&[("grid", "g1")]) }).await, "9 7 5 3 1");
    assert_eq!(ids(&*store, of(&[("building", "b9"), ("grid", "g1")])).await, "11 9");
    assert_eq!(ids(&*store, of(&[("grid", "g1"), ("grid", "g2")])).await, "", "all of them must fit");
    assert_eq!(ids(&*store, of(&[("building", "g1")])).await, "", "the role counts");
    assert_eq!(ids(&*store, Query { open: Some(false), ..of(&[("grid", "g1")]) }).await, "9 3");
    assert_eq!(ids(&*store, Query { open: Some(true), ..of(&[("building", "b9")]) }).await, "11 10");
    assert_eq!(ids(&*store, Query { stage: Some("old".into()), ..of(&[("grid", "g2")]) }).await, "4 2");
    assert_eq!(ids(&*store, Query { from_ms: Some(5), until_ms: Some(8), ..of(&[("grid", "g1")]) }).await, "7 5");
    assert_eq!(ids(&*store, Query { kind: "household".into(), ..of(&[("grid", "g1")]) }).await, "7");

    // Moved, without any, gone, and twice in one batch.
    let gone = DocumentRow { deleted: true, ..referring("9", 15, &[("grid", "g1")]) };
    let moved = referring("2", 16, &[("grid", "g1"), ("parent", "1"), ("parent", "3")]);
    let rows = vec![referring("11", 13, &[("grid", "g3")]), referring("7", 14, &[]), gone.clone()];
    let rows = rows.into_iter().chain([referring("2", 15, &[("grid", "g9")]), moved.clone()]).collect();
    put(&*store, head, rows).await;
    assert_eq!(ids(&*store, of(&[("grid", "g1")])).await, "5 3 2 1");
    assert_eq!(ids(&*store, of(&[("grid", "g3")])).await, "11");
    assert_eq!(ids(&*store, of(&[("grid", "g9")])).await, "");
    assert_eq!(ids(&*store, of(&[("parent", "3"), ("parent", "1")])).await, "2");
    let told = store.documents_between(14, 16).await.unwrap();
    assert_eq!(told.iter().map(|d| &d.columns).collect::<Vec<_>>(), [&gone.columns, &moved.columns]);
}

/// Timers.
pub async fn what_is_due_comes_soonest_first(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let at = |kind: &str, id: &str, seq, due_ms| {
        let columns = Columns { due_ms, ..Columns::default() };
        DocumentRow { columns, open: seq % 2 == 0, ..document(kind, id, seq) }
    };
    let rows = vec![
        at("alarm", "9", 1, Some(50)),
        at("alarm", "10", 2, Some(50)),
        at("alarm", "1", 3, None),
        at("visit", "1", 4, Some(-5)),
        at("patrol", "1", 5, Some(50)),
        at("patrol", "2", 6, Some(51)),
        DocumentRow { deleted: true, ..at("patrol", "3", 7, Some(1)) },
    ];
    let head = put(&*store, head, rows).await;
    let found = async |now, limit| {
        let found = store.due(now, limit).await.unwrap();
        found.iter().map(|d| format!("{}/{}@{}", d.kind, d.id, d.due_ms)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(-6, 9).await, "");
    assert_eq!(found(49, 9).await, "visit/1@-5");
    assert_eq!(found(50, 9).await, "visit/1@-5 alarm/9@50 alarm/10@50 patrol/1@50");
    assert_eq!(found(i64::MAX, 2).await, "visit/1@-5 alarm/9@50", "again until it is put off");
    let later = vec![
        at("visit", "1", 8, Some(60)),
        at("alarm", "9", 9, None),
        DocumentRow { deleted: true, ..at("alarm", "10", 10, Some(50)) },
    ];
    put(&*store, head, later).await;
    assert_eq!(found(i64::MAX, usize::MAX).await, "patrol/1@50 patrol/2@51 visit/1@60");
}

/// A read by name.
pub async fn documents_are_read_by_name(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let gone = DocumentRow { deleted: true, ..referring("3", 3, &[]) };
    let rows = vec![referring("1", 1, &[("grid", "g1")]), referring("2", 2, &[]), gone, document("unit", "2", 4)];
    put(&*store, head, rows.clone()).await;
    let asked = [("unit", "2"), ("person", "3"), ("person", "1"), ("unit", "1"), ("person", "2"), ("person", "1\0")];
    let found = store.documents_named(&asked).await.unwrap();
    assert_eq!(found, [&rows[3], &rows[0], &rows[1]].map(DocumentRow::clone));
    assert!(store.documents_named(&[]).await.unwrap().is_empty());
    let many = vec![("person", "2"); limits::PAGE];
    assert_eq!(store.documents_named(&many).await.unwrap().len(), limits::PAGE, "as often as it was asked for");
}

/// Counts by group.
pub async fn documents_are_counted(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let mut rows: Vec<_> = (1..=10).map(|n| referring(&n.to_string(), n, &[("tag", "all"), ("tag", "x")])).collect();
    for (n, row) in (1_i16..).zip(&mut rows) {
        row.open = n <= 8;
        row.columns.level = (n != 10).then_some(n % 3 - 1);
        row.columns.stage = (n > 2).then(|| if n % 2 == 0 { "even" } else { "odd" }.into());
        row.columns.grid = Some(if n < 4 { "g1" } else { "g2" }.into());
        row.columns.refs.truncate(usize::from(n > 1) + usize::from(n > 7));
        row.columns.refs.push(("grid".into(), if n < 4 { "g1" } else { "g2" }.into()));
    }
    rows.push(DocumentRow { deleted: true, ..referring("99", 10, &[("tag", "all")]) });
    rows.push(DocumentRow { kind: "household".into(), ..referring("1", 10, &[("tag", "all")]) });
    put(&*store, head, rows).await;
    let count = async |of: Query, by| {
        let found = store.tally(&Tally { of, by }).await.unwrap();
        let said = found.iter().map(|(group, n)| format!("{}:{n}", group.as_deref().unwrap_or("-")));
        said.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(count(of(&[]), TallyBy::Grid).await, "g2:7 g1:3");
    assert_eq!(count(of(&[]), TallyBy::Level).await, "-1:3 0:3 1:3 -:1", "equal ones by name, those without last");
    assert_eq!(count(of(&[]), TallyBy::Stage).await, "even:4 odd:4 -:2");
    assert_eq!(count(of(&[]), TallyBy::Ref("tag".into())).await, "all:9 x:3");
    assert_eq!(count(of(&[("grid", "g1")]), TallyBy::Ref("tag".into())).await, "all:2");
    assert_eq!(count(of(&[("tag", "x"), ("grid", "g2")]), TallyBy::Level).await, "-1:1 1:1 -:1");
    assert_eq!(count(Query { open: Some(false), ..of(&[]) }, TallyBy::Stage).await, "even:1 odd:1");
    assert_eq!(count(Query { limit: 1, ..of(&[]) }, TallyBy::Stage).await, "even:4");
    assert_eq!(count(Query { kind: "none".into(), ..of(&[]) }, TallyBy::Grid).await, "");
}

/// What is too much is refused.
pub async fn limits_of_references_are_refused(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    let long = "x".repeat(limits::NAME + 1);
    let many: Vec<_> = (0..=limits::REFS).map(|n| ("tag".to_owned(), n.to_string())).collect();
    let all = refs(&[("grid", ""), ("", "g1"), ("grid", "g\t1"), ("gr\nid", "g1"), ("grid", &long), (&long, "g1")]);
    for refs in all.into_iter().map(|r| vec![r]).chain([many.clone()]) {
        let mut row = document("person", "1", 1);
        row.columns.refs = refs;
        let batch = Batch { events: vec![event("a/1", "x")], documents: vec![row], ..Batch::new(head) };
        let refused = store.append(&batch).await;
        assert!(matches!(refused, Err(LedgerError::Invalid { .. })), "{refused:?}");
    }
    let mut full = document("person", "1", 1);
    full.columns.refs = many[1..].to_vec();
    put(&*store, head, vec![full]).await;
    let query = |refs: &[(String, String)]| Query { refs: refs.to_vec(), ..of(&[]) };
    assert_eq!(ids(&*store, query(&many[1..])).await, "1", "as many as a document has");
    assert!(matches!(store.documents(&query(&many)).await, Err(LedgerError::Invalid { .. })));
    let tally = |of| Tally { of, by: TallyBy::Grid };
    assert!(matches!(store.tally(&tally(query(&many))).await, Err(LedgerError::Invalid { .. })));
    let paged = Query { before: Some("1".into()), ..of(&[]) };
    assert!(matches!(store.tally(&tally(paged)).await, Err(LedgerError::Invalid { .. })));
    let names = vec![("person", "1"); limits::PAGE + 1];
    assert!(matches!(store.documents_named(&names).await, Err(LedgerError::Invalid { .. })));
}

/// One document of a batch, in numbers that a test draws: kind, id, whether it is open or gone, columns, time, references.
pub type Drawn = [u8; 6];

/// Some batches by a seed.
pub async fn random_batches_agree_with_a_model(backend: &dyn Backend) {
    let mut rng = StdRng::seed_from_u64(13);
    let batches: Vec<Vec<Drawn>> =
        (0..12).map(|_| (0..rng.random_range(0..40)).map(|_| rng.random()).collect()).collect();
    agrees_with_a_model(backend, &batches).await;
}

/// For property tests: after these batches every read by reference, time, name and group answers as the model does.
pub async fn agrees_with_a_model(backend: &dyn Backend, batches: &[Vec<Drawn>]) {
    let (store, model) = both_after(backend, batches).await;
    same_answers(&*store, &model).await;
}

/// A backend and a model after the same batches.
pub async fn both_after(backend: &dyn Backend, batches: &[Vec<Drawn>]) -> (Arc<dyn Store>, MemoryStore) {
    let (store, model) = (backend.open().await, MemoryDisk::new(1).open());
    let (mut head, mut model_head) = (store.open_writer().await.unwrap(), model.open_writer().await.unwrap());
    for batch in batches {
        let documents: Vec<_> = (head.seq + 1..).zip(batch).map(|(seq, drawn)| drawn_row(seq, drawn)).collect();
        head = put(&*store, head, documents.clone()).await;
        model_head = put(&model, model_head, documents).await;
    }
    (store, model)
}

const ROLES: [&str; 3] = ["grid", "building", "tag"];

fn drawn_row(rev_seq: u64, [kind, id, state, columns, due, refs]: &Drawn) -> DocumentRow {
    // Ids of one and two digits.
    let mut row = document(if kind % 2 == 0 { "a" } else { "b" }, &(id % 14).to_string(), rev_seq);
    (row.open, row.deleted) = (state % 2 == 0, state % 5 == 4);
    row.columns = Columns {
        level: (columns % 4 > 0).then_some(i16::from(columns % 4) - 2),
        stage: (columns / 4 % 3 > 0).then(|| format!("s{}", columns / 4 % 3)),
        units: (0..columns / 16 % 3).map(|n| format!("u{n}")).collect(),
        grid: (columns / 64 > 0).then(|| format!("g{}", columns / 64)),
        at_ms: i64::from(*columns),
        due_ms: (due % 3 > 0).then_some(i64::from(due / 16)),
        refs: (0..8).filter(|bit| refs >> bit & 1 == 1).map(drawn_ref).collect(),
    };
    row
}

fn drawn_ref(bit: u8) -> (String, String) {
    (ROLES[usize::from(bit % 3)].to_owned(), (bit / 3).to_string())
}

/// Panics when any read by reference, time, name or group of the two differs.
pub async fn same_answers(store: &dyn Store, model: &dyn Log) {
    let none = Query { limit: 4, ..Query::default() };
    let mut filters = vec![
        none.clone(),
        Query { open: Some(true), ..none.clone() },
        Query { open: Some(false), ..none.clone() },
        Query { stage: Some("s1".into()), ..none.clone() },
        Query { unit: Some("u0".into()), ..none.clone() },
        Query { grid: Some("g1".into()), ..none.clone() },
        Query { from_ms: Some(60), until_ms: Some(180), ..none },
    ];
    for filter in filters.clone() {
        let picked: [&[u8]; 4] = [&[0], &[1], &[0, 1], &[4, 2, 6]];
        filters
            .extend(picked.map(|bits| Query { refs: bits.iter().copied().map(drawn_ref).collect(), ..filter.clone() }));
    }
    for filter in filters {
        for kind in ["a", "b"] {
            let mut query = Query { kind: kind.into(), ..filter.clone() };
            let by = ROLES.map(|role| TallyBy::Ref(role.into()));
            for by in by.into_iter().chain([TallyBy::Grid, TallyBy::Level, TallyBy::Stage]) {
                let tally = Tally { of: query.clone(), by };
                assert_eq!(store.tally(&tally).await.unwrap(), model.tally(&tally).await.unwrap(), "{tally:?}");
            }
            // Page by page to the end.
            loop {
                let page = store.documents(&query).await.unwrap();
                assert_eq!(page, model.documents(&query).await.unwrap(), "{query:?}");
                let Some(last) = page.last() else { break };
                query.before = Some(last.id.clone());
            }
        }
    }
    for now in -1..17 {
        for limit in [3, usize::MAX] {
            let due: Vec<DueRow> = store.due(now, limit).await.unwrap();
            assert_eq!(due, model.due(now, limit).await.unwrap(), "{limit} at {now}");
        }
    }
    let ids: Vec<String> = (0..15).rev().map(|n| n.to_string()).collect();
    let names: Vec<_> = ids.iter().flat_map(|id| [("b", &**id), ("a", &**id)]).collect();
    assert_eq!(store.documents_named(&names).await.unwrap(), model.documents_named(&names).await.unwrap());
}
