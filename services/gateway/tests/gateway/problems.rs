//! Bad input gets problem details and changes nothing; keys take effect once.

use domain::access::Right;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::house::{Answer, Ask, House};

fn assert_problem(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let body = answer.json();
    assert_eq!(body["type"], format!("/problems/{code}"));
    assert_eq!(body["status"], status);
    let title = body["title"].as_str().unwrap();
    assert!(title.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{title}");
    assert!(!body["title_en"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn every_post_refuses_nonsense() {
    let house = House::new().await;
    let (chief, clerk) = (house.log_in("chief").await, house.log_in("fire1").await);
    let head = house.store.head().await.unwrap();
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(post) = item.get("post") else { continue };
        let keyed = post["parameters"].as_array().is_some_and(|ps| ps.iter().any(|p| p["name"] == "Idempotency-Key"));
        // By somebody who has the right: others are told nothing.
        let work = gateway::OPERATIONS.iter().any(|(_, p, right)| p == path && *right == Right::Work);
        let session = if work { &clerk } else { &chief };
        let path = path.replace("{id}", "1");
        if path == "/api/v1/photos" || path == "/api/v1/demo/happenings" {
            continue;
        }
        tried += 1;
        let ask = |body: &str, kind: &'static str| {
            let (house, path, body) = (&house, &path, body.to_owned());
            async move {
                let ask = Ask { content_type: Some(kind), body: body.into(), ..Ask::new("POST", path) };
                house.call(Ask { session: Some(session), key: Some("k"), ..ask }).await
            }
        };
        const JSON: &str = "application/json; charset=utf-8";
        assert_problem(&ask("{", JSON).await, 400, "bad_json", &path);
        assert_problem(&ask("[1", JSON).await, 400, "bad_json", &path);
        for (body, field) in [("[1]", None), (r#"{"nonsense":1}"#, Some("nonsense")), ("7", None), ("null", None)] {
            let answer = ask(body, JSON).await;
            assert_problem(&answer, 422, "bad_field", &format!("{path} {body}"));
            let named = answer.json()["field"].as_str().unwrap().to_owned();
            assert!(field.is_none_or(|f| f == named), "{path} {body}: {named}");
        }
        assert_problem(&ask("{}", "text/plain").await, 415, "bad_type", &path);
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(70_000));
        assert_problem(&ask(&long, JSON).await, 413, "too_large", &path);
        if keyed {
            for key in [None, Some(""), Some("with space")] {
                let ask = Ask { session: Some(session), key, body: "{}".into(), ..Ask::new("POST", &path) };
                assert_problem(&house.call(ask).await, 400, "key_missing", &path);
            }
        }
    }
    assert!(tried > 25, "{tried}");
    assert_eq!(house.store.head().await.unwrap(), head);
}

#[tokio::test]
async fn addresses_and_methods() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let cases = [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/incidents/abc", 404, "not_found"),
        ("GET", "/api/v1/incidents/9999", 404, "no_incident"),
        ("GET", "/api/v1/devices/ghost/history", 404, "no_device"),
        ("GET", "/api/v1/blobs/ghost", 404, "not_found"),
        ("GET", "/api/v1/incidents?state=never", 400, "bad_query"),
        ("GET", "/api/v1/places", 400, "bad_query"),
        ("GET", "/api/v1/cameras/c001/still", 503, "no_media"),
        ("GET", "/api/v1/cameras/ghost/still", 404, "no_device"),
        ("GET", "/api/v1/feed", 400, "bad_upgrade"),
        ("DELETE", "/api/v1/site", 405, "bad_method"),
        ("POST", "/healthz", 405, "bad_method"),
        ("GET", "/no/dashboard", 404, "not_found"),
    ];
    for (method, path, status, code) in cases {
        let ask = Ask { session: Some(&session), ..Ask::new(method, path) };
        assert_problem(&house.call(ask).await, status, code, path);
    }
    let elsewhere = Ask {
        session: Some(&session),
        key: Some("k"),
        headers: vec![("origin", "http://evil.example")],
        ..Ask::new("POST", "/api/v1/incidents/1/accept")
    };
    assert_problem(&house.call(elsewhere).await, 403, "cross_site", "origin");
}

#[tokio::test]
async fn fields_of_the_core_are_named() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let report = |body: serde_json::Value| {
        let (house, session) = (&house, &session);
        async move { house.post("/api/v1/incidents", session, &body.to_string()).await }
    };
    let place = serde_json::json!({ "building": "b1" });
    let cases = [
        (serde_json::json!({ "class": "x", "place": place, "channel": "call" }), "no_class", "class"),
        (serde_json::json!({ "class": "fire", "place": {}, "channel": "call" }), "no_place", "place"),
        (
            serde_json::json!({ "class": "fire", "place": { "building": "b9" }, "channel": "call" }),
            "no_place",
            "place.building",
        ),
        (
            serde_json::json!({ "class": "fire", "place": { "building": "b1", "floor": 99 }, "channel": "call" }),
            "no_place",
            "place",
        ),
        (serde_json::json!({ "class": "fire", "place": place, "channel": "pigeon" }), "bad_field", "channel"),
        (
            serde_json::json!({ "class": "fire", "place": place, "channel": "call", "text": "长".repeat(2_001) }),
            "text_too_long",
            "text",
        ),
        (
            serde_json::json!({ "class": "fire", "place": { "point": [-5, 0] }, "channel": "call" }),
            "no_place",
            "place.point",
        ),
    ];
    for (body, code, field) in cases {
        let answer = report(body.clone()).await;
        assert_problem(&answer, 422, code, &body.to_string());
        assert_eq!(answer.json()["field"], field, "{body}");
    }
}

#[tokio::test]
async fn a_key_takes_effect_once() {
    let house = House::new().await;
    let session = house.log_in("duty").await;
    let body = |text: &str| {
        let body =
            serde_json::json!({ "class": "fire", "place": { "text": "1栋604" }, "channel": "visit", "text": text });
        body.to_string()
    };
    let give = |session: String, body: String, path: &'static str| {
        let house = &house;
        async move {
            house
                .call(Ask { session: Some(&session), key: Some("same"), body: body.into(), ..Ask::new("POST", path) })
                .await
        }
    };
    const PATH: &str = "/api/v1/incidents";
    let first = give(session.clone(), body("烟"), PATH).await.json();
    assert_eq!(first["replayed"], false);
    let again = give(session.clone(), body("烟"), PATH).await.json();
    assert_eq!(
        (&again["replayed"], &again["refs"], &again["position"]["seq"]),
        (&true.into(), &first["refs"], &first["position"]["seq"])
    );
    assert_problem(&give(session.clone(), body("火"), PATH).await, 422, "key_reused", "another body");
    let other = give(session, "{}".to_owned(), "/api/v1/alarms/1/confirm").await;
    assert_problem(&other, 422, "key_reused", "another command");
    // Keys are counted by account.
    let chief = house.log_in("chief").await;
    let theirs = give(chief, body("火"), PATH).await.json();
    assert_eq!(theirs["replayed"], false);
    assert_ne!(theirs["refs"]["incident"], first["refs"]["incident"]);
}

#[test]
fn the_document_names_problems_as_they_are_sent() {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            for status in ["4XX", "5XX"] {
                let content = &responses[status]["content"];
                let schema = serde_json::json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
                assert_eq!(content, &serde_json::json!({ "application/problem+json": schema }), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_the_committed_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboard/openapi.json");
    let committed = std::fs::read_to_string(&path).unwrap();
    let mut made = gateway::openapi().to_pretty_json().unwrap();
    made.push('\n');
    assert!(committed == made, "run: cargo run -p gateway --example openapi -- dashboard/openapi.json");
    let house = House::new().await;
    let served = house.get("/api/v1/openapi.json", None).await.json();
    assert_eq!(served, serde_json::from_str::<serde_json::Value>(&made).unwrap());
    let page = house.get("/api/docs/", None).await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "{}", page.text());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_and_its_connection_goes_on() {
    let house = House::new().await;
    let mut stream = tokio::net::TcpStream::connect(&house.address).await.unwrap();
    // More than all buffers on the way hold: a writer that nobody reads would hang or fail.
    let size = 12 << 20;
    let head = format!(
        "POST /api/v1/session HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n",
        house.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    assert!(first_line(&mut stream).await.starts_with("HTTP/1.1 413"));
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
}

async fn first_line(stream: &mut tokio::net::TcpStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap()
}
