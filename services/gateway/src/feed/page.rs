//! Holds `docs/feed.md`, which clients are written from, against the code.

use wire::feed::{ClientMessage, ServerMessage, client_message, server_message};

use super::{
    close::Close,
    form::Form,
    porter::TICK,
    socket::{RETRY_EACH_MS, RETRY_MS},
    stream::Why,
};
use crate::config::{FEED_SEND_BUFFER, FEED_UNSENT, SEND_PATIENCE, SOCKET_MESSAGE};

const PAGE: &str = include_str!("../../../../docs/feed.md");
const PROTO: &str = include_str!("../../../../proto/feed.proto");

/// Cells of the table under the header row that begins so.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    let mut lines = PAGE.lines().skip_while(|l| !l.starts_with(&format!("| {header} |")));
    assert!(lines.next().is_some(), "{header}");
    let rows = lines.skip(1).take_while(|l| l.starts_with('|'));
    rows.map(|l| l.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn codes_and_reasons_are_those_of_the_code() {
    let told = Close::TOLD.map(|close| {
        let (code, reason) = close.frame().unwrap();
        vec![code.unwrap().to_string(), reason.to_owned()]
    });
    let written: Vec<_> = table("code").into_iter().map(|row| row[..2].to_vec()).collect();
    assert_eq!(written, told);
    let reasons: Vec<_> = table("reason of `Resync`").into_iter().map(|row| row[0]).collect();
    assert_eq!(reasons, Why::ALL.map(Why::name));
    let protocols: Vec<_> = table("subprotocol").into_iter().map(|row| row[0]).collect();
    assert_eq!(protocols, Form::ALL.map(Form::protocol));
}

#[test]
fn every_message_is_explained() {
    let body = |name: &str| PROTO.split_once(&format!("message {name} {{")).unwrap().1.split_once("  }").unwrap().0;
    for line in [body("ClientMessage"), body("ServerMessage")].into_iter().flat_map(str::lines) {
        if let Some((field, _)) = line.trim().split_once(" = ") {
            let (message, _) = field.split_once(' ').unwrap();
            assert!(PAGE.contains(&format!("`{message}`")), "{message}");
        }
    }
}

#[test]
fn bounds_are_those_of_the_code() {
    let bound = |what: &str| table("what").into_iter().find(|row| row[0].starts_with(what)).unwrap()[1];
    assert_eq!(bound("a client's message"), format!("{} KiB", SOCKET_MESSAGE >> 10));
    assert_eq!(bound("a client that takes nothing"), format!("{} s", SEND_PATIENCE.as_secs()));
    // The kernel doubles what it is asked for.
    let sent = format!("{} KiB, of which unsent {} KiB", FEED_SEND_BUFFER >> 9, FEED_UNSENT >> 10);
    assert_eq!(bound("bytes on their way"), sent);
    let lot = "from 0 up to 1 ms for each client that leaves, but up to 100 ms at least and 5,000 ms at most";
    assert!(PAGE.contains(lot) && (RETRY_EACH_MS, RETRY_MS) == (1, (100, 5_000)));
    assert!(PAGE.contains(&format!("up to {} ms apart", TICK.as_millis())));
    assert_eq!(bound("a gap beyond"), "1,000 events");
    assert_eq!(ledger::limits::PAGE, 1_000);
}

/// The examples are real messages, and a client that follows the page takes each of them.
#[test]
fn examples_join() {
    let (mut at, mut frames) = ((0, 0), 0);
    for line in PAGE.lines() {
        if let Some(said) = line.strip_prefix("→ ") {
            let message: ClientMessage = serde_json::from_str(said).unwrap();
            if let client_message::Kind::Hello(hello) = message.kind.unwrap() {
                assert_eq!((hello.log_id, hello.cursor), at);
            }
        } else if let Some(heard) = line.strip_prefix("← ") {
            let message: ServerMessage = serde_json::from_str(heard).unwrap();
            match message.kind.unwrap() {
                server_message::Kind::Snapshot(snapshot) => at = (snapshot.log_id, snapshot.seq),
                server_message::Kind::Frame(frame) => {
                    assert_eq!((frame.log_id, frame.after), at);
                    at.1 = frame.upto;
                    frames += 1;
                }
                server_message::Kind::Handover(handover) => assert_eq!((handover.log_id, handover.cursor), at),
                _ => {}
            }
        }
    }
    assert_eq!(frames, 3);
}
