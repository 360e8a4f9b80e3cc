//! The dashboard's files and the headers of every answer; health and devices.

use gateway::Config;
use ledger::{Reading, TelemetryBatch};
use serde_json::json;

use crate::house::{Ask, House, NOW, Plan};

#[tokio::test]
async fn pages_assets_and_headers() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("assets")).unwrap();
    std::fs::write(
        folder.path().join("index.html"),
        format!("<!doctype html><title>卯家湾</title>{}", " ".repeat(2_000)),
    )
    .unwrap();
    std::fs::write(folder.path().join("assets/app-1a2b.js"), "export {}").unwrap();
    let config = Config { dashboard: Some(folder.path().to_owned()), ..Config::default() };
    let house = House::with(Plan { config: Some(config), ..Plan::default() }).await;
    for path in ["/", "/wall", "/console", "/m", "/login", "/devices", "/m/tasks/7"] {
        let page = house.get(path, None).await;
        assert_eq!((page.status, page.header("cache-control")), (200, "no-store"), "{path}");
        assert!(page.text().contains("卯家湾"));
        let csp = page.header("content-security-policy");
        for part in
            ["default-src 'self'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(csp.contains(part), "{csp}");
        }
        assert!(!csp.contains("unsafe"));
        assert_eq!((page.header("x-content-type-options"), page.header("referrer-policy")), ("nosniff", "no-referrer"));
    }
    let asset = house.get("/assets/app-1a2b.js", None).await;
    assert_eq!((asset.status, asset.header("cache-control")), (200, "public, max-age=31536000, immutable"));
    assert!(asset.header("content-type").contains("javascript"));
    for path in ["/assets/gone.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/api/v2/x"] {
        assert_eq!(house.get(path, None).await.status, 404, "{path}");
    }
    let packed = house.call(Ask { headers: vec![("accept-encoding", "gzip")], ..Ask::new("GET", "/wall") }).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < 1_000);
}

/// The two values of a second each in every resolution, and what is chosen for how long a span.
async fn histories(house: &House, session: &str) {
    let of = async |query: &str| {
        let path = format!("/api/v1/devices/smoke-b1/history{query}");
        let answer = house.get(&path, Some(session)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let point = |at, min, mean, max, count| json!({"at": at, "min": min, "mean": mean, "max": max, "count": count});
    let raw = of("?resolution=raw").await;
    assert_eq!((&raw["resolution"], &raw["step"], &raw["unit"]), (&json!("raw"), &json!(null), &json!("dB/m")));
    assert_eq!((&raw["until"], &raw["from"]), (&json!(NOW + 1), &json!(NOW + 1 - 86_400_000)));
    let values = json!([point(NOW - 2_000, 0.02, 0.02, 0.02, 1), point(NOW - 1_000, 0.31, 0.31, 0.31, 1)]);
    assert_eq!((&raw["points"], &raw["more"]), (&values, &json!(false)));
    for (query, resolution, step) in [("", "minute", 60_000), ("?resolution=hour", "hour", 3_600_000)] {
        let found = of(query).await;
        assert_eq!((&found["resolution"], &found["step"]), (&json!(resolution), &json!(step)));
        let whole = found["points"].as_array().unwrap().iter().map(|p| p["count"].as_u64().unwrap()).sum::<u64>();
        let highest =
            found["points"].as_array().unwrap().iter().map(|p| p["max"].as_f64().unwrap()).fold(0.0, f64::max);
        assert_eq!((whole, highest), (2, 0.31));
        assert!(found["points"].as_array().unwrap().iter().all(|p| p["at"].as_i64().unwrap() % step == 0));
    }
    let chosen = async |hours: i64| of(&format!("?from={}", NOW + 1 - hours * 3_600_000)).await["resolution"].clone();
    assert_eq!(
        [chosen(2).await, chosen(3).await, chosen(48).await, chosen(49).await],
        ["raw", "minute", "minute", "hour"]
    );
    let path = "/api/v1/devices/smoke-b1/history?resolution=day";
    assert_eq!(house.get(path, Some(session)).await.status, 400);
}

/// A span with too many values for one answer is shown by the minute unless single values were asked for.
#[tokio::test]
async fn a_history_is_bounded() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let readings =
        (0..5_001_i64).map(|n| Reading { sensor: "smoke-b1".into(), at_ms: NOW - n, value: 0.1, unit: None });
    for readings in readings.collect::<Vec<_>>().chunks(ledger::limits::ROWS) {
        house
            .telemetry
            .commit(TelemetryBatch { readings: readings.to_vec(), ..TelemetryBatch::default() })
            .await
            .unwrap();
    }
    let of = async |query: &str| {
        let path = format!("/api/v1/devices/smoke-b1/history?from={}{query}", NOW - 6_000);
        let found = house.get(&path, Some(&session)).await.json();
        (found["resolution"].clone(), found["points"].as_array().unwrap().len(), found["more"].clone())
    };
    assert_eq!(of("&resolution=raw").await, (json!("raw"), 5_000, json!(true)));
    let (resolution, points, more) = of("").await;
    assert_eq!((resolution, more), (json!("minute"), json!(false)));
    assert!((1..=2).contains(&points));
}

#[tokio::test]
async fn health_figures_and_devices() {
    let house = House::new().await;
    assert_eq!(house.get("/healthz", None).await.status, 200);
    assert!(house.get("/metrics", None).await.text().contains("maojiawan_inputs_total"));
    let ready = house.get("/readyz", None).await.json();
    assert_eq!((&ready["ready"], &ready["dependencies"][0]["name"]), (&true.into(), &"store".into()));
    assert_eq!((&ready["dependencies"][1]["name"], &ready["dependencies"][1]["state"]), (&"feed".into(), &"up".into()));

    let session = house.log_in("duty").await;
    let reading = |at_ms, value| Reading { sensor: "smoke-b1".into(), at_ms, value, unit: None };
    let readings = vec![reading(NOW - 2_000, 0.02), reading(NOW - 1_000, 0.31)];
    house.telemetry.commit(TelemetryBatch { readings, ..TelemetryBatch::default() }).await.unwrap();
    let devices = house.get("/api/v1/devices", Some(&session)).await.json();
    assert_eq!(
        (&devices[0]["value"], &devices[0]["unit"], &devices[0]["online"]),
        (&0.31.into(), &"dB/m".into(), &serde_json::Value::Null)
    );
    histories(&house, &session).await;

    let (sensor, rule, state) = ("smoke-b1".to_owned(), "smoke".to_owned(), "{}".into());
    let rule_states = vec![
        ledger::RuleState { sensor: "smoke-b1".into(), rule: "other".into(), state: "{}".into(), held: None },
        ledger::RuleState { sensor, rule, state, held: Some((NOW - 60_000, 12)) },
    ];
    house.telemetry.commit(TelemetryBatch { rule_states, ..TelemetryBatch::default() }).await.unwrap();
    let chattering = house.get("/api/v1/devices/chattering", Some(&session)).await.json();
    assert_eq!(chattering, json!([{"sensor": "smoke-b1", "rule": "smoke", "since": NOW - 60_000, "turns": 12}]));

    let (first_ms, last_ms) = (NOW - 9_000, NOW - 1_000);
    let stranger = ledger::Stranger { device: "plug-9".into(), format: "tasmota".into(), first_ms, last_ms, count: 3 };
    let registered = ledger::Stranger { device: "smoke-b1".into(), ..stranger.clone() };
    let strangers = vec![stranger, registered];
    house.telemetry.commit(TelemetryBatch { strangers, ..TelemetryBatch::default() }).await.unwrap();
    let strangers = house.get("/api/v1/devices/strangers", Some(&session)).await.json();
    let shown = json!([{"device": "plug-9", "format": "tasmota", "first": first_ms, "last": last_ms, "count": 3}]);
    assert_eq!(strangers, shown);

    let incident = house.report(&session, "楼道有烟").await;
    house.push(&session, incident, "fire").await;
    house.clock.advance(190_000);
    let figures = house.get("/api/v1/figures", Some(&session)).await.json();
    // Red: pushed, and nobody has taken it within three minutes.
    assert_eq!((&figures["open"], &figures["overdue"], &figures["waiting"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&figures["longest_wait"], &figures["cameras"]), (&190_000.into(), &2.into()));
    assert_eq!(figures["cameras_online"], serde_json::Value::Null);
    let units = house.get("/api/v1/units", Some(&session)).await.json();
    assert_eq!((&units[0]["id"], &units[0]["live"], &units[0]["capacity"]), (&"fire".into(), &1.into(), &4.into()));
    let site = house.get("/api/v1/site", Some(&session)).await.json();
    assert_eq!((&site["buildings"][0]["number"], &site["cameras"][0]["at"][0]), (&1.into(), &10.0.into()));
}
