//! Where the CPU of a process goes: `perf` samples while a load runs, summed by what the time was spent for. A sample in
//! the kernel counts for the call that led there, one in the process for the function that it hit.
//!
//! Sampling disturbs what is measured, so it happens in turns of its own. Without `perf` there is no profile, and no error.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{centre::Folder, results::Figure};

/// Samples a second and CPU; no divisor of what else ticks.
const HERTZ: &str = "997";
/// Names of functions that a row of the table has.
const TOP: usize = 4;

/// What a sample counts for, by words in the names of its frames; the first that fits. Files are written by `pwrite`, so
/// that `writev` is for sockets.
const KERNEL: [(&str, &[&str]); 9] = [
    ("kernel: waking readers of sockets", &["sock_def_readable", "ep_poll_callback"]),
    ("kernel: TCP send path", &["tcp_sendmsg", "sock_write_iter", "__sys_sendto", "____sys_sendmsg", "writev"]),
    ("kernel: TCP receive", &["tcp_recvmsg", "sock_read_iter", "__sys_recvfrom", "inet_recvmsg"]),
    ("kernel: waking and parking threads", &["futex", "eventfd"]),
    ("kernel: waiting for sockets", &["epoll", "ep_poll"]),
    ("kernel: fsync", &["fsync", "fdatasync", "sync_file", "file_write_and_wait"]),
    ("kernel: files", &["vfs_", "ksys_", "pwrite", "pread", "fcntl", "lseek"]),
    ("kernel: scheduling", &["schedule", "finish_task_switch"]),
    ("kernel: page faults", &["page_fault"]),
];
const OWN: [(&str, &[&str]); 9] = [
    (
        "allocator",
        &["_rjem_", "malloc", "calloc", "realloc", "cfree", "_int_free", "tcache", "munmap_chunk", "unlink_chunk"],
    ),
    ("Redis client", &["redis"]),
    ("copying memory", &["memcpy", "memmove", "memset", "memcmp"]),
    ("encoding", &["prost", "wire::", "serde"]),
    ("our feed: porters, rings, sockets", &["gateway::", "tungstenite"]),
    ("our writer", &["dispatch::", "domain::"]),
    ("our ledger", &["ledger::", "sqlx"]),
    ("tokio", &["tokio", "mio::", "parking_lot", "futures"]),
    ("hashing and seals", &["sha2", "hmac", "chacha", "ring_core"]),
];

/// A running `perf record`.
pub(crate) struct Sampling {
    perf: Child,
    folder: Folder,
}

impl Sampling {
    /// Samples processes for `time`; `None` where that is not possible.
    pub(crate) fn start(pids: &[u32], time: Duration) -> Option<Self> {
        let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let folder = Folder::new(&format!("perf-{pids}")).ok()?;
        let file = folder.0.join("perf.data");
        let args = ["record", "-q", "-e", "cpu-clock", "-F", HERTZ, "-g", "-p", &pids, "-o"];
        let mut perf = Command::new("perf");
        perf.args(args).arg(&file).args(["--", "sleep", &time.as_secs_f64().to_string()]);
        match perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(perf) => Some(Self { perf, folder }),
            Err(error) => {
                println!("  no profile, perf cannot be started: {error}");
                None
            }
        }
    }

    /// Waits for the end of the time; shares by group, under ids `P.<target>.…`. Blocks.
    pub(crate) fn figures(mut self, target: &str, what: &str) -> Vec<Figure> {
        let done = self.perf.wait().is_ok_and(|s| s.success());
        let text = if done { script(&self.folder.0.join("perf.data")) } else { None };
        let Some(text) = text else {
            println!("  no profile of {target}: perf does not work here");
            return Vec::new();
        };
        let figures = shares(target, what, &text);
        figures.iter().for_each(|f| println!("  {:>5} %  {}", f.value, f.what));
        figures
    }
}

fn script(file: &Path) -> Option<String> {
    let mut perf = Command::new("perf");
    perf.args(["script", "-F", "tid,ip,sym,dso", "--no-inline", "-i"]).arg(file).stderr(Stdio::null());
    let output = perf.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A frame `address name (object)`: name and object.
fn frame(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (name, object) = rest.rsplit_once(" (")?;
    Some((name, object.trim_end_matches(')')))
}

fn has(name: &str, words: &[&str]) -> bool {
    words.iter().any(|w| name.contains(w))
}

/// The group of a sample, innermost frame first.
fn group(frames: &[(&str, &str)]) -> &'static str {
    let Some((name, object)) = frames.first() else { return "unknown" };
    let kernel: Vec<&str> = frames.iter().take_while(|f| f.1.contains("kernel")).map(|f| f.0).collect();
    if !kernel.is_empty() {
        let found = KERNEL.iter().find(|(_, words)| kernel.iter().any(|name| has(name, words)));
        return found.map_or("kernel: else", |g| g.0);
    }
    if let Some(found) = OWN.iter().find(|(_, words)| has(name, words)) {
        return found.0;
    }
    // Names of Rust have paths, those of the SQLite that is linked in have not.
    match object.rsplit('/').next() {
        Some(object) if object.contains("libc") || object.contains("vdso") => "C library",
        Some("postgres") => "PostgreSQL",
        _ if name.contains("::") => "Rust's library and else",
        _ if *name == "[unknown]" => "unknown",
        _ => "SQLite",
    }
}

fn shares(target: &str, what: &str, script: &str) -> Vec<Figure> {
    let mut groups: BTreeMap<&str, (u64, BTreeMap<&str, u64>)> = BTreeMap::new();
    let mut all = 0_u64;
    for sample in script.split("\n\n") {
        let frames: Vec<_> = sample.lines().skip(1).filter_map(frame).collect();
        let Some((name, _)) = frames.first() else { continue };
        let (count, names) = groups.entry(group(&frames)).or_default();
        (*count, all) = (*count + 1, all + 1);
        *names.entry(name).or_default() += 1;
    }
    let share = |n: u64| 100.0 * n as f64 / all.max(1) as f64;
    let figure = |(name, (count, names)): (&str, (u64, BTreeMap<&str, u64>))| {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|n| std::cmp::Reverse(n.1));
        let top = names.iter().take(TOP).map(|(n, c)| format!("`{}` {:.1}", short(n), share(*c)));
        let what = format!("{what}|{name}|{}", top.collect::<Vec<_>>().join(", "));
        Figure::new(&format!("P.{target}.{}", slug(name)), what, share(count), "%")
    };
    groups.into_iter().map(figure).filter(|f| f.value >= 0.5).collect()
}

fn slug(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric() || *c == ' ');
    letters.collect::<String>().to_lowercase().replace(' ', "-")
}

/// A name without type parameters and hashes, so that the table stays readable.
fn short(name: &str) -> String {
    let (mut depth, mut out) = (0_usize, String::new());
    let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |n| n.0);
    for (i, c) in name.char_indices() {
        match c {
            '<' if i > 0 => depth += 1,
            '>' if depth > 0 && !name[..i].ends_with('-') => depth -= 1,
            '|' | '`' => {}
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.chars().take(72).collect()
}

/// Whether a figure is a row of a profile.
pub(crate) fn is_part(figure: &Figure) -> bool {
    figure.id.starts_with("P.")
}

/// A table for each target that has a profile.
pub(crate) fn tables(all: &[Figure]) -> String {
    let mut by_target: BTreeMap<&str, Vec<&Figure>> = BTreeMap::new();
    for figure in all.iter().filter(|f| is_part(f)) {
        by_target.entry(figure.id.split('.').nth(1).unwrap_or_default()).or_default().push(figure);
    }
    let mut text = String::new();
    for (target, mut rows) in by_target {
        rows.sort_by(|a, b| b.value.total_cmp(&a.value));
        let what = rows[0].what.split('|').next().unwrap_or_default();
        let _ = write!(text, "\n## Profile of {target}: {what}\n\n| % of CPU | for | in |\n|---|---|---|\n");
        for row in rows {
            let mut parts = row.what.split('|').skip(1);
            let (name, top) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let _ = writeln!(text, "| {} | {name} | {top} |", row.value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "7 \n\tffffffff81 __wake_up ([kernel.kallsyms])\n\tffffffff82 sock_def_readable ([kernel.kallsyms])\n\
                          \tffffffff83 tcp_sendmsg ([kernel.kallsyms])\n\t9 __send (/usr/lib/libc.so.6)\n\n\
                          7 \n\tffffffff81 tcp_write_xmit ([kernel.kallsyms])\n\tffffffff83 tcp_sendmsg_locked ([kernel.kallsyms])\n\n\
                          8 \n\t55 sqlite3VdbeExec (/x/bench)\n\n8 \n\t56 malloc (/usr/lib/libc.so.6)\n\n\
                          9 \n\t57 <gateway::feed::Porter<T> as core::Future>::poll::h0123456789abcdef (/x/bench)\n\n";

    #[test]
    fn samples_count_for_what_they_were_spent() {
        let all = shares("G2", "a load", SCRIPT);
        let ids: Vec<_> = all.iter().map(|f| (f.id.as_str(), f.value)).collect();
        assert_eq!(
            ids,
            [
                ("P.G2.sqlite", 20.0),
                ("P.G2.allocator", 20.0),
                ("P.G2.kernel-tcp-send-path", 20.0),
                ("P.G2.kernel-waking-readers-of-sockets", 20.0),
                ("P.G2.our-feed-porters-rings-sockets", 20.0),
            ]
        );
        let text = tables(&all);
        assert!(
            text.contains("## Profile of G2: a load\n") && text.contains("| 20 | SQLite | `sqlite3VdbeExec` 20.0 |")
        );
    }

    #[test]
    fn names_are_short() {
        assert_eq!(
            short("core::ptr::drop_in_place<alloc::vec::Vec<u8>>::h0123456789abcdef"),
            "core::ptr::drop_in_place"
        );
        assert_eq!(short("<a::B<C> as d::E>::f"), "<a::B as d::E>::f");
    }
}
