//! What reaches the disk, seen from outside: the order of writes, syncs and answers by strace, and a disk that is full.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    path::PathBuf,
    process::{Command, Output},
};

use ledger::testing::skipped;

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
    let (mut unfinished, mut acks): (HashMap<&str, String>, usize) = (HashMap::new(), 0);
    // Writes of the log so far; those that some sync covered; those before each sync that is under way.
    let (mut written, mut synced, mut at_ack) = (0_usize, 0_usize, 0_usize);
    let mut syncs: HashMap<&str, usize> = HashMap::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        let wal = call.contains("ledger.db-wal>");
        if (call.starts_with("fdatasync(") || call.starts_with("fsync(")) && wal {
            syncs.insert(pid, written);
        }
        let call = match call.strip_suffix(" <unfinished ...>") {
            Some(begun) => {
                unfinished.insert(pid, begun.to_owned());
                // An answer counts from when it begins.
                if !begun.contains("\"ack ") {
                    continue;
                }
                begun.to_owned()
            }
            None => match call.strip_prefix("<... ") {
                Some(rest) => {
                    let begun = unfinished.remove(pid).unwrap_or_default();
                    if begun.contains("\"ack ") {
                        continue;
                    }
                    begun + rest.split_once(" resumed>").map_or("", |(_, end)| end)
                }
                None => call.to_owned(),
            },
        };
        let wal = call.contains("ledger.db-wal>");
        if call.starts_with("write") && call.contains("\"ack ") {
            if written == at_ack {
                return Err(format!("nothing was written before: {line}"));
            }
            if synced < written {
                return Err(format!("{} writes were not synced before: {line}", written - synced));
            }
            (acks, at_ack) = (acks + 1, written);
        } else if (call.starts_with("write") || call.starts_with("pwrite64")) && wal {
            written += 1;
        } else if (call.starts_with("fdatasync(") || call.starts_with("fsync(")) && wal && call.ends_with("= 0") {
            synced = synced.max(syncs.remove(pid).unwrap_or(0));
        }
    }
    Ok(acks)
}

/// Traces appends; what they said and what the kernel was asked.
fn traced(count: usize, careless: bool) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-s", "16", "-e", "trace=fdatasync,fsync,write,pwrite64,writev,pwritev"]);
    strace.arg("-o").arg(&trace).arg(durable()).arg("append").arg(folder.path().join("data")).arg(count.to_string());
    if careless {
        strace.arg("careless");
    }
    let output = strace.output().expect("strace: deploy/prepare.sh --tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = std::fs::read_to_string(trace).unwrap();
    (output, trace)
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
    let script = r#"mount -t tmpfs -o "size=$3,mode=755" tmpfs "$1" || exit 77
        [ "$4" = full ] || install -d -o postgres "$1/space" || exit 77
        exec "$2" "$4" "$1""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(folder.path()).arg(durable());
    let output = command.args([size, what]).output().expect("unshare of util-linux");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) || said.contains("unshare failed") {
        skipped(&format!("a small tmpfs cannot be mounted here, so the full disk was NOT tested: {said}"));
        return;
    }
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
