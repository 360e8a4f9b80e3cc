//! Child processes: started, watched in `/proc`, ended by their id. Reading `/proc` blocks for microseconds.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// CPU time of each living thread of a process, nanoseconds; nothing when it is gone.
fn threads_ns(pid: u32) -> BTreeMap<String, u64> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return BTreeMap::new() };
    let of = |path: PathBuf| fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
    threads.flatten().filter_map(|t| Some((t.path().display().to_string(), of(t.path())?))).collect()
}

/// CPU time of some processes so far, seconds, of threads that ended too. Clock ticks are hundredths of a second.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    let of = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|s| ticks(&s)).unwrap_or(0);
    pids.iter().map(of).sum::<u64>() as f64 / 100.0
}

/// User and system time of a line of `/proc/<pid>/stat`; the name in it may hold blanks and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Memory that a process alone wrote, KiB: neither files nor what it shares.
pub(crate) fn anonymous_kib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|v| v.parse().ok()).unwrap_or(0.0)
}

/// Memory of some processes, MiB; what several share counts by its part for each.
pub(crate) fn own_mib(pids: &[u32]) -> f64 {
    let of = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0)
    };
    pids.iter().map(of).sum::<f64>() / 1024.0
}

/// Resident memory, MiB; what it shares with other processes counts in full.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Arguments of a process, joined by blanks.
pub(crate) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Direct children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    lists.flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// A port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A child that is killed when dropped.
pub(crate) struct Run {
    child: Child,
    pub(crate) pid: u32,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Run {
    /// Starts a program. Its standard output is read by [`Run::line`]; its errors go to ours.
    pub(crate) fn start(program: &str, args: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
        let pid = child.id().context("ended at once")?;
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        Ok(Self { child, pid, lines })
    }

    /// This program again, in another part.
    pub(crate) fn part(args: &[String]) -> anyhow::Result<Self> {
        Self::start(&std::env::current_exe()?.to_string_lossy(), args)
    }

    /// Reads until a line contains `words`; that line.
    pub(crate) async fn line(&mut self, words: &str, patience: Duration) -> anyhow::Result<String> {
        let lines = self.lines.as_mut().context("no output")?;
        let found = async {
            while let Some(line) = lines.next_line().await? {
                if line.contains(words) {
                    return Ok(line);
                }
            }
            bail!("ended before it said {words:?}")
        };
        tokio::time::timeout(patience, found).await.with_context(|| format!("did not say {words:?} in time"))?
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end and waits; kills it when it does not.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        // Nobody reads any more, and a full pipe must not hold the child up.
        drop(self.lines.take());
        Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await?;
        if tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// CPU and memory of some processes over a time.
pub(crate) struct Usage {
    /// Cores in use on average.
    pub(crate) cores: f64,
    /// Resident MiB at the end.
    pub(crate) mib: f64,
}

/// Watches groups of processes for `time`. A thread that ends meanwhile is left out: threads that end were idle.
pub(crate) async fn usage(groups: &[Vec<u32>], time: Duration) -> Vec<Usage> {
    type Threads = BTreeMap<String, u64>;
    let cpu = |group: &Vec<u32>| group.iter().flat_map(|p| threads_ns(*p)).collect::<Threads>();
    let (before, begun) = (groups.iter().map(cpu).collect::<Vec<_>>(), Instant::now());
    tokio::time::sleep(time).await;
    let (after, seconds) = (groups.iter().map(cpu).collect::<Vec<_>>(), begun.elapsed().as_secs_f64());
    let one = |((before, after), group): ((&Threads, Threads), &Vec<u32>)| {
        let since = |(thread, ns): (&String, &u64)| ns.saturating_sub(before.get(thread).copied().unwrap_or(0));
        Usage {
            cores: after.iter().map(since).sum::<u64>() as f64 / 1e9 / seconds,
            mib: group.iter().map(|p| resident_mib(*p)).sum(),
        }
    };
    before.iter().zip(after).zip(groups).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_behind_the_name() {
        assert_eq!(ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0"), Some(42));
        assert_eq!(ticks("7"), None);
    }

    #[test]
    fn the_own_process_is_seen() {
        let pid = std::process::id();
        assert!(resident_mib(pid) > 1.0 && own_mib(&[pid]) > 1.0 && command_line(pid).contains("bench"));
        let used = || threads_ns(pid).values().sum::<u64>();
        let (before, mut sum) = (used(), 0_u64);
        while used() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
