//! The dashboard's files and the headers of every answer; health and devices.

use gateway::Config;
use ledger::{Reading, TelemetryBatch};

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
    let history = house.get("/api/v1/devices/smoke-b1/history", Some(&session)).await.json();
    assert_eq!((history.as_array().unwrap().len(), &history[0]["value"]), (2, &0.02.into()));

    let (first_ms, last_ms) = (NOW - 9_000, NOW - 1_000);
    let stranger = ledger::Stranger { device: "plug-9".into(), format: "tasmota".into(), first_ms, last_ms, count: 3 };
    let registered = ledger::Stranger { device: "smoke-b1".into(), ..stranger.clone() };
    let strangers = vec![stranger, registered];
    house.telemetry.commit(TelemetryBatch { strangers, ..TelemetryBatch::default() }).await.unwrap();
    let strangers = house.get("/api/v1/devices/strangers", Some(&session)).await.json();
    let shown =
        serde_json::json!([{"device": "plug-9", "format": "tasmota", "first": first_ms, "last": last_ms, "count": 3}]);
    assert_eq!(strangers, shown);

    let incident = house.report(&session, "楼道有烟").await;
    house.push(&session, incident, "fire").await;
    house.clock.advance(90_000);
    let figures = house.get("/api/v1/figures", Some(&session)).await.json();
    // Red: pushed, not delivered within its minute.
    assert_eq!((&figures["open"], &figures["overdue"], &figures["waiting"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&figures["longest_wait"], &figures["cameras"]), (&90_000.into(), &2.into()));
    assert_eq!(figures["cameras_online"], serde_json::Value::Null);
    let units = house.get("/api/v1/units", Some(&session)).await.json();
    assert_eq!((&units[0]["id"], &units[0]["live"], &units[0]["capacity"]), (&"fire".into(), &1.into(), &4.into()));
    let site = house.get("/api/v1/site", Some(&session)).await.json();
    assert_eq!((&site["buildings"][0]["number"], &site["cameras"][0]["at"][0]), (&1.into(), &10.0.into()));
}
