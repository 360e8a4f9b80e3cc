//! What a delivery to many screens costs: the gateway with its ledger and writer in this process, the clients in a child.
//! `cargo run -p gateway --example fanout -- [clients]` prints CPU µs a delivery at 200 events/s and deliveries/s when
//! the source keeps 64 events ahead of the slowest client. Not a comparison: that is `make bench`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, dead_code)]

#[path = "../tests/gateway/house.rs"]
mod house;
#[path = "../tests/gateway/site.rs"]
mod site;

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use domain::{
    event::Mode,
    ids::IncidentId,
    input::{Actor, Command, Input},
};
use futures::{SinkExt, future::join_all};
use house::{House, hello};
use link::intake::Submission;
use prost::{Message as _, encoding::decode_varint};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use wire::feed;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match args.get(1).map(String::as_str) {
        Some("child") => runtime.block_on(child(&args[2], &args[3], args[4].parse().unwrap())),
        count => runtime.block_on(parent(count.map_or(1_000, |c| c.parse().unwrap()))),
    }
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|f| f.parse().unwrap()).collect();
    (fields[0] + fields[1]) / 100.0
}

fn memory_kb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn note(house: &House, incident: u64) -> u64 {
    let command = Command::Note { incident: IncidentId(incident), text: "记一笔".to_owned() };
    let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
    house.intake.submit(Submission::keyless(input)).await.unwrap().position.seq
}

async fn paced(house: &House, incident: u64, seconds: u32) -> u64 {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..seconds * 200 {
        tick.tick().await;
        note(house, incident).await;
    }
    u64::from(seconds * 200)
}

async fn parent(count: u64) {
    let house = House::new().await;
    let session = house.log_in("dispatch").await;
    let incident = house.report(&session, "楼道有烟").await;
    let begun = cpu();
    let sent = paced(&house, incident, 5).await;
    let alone = (cpu() - begun) / sent as f64;
    println!("without clients: {:.1} µs CPU an event", alone * 1e6);

    let before = memory_kb();
    let mut command = process::Command::new(std::env::current_exe().unwrap());
    command.args(["child", &house.address, &session, &count.to_string()]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let slowest = Arc::new(AtomicU64::new(0));
    let told = slowest.clone();
    lines.next_line().await.unwrap().unwrap();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            told.store(line.parse().unwrap(), Relaxed);
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("{count} clients: {:.1} KB a client", (memory_kb() - before) / count as f64);

    let (begun, began) = (cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("idle: {:.2} % CPU", (cpu() - begun) / began.elapsed().as_secs_f64() * 100.0);

    let begun = cpu();
    let sent = paced(&house, incident, 10).await;
    let spent = cpu() - begun - alone * sent as f64;
    println!("200 ev/s: {:.2} µs CPU a delivery", spent / (sent * count) as f64 * 1e6);

    let (begun, began, first) = (cpu(), Instant::now(), slowest.load(Relaxed));
    let mut last = first;
    while began.elapsed() < Duration::from_secs(10) {
        if slowest.load(Relaxed) + 64 > last {
            let room = (slowest.load(Relaxed) + 64 - last).min(64);
            last = join_all((0..room).map(|_| note(&house, incident))).await.into_iter().max().unwrap_or(last);
        } else {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    let delivered = (slowest.load(Relaxed) - first) * count;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "window 64: {:.2} M deliveries/s, {:.2} µs CPU a delivery (writer included)",
        delivered as f64 / seconds / 1e6,
        (cpu() - begun) / delivered as f64 * 1e6
    );
    running.kill().await.unwrap();
}

async fn child(address: &str, session: &str, count: usize) {
    let cursors: Arc<Vec<AtomicU64>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
    for index in 0..count {
        let stream = connect(address, session).await;
        tokio::spawn(client(stream, cursors.clone(), index));
    }
    println!("open");
    loop {
        let least = cursors.iter().map(|c| c.load(Relaxed)).min().unwrap();
        println!("{least}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn connect(address: &str, session: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("ws://{address}/api/v1/feed").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", format!("http://{address}").parse().unwrap());
    headers.insert("cookie", format!("mjw_session={session}").parse().unwrap());
    headers.insert("sec-websocket-protocol", "maojiawan.feed.v1".parse().unwrap());
    let (mut ws, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let message = feed::ClientMessage { kind: Some(feed::client_message::Kind::Hello(hello(0, 0, false))) };
    ws.send(Message::Binary(message.encode_to_vec().into())).await.unwrap();
    // The server speaks after this message only.
    ws.into_inner()
}

/// Reads frames and keeps where they end; looks no further into them.
async fn client(mut stream: TcpStream, cursors: Arc<Vec<AtomicU64>>, index: usize) {
    let (mut buffer, mut filled) = (vec![0; 64 << 10], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "closed");
        filled += read;
        let mut at = 0;
        while let Some((head, len)) = header(&buffer[at..filled]) {
            if at + head + len > filled {
                if head + len > buffer.len() {
                    buffer.resize(head + len, 0);
                }
                break;
            }
            if let Some(upto) = upto(&buffer[at + head..at + head + len], cursors[index].load(Relaxed)) {
                cursors[index].store(upto, Relaxed);
            }
            at += head + len;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? & 127 {
        126 => Some((4, u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()).into())),
        127 => Some((10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()).try_into().unwrap())),
        len => Some((2, len.into())),
    }
}

/// Where a frame or a snapshot ends; frames must join.
fn upto(mut message: &[u8], cursor: u64) -> Option<u64> {
    let kind = message[0];
    if kind == 1 << 3 | 2 {
        let Some(feed::server_message::Kind::Snapshot(s)) = feed::ServerMessage::decode(message).unwrap().kind else {
            panic!()
        };
        return Some(s.seq);
    }
    if kind == 4 << 3 | 2 {
        panic!("resync");
    }
    if kind != 2 << 3 | 2 {
        return None;
    }
    message = &message[1..];
    decode_varint(&mut message).unwrap();
    assert_eq!(message[0], 2 << 3);
    message = &message[1..];
    assert_eq!(decode_varint(&mut message).unwrap(), cursor, "frames join");
    assert_eq!(message[0], 1 << 3);
    message = &message[1..];
    decode_varint(&mut message).unwrap();
    assert_eq!(message[0], 3 << 3);
    message = &message[1..];
    decode_varint(&mut message).ok()
}
