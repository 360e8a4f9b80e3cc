//! The outbox and the secrets of accounts.

use bytes::Bytes;

use super::{Backend, holds};
use crate::{Batch, Credential, OutboxRow, Session, limits};

const KINDS: &[&str] = &["department.task", "never"];

/// Due, retried, done.
pub async fn the_outbox_delivers_at_least_once(backend: &dyn Backend) {
    let store = backend.open().await;
    let head = store.open_writer().await.unwrap();
    assert_eq!(store.outbox_next_due().await.unwrap(), None);
    let row = |target: &str, due_ms| OutboxRow {
        kind: "department.task".into(),
        target: target.into(),
        payload: Bytes::from_static(b"ref"),
        due_ms,
    };
    let outbox = vec![row("late", 300), row("fire", 100), row("police", 200)];
    let head = store.append(&Batch { outbox: outbox.clone(), ..Batch::new(head) }).await.unwrap();
    assert_eq!((store.outbox_waiting().await.unwrap(), store.outbox_next_due().await.unwrap()), (3, Some(100)));
    let each = [("fire".to_owned(), 1), ("late".to_owned(), 1), ("police".to_owned(), 1)];
    assert_eq!(store.outbox_by_target().await.unwrap(), each);
    assert!(store.outbox_due(KINDS, 99, 10).await.unwrap().is_empty());
    let back = store.outbox_due(KINDS, 99 - limits::PUT_OFF_MS, 10).await.unwrap();
    assert_eq!(back.len(), 3, "written by a clock that was ahead");
    let due = store.outbox_due(KINDS, 200, 10).await.unwrap();
    assert_eq!(due.iter().map(|d| d.row.clone()).collect::<Vec<_>>(), [outbox[1].clone(), outbox[2].clone()]);
    assert_eq!(store.outbox_due(KINDS, 200, 10).await.unwrap(), due, "until it is done it is due");
    assert_eq!(store.outbox_due(KINDS, 200, 1).await.unwrap().len(), 1);
    assert!(store.outbox_due(&["clip"], 200, 10).await.unwrap().is_empty(), "those of others are not in the way");

    let error = "连接被拒绝".repeat(200);
    assert!(store.outbox_retry(due[0].id, 250, 1, &error).await.unwrap());
    let after = backend.open().await.outbox_due(KINDS, 250, 10).await.unwrap();
    assert_eq!(after.iter().map(|d| &*d.row.target).collect::<Vec<_>>(), ["police", "fire"]);
    let kept = after[1].last_error.as_deref().unwrap();
    assert!(after[1].attempts == 1 && kept.len() <= limits::ERROR_TEXT && error.starts_with(kept));

    assert!(store.outbox_retry(due[0].id, 250, 2, "a\0b").await.unwrap());
    let after = store.outbox_due(KINDS, 250, 10).await.unwrap();
    assert_eq!(after[1].last_error.as_deref(), Some("a\u{fffd}b"), "no text of PostgreSQL holds a zero byte");

    let outbox_done = vec![due[0].id, due[1].id, 999];
    let head = store.append(&Batch { outbox_done, ..Batch::new(head) }).await.unwrap();
    assert!(!store.outbox_retry(due[0].id, 1, 2, "").await.unwrap());
    assert_eq!(store.outbox_waiting().await.unwrap(), 1);
    store.append(&Batch { outbox: vec![row("new", 1)], ..Batch::new(head) }).await.unwrap();
    let new = &store.outbox_due(KINDS, 1, 10).await.unwrap()[0];
    assert!(new.id > due[0].id.max(due[1].id), "an id is never used again");
}

/// Credentials.
pub async fn login_failures_are_counted(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut duty = Credential {
        account: "duty".into(),
        password_hash: "$argon2id$v=19$x".into(),
        failed: 0,
        locked_until_ms: 0,
        totp: Some("JBSWY3DPEHPK3PXP".into()),
    };
    assert_eq!(store.credential("duty").await.unwrap(), None);
    store.put_credential(&duty).await.unwrap();
    assert_eq!(backend.open().await.credential("duty").await.unwrap().as_ref(), Some(&duty));
    assert!(!holds(&backend.raw().await, b"JBSWY3DPEHPK3PXP"), "the seed stands in clear");
    let (a, b) = tokio::join!(store.add_failure("duty"), store.add_failure("duty"));
    assert_eq!(a.unwrap() + b.unwrap(), 3, "two attempts at once count as two");
    assert_eq!(store.add_failure("nobody").await.unwrap(), 0);
    store.lock_account("duty", 9_000).await.unwrap();
    (duty.failed, duty.locked_until_ms) = (2, 9_000);
    assert_eq!(store.credential("duty").await.unwrap().as_ref(), Some(&duty));
    store.clear_failures("duty").await.unwrap();
    (duty.failed, duty.locked_until_ms, duty.totp) = (0, 0, None);
    duty.password_hash = "$argon2id$v=19$y".into();
    store.put_credential(&duty).await.unwrap();
    assert_eq!(store.credential("duty").await.unwrap(), Some(duty));
    store.put_session(&session(1, "duty", 1)).await.unwrap();
    assert!(store.remove_credential("duty").await.unwrap() && !store.remove_credential("duty").await.unwrap());
    assert_eq!(store.credential("duty").await.unwrap(), None);
    assert_eq!(store.session(&[1; 32]).await.unwrap(), None, "its sessions end too");
}

fn session(n: u8, account: &str, last_seen_ms: i64) -> Session {
    Session { token_hash: [n; 32], account: account.into(), created_ms: 0, last_seen_ms, expires_ms: 1_000 }
}

/// Sessions.
pub async fn sessions_are_bounded_and_end(backend: &dyn Backend) {
    let store = backend.open().await;
    store.put_session(&session(200, "other", 0)).await.unwrap();
    let most = u8::try_from(limits::SESSIONS).unwrap();
    for n in 1..=most {
        store.put_session(&session(n, "duty", n.into())).await.unwrap();
    }
    store.touch_session(&[1; 32], 500).await.unwrap();
    store.touch_session(&[1; 32], 400).await.unwrap();
    assert_eq!(store.session(&[1; 32]).await.unwrap().unwrap().last_seen_ms, 500, "a late note does not go back");
    store.put_session(&session(most + 1, "duty", 600)).await.unwrap();
    assert_eq!(store.session(&[2; 32]).await.unwrap(), None, "the longest unseen went");
    assert_eq!(store.session(&[3; 32]).await.unwrap(), Some(session(3, "duty", 3)));
    assert!(store.session(&[1; 32]).await.unwrap().is_some() && store.session(&[200; 32]).await.unwrap().is_some());
    assert!(store.end_session(&[3; 32]).await.unwrap() && !store.end_session(&[3; 32]).await.unwrap());
    assert_eq!(store.end_sessions("duty", Some(&[1; 32])).await.unwrap(), limits::SESSIONS - 2);
    assert!(store.session(&[1; 32]).await.unwrap().is_some());
    assert_eq!(store.end_sessions("duty", None).await.unwrap(), 1);
    assert_eq!(store.expire_sessions(999).await.unwrap(), 0);
    assert_eq!(store.expire_sessions(1_000).await.unwrap(), 1);
    assert_eq!(store.session(&[200; 32]).await.unwrap(), None);
}
