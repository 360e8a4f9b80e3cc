//! Passwords, users and certificates.

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use ledger::{Bus as _, Fault, LinkState, Reader, RedisBus, RedisOptions, conformance::bus};

use crate::house::{CHANNEL, NEVER, Server, ledger, start, subscriber_is, until};

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || log.clone());
        tracing::subscriber::set_default(all.finish())
    }
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

fn file(server: &Server, name: &str, text: &str) -> PathBuf {
    let file = server.folder().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// Both sides try.
async fn use_both(bus: &RedisBus) -> Box<dyn ledger::Subscription> {
    bus.announce(ledger::Position { log_id: 1, seq: 1 });
    bus.subscribe().await.unwrap()
}

async fn both_are(bus: &RedisBus, state: LinkState) {
    until(bus, |s| (s.publisher.state, s.subscriber.state) == (state, state)).await;
}

/// A reader gets what is written.
async fn works(bus: &RedisBus) {
    let ledger = ledger().await;
    let store = ledger.store.clone();
    let head = store.open_writer().await.unwrap();
    let mut reader = Reader::follow(store.clone(), bus, head.position(), NEVER).await.unwrap();
    bus::write(&*store, bus, head, &[3, 2]).await;
    bus::read(&mut reader, 5).await;
}

#[tokio::test]
async fn a_wrong_password_is_shown_never_told_and_may_be_put_right() {
    const WRONG: &str = "wrong-secret-1";
    const RIGHT: &str = "right-secret-2";
    let log = Log::default();
    let _capture = log.capture();
    let server = Server::start(&["--requirepass", RIGHT]);
    let password = server.folder().join("password");
    let bus = start(RedisOptions { password_file: Some(password.clone()), ..server.options() });
    let _subscription = use_both(&bus).await;
    both_are(&bus, LinkState::Down(Fault::PasswordFile)).await;
    file(&server, "password", &format!("{WRONG}\n"));
    both_are(&bus, LinkState::Down(Fault::Credentials)).await;
    let shown = format!("{bus:?} {}", Fault::Credentials);
    file(&server, "password", &format!("{RIGHT}\n"));
    both_are(&bus, LinkState::Up).await;
    works(&bus).await;
    let told = log.text() + &shown;
    assert!(told.contains(&Fault::Credentials.to_string()), "{told}");
    assert!(!told.contains(WRONG) && !told.contains(RIGHT), "{told}");
}

#[tokio::test]
async fn without_a_password_where_one_is_needed() {
    let server = Server::start(&["--requirepass", "needed"]);
    let bus = server.bus();
    let _subscription = use_both(&bus).await;
    both_are(&bus, LinkState::Down(Fault::Credentials)).await;
}

#[tokio::test]
async fn a_user_who_may_use_its_channel_only() {
    let server = Server::start(&[]);
    // As the example configuration says.
    let rules = ["on", ">user-secret", "resetchannels", "-@all", "+hello", "+ping", "+publish", "+subscribe"];
    let channel = format!("&{CHANNEL}");
    let user: Vec<&str> = ["ACL", "SETUSER", "centre"].into_iter().chain(rules).chain([channel.as_str()]).collect();
    server.ask(&user);
    let options = RedisOptions {
        user: Some("centre".to_owned()),
        password_file: Some(file(&server, "password", "user-secret")),
        heartbeat: Duration::from_millis(5),
        silence: Duration::from_millis(5),
        ..server.options()
    };
    let bus = start(options.clone());
    works(&bus).await;
    until(&bus, |s| s.publisher.state == LinkState::Up).await;
    let elsewhere = start(RedisOptions { prefix: "other".to_owned(), ..options });
    let _subscription = use_both(&elsewhere).await;
    both_are(&elsewhere, LinkState::Down(Fault::Forbidden)).await;
    server.ask(&["ACL", "SETUSER", "centre", "&other:mjw:events"]);
    both_are(&elsewhere, LinkState::Up).await;
}

#[tokio::test]
async fn encrypted_and_only_to_a_trusted_server() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = put("cert.pem", params.self_signed(&key).unwrap().pem());
    let key = put("key.pem", key.serialize_pem());
    let text = |file: &PathBuf| file.display().to_string();
    let server = Server::start(&[
        "--tls-cert-file",
        &text(&certificate),
        "--tls-key-file",
        &text(&key),
        "--tls-ca-cert-file",
        &text(&certificate),
        "--tls-auth-clients",
        "no",
    ]);
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let ca_file = put("ca.pem", String::new());
    let bus = start(RedisOptions { ca_file: Some(ca_file.clone()), ..server.options() });
    let _subscription = use_both(&bus).await;
    both_are(&bus, LinkState::Down(Fault::CaFile)).await;
    std::fs::write(&ca_file, other).unwrap();
    both_are(&bus, LinkState::Down(Fault::Tls)).await;
    std::fs::copy(&certificate, &ca_file).unwrap();
    subscriber_is(&bus, LinkState::Up).await;
    works(&bus).await;
}
