//! The demo's accounts and the relay to the simulator.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    routing::{delete, get},
};
use gateway::{DemoAccount, DemoConfig};
use serde_json::{Value, json};

use crate::house::{Ask, House, PASSWORD, Plan};

/// What a simulator answers; it knows one kind of happening.
pub(crate) async fn simulator() -> String {
    let known = |headers: HeaderMap| headers.get("authorization").is_some_and(|v| v == "Bearer s3cret");
    let happen = move |headers: HeaderMap, Json(body): Json<Value>| async move {
        assert!(known(headers));
        if body["kind"] == "fire" {
            (StatusCode::CREATED, Json(json!({ "id": 1 })))
        } else {
            (StatusCode::NOT_FOUND, Json(json!({})))
        }
    };
    let list = move |headers: HeaderMap| async move {
        assert!(known(headers));
        Json(json!({ "happenings": [], "active": [] }))
    };
    let calm = move |headers: HeaderMap| async move {
        assert!(known(headers));
        StatusCode::NO_CONTENT
    };
    // The same addresses as the simulator's: what happens, and the faults that a DELETE ends.
    let router = Router::new().route("/api/happenings", get(list).post(happen)).route("/api/faults", delete(calm));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move { axum::serve(listener, router).await.unwrap() };
    let (stage, ordinary) = (runtime::tasks::Stage::Sources, runtime::Criticality::Ordinary);
    runtime::Tasks::default().spawn("simulator", stage, ordinary, serve);
    format!("http://{address}/api/")
}

#[tokio::test]
async fn happenings_go_to_the_simulator() {
    let account = DemoAccount {
        account: "duty".to_owned(),
        password: PASSWORD.to_owned(),
        role: "duty_officer".to_owned(),
        name_zh: "值班员".to_owned(),
        name_en: "Duty officer".to_owned(),
    };
    let demo = DemoConfig { simulator_url: simulator().await, token: "s3cret".to_owned(), accounts: vec![account] };
    let house = House::with(Plan { demo: Some(demo), ..Plan::default() }).await;
    let shown = house.get("/api/v1/demo", None).await.json();
    assert_eq!((&shown["demo"], &shown["accounts"][0]["account"]), (&true.into(), &"duty".into()));
    assert!(!shown.to_string().contains("s3cret"));

    const PATH: &str = "/api/v1/demo/happenings";
    let (duty, fire) = (house.log_in("duty").await, house.log_in("fire1").await);
    assert_eq!(house.get(PATH, Some(&duty)).await.json(), json!({ "happenings": [], "active": [] }));
    assert_eq!(house.get(PATH, Some(&fire)).await.status, 403);
    assert_eq!(house.get(PATH, None).await.status, 401);
    let made = house.post(PATH, &duty, r#"{"kind":"fire","building":"b1"}"#).await;
    assert_eq!((made.status, &made.json()["id"]), (201, &1.into()));
    assert_eq!(house.post(PATH, &duty, r#"{"kind":"flood"}"#).await.code(), "bad_field");
    let calm = house.call(Ask { session: Some(&duty), ..Ask::new("DELETE", PATH) }).await;
    assert_eq!(calm.status, 204);
}

#[tokio::test]
async fn a_simulator_that_is_away_is_told() {
    // Nobody listens on port 1.
    let demo =
        DemoConfig { simulator_url: "http://127.0.0.1:1".to_owned(), token: String::new(), accounts: Vec::new() };
    let house = House::with(Plan { demo: Some(demo), ..Plan::default() }).await;
    let duty = house.log_in("duty").await;
    let answer = house.get("/api/v1/demo/happenings", Some(&duty)).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "no_simulator"));
}
