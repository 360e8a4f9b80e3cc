//! `deploy/maojiawan.service`, as systemd reads it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::PROGRAM;

/// Exposure that `systemd-analyze security` may find, in tenths: below 2.0 of 10.
const EXPOSURE: &str = "20";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// A copy of the unit that points at the built binary.
fn copy(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(deploy().join("maojiawan.service")).unwrap();
    assert_eq!(text.matches("/usr/bin/maojiawan ").count(), 2, "it checks its configuration, then runs");
    let file = folder.join("maojiawan.service");
    std::fs::write(&file, text.replace("/usr/bin/maojiawan ", &format!("{PROGRAM} "))).unwrap();
    file
}

fn analyze(args: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(args).arg(unit).output().expect("systemd-analyze of Debian's systemd")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn systemd_finds_no_fault_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let unit = copy(folder.path());
    let found = analyze(&["verify", "--man=no", "--recursive-errors=no"], &unit);
    // It warns of a misspelt key and still succeeds, so silence is asked for as well.
    assert_eq!((found.status.code(), text(&found).as_str()), (Some(0), ""));

    let broken = std::fs::read_to_string(&unit).unwrap().replace("ProtectHome=", "ProtectHouse=");
    std::fs::write(&unit, broken).unwrap();
    let found = analyze(&["verify", "--man=no", "--recursive-errors=no"], &unit);
    assert!(text(&found).contains("ProtectHouse"), "a fault would be told");
}

#[test]
fn it_is_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let found = analyze(&["security", "--offline=yes", "--no-pager", "--threshold", EXPOSURE], &copy(folder.path()));
    assert!(found.status.success(), "{}", text(&found));
}
