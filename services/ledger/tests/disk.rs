//! What reaches the disk, seen from outside: the order of writes, syncs and answers by strace, and a disk that is full.
#![allow(clippy::unwrap_used)]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use ledger::testing::{
    permitted::on_small_disk,
    trace::{self, Call},
};

/// The helper process, built beside the tests.
fn durable() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/durable");
    assert!(built.exists(), "{} is built with all targets of the crate", built.display());
    built
}

/// Checks that each `ack` was written after a sync of the write-ahead log that began when everything of the append was
/// written; how many there were, or the first that was not.
fn check(trace: &str) -> Result<usize, String> {
    let calls = trace::read(trace);
    let (log, others): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(|call| call.on.ends_with("ledger.db-wal"));
    let written = |before: usize| log.iter().filter(|call| call.writes() && call.before(before)).count();
    let (mut acks, mut at_ack) = (0, 0);
    // An answer counts from when it begins.
    for ack in others.iter().filter(|call| call.writes() && call.bytes.starts_with(b"ack ")) {
        let what = String::from_utf8_lossy(&ack.bytes);
        let now = written(ack.began);
        if now == at_ack {
            return Err(format!("nothing was written before: {what}"));
        }
        let syncs = log.iter().filter(|call| call.syncs() && call.before(ack.began));
        let synced = syncs.map(|call| written(call.began)).max().unwrap_or(0);
        if synced < now {
            return Err(format!("{} writes were not synced before: {what}", now - synced));
        }
        (acks, at_ack) = (acks + 1, now);
    }
    Ok(acks)
}

/// Traces appends; what they said and what the kernel was asked.
fn traced(count: usize, careless: bool) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(trace::OPTIONS);
    strace.arg("-o").arg(&file).arg(durable()).arg("append").arg(folder.path().join("data")).arg(count.to_string());
    if careless {
        strace.arg("careless");
    }
    let output = strace.output().expect("strace: deploy/prepare.sh --tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (output, std::fs::read_to_string(file).unwrap())
}

#[test]
fn each_answer_follows_a_completed_sync_of_what_it_answers() {
    let (output, trace) = traced(200, false);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 200);
    assert_eq!(check(&trace), Ok(200));
}

#[test]
fn without_syncs_the_check_fails() {
    let (output, trace) = traced(20, true);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 20, "it answers all the same");
    let broken = check(&trace).unwrap_err();
    assert!(broken.contains("not synced") && broken.contains("ack 0"), "{broken}");
}

#[test]
fn the_check_sees_what_is_out_of_order() {
    let line = |text: &str| format!("7 {}\n", text.replace("WAL", "5</d/ledger.db-wal>").replace("OUT", "1<pipe:[3]>"));
    let (write, sync, ack) =
        (line("pwrite64(WAL, \"x\", 1, 0) = 1"), line("fdatasync(WAL) = 0"), line("write(OUT, \"ack 0\\n\", 6) = 6"));
    assert_eq!(check(&[&*write, &sync, &ack].concat()), Ok(1));
    assert_eq!(check(&[&*write, &write, &sync, &ack, &write, &sync, &ack].concat()), Ok(2));
    assert!(check(&[&*write, &ack, &sync].concat()).is_err());
    assert!(check(&[&*write, &sync, &write, &ack].concat()).is_err());
    assert!(check(&[&*sync, &ack].concat()).is_err(), "an answer to nothing");
    assert!(check(&[&*write, &sync, &ack, &ack].concat()).is_err());
    assert!(check(&[&*write, &line("fdatasync(WAL) = -1 EIO"), &ack].concat()).is_err());
    assert!(check(&[&*write, &line("fdatasync(6</d/ledger.db>) = 0"), &ack].concat()).is_err(), "another file");
    // A sync that begins before a write does not cover it, and one that is not over is none.
    let (begin, end) = (line("fdatasync(WAL <unfinished ...>"), line("<... fdatasync resumed>) = 0"));
    assert!(check(&[&*begin, &write.replace("7 ", "8 "), &end, &ack.replace("7 ", "8 ")].concat()).is_err());
    assert!(check(&[&*write, &begin, &ack.replace("7 ", "8 "), &end].concat()).is_err());
    assert_eq!(check(&[&*write, &begin, &end, &ack].concat()), Ok(1));
    let ack_begins = line("write(OUT, \"ack 0\\n\", 6 <unfinished ...>");
    assert!(
        check(&[&*write, &ack_begins, &sync.replace("7 ", "8 "), &line("<... write resumed>) = 6")].concat()).is_err()
    );
}

/// Runs the helper on a small disk of its own, and shows what it counted.
fn on_a_small_disk(size: &str, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut fill = Command::new("sh");
    // PostgreSQL refuses to run as root, so it gets a folder there.
    let script = r#"[ "$2" = full ] || install -d -o postgres "$1/space" || exit 77
        exec "$0" "$2" "$1""#;
    fill.args(["-c", script]).arg(durable()).arg(folder.path()).arg(what);
    let Some(output) = on_small_disk(folder.path(), size, &fill) else { return };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("recovered at "), "{said}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_full_disk_refuses_appends_and_backups_and_is_over_when_there_is_room() {
    on_a_small_disk("6m", "full");
}

#[test]
fn a_full_disk_of_postgresql_refuses_appends_and_is_over_when_there_is_room() {
    on_a_small_disk("8m", "full-postgres");
}
