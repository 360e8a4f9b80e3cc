//! Photos, stills and clips: stored for one incident, shown to those who see it.

use domain::{
    alarm::Verdict,
    event::Mode,
    ids::{AlarmId, BlobId, IncidentId},
    incident::{Exhibit, ExhibitKind},
    input::{Actor, Command, ExhibitOf, Input, Observation},
    site::{Place, Point},
    state::KEEP_ENDED,
    text::Subject,
    time::Timestamp,
};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};

use ledger::{Blobs as _, NewBlob};
use link::intake::Submission;
use wire::feed::state::Kind;

use crate::{
    house::{Ask, Feed, House, NOW, Plan, hello},
    media::Pictures,
};

fn jpeg() -> Vec<u8> {
    let mut out = Vec::new();
    JpegEncoder::new(&mut out).write_image(&[120; 3 * 64 * 48], 64, 48, ExtendedColorType::Rgb8).unwrap();
    out
}

fn upload<'a>(session: &'a str, path: &'a str, key: &'a str, body: Vec<u8>) -> Ask<'a> {
    let ask = Ask::new("POST", path);
    Ask { session: Some(session), key: Some(key), content_type: Some("image/jpeg"), body: body.into(), ..ask }
}

#[tokio::test]
async fn a_photo_goes_with_the_feedback_of_its_incident() {
    let house = House::new().await;
    let (duty, fire, water) =
        (house.log_in("dispatch").await, house.log_in("fire1").await, house.log_in("water1").await);
    let incident = house.report(&duty, "楼道有烟").await;
    let other = house.report(&duty, "别处的事").await;
    let task = house.push(&duty, incident, "fire").await;
    let path = format!("/api/v1/photos?incident={incident}");

    let stored = house.call(upload(&fire, &path, "p1", jpeg())).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let blob = stored.json()["blob"].as_str().unwrap().to_owned();
    assert_eq!(house.call(upload(&fire, &path, "p1", jpeg())).await.json()["blob"], blob);
    let mut changed = jpeg();
    changed.push(0);
    assert_eq!(house.call(upload(&fire, &path, "p1", changed)).await.code(), "key_reused");
    assert_eq!(house.call(upload(&fire, &path, "p2", b"no picture".to_vec())).await.code(), "bad_picture");
    assert_eq!(house.call(upload(&fire, &path, "p3", vec![0; (6 << 20) + 1])).await.status, 413);
    assert_eq!(house.call(upload(&water, &path, "p4", jpeg())).await.code(), "no_incident");
    let text = Ask { content_type: Some("text/plain"), ..upload(&fire, &path, "p5", jpeg()) };
    assert_eq!(house.call(text).await.status, 415);

    let at = |step: &str| format!("/api/v1/tasks/{task}/{step}");
    for step in ["acknowledge", "en-route", "on-scene"] {
        assert_eq!(house.post(&at(step), &fire, "{}").await.status, 200, "{step}");
    }
    // A photo of another incident is no photo of this one.
    let foreign = house.call(upload(&duty, &format!("/api/v1/photos?incident={other}"), "p1", jpeg())).await.json();
    let feedback = |blob: &str| serde_json::json!({ "result": "done", "photos": [blob] }).to_string();
    let refused = house.post(&at("feedback"), &fire, &feedback(foreign["blob"].as_str().unwrap())).await;
    assert_eq!((refused.status, &refused.json()["field"]), (422, &"photos".into()));
    let done = house.post(&at("feedback"), &fire, &feedback(&blob)).await;
    assert_eq!(done.status, 200, "{}", done.text());
    house.seen(done.json()["position"]["seq"].as_u64().unwrap()).await;
    let shown = house.get(&format!("/api/v1/incidents/{incident}"), Some(&duty)).await.json();
    assert_eq!(shown["tasks"][0]["feedback"][0]["photos"][0], blob);
    assert_eq!(shown["stage"], "awaiting_verification");

    let path = format!("/api/v1/blobs/{blob}");
    for (session, status) in [(&duty, 200), (&fire, 200), (&water, 404)] {
        assert_eq!(house.get(&path, Some(session)).await.status, status);
    }
    let whole = house.get(&path, Some(&duty)).await;
    assert_eq!((whole.header("content-type"), &whole.body[..2]), ("image/jpeg", &[0xFF, 0xD8][..]));
    let ask = Ask { session: Some(&duty), headers: vec![("range", "bytes=2-9")], ..Ask::new("GET", &path) };
    let part = house.call(ask).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[2..10]));
    assert_eq!(part.header("content-range"), format!("bytes 2-9/{}", whole.body.len()));
    house.system(crate::house::erase(incident)).await;
    assert_eq!(house.get(&path, Some(&duty)).await.code(), "erased");
}

#[tokio::test]
async fn stills_and_clips_become_exhibits_once() {
    let house = House::with(Plan { media: Some(Pictures::new()), ..Plan::default() }).await;
    let (duty, fire) = (house.log_in("dispatch").await, house.log_in("fire1").await);
    let still = house.get("/api/v1/cameras/c001/still", Some(&duty)).await;
    assert_eq!((still.status, still.header("x-captured")), (200, "1799999999000"));
    assert_eq!(house.get("/api/v1/cameras/c001/still", Some(&fire)).await.status, 403);

    let incident = house.report(&duty, "楼道有烟").await;
    house.push(&duty, incident, "fire").await;
    let path = format!("/api/v1/incidents/{incident}/exhibits");
    let body = r#"{"camera":"c001","kind":"clip","at":1799999990000}"#;
    let give = || Ask { session: Some(&duty), key: Some("clip"), body: body.into(), ..Ask::new("POST", &path) };
    let first = house.call(give()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(house.call(give()).await.json()["replayed"], true);
    assert_eq!(house.post(&path, &duty, r#"{"camera":"c002","kind":"still"}"#).await.status, 200);
    assert_eq!(house.post(&path, &duty, r#"{"camera":"ghost","kind":"still"}"#).await.code(), "no_device");
    let head = house.store.head().await.unwrap().seq;
    house.seen(head).await;
    let shown = house.get(&format!("/api/v1/incidents/{incident}"), Some(&fire)).await.json();
    let exhibits = shown["exhibits"].as_array().unwrap();
    assert_eq!(exhibits.len(), 2);
    // From 10 s before to 20 s after the moment.
    assert_eq!(
        (&exhibits[0]["from"], &exhibits[0]["to"]),
        (&1_799_999_980_000_i64.into(), &1_800_000_010_000_i64.into())
    );
    let blob = house.get(&format!("/api/v1/blobs/{}", exhibits[0]["blob"].as_str().unwrap()), Some(&fire)).await;
    assert_eq!((blob.header("content-type"), &blob.body[..]), ("video/mp4", &b"mp4"[..]));
}

#[tokio::test]
async fn a_merged_incident_tells_how_it_began_to_whoever_handles_it_now() {
    let house = House::with(Plan { media: Some(Pictures::new()), ..Plan::default() }).await;
    let (duty, fire) = (house.log_in("dispatch").await, house.log_in("fire1").await);
    let (merged, into) = (house.report(&duty, "二楼冒烟").await, house.report(&duty, "楼道有烟").await);
    house.push(&duty, into, "fire").await;
    let still = r#"{"camera":"c001","kind":"still"}"#;
    let kept = house.post(&format!("/api/v1/incidents/{merged}/exhibits"), &duty, still).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    let body = format!(r#"{{"into":{into}}}"#);
    let done = house.post(&format!("/api/v1/incidents/{merged}/merge"), &duty, &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    house.seen(done.json()["position"]["seq"].as_u64().unwrap()).await;

    let shown = house.get(&format!("/api/v1/incidents/{into}"), Some(&fire)).await.json();
    assert_eq!(shown["absorbed"], serde_json::json!([merged]));
    let blob = shown["exhibits"][0]["blob"].as_str().unwrap();
    assert_eq!(house.get(&format!("/api/v1/blobs/{blob}"), Some(&fire)).await.status, 200);
    let timeline = format!("/api/v1/incidents/{into}/timeline");
    assert!(house.get(&timeline, Some(&duty)).await.text().contains("二楼冒烟"));
    assert!(!house.get(&timeline, Some(&fire)).await.text().contains("二楼冒烟"), "never theirs to read");
}

/// Puts inputs before the writer, as many at once as it takes.
async fn put(house: &House, inputs: Vec<Input>) {
    for some in inputs.chunks(3_000) {
        let all = some.iter().map(|input| house.intake.submit(Submission::keyless(input.clone())));
        futures::future::try_join_all(all).await.unwrap();
    }
}

fn command(command: Command) -> Input {
    Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }
}

fn smoke(raised: bool) -> Input {
    let (sensor, rule, kind) = ("smoke-b1".into(), "r".into(), "smoke".into());
    let observation = Observation::SensorEdge { sensor, rule, kind, raised, value: None, at: Timestamp(NOW) };
    Input::Observe { mode: Mode::Real, observation }
}

/// An alarm far from the first that is judged false at once.
fn false_alarm(n: u64) -> [Input; 3] {
    let place = Place { building: Some("b2".into()), ..Place::about("g2".into(), Point { x: 130.0, y: 20.0 }) };
    let (rule, kind, key, alarm) = ("d".into(), "smoke".into(), n.to_string(), AlarmId(n));
    let observation = Observation::RuleHit { rule, kind, key, place, text: None };
    let judge = Command::JudgeAlarm { alarm, verdict: Verdict::False, class: None, text: None };
    [Input::Observe { mode: Mode::Real, observation }, command(Command::ConfirmAlarm(alarm)), command(judge)]
}

/// The film of the first alarm, a smoke detector's: its blob and the command that names it.
async fn film(house: &House) -> (String, Command) {
    let alarm = AlarmId(1);
    let new = NewBlob {
        subject: Subject::Alarm(alarm).to_string(),
        content_type: "video/mp4".to_owned(),
        max_bytes: 9,
        at_ms: NOW,
    };
    let blob = house.sqlite.put_blob(new, &mut &b"mp4"[..]).await.unwrap().id;
    let (kind, from, to) = (ExhibitKind::Clip, Timestamp(NOW), Timestamp(NOW));
    let exhibit = Exhibit { blob: BlobId::new(blob.as_str()), kind, camera: Some("c001".into()), from, to };
    (blob.as_str().to_owned(), Command::AddExhibit { of: ExhibitOf::Alarm(alarm), exhibit })
}

fn genuine(alarm: AlarmId) -> [Input; 2] {
    let judge = Command::JudgeAlarm { alarm, verdict: Verdict::Genuine, class: None, text: None };
    [command(Command::ConfirmAlarm(alarm)), command(judge)]
}

#[tokio::test]
async fn a_grid_manager_sees_the_film_of_an_incident_but_not_of_an_alarm() {
    let house = House::new().await;
    let (duty, grid) = (house.log_in("dispatch").await, house.log_in("grid1").await);
    let (film, add) = film(&house).await;
    put(&house, vec![smoke(true), command(add)]).await;
    house.seen(house.store.head().await.unwrap().seq).await;
    let path = format!("/api/v1/blobs/{film}");
    assert_eq!(house.get(&path, Some(&duty)).await.status, 200);
    assert_eq!(house.get(&path, Some(&grid)).await.status, 404);
    put(&house, genuine(AlarmId(1)).to_vec()).await;
    house.seen(house.store.head().await.unwrap().seq).await;
    assert_eq!(house.get(&path, Some(&grid)).await.status, 200);
}

#[tokio::test]
async fn the_film_of_an_incident_outlives_its_alarm_in_memory() {
    let house = House::new().await;
    let (duty, wall) = (house.log_in("dispatch").await, house.log_in("wall").await);
    let (film, add) = film(&house).await;
    put(&house, vec![smoke(true), command(add)]).await;
    put(&house, genuine(AlarmId(1)).to_vec()).await;
    put(&house, vec![smoke(false)]).await;
    let incident = IncidentId(3001);
    put(&house, (2..).take(KEEP_ENDED).flat_map(false_alarm).collect()).await;
    let head = house.store.head().await.unwrap().seq;
    house.seen(head).await;

    let path = format!("/api/v1/incidents/{incident}");
    for session in [&duty, &wall] {
        let shown = house.get(&path, Some(session)).await.json();
        assert_eq!(shown["exhibits"][0]["blob"], film, "{shown}");
        let listed = house.get("/api/v1/incidents", Some(session)).await.json();
        assert_eq!(listed["items"][0]["exhibits"][0]["blob"], film);
        let lines = house.get(&format!("{path}/timeline"), Some(session)).await.json();
        assert_eq!(lines[0]["kind"], "alarm_raised", "{}", lines[0]);
    }
    assert_eq!(house.get(&format!("/api/v1/blobs/{film}"), Some(&duty)).await.body, "mp4");
    let states = Feed::open(&house, &duty, hello(0, 0, false)).await.snapshot().await.states;
    let shown = states.into_iter().find_map(|s| match s.kind {
        Some(Kind::Incident(incident)) => Some(incident),
        _ => None,
    });
    assert_eq!(shown.unwrap().exhibits[0].blob, film);
}
