//! A witness of system calls: what `strace` writes with [`OPTIONS`], read back.
//!
//! The order of lines is the order in which calls began and were over. A call that another thread interrupts has two.

use std::collections::HashMap;

/// How `strace` must run; `-o FILE`, more options and the program follow.
pub const OPTIONS: [&str; 8] = [
    "-f",
    "-y",
    "-q",
    "-xx",
    "-s",
    "65536",
    "-e",
    "trace=fdatasync,fsync,write,pwrite64,writev,pwritev,sendto,recvfrom",
];

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name, as `fdatasync`.
    pub name: String,
    /// What it works on: a path, `socket:[4711]`, `pipe:[12]`.
    pub on: String,
    /// What it carries.
    pub bytes: Vec<u8>,
    /// The line where it begins.
    pub began: usize,
    /// The line where it is over; the greatest number when it never was.
    pub over: usize,
    /// What it returned; `None` when it failed, or when strace kept it from the kernel.
    pub result: Option<u64>,
}

impl Call {
    /// Something is written.
    pub fn writes(&self) -> bool {
        self.name.starts_with("write") || self.name.starts_with("pwrite") || self.name == "sendto"
    }

    /// What is written comes to the disk, and has come there when it is over.
    pub fn syncs(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync") && self.result.is_some()
    }

    /// It was over before `line`.
    pub fn before(&self, line: usize) -> bool {
        self.over < line
    }
}

/// Reads a trace; calls come in the order in which they began.
pub fn read(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    // Those under way, with what of them is written.
    let mut begun: HashMap<&str, (usize, String)> = HashMap::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, call)) = text.trim_start().split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        if let Some(head) = call.strip_suffix(" <unfinished ...>") {
            if let Some(first) = parse(head, line, usize::MAX) {
                begun.insert(thread, (calls.len(), head.to_owned()));
                calls.push(first);
            }
        } else if let Some(rest) = call.strip_prefix("<... ") {
            let end = rest.split_once(" resumed>").map(|(_, end)| end);
            if let (Some((at, head)), Some(end)) = (begun.remove(thread), end)
                && let (Some(place), Some(whole)) = (calls.get_mut(at), parse(&(head + end), 0, line))
            {
                *place = Call { began: place.began, ..whole };
            }
        } else {
            calls.extend(parse(call, line, line));
        }
    }
    calls
}

fn parse(text: &str, began: usize, over: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    // `7<path>, …`: paths are escaped as strings are.
    let on = rest.split_once('<').filter(|(fd, _)| fd.bytes().all(|b| b.is_ascii_digit()));
    let on = on.and_then(|(_, path)| Some(path.split_once('>')?.0)).unwrap_or_default();
    let on = String::from_utf8_lossy(&unescaped(on)).into_owned();
    let result =
        rest.rsplit_once(" = ").and_then(|(_, result)| result.trim_end().parse().ok()).filter(|_| over != usize::MAX);
    let mut bytes: Vec<u8> = rest.split('"').skip(1).step_by(2).flat_map(unescaped).collect();
    if let Some(moved) = result.and_then(|n: u64| usize::try_from(n).ok()).filter(|_| !bytes.is_empty()) {
        bytes.truncate(moved);
    }
    Some(Call { name: name.to_owned(), on, bytes, began, over, result })
}

/// Each `\xHH` is a byte; what is not escaped stays.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|hex| hex.split_at_checked(2)).filter(|_| *first == b'\\');
        let byte = escaped.and_then(|(hex, after)| {
            let hex = std::str::from_utf8(hex).ok()?;
            Some((u8::from_str_radix(hex, 16).ok()?, after))
        });
        let (byte, after) = byte.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}
