//! The order of what reaches the disk and what is answered, seen from outside: strace witnesses the real centre on SQLite
//! while people report and sensors measure.
//!
//! Each answer of success and each acknowledgement to the broker must begin after a sync of the write-ahead log that began
//! when the whole transaction was written in which that very input stands.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::BytesMut;
use ledger::testing::trace::{self, Call};
use rumqttc::mqttbytes::{self, v4::Packet};
use tokio::task::JoinSet;

use crate::{
    all, answered,
    broker::{Mosquitto, Tap},
    cluster::{Cluster as _, OneProcess},
    load::{Load, Tally},
    sensors, soon, until,
};

const LEDGER: &str = "ledger.db-wal";
const TELEMETRY: &str = "telemetry.db-wal";
const TELLERS: usize = 4;
const SENSORS: usize = 2;

/// What the centre did, and how much of it.
struct Witnessed {
    calls: Vec<Call>,
    reports: u64,
    /// Values of the sensors, which the centre acknowledged; no two are the same.
    values: Vec<f64>,
    /// What is in its log afterwards, of reports and of edges.
    kept: (Tally, (u64, u64, u64)),
}

/// Runs the centre under strace, with more options of it, until so many inputs of each kind are acknowledged.
async fn witnessed(options: &[&str], inputs: u64) -> Witnessed {
    let (folder, tap) = (tempfile::tempdir().unwrap(), Tap::new().await);
    let mut passing = JoinSet::new();
    passing.spawn(tap.clone().pass());
    let mut mosquitto = Mosquitto::new(folder.path(), tap.broker);
    mosquitto.start();
    let file = folder.path().join("trace");
    // The centre stays our child, and what traces it goes when it goes.
    let mut strace: Vec<String> = ["strace", "-D"].into_iter().chain(trace::OPTIONS).map(str::to_owned).collect();
    strace.extend(options.iter().map(|&option| option.to_owned()));
    strace.extend(["-o".to_owned(), file.to_str().unwrap().to_owned()]);
    let mut centre = OneProcess::start_in(folder, &tap.config(), &strace);

    let load = Arc::new(Load::begin(vec![centre.address()], TELLERS).await);
    let (mut tellers, mut devices) = (JoinSet::new(), JoinSet::new());
    for n in 0..TELLERS {
        tellers.spawn(load.clone().tell(n, Duration::ZERO));
    }
    let quiet = tokio::sync::watch::Sender::new(false);
    for sensor in sensors::paced(SENSORS, Duration::ZERO) {
        devices.spawn(sensors::measure(tap.clone(), sensor, quiet.subscribe()));
    }
    answered(&load, inputs, &mut tellers).await;
    let mut acknowledged = tap.acknowledged.subscribe();
    soon("sensors are acknowledged", acknowledged.wait_for(|all| all.len() as u64 >= inputs)).await.unwrap();
    quiet.send_replace(true);
    let told = all("sensors", devices).await;
    load.over.send_replace(true);
    all("senders", tellers).await;
    let running = centre.running.take().unwrap();
    let pid = running.0.id().to_string();
    assert!(running.end("TERM"), "it stops in order");
    let gone = |line: &str| line.ends_with("+++ exited with 0 +++") && line.split(' ').next() == Some(&pid);
    let whole = async || std::fs::read_to_string(&file).unwrap().lines().any(gone);
    until("the trace is whole", whole).await;
    let log = centre.log().await;
    Witnessed {
        calls: trace::read(&std::fs::read_to_string(&file).unwrap()),
        reports: load.acknowledged(),
        kept: (load.compare(&log), sensors::compare(&told, &log)),
        values: told.iter().flat_map(sensors::Told::values).collect(),
    }
}

/// Where `part` begins in `whole`.
fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    let (first, mut from) = (part.first()?, 0);
    loop {
        from += whole.get(from..)?.iter().position(|byte| byte == first)?;
        if whole.get(from..)?.starts_with(part) {
            return Some(from);
        }
        from += 1;
    }
}

/// Checks that what `mark` stands in was on the disk before `line`.
///
/// A write-ahead log is written as frames: 24 bytes of which the second four are 0 until the last frame of a transaction,
/// then a page.
fn check_durable(calls: &[Call], log: &str, mark: &[u8], line: usize) -> Result<(), String> {
    let log: Vec<&Call> = calls.iter().filter(|call| call.on.ends_with(log)).collect();
    let writes: Vec<&Call> = log.iter().copied().filter(|call| call.writes()).collect();
    let page = writes.iter().position(|call| find(&call.bytes, mark).is_some());
    let page = page.filter(|page| *page > 0).ok_or("was never written")?;
    let ends = |call: &Call| call.bytes.len() == 24 && call.bytes[4..8] != [0; 4];
    let last = (page - 1..writes.len()).find(|n| ends(writes[*n])).and_then(|head| writes.get(head + 1));
    let whole = last.ok_or("was never committed")?.over;
    let synced = log.iter().any(|call| call.syncs() && call.began > whole && call.before(line));
    if synced { Ok(()) } else { Err("was not synced before".to_owned()) }
}

/// Checks each answer of success to a request with a key; how many there were.
fn check_answers(calls: &[Call]) -> Result<u64, String> {
    let mut asked: HashMap<&str, String> = HashMap::new();
    let mut answers = 0;
    for call in calls {
        if call.name == "recvfrom" {
            let text = String::from_utf8_lossy(&call.bytes);
            if let Some(key) = text.lines().find_map(|l| l.strip_prefix("idempotency-key: ")) {
                asked.insert(&call.on, key.to_owned());
            }
        } else if call.writes()
            && call.bytes.starts_with(b"HTTP/1.1 2")
            && let Some(key) = asked.remove(call.on.as_str())
        {
            check_durable(calls, LEDGER, key.as_bytes(), call.began).map_err(|why| format!("report {key} {why}"))?;
            answers += 1;
        }
    }
    Ok(answers)
}

/// What passes on the socket to the broker, in order: line, by us, bytes.
fn to_and_from_broker(calls: &[Call]) -> Vec<(usize, bool, &[u8])> {
    let greets =
        |call: &&Call| call.writes() && call.bytes.first() == Some(&0x10) && find(&call.bytes, b"MQTT").is_some();
    let broker = &calls.iter().find(greets).expect("a connection to the broker").on;
    let passes = calls.iter().filter(|call| call.on == *broker && !call.bytes.is_empty());
    let mut passed: Vec<_> = passes
        .map(|call| {
            // What we send counts from when it begins, what we get when it is there.
            let ours = call.writes();
            (if ours { call.began } else { call.over }, ours, call.bytes.as_slice())
        })
        .collect();
    passed.sort_by_key(|(line, ..)| *line);
    passed
}

/// Checks each acknowledgement to the broker: telemetry holds the value, and the ledger the beginning of a condition. How
/// many there were, and how many such beginnings.
fn check_acknowledgements(calls: &[Call]) -> Result<(u64, u64), String> {
    let (mut to, mut from, mut sent) = (BytesMut::new(), BytesMut::new(), HashMap::new());
    let (mut acks, mut edges) = (0, 0);
    for (line, ours, bytes) in to_and_from_broker(calls) {
        let stream = if ours { &mut to } else { &mut from };
        stream.extend_from_slice(bytes);
        loop {
            match Packet::read(stream, 1 << 20) {
                Ok(Packet::Publish(publish)) => _ = sent.insert(publish.pkid, publish.payload),
                Ok(Packet::PubAck(ack)) => {
                    let payload: serde_json::Value = serde_json::from_slice(&sent[&ack.pkid]).unwrap();
                    let value = payload["v"].as_f64().unwrap();
                    let told = |what: &str, why| format!("{what} {value} {why}");
                    // A row of SQLite has the big end first, protobuf the small one.
                    check_durable(calls, TELEMETRY, &value.to_be_bytes(), line).map_err(|why| told("value", why))?;
                    if value > 0.5 {
                        check_durable(calls, LEDGER, &value.to_le_bytes(), line).map_err(|why| told("edge", why))?;
                        edges += 1;
                    }
                    acks += 1;
                }
                Ok(_) => {}
                Err(mqttbytes::Error::InsufficientBytes(_)) => break,
                Err(error) => panic!("no MQTT: {error}"),
            }
        }
    }
    Ok((acks, edges))
}

/// As if the file were never synced.
fn without_syncs(calls: &[Call], log: &str) -> Vec<Call> {
    calls.iter().filter(|call| !(call.syncs() && call.on.ends_with(log))).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_and_acknowledgement_follows_a_sync_of_what_it_is_about() {
    let Witnessed { calls, reports, values, kept: (tally, edges_kept) } = witnessed(&[], 40).await;
    assert_eq!(check_answers(&calls), Ok(reports));
    let raised = values.iter().filter(|v| **v > 0.5).count() as u64;
    let (acks, edges) = check_acknowledgements(&calls).unwrap();
    // One that was under way when a connection was made anew is acknowledged twice.
    assert!(acks >= values.len() as u64 && edges >= raised, "{acks} of {}, {edges} of {raised}", values.len());
    println!(
        "order: cycles 1, {reports} answers and {acks} acknowledgements, of which {edges} of edges, each after its sync; \
         inputs acknowledged {}, lost {}, doubled {}; edges acknowledged {}, lost {}, doubled {}",
        tally.acknowledged, tally.lost, tally.doubled, edges_kept.0, edges_kept.1, edges_kept.2,
    );
    assert_eq!((tally.acknowledged, tally.lost, tally.doubled), (reports, 0, 0));
    assert_eq!((edges_kept.0, edges_kept.1, edges_kept.2), (values.len() as u64, 0, 0));

    // The witness is no believer: of the same run without one of the syncs it says what is wrong.
    let broken = check_answers(&without_syncs(&calls, LEDGER)).unwrap_err();
    assert!(broken.starts_with("report ") && broken.ends_with("was not synced before"), "{broken}");
    let broken = check_acknowledgements(&without_syncs(&calls, LEDGER)).unwrap_err();
    assert!(broken.starts_with("edge 0.9") && broken.ends_with("was not synced before"), "{broken}");
    let broken = check_acknowledgements(&without_syncs(&calls, TELEMETRY)).unwrap_err();
    assert!(broken.starts_with("value 0.") && broken.ends_with("was not synced before"), "{broken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_whose_syncs_never_reach_the_kernel_is_found_out() {
    // As with `synchronous = OFF`: the centre goes on, and nothing is on the disk.
    let Witnessed { calls, .. } = witnessed(&["-e", "inject=fdatasync,fsync:retval=0"], 4).await;
    let broken = check_answers(&calls).unwrap_err();
    assert!(broken.starts_with("report ") && broken.ends_with("was not synced before"), "{broken}");
    let broken = check_acknowledgements(&calls).unwrap_err();
    assert!(broken.ends_with("was not synced before"), "{broken}");
}
