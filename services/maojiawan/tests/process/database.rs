//! A PostgreSQL that is gone, stands still or cannot be written, under the real centre: inputs are refused in words and in a
//! code, nothing is half done, and it is over by itself.

use domain::{event::Body, incident::IncidentEvent};
use ledger::{Log as _, Opened, Vault as _, limits, testing::postgres::PostgresServer};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    centre::Centre,
    support::{PASSWORD, write_password},
};

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Paused,
    ReadOnly,
    /// Commits wait for a standby that there is not: what is asked is on the disk, and not confirmed.
    Unconfirmed,
}

const FAULTS: [Fault; 4] = [Fault::Killed, Fault::Paused, Fault::ReadOnly, Fault::Unconfirmed];

impl Fault {
    fn strikes(self, server: &PostgresServer, runtime: &Runtime) {
        match self {
            Self::Killed => server.tell("KILL"),
            Self::Paused => server.tell("pause"),
            Self::ReadOnly => runtime.block_on(server.set("default_transaction_read_only", "on")),
            Self::Unconfirmed => runtime.block_on(server.set("synchronous_standby_names", "nobody")),
        }
    }

    fn is_over(self, server: &PostgresServer, runtime: &Runtime) {
        match self {
            Self::Killed => server.tell("start"),
            Self::Paused => server.tell("go"),
            Self::ReadOnly => runtime.block_on(server.set("default_transaction_read_only", "off")),
            Self::Unconfirmed => runtime.block_on(server.set("synchronous_standby_names", "")),
        }
    }

    /// What `/readyz` names, and a part of why.
    fn shows(self) -> (&'static str, &'static str) {
        match self {
            Self::Killed | Self::Paused => ("store", "PostgreSQL: ledger.unavailable"),
            Self::ReadOnly => ("writer", "the store is read-only"),
            Self::Unconfirmed => ("writer", "the store failed"),
        }
    }

    fn text(self) -> String {
        format!("灯不亮 {self:?}")
    }
}

/// It is a problem that passes, told to people and programs; its code.
fn code((answer, body): &(String, Value)) -> &str {
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let told = ["\r\ncontent-type: application/problem+json", "\r\nretry-after: "];
    assert!(told.iter().all(|header| answer.contains(header)), "{answer}");
    let words = match body["code"].as_str() {
        Some("unavailable") => "暂时无法保存，没有生效",
        Some("unknown") => "是否生效尚不清楚，请原样重试",
        _ => panic!("{answer}"),
    };
    assert_eq!(body["title"], words, "{answer}");
    body["code"].as_str().unwrap()
}

/// A report while the fault lasts, and again when it is over.
fn survive(centre: &Centre, cookie: &str, fault: Fault, server: &PostgresServer, runtime: &Runtime) {
    let report = |centre: &Centre| centre.report(cookie, &format!("while-{fault:?}"), &fault.text());
    fault.strikes(server, runtime);
    // Nobody is told that nothing took effect where that is not known.
    let unknown = matches!(fault, Fault::Unconfirmed);
    assert_eq!(code(&report(centre)), if unknown { "unknown" } else { "unavailable" }, "{fault:?}");
    let (name, why) = fault.shows();
    let (status, ready) = centre.ask("GET /readyz HTTP/1.1", "");
    let shown: Value = serde_json::from_str(&ready).unwrap();
    let shown = shown["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == name).unwrap();
    let told = shown["detail"].as_str().unwrap_or_default();
    assert!(status == 503 && shown["state"] == "down" && told.contains(why), "{fault:?}: {ready}");

    fault.is_over(server, runtime);
    let first = loop {
        let told = report(centre);
        if told.0.starts_with("HTTP/1.1 200 ") {
            break told.1;
        }
        code(&told);
        std::thread::yield_now();
    };
    assert_eq!(first["replayed"], unknown, "{fault:?}: it was taken when it is told so, and not before");
    let again = report(centre).1;
    assert_eq!((&again["replayed"], &again["refs"]), (&json!(true), &first["refs"]), "{fault:?}");
    assert_eq!(again["position"], first["position"], "{fault:?}");
    while centre.ask("GET /readyz HTTP/1.1", "").0 != 200 {
        std::thread::yield_now();
    }
}

/// The words of all reports in the log, which has no gaps.
async fn reports(store: &ledger::PostgresStore) -> Vec<String> {
    let (mut seq, mut texts) = (0, Vec::new());
    loop {
        let page = store.tail(seq, limits::PAGE).await.unwrap();
        if page.is_empty() {
            return texts;
        }
        for stored in page {
            assert_eq!(stored.seq, seq + 1, "the log has no gaps");
            seq = stored.seq;
            let e = &stored.event;
            if let Body::Incident(IncidentEvent::Reported { text: Some(text), .. }) =
                wire::event::decode(&e.kind, e.version, &e.payload).unwrap().body
            {
                match store.open(&[text.0]).await.unwrap().remove(0).1 {
                    Opened::Value { full, .. } => texts.push(full.text()),
                    other => panic!("the text of a report is {other:?}"),
                }
            }
        }
    }
}

#[test]
fn it_refuses_in_words_while_its_database_fails_and_goes_on_when_it_is_back() {
    let (server, folder, runtime) = (PostgresServer::start(), tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    write_password(folder.path());
    let centre = Centre::start_with(folder.path(), &format!("[ledger]\nurl = \"{}\"\n", server.url("postgres")));
    let cookie = centre.log_in("chief", PASSWORD);
    for fault in FAULTS {
        survive(&centre, &cookie, fault, &server, &runtime);
    }
    assert_eq!(centre.end("-TERM").0, Some(0));
    let options = server.options("maojiawan", &folder.path().join("centre-data"));
    let kept = runtime.block_on(async {
        let store = ledger::PostgresStore::open(&options).await.unwrap();
        let kept = reports(&store).await;
        store.close().await;
        kept
    });
    let told = FAULTS.map(Fault::text);
    assert_eq!(kept, told, "each is in the log once");
}
