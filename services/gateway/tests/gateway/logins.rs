//! Passwords of devices: issued once, listed without the secret, taken back.

use domain::ids::DeviceId;
use ledger::Opened;
use serde_json::{Value, json};

use crate::house::{Answer, Ask, House, NOW, Plan};

async fn ask(house: &House, method: &'static str, session: &str, device: &str, key: &str, body: Value) -> Answer {
    let path = format!("/api/v1/devices/{device}/credential");
    let body = if method == "DELETE" { String::new() } else { body.to_string() };
    house.call(Ask { session: Some(session), key: Some(key), body: body.into(), ..Ask::new(method, &path) }).await
}

async fn listed(house: &House, session: &str) -> Value {
    house.get("/api/v1/devices/credentials", Some(session)).await.json()
}

/// The stored hash of a device.
async fn hash_of(house: &House, device: &str) -> String {
    let row = house.store.document("credential", device).await.unwrap().unwrap();
    let mut state = domain::State::default();
    wire::document::load(&mut state, "credential", device, &row.payload).unwrap();
    let id = state.credentials[&DeviceId::new(device)].hash.unwrap();
    match &house.store.open(&[id.0]).await.unwrap()[0].1 {
        Opened::Value { full, masked } => {
            assert_eq!(masked.text(), "", "nothing of it is shown anywhere");
            full.text()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_password_is_shown_once_and_only_its_hash_is_kept() {
    let house = House::new().await;
    let (chief, duty) = (house.log_in("chief").await, house.log_in("duty").await);
    assert_eq!(listed(&house, &duty).await, json!([]));
    let before = house.store.head().await.unwrap().seq;

    let first = ask(&house, "POST", &chief, "smoke-b1", "k1", json!({})).await;
    assert_eq!((first.status, first.header("cache-control")), (200, "no-store"), "{}", first.text());
    let issued = first.json();
    let password = issued["password"].as_str().unwrap().to_owned();
    assert!(password.len() >= 20 && issued["user"] == "smoke-b1" && issued["replayed"] == false, "{issued}");
    let hash = hash_of(&house, "smoke-b1").await;
    assert!(domain::device::is_hash(&hash), "{hash}");

    // A repetition issues nothing and shows nothing; another request under the key is refused.
    let again = ask(&house, "POST", &chief, "smoke-b1", "k1", json!({})).await.json();
    assert_eq!((&again["replayed"], &again["password"]), (&json!(true), &Value::Null));
    assert_eq!(again["position"], issued["position"]);
    let other = ask(&house, "POST", &chief, "hub", "k1", json!({"gateway": "thingsboard"})).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"));
    assert_eq!(hash_of(&house, "smoke-b1").await, hash);

    // The log tells what happened and by whom, and holds neither password nor hash.
    let events = house.store.tail(before, 100).await.unwrap();
    assert_eq!(events.iter().map(|e| e.event.kind.as_str()).collect::<Vec<_>>(), ["device_credential_issued"]);
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    let row = house.store.document("credential", "smoke-b1").await.unwrap().unwrap();
    for bytes in [&events[0].event.payload, &row.payload] {
        assert!(!holds(bytes, &password) && !holds(bytes, &hash) && holds(bytes, "chief"));
    }
    let shown = |active| json!([{"device": "smoke-b1", "gateway": null, "behind": [], "active": active, "since": NOW, "by": "chief"}]);
    house.seen(events[0].seq).await;
    assert_eq!(listed(&house, &duty).await, shown(true));

    // Another one replaces it.
    let next = ask(&house, "POST", &chief, "smoke-b1", "k2", json!({})).await.json();
    assert_ne!(next["password"], json!(password));
    assert_ne!(hash_of(&house, "smoke-b1").await, hash);

    let gone = ask(&house, "DELETE", &chief, "smoke-b1", "k3", json!(null)).await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let repeated = ask(&house, "DELETE", &chief, "smoke-b1", "k3", json!(null)).await.json();
    assert_eq!(repeated["replayed"], true);
    let none = ask(&house, "DELETE", &chief, "smoke-b1", "k4", json!(null)).await;
    assert_eq!((none.status, none.code().as_str()), (404, "no_credential"));
    house.seen(gone.json()["position"]["seq"].as_u64().unwrap()).await;
    assert_eq!(listed(&house, &duty).await, shown(false));
}

#[tokio::test]
async fn only_chiefs_issue_and_names_must_fit() {
    let house = House::new().await;
    let chief = house.log_in("chief").await;
    let head = house.store.head().await.unwrap();
    for account in ["duty", "dispatch", "fire1", "grid1", "wall"] {
        let session = house.log_in(account).await;
        for method in ["POST", "DELETE"] {
            let answer = ask(&house, method, &session, "smoke-b1", "k", json!({})).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{account} {method}");
        }
        let list = house.get("/api/v1/devices/credentials", Some(&session)).await.status;
        assert_eq!(list, if matches!(account, "duty" | "dispatch") { 200 } else { 403 }, "{account}");
    }
    let cases = [
        ("ghost", json!({}), 404, "no_device", None),
        ("smoke-b1", json!({"gateway": "mjw", "behind": ["smoke-b1"]}), 409, "device_taken", None),
        ("hub", json!({"gateway": "mjw"}), 422, "no_device", Some("behind")),
        ("hub", json!({"gateway": "zigbee2mqtt", "behind": ["ghost"]}), 422, "no_device", Some("behind")),
        ("hub", json!({"gateway": "thingsboard", "behind": ["smoke-b1"]}), 422, "no_device", Some("behind")),
        ("hub", json!({"gateway": "mjw", "behind": vec!["smoke-b1"; 1_001]}), 422, "too_many", Some("behind")),
        ("centre", json!({"gateway": "thingsboard"}), 409, "bad_device", None),
        ("a%20b", json!({"gateway": "thingsboard"}), 409, "bad_device", None),
        ("a%0Auser%20x", json!({"gateway": "thingsboard"}), 409, "bad_device", None),
        ("hub", json!({"gateway": "pigeon"}), 422, "bad_field", Some("gateway")),
    ];
    for (device, body, status, code, field) in cases {
        let answer = ask(&house, "POST", &chief, device, "k", body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{device} {body}: {}", answer.text());
        assert_eq!(answer.json()["field"].as_str(), field, "{device} {body}");
    }
    let unkeyed = Ask { session: Some(&chief), ..Ask::new("DELETE", "/api/v1/devices/smoke-b1/credential") };
    assert_eq!(house.call(unkeyed).await.code(), "key_missing");
    assert_eq!(house.store.head().await.unwrap(), head, "nothing happened");

    let hub = ask(&house, "POST", &chief, "hub", "k", json!({"gateway": "mjw", "behind": ["smoke-b1"]})).await;
    assert_eq!(hub.status, 200, "{}", hub.text());
    house.seen(hub.json()["position"]["seq"].as_u64().unwrap()).await;
    let list = listed(&house, &chief).await;
    assert_eq!((&list[0]["gateway"], &list[0]["behind"]), (&json!("mjw"), &json!(["smoke-b1"])));
}

#[tokio::test]
async fn a_broker_elsewhere_has_passwords_of_its_own() {
    let house = House::with(Plan { broker_elsewhere: true, ..Plan::default() }).await;
    let chief = house.log_in("chief").await;
    let answer = ask(&house, "POST", &chief, "smoke-b1", "k", json!({})).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "no_broker"));
}
