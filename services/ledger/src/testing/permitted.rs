//! What not every machine permits a test: a disk of its own. Whoever goes without says so loudly.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests, compiled for the feature `testing` only")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
};

/// Whether this process is root's.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A test cannot do `what`, as `said`. It goes without only where a permission is missing, and never in CI (`CI=true`).
///
/// # Panics
/// Anywhere else.
#[allow(clippy::disallowed_methods, reason = "where a test runs is said by its environment")]
pub fn skip(what: &str, said: &str) {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let permission = ["not permitted", "ermission denied", "superuser"].iter().any(|words| said.contains(words));
    assert!(!ci && (permission || !is_root()), "{what} is not possible, so it was NOT tested: {said}");
    eprintln!("SKIPPED 已跳过: {what} is not permitted here, so it was NOT tested: {said}");
}

/// Mounts a small disk, runs the rest in its place, and ends with its parent.
const ON_SMALL_DISK: &str = r#"
mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 77
shift 2
exec setpriv --pdeathsig KILL -- "$@"
"#;

/// Runs `program` where `folder` is a disk of `size` (as `8m`) in memory, which is gone afterwards. `None` = [`skip`].
pub fn on_small_disk(folder: &Path, size: &str, program: &Command) -> Option<Output> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", ON_SMALL_DISK, "sh", size]).arg(folder);
    command.arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("unshare of util-linux");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) || said.contains("unshare failed") {
        skip("a small disk", &said);
        return None;
    }
    Some(output)
}
