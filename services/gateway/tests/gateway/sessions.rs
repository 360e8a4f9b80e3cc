//! Logging in, out, locking, idling.

use domain::account::Role;

use crate::house::{Ask, Feed, House, PASSWORD, Plan, account, hello, token};

#[tokio::test]
async fn the_cookie_is_strict_and_logging_out_ends_it() {
    let house = House::new().await;
    let answer = house.try_log_in("fire1", PASSWORD).await;
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let session = token(&answer);
    let me = house.get("/api/v1/session", Some(&session)).await.json();
    assert_eq!(
        (&me["account"], &me["role"], &me["unit"]),
        (&"fire1".into(), &"department_clerk".into(), &"fire".into())
    );
    assert_eq!((&me["name"], &me["audience"]), (&"李fire1".into(), &"unit/fire".into()));
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    feed.snapshot().await;
    let out = house.call(Ask { session: Some(&session), ..Ask::new("DELETE", "/api/v1/session") }).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(house.get("/api/v1/session", Some(&session)).await.status, 401);
    let close = loop {
        if let Err(close) = feed.next().await {
            break close.unwrap();
        }
    };
    assert_eq!(u16::from(close.code), 4401);
}

#[tokio::test]
async fn five_failures_lock_for_five_minutes_and_strangers_look_the_same() {
    let house = House::new().await;
    for name in ["duty", "nobody"] {
        for _ in 0..5 {
            let answer = house.try_log_in(name, "wrong").await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "bad_login"));
        }
        let answer = house.try_log_in(name, PASSWORD).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "locked"));
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((295..=301).contains(&wait), "{wait}");
    }
    assert_eq!(house.try_log_in("chief", PASSWORD).await.status, 200);
    house.clock.advance(5 * 60_000 + 1);
    assert_eq!(house.try_log_in("duty", PASSWORD).await.status, 200);
    assert_eq!(house.try_log_in("nobody", PASSWORD).await.code(), "bad_login");
}

#[tokio::test]
async fn twelve_idle_hours_end_a_session_but_not_a_walls() {
    let house = House::new().await;
    let (duty, wall) = (house.log_in("duty").await, house.log_in("wall").await);
    const HOUR: i64 = 3_600_000;
    house.clock.advance(11 * HOUR);
    assert_eq!(house.get("/api/v1/session", Some(&duty)).await.status, 200);
    house.clock.advance(11 * HOUR);
    assert_eq!(house.get("/api/v1/session", Some(&duty)).await.status, 200);
    house.clock.advance(13 * HOUR);
    assert_eq!(house.get("/api/v1/session", Some(&duty)).await.status, 401);
    house.clock.advance(400 * 24 * HOUR);
    assert_eq!(house.get("/api/v1/session", Some(&wall)).await.status, 200);
}

#[tokio::test]
async fn a_clock_that_leaps_logs_nobody_out() {
    const DAY: i64 = 24 * 3_600_000;
    let house = House::with(Plan { steady: true, ..Plan::default() }).await;
    let before = house.log_in("duty").await;
    for days in [40, -40, -40, 40] {
        house.clock.advance(days * DAY);
        let meanwhile = house.log_in("chief").await;
        for session in [&before, &meanwhile] {
            assert_eq!(house.get("/api/v1/session", Some(session)).await.status, 200, "{days}");
        }
        // Its use is noted, and by no time to come.
        house.clock.advance(2 * 60_000);
        assert_eq!(house.get("/api/v1/session", Some(&before)).await.status, 200, "{days}");
    }
}

#[tokio::test]
async fn a_lock_of_a_clock_that_was_ahead_is_over_when_it_is_back() {
    let house = House::new().await;
    house.clock.advance(3_600_000);
    for name in ["duty", "nobody"] {
        for _ in 0..5 {
            house.try_log_in(name, "wrong").await;
        }
        assert_eq!(house.try_log_in(name, PASSWORD).await.code(), "locked");
    }
    house.clock.advance(-3_600_000);
    assert_eq!(house.try_log_in("duty", PASSWORD).await.status, 200);
    assert_eq!(house.try_log_in("nobody", PASSWORD).await.code(), "bad_login");
}

#[tokio::test]
async fn rights_that_change_change_the_stream() {
    let house = House::new().await;
    let session = house.log_in("fire1").await;
    let mut feed = Feed::open(&house, &session, hello(0, 0, false)).await;
    assert_eq!(feed.snapshot().await.audience, "unit/fire");
    house.system(account("fire1", Role::DepartmentClerk, Some("water"), None)).await;
    let resync = loop {
        match feed.next().await.unwrap() {
            wire::feed::server_message::Kind::Resync(resync) => break resync,
            _ => continue,
        }
    };
    assert_eq!(resync.reason, "policy");
    assert_eq!(feed.snapshot().await.audience, "unit/water");
}

#[tokio::test]
async fn a_store_that_takes_nothing_still_shows_everything() {
    let house = House::new().await;
    let duty = house.log_in("duty").await;
    house.sqlite.refuse_writes(true).await.unwrap();
    house.clock.advance(2 * 60_000);
    for path in ["/api/v1/session", "/api/v1/incidents", "/api/v1/figures"] {
        assert_eq!(house.get(path, Some(&duty)).await.status, 200, "{path}");
    }
    let report = r#"{"class":"fire","place":{"building":"b1"},"channel":"call"}"#;
    assert_eq!(house.post("/api/v1/incidents", &duty, report).await.code(), "unavailable");
    house.sqlite.refuse_writes(false).await.unwrap();
    assert_eq!(house.post("/api/v1/incidents", &duty, report).await.status, 200);
}
