//! Passwords of devices at the site's broker. One is made here, shown in this one answer and nowhere else; only its hash
//! goes on to the core.

use axum::{Json, extract::State};
use domain::{
    access::Audience,
    device::{Credential, Voice},
    event::{By, Mode},
    input::Command,
    refusal::Code,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commands::{Accepted, LogPosition, submit};
use crate::{
    body::{CommandKey, Given, NameId},
    desk::Desk,
    problem::Problem,
    session::Caller,
};

/// How a gateway of sensors speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayFormat)]
pub(crate) enum Format {
    /// The site's own format, for the sensors of `behind`.
    Mjw,
    /// Zigbee2MQTT, for the sensors of `behind`.
    Zigbee2mqtt,
    /// A ThingsBoard gateway: its messages name their sensors in the body, so it speaks for all of them.
    Thingsboard,
}

impl Format {
    const fn of(voice: Voice) -> Option<Self> {
        match voice {
            Voice::Own => None,
            Voice::Mjw => Some(Self::Mjw),
            Voice::Zigbee2mqtt => Some(Self::Zigbee2mqtt),
            Voice::Thingsboard => Some(Self::Thingsboard),
        }
    }

    const fn voice(this: Option<Self>) -> Voice {
        match this {
            None => Voice::Own,
            Some(Self::Mjw) => Voice::Mjw,
            Some(Self::Zigbee2mqtt) => Voice::Zigbee2mqtt,
            Some(Self::Thingsboard) => Voice::Thingsboard,
        }
    }
}

/// Whose password it is. Without any field that of a registered sensor, which then writes its own topics only.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueCredential {
    /// It is a gateway, whose name is no sensor's id.
    #[serde(default)]
    gateway: Option<Format>,
    /// Registered sensors behind a `mjw` or `zigbee2mqtt` gateway, 1 to 1,000; it writes their topics only.
    #[serde(default)]
    behind: Vec<String>,
}

/// A new password; durable when this is answered, and in force at the broker within seconds. Any before is out of force.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedCredential {
    /// Where the log stood afterwards.
    position: LogPosition,
    /// The key was known: nothing happened now.
    replayed: bool,
    /// The user name to log in with.
    user: String,
    /// The password. It is shown this once and cannot be read again; null when `replayed`: then issue another one.
    password: Option<String>,
}

/// How a device logs in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceCredential {
    /// The sensor's id or the gateway's name; also its user name.
    device: String,
    /// Format of a gateway; null = a sensor for itself.
    gateway: Option<Format>,
    /// Sensors behind a gateway that lists them.
    behind: Vec<String>,
    /// It has a password; false = it was taken back.
    active: bool,
    /// Since when, ms since 1970.
    since: i64,
    /// The account that issued it or took it back.
    by: String,
}

impl From<&Credential> for DeviceCredential {
    fn from(c: &Credential) -> Self {
        let by = match &c.by {
            By::Account(id) => id.to_string(),
            By::Unit(id) => id.to_string(),
            By::Rule(_) | By::Resident | By::System => "system".to_owned(),
        };
        Self {
            device: c.device.to_string(),
            gateway: Format::of(c.voice),
            behind: c.behind.iter().map(ToString::to_string).collect(),
            active: c.hash.is_some(),
            since: c.since.0,
            by,
        }
    }
}

/// Devices that have or had a password of their own, by id; for the centre.
#[utoipa::path(
    get, path = "/api/v1/devices/credentials", tag = "devices",
    responses((status = 200, body = [DeviceCredential]), Problem)
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Result<Json<Vec<DeviceCredential>>, Problem> {
    if caller.audience != Audience::Centre {
        return Err(Code::Forbidden.into());
    }
    Ok(Json(desk.mirror.read().state.credentials.values().map(Into::into).collect()))
}

/// Issues a password 签发口令 for a device, in place of any before; for shift chiefs.
#[utoipa::path(
    post, path = "/api/v1/devices/{id}/credential", tag = "devices", request_body = IssueCredential,
    params(
        ("id" = String, Path, description = "A registered sensor's id, or a gateway's name"),
        ("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters"),
    ),
    responses((status = 200, body = IssuedCredential), Problem)
)]
pub(crate) async fn issue(
    State(desk): State<Desk>,
    caller: Caller,
    NameId(id): NameId,
    key: CommandKey,
    given: Given<IssueCredential>,
) -> Result<Json<IssuedCredential>, Problem> {
    if !desk.own_broker {
        return Err(Problem::no_broker());
    }
    let IssueCredential { gateway, behind } = given.value;
    let password = runtime::password::generate();
    let command = Command::IssueCredential {
        device: id.as_str().into(),
        voice: Format::voice(gateway),
        behind: behind.into_iter().map(Into::into).collect(),
        hash: runtime::password::hash(&password),
    };
    let Json(done) = submit(&desk, &caller, key, given.request, Mode::Real, command).await?;
    let Accepted { position, replayed, .. } = done;
    // Of a repetition the first answer had the password: what was made now is in force nowhere.
    Ok(Json(IssuedCredential { position, replayed, user: id, password: (!replayed).then_some(password) }))
}

/// Takes a device's password back 收回口令: the broker cuts the device off; for shift chiefs.
#[utoipa::path(
    delete, path = "/api/v1/devices/{id}/credential", tag = "devices",
    params(
        ("id" = String, Path, description = "A registered sensor's id, or a gateway's name"),
        ("Idempotency-Key" = String, Header, description = "1 to 128 visible ASCII characters"),
    ),
    responses((status = 200, body = Accepted), Problem)
)]
pub(crate) async fn revoke(
    State(desk): State<Desk>,
    caller: Caller,
    NameId(id): NameId,
    key: CommandKey,
) -> Result<Json<Accepted>, Problem> {
    let request = format!("DELETE {id}").into_bytes();
    submit(&desk, &caller, key, request, Mode::Real, Command::RevokeCredential(id.into())).await
}
