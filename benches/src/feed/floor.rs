//! What this machine itself takes: a bare `send` on loopback, and a bare fdatasync.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use super::SIZE;
use crate::{
    results::Figure,
    stats::{Histogram, median},
};

const TIME: Duration = Duration::from_secs(2);

/// CPU of one thread so far, seconds; it must be the calling one's.
fn thread_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// CPU of one `send` of an event to one of so many sockets, in turn, as a frame a write has it. Somebody reads them.
pub(super) fn send(clients: usize, rounds: usize) -> anyhow::Result<Figure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..clients {
        theirs.push(TcpStream::connect(address)?);
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        ours.push(stream);
    }
    let event = vec![7; SIZE];
    let reader = std::thread::spawn(move || read(theirs));
    let mut each = Vec::new();
    for _ in 0..rounds {
        let (begun, before, mut sent) = (Instant::now(), thread_cpu(), 0_u64);
        while begun.elapsed() < TIME {
            for stream in &mut ours {
                stream.write_all(&event)?;
            }
            sent += ours.len() as u64;
        }
        each.push((thread_cpu() - before) * 1e6 / sent as f64);
    }
    drop(ours);
    let _ = reader.join();
    let what =
        format!("A bare loop of `send` of {SIZE} B to {clients} loopback sockets, which no server can undercut: CPU");
    println!("  {what}: {:.2} µs each", median(&each));
    Ok(Figure::new("G2.floor", what, median(&each), "µs a send"))
}

/// Reads all sockets in turn until they end.
fn read(mut streams: Vec<TcpStream>) {
    let mut buffer = vec![0; 64 << 10];
    while !streams.is_empty() {
        streams.retain_mut(|stream| stream.read(&mut buffer).is_ok_and(|n| n > 0));
    }
}

/// One page written and on disk, again and again, p50 and p99.
pub(super) fn fsync(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut file = std::fs::File::create(folder.join("fsync"))?;
    let (mut latency, begun, page) = (Histogram::default(), Instant::now(), [7; 4_096]);
    while begun.elapsed() < TIME {
        let asked = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        latency.add(asked.elapsed());
    }
    let what = "A bare write and fdatasync of 4 KiB where the databases are";
    println!("  {what}: p50 {:.2} ms, p99 {:.2} ms", latency.ms(0.5), latency.ms(0.99));
    Ok(vec![
        Figure::new("G5.fsync", format!("{what}, p50"), latency.ms(0.5), "ms"),
        Figure::new("G5.fsync.p99", format!("{what}, p99"), latency.ms(0.99), "ms"),
    ])
}
