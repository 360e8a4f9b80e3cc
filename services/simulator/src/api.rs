//! One loopback port: the department servers and the SMS gateway (signed by HMAC), and the panel of the demo (bearer
//! token). Bodies are bounded; errors are problem details with a stable code.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::{
    config::Secret,
    departments::{self, Condition, Department, Step, Taken},
    happenings::{self, Kind, Request},
    sign::{self, KEY},
    world::World,
};

/// Largest body, bytes.
const BODY: usize = 256 * 1024;
/// How long a slow department takes.
const SLOW: Duration = Duration::from_secs(20);
/// Requests that a slow department keeps waiting at once; more are answered 503.
const SLOW_AT_ONCE: usize = 64;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) world: Arc<World>,
    slow: Arc<Semaphore>,
}

/// An error as problem details.
struct Problem(StatusCode, &'static str, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, code, title) = self;
        let body = json!({"type": "about:blank", "status": status.as_u16(), "code": code, "title": title});
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, body.to_string()).into_response()
    }
}

impl From<departments::Refusal> for Problem {
    fn from(refusal: departments::Refusal) -> Self {
        let (status, code) = refusal.status();
        Self(status, code, refusal.to_string())
    }
}

impl From<happenings::Refusal> for Problem {
    fn from(refusal: happenings::Refusal) -> Self {
        let status = match refusal {
            happenings::Refusal::NoCameras => StatusCode::CONFLICT,
            happenings::Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self(status, refusal.code(), refusal.to_string())
    }
}

fn not_found() -> Problem {
    Problem(StatusCode::NOT_FOUND, "not_found", "没有这个部门 no such department".to_owned())
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    Problem(StatusCode::UNPROCESSABLE_ENTITY, "body_invalid", format!("请求内容有误 the body is not right: {error}"))
}

/// All routes.
pub(crate) fn router(world: Arc<World>) -> Router {
    let shared = Shared { world, slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)) };
    let panel = Router::new()
        .route("/happenings", get(list).post(happen))
        .route("/faults", axum::routing::delete(clear))
        .route("/status", get(status))
        .route("/sms/messages", get(messages))
        .route("/departments/{id}", put(change))
        .route("/departments/{id}/tasks", get(tasks))
        .route("/departments/{id}/steps", post(step))
        .layer(middleware::from_fn_with_state(shared.clone(), bearer));
    let outside = Router::new()
        .route("/departments/{id}/tasks", post(push))
        .route("/departments/{id}/records", get(pull))
        .route("/sms/send", post(send));
    panel.merge(outside).layer(DefaultBodyLimit::max(BODY)).with_state(shared)
}

async fn bearer(State(shared): State<Shared>, request: HttpRequest, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
    if given.as_bytes().ct_eq(shared.world.config.token.bytes()).into() {
        return next.run(request).await;
    }
    Problem(StatusCode::UNAUTHORIZED, "token_invalid", "令牌无效 invalid token".to_owned()).into_response()
}

/// Checks the signature of a call from the centre.
fn signed(shared: &Shared, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let now = shared.world.clock.now_ms() / 1_000;
    sign::verify(secret, headers, body, now)
        .map_err(|refusal| Problem(StatusCode::UNAUTHORIZED, "signature_invalid", refusal.to_string()))
}

fn key(headers: &HeaderMap) -> Result<&str, Problem> {
    let key = headers.get(KEY).and_then(|v| v.to_str().ok()).filter(|k| (1..=200).contains(&k.len()));
    key.ok_or_else(|| Problem(StatusCode::BAD_REQUEST, "key_missing", format!("缺少 {KEY} the key is missing")))
}

/// Answers as the department's server would in its condition.
async fn answering(shared: &Shared, department: &Department) -> Result<(), Problem> {
    let away =
        || Problem(StatusCode::SERVICE_UNAVAILABLE, "department_down", "部门系统中断 department down".to_owned());
    match department.condition() {
        Condition::Up => Ok(()),
        Condition::Down => Err(away()),
        Condition::Slow => {
            let _place = shared.slow.try_acquire().map_err(|_| away())?;
            tokio::time::sleep(SLOW).await;
            Ok(())
        }
    }
}

async fn push(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let department = shared.world.departments.get(&id).ok_or_else(not_found)?;
    answering(&shared, department).await?;
    signed(&shared, &department.secret, &headers, &body)?;
    let body: Value = serde_json::from_slice(&body).map_err(unreadable)?;
    let (status, number) = match shared.world.take(department, key(&headers)?, body)? {
        Taken::New(number, _) => (StatusCode::CREATED, number),
        Taken::Again(number) | Taken::Recalled(number) => (StatusCode::OK, number),
    };
    Ok((status, Json(json!({"external_number": number}))))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: i64,
}

async fn pull(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let department = shared.world.departments.get(&id).ok_or_else(not_found)?;
    answering(&shared, department).await?;
    signed(&shared, &department.secret, &headers, b"")?;
    Ok(Json(department.records(since.since)))
}

#[derive(Deserialize)]
struct Outgoing {
    to: String,
    text: String,
}

async fn send(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, Problem> {
    let phones = &shared.world.phones;
    signed(&shared, &phones.secret, &headers, &body)?;
    let message: Outgoing = serde_json::from_slice(&body).map_err(unreadable)?;
    if message.to.is_empty() || message.to.len() > 20 || message.text.chars().count() > 1_000 {
        return Err(unreadable("to, text"));
    }
    let sent = phones
        .send(key(&headers)?, &message.to, &message.text, shared.world.clock.now_ms())
        .map_err(|e| Problem(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", e.to_string()))?;
    Ok(Json(json!({"id": sent.id})))
}

async fn list(State(shared): State<Shared>) -> Json<Value> {
    let kinds: Vec<_> =
        Kind::ALL.iter().map(|k| json!({"kind": k.id(), "zh": k.zh(), "en": k.en(), "needs": k.needs()})).collect();
    Json(json!({"kinds": kinds, "active": shared.world.active()}))
}

async fn happen(State(shared): State<Shared>, body: Bytes) -> Result<(StatusCode, Json<Value>), Problem> {
    let request: Request = serde_json::from_slice(&body).map_err(unreadable)?;
    let active = shared.world.happen(&request)?;
    Ok((StatusCode::ACCEPTED, Json(json!(active))))
}

async fn clear(State(shared): State<Shared>) -> StatusCode {
    shared.world.clear().await;
    StatusCode::NO_CONTENT
}

async fn status(State(shared): State<Shared>) -> Json<Value> {
    let world = &shared.world;
    let departments: Vec<_> = world.departments.values().map(Department::view).collect();
    Json(json!({
        "active": world.active(),
        "waiting": world.waiting(),
        "gateways": world.field.state(),
        "departments": departments,
        "sms": world.phones.tally(),
    }))
}

async fn messages(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"messages": shared.world.phones.messages()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    auto: Option<bool>,
    #[serde(default)]
    condition: Option<Condition>,
}

async fn change(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<departments::View>, Problem> {
    let department = shared.world.departments.get(&id).ok_or_else(not_found)?;
    let change: Change = serde_json::from_slice(&body).map_err(unreadable)?;
    if let Some(auto) = change.auto {
        department.set_auto(auto);
    }
    if let Some(condition) = change.condition {
        department.set_condition(condition);
    }
    Ok(Json(department.view()))
}

async fn tasks(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let department = shared.world.departments.get(&id).ok_or_else(not_found)?;
    Ok(Json(json!({"tasks": department.tasks()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    task: Value,
    step: Step,
    #[serde(default)]
    text: Option<String>,
}

async fn step(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Result<StatusCode, Problem> {
    let department = shared.world.departments.get(&id).ok_or_else(not_found)?;
    let by_hand: ByHand = serde_json::from_slice(&body).map_err(unreadable)?;
    if by_hand.text.as_ref().is_some_and(|t| t.chars().count() > 2_000) {
        return Err(unreadable("text"));
    }
    let now = shared.world.clock.now_ms();
    department.step(&by_hand.task, by_hand.step, by_hand.text.as_deref(), now, shared.world.key())?;
    Ok(StatusCode::ACCEPTED)
}
