//! Logging in and out.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::ids::VaultId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{body::Given, desk::Desk, mirror::Fetched, problem::Problem, session::Caller};

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Account.
    account: String,
    /// Password.
    password: String,
}

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Account.
    account: String,
    /// The owner's name.
    name: String,
    /// Role.
    role: String,
    /// Unit of a clerk or team of a grid manager.
    unit: Option<String>,
    /// Grid of a grid manager.
    grid: Option<String>,
    /// What the session sees; equal audiences see the same.
    audience: String,
    /// The centre's time, ms since 1970.
    server_time: i64,
}

async fn shown(desk: &Desk, caller: &Caller) -> Result<Session, Problem> {
    let name: VaultId = caller.account.name;
    let name = desk
        .mirror
        .with(|_| vec![name], |_, values| wire::view::Texts::text(&Fetched(values), name))
        .await?
        .and_then(|shown| shown.full)
        .unwrap_or_default();
    Ok(Session {
        account: caller.account.id.to_string(),
        name,
        role: caller.account.role.name().to_owned(),
        unit: caller.account.unit.as_ref().map(ToString::to_string),
        grid: caller.account.grid.as_ref().map(ToString::to_string),
        audience: caller.audience.key(),
        server_time: desk.clock.now_ms(),
    })
}

/// Logs in: sets the session's cookie.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = Login, security(()),
    responses((status = 200, body = Session), Problem)
)]
pub(crate) async fn log_in(State(desk): State<Desk>, given: Given<Login>) -> Result<Response, Problem> {
    let Login { account, password } = given.value;
    let (caller, cookie) = desk.sessions.log_in(&account, password).await?;
    let session = shown(&desk, &caller).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(session)).into_response())
}

/// Who is logged in.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "session",
    responses((status = 200, body = Session), Problem)
)]
pub(crate) async fn current(State(desk): State<Desk>, caller: Caller) -> Result<Json<Session>, Problem> {
    Ok(Json(shown(&desk, &caller).await?))
}

/// Logs out: ends the session and its sockets.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    responses((status = 204), Problem)
)]
pub(crate) async fn log_out(State(desk): State<Desk>, caller: Caller) -> Result<Response, Problem> {
    let cookie = desk.sessions.log_out(&caller.token).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
