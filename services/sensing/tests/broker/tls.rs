//! A broker elsewhere, reached by TLS: a real Mosquitto that shows a certificate, asks for ours, and asks for a login.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rumqttc::{TlsConfiguration, Transport};
use sensing::config::{External, Listen, Tls};
use tokio::process::{Child, Command};

use super::*;

/// An authority of the test's own.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes the certificate and the key of `name`, signed by `authority`.
pub(crate) fn certified(dir: &Path, file: &str, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(dir.join(format!("{file}.pem")), certificate.pem()).unwrap();
    std::fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}

/// A Mosquitto at 127.0.0.1 that ends with the test.
struct Elsewhere {
    _child: Child,
    port: u16,
}

async fn elsewhere(dir: &Path) -> Elsewhere {
    let right = authority();
    std::fs::write(dir.join("ca.pem"), right.pem()).unwrap();
    std::fs::write(dir.join("other.pem"), authority().pem()).unwrap();
    std::fs::write(dir.join("none.pem"), "no certificate").unwrap();
    std::fs::write(dir.join("password"), "铜钟-9\n").unwrap();
    std::fs::write(dir.join("wrong"), "another").unwrap();
    certified(dir, "broker", "127.0.0.1", &right);
    certified(dir, "centre", "centre", &right);
    let passwd = dir.join("passwd");
    let made = Command::new("mosquitto_passwd").args(["-c", "-b"]).arg(passwd).args(["centre", "铜钟-9"]).status();
    assert!(made.await.unwrap().success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = dir.join("elsewhere.conf");
    let folder = dir.display();
    let text = format!(
        "user root\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/passwd\n\
         cafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\nrequire_certificate true\n"
    );
    std::fs::write(&conf, text).unwrap();
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "mosquitto", "-c"])
        .arg(&conf)
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    Elsewhere { _child: child, port }
}

fn external(dir: &Path, port: u16) -> External {
    let file = |name: &str| dir.join(name);
    External {
        host: "127.0.0.1".to_owned(),
        port,
        user: Some("centre".to_owned()),
        password_file: Some(file("password")),
        tls: Some(Tls {
            ca_file: file("ca.pem"),
            cert_file: Some(file("centre.pem")),
            key_file: Some(file("centre.key")),
        }),
        plain: false,
    }
}

/// Starts sensing of its own against `external`.
async fn sensing(external: External) -> (tempfile::TempDir, Arc<Memory>, Running) {
    let (dir, intake) = (tempfile::tempdir().unwrap(), Memory::new());
    let config = Config { external: Some(external), ..Config::default() };
    let running = Running::begin(dir.path(), intake.clone(), 1, config).await;
    (dir, intake, running)
}

#[tokio::test]
async fn a_trusted_broker_elsewhere_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let broker = elsewhere(dir).await;
    let (_data, intake, running) = sensing(external(dir, broker.port)).await;
    running.until("connected", Status::ready).await;

    let mut options = MqttOptions::new("device", "127.0.0.1", broker.port);
    options.set_credentials("centre", "铜钟-9");
    let [ca, certificate, key] = ["ca.pem", "centre.pem", "centre.key"].map(|f| std::fs::read(dir.join(f)).unwrap());
    let client_auth = Some((certificate, key));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple { ca, alpn: None, client_auth }));
    // The client's own way to TLS takes the provider of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut device = Device::new(options);
    device.reading("smoke-0", 0.9).await;
    let seen = intake.until("an edge", |s| !edges(s).is_empty()).await;
    assert_eq!(edges(&seen), [("smoke-0".into(), true)]);
    let status = running.until("acknowledged", |s| s.counts.acked == 1).await;
    assert_eq!((status.port, status.counts.broker_starts), (None, 0), "no child was started");
    running.stop().await;
}

#[tokio::test]
async fn devices_elsewhere_reach_the_child_by_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let authority = authority();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    certified(dir, "broker", "127.0.0.1", &authority);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = Listen {
        address: ([127, 0, 0, 1], port).into(),
        cert_file: Some(dir.join("broker.pem")),
        key_file: Some(dir.join("broker.key")),
    };
    let intake = Memory::new();
    let config = Config { port: 0, listen: Some(listen), ..Config::default() };
    let running = Running::begin(dir, intake.clone(), 1, config).await;
    running.logins.send_replace(Some(Arc::default()));
    running.until("connected", Status::ready).await;

    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = std::fs::read(dir.join("ca.pem")).unwrap();
    let mut options = Device::options(dir, port, "device");
    let mut plain = Device::new(options.clone());
    let refused = tokio::time::timeout(PATIENCE, plain.events.poll()).await.unwrap();
    assert!(refused.is_err(), "without TLS: {refused:?}");
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple { ca, alpn: None, client_auth: None }));
    let mut device = Device::new(options.clone());
    device.reading("smoke-0", 0.9).await;
    let seen = intake.until("an edge", |s| !edges(s).is_empty()).await;
    assert_eq!(edges(&seen), [("smoke-0".into(), true)]);
    options.set_credentials(broker::DEVICE_USER, "wrong");
    let mut stranger = Device::new(options);
    let refused = tokio::time::timeout(PATIENCE, stranger.events.poll()).await.unwrap();
    assert!(matches!(refused, Err(rumqttc::ConnectionError::ConnectionRefused(_))), "{refused:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_file_that_is_put_right_needs_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let broker = elsewhere(dir).await;
    let later = dir.join("later");
    let late = External { password_file: Some(later.clone()), ..external(dir, broker.port) };
    let (_data, _, running) = sensing(late).await;
    let lost = |s: &Status| matches!(&s.broker, BrokerState::Lost(why) if why.contains("later: 无法读写"));
    running.until("told", lost).await;
    std::fs::write(later, "铜钟-9\n").unwrap();
    running.until("connected", Status::ready).await;
    running.stop().await;
}

#[tokio::test]
async fn a_listener_without_its_certificate_takes_nobody_else_down_and_comes_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let authority = authority();
    certified(dir, "broker", "127.0.0.1", &authority);
    certified(dir, "other", "127.0.0.1", &authority);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (address, key) = (([127, 0, 0, 1], port).into(), dir.join("listener.key"));
    std::fs::copy(dir.join("other.key"), &key).unwrap();
    let listen = Listen { address, cert_file: Some(dir.join("broker.pem")), key_file: Some(key.clone()) };
    let intake = Memory::new();
    let config = Config { port: 0, listen: Some(listen), ..Config::default() };
    let running = Running::begin(dir, intake.clone(), 2, config).await;
    running.logins.send_replace(Some(Arc::default()));
    // A key of another certificate: the devices on this machine are heard meanwhile.
    let connected = |s: &Status| s.broker == BrokerState::Connected && s.listener.is_some();
    let status = running.until("connected without the listener", connected).await;
    assert!(!status.ready() && status.listener.unwrap().contains("listener.key"));
    let mut near = Device::new(Device::options(dir, status.port.unwrap(), "near"));
    near.reading("smoke-0", 0.9).await;
    intake.until("an edge", |s| edges(s).len() == 1).await;

    std::fs::copy(dir.join("broker.key"), &key).unwrap();
    running.until("the listener is there", Status::ready).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = Device::options(dir, port, "far");
    let tls = TlsConfiguration::Simple { ca: authority.pem().into_bytes(), alpn: None, client_auth: None };
    options.set_transport(Transport::tls_with_config(tls));
    Device::new(options).reading("smoke-1", 0.9).await;
    intake.until("both", |s| edges(s).len() == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn a_broker_elsewhere_that_cannot_be_trusted_or_refuses_us_is_told_and_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let broker = elsewhere(dir).await;
    let good = external(dir, broker.port);
    let tls = good.tls.clone().unwrap();
    let with = |tls: Tls| External { tls: Some(tls), ..good.clone() };
    let wrong = [
        (with(Tls { ca_file: dir.join("other.pem"), ..tls.clone() }), "代理的证书不可信"),
        (External { host: "localhost".to_owned(), ..good.clone() }, "代理的证书不可信"),
        (with(Tls { cert_file: None, key_file: None, ..tls.clone() }), "CertificateRequired"),
        (External { password_file: Some(dir.join("wrong")), ..good.clone() }, "代理拒绝登录"),
        (with(Tls { ca_file: dir.join("none.pem"), ..tls.clone() }), "none.pem: 不是可用的证书"),
        (with(Tls { key_file: Some(dir.join("ca.pem")), ..tls.clone() }), "ca.pem: 不是可用的证书"),
        (External { password_file: Some(dir.join("missing")), ..good.clone() }, "missing: 无法读写"),
    ];
    for (external, words) in wrong {
        let (_data, _, running) = sensing(external).await;
        let told = |s: &Status| matches!(&s.broker, BrokerState::Lost(why) if why.contains(words));
        let status = running.until(words, told).await;
        assert!(status.since_ms > 1_700_000_000_000 && !status.ready(), "{status:?}");
        running.stop().await;
    }
    let (_data, _, running) = sensing(good).await;
    running.until("the same broker takes us when all is right", Status::ready).await;
    running.stop().await;
}
