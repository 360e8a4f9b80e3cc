//! The demo: its accounts, and the simulator's happenings relayed to whoever may command.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::access::Audience;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{DemoAccount, DemoConfig, body::Given, desk::Desk, problem::Problem, relay, session::Caller};

/// The simulator's list of what can happen and does, and where a new one is asked for.
const HAPPENINGS: &str = "/happenings";
/// Deleting it ends happenings and faults alike.
const FAULTS: &str = "/faults";

/// What the demo offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Demo {
    /// Always true; without a demo this address does not exist.
    demo: bool,
    /// Accounts to try, with their passwords.
    accounts: Vec<DemoAccount>,
}

fn config(desk: &Desk) -> Result<&DemoConfig, Problem> {
    desk.demo.as_ref().ok_or(Problem::not_found())
}

/// The accounts of the demo; 404 where this is none. Needs no session.
#[utoipa::path(
    get, path = "/api/v1/demo", tag = "demo", security(()),
    responses((status = 200, body = Demo), Problem)
)]
pub(crate) async fn demo(State(desk): State<Desk>) -> Result<Json<Demo>, Problem> {
    Ok(Json(Demo { demo: true, accounts: config(&desk)?.accounts.clone() }))
}

/// Asks the simulator at its own `path`, as whoever works in the centre may.
async fn ask(desk: &Desk, caller: &Caller, method: Method, path: &str, body: Bytes) -> Result<Response, Problem> {
    let config = config(desk)?;
    if caller.audience != Audience::Centre {
        return Err(Problem::forbidden());
    }
    let answer = relay::call(&config.simulator_url, path, &config.token, method, body).await;
    let (status, body) = answer.map_err(|error| {
        tracing::warn!(error = %error, "the simulator does not answer");
        Problem::no_simulator()
    })?;
    match status {
        StatusCode::NO_CONTENT => Ok(StatusCode::NO_CONTENT.into_response()),
        s if s.is_success() => {
            let json = HeaderValue::from_static("application/json");
            Ok((s, [(header::CONTENT_TYPE, json)], Body::from(body)).into_response())
        }
        s if s.is_client_error() => {
            Err(Problem::bad_field().field("kind").detail(format!("the simulator answered {s}")))
        }
        _ => Err(Problem::no_simulator()),
    }
}

/// What can happen and what is happening, as the simulator tells it.
#[utoipa::path(
    get, path = "/api/v1/demo/happenings", tag = "demo",
    responses((status = 200, body = Object), Problem)
)]
pub(crate) async fn happenings(State(desk): State<Desk>, caller: Caller) -> Result<Response, Problem> {
    ask(&desk, &caller, Method::GET, HAPPENINGS, Bytes::new()).await
}

/// Lets something happen: the body goes to the simulator as it is.
#[utoipa::path(
    post, path = "/api/v1/demo/happenings", tag = "demo", request_body = Object,
    responses((status = 200, body = Object), Problem)
)]
pub(crate) async fn happen(
    State(desk): State<Desk>,
    caller: Caller,
    given: Given<serde_json::Map<String, serde_json::Value>>,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(&given.value).map_err(|_| Problem::fault())?;
    ask(&desk, &caller, Method::POST, HAPPENINGS, body.into()).await
}

/// Ends all happenings and faults.
#[utoipa::path(
    delete, path = "/api/v1/demo/happenings", tag = "demo",
    responses((status = 204), Problem)
)]
pub(crate) async fn calm(State(desk): State<Desk>, caller: Caller) -> Result<Response, Problem> {
    ask(&desk, &caller, Method::DELETE, FAULTS, Bytes::new()).await
}
