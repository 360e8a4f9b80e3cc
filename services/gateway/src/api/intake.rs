//! What the intake panel asks while a call is taken: places, duplicates, earlier reports of a number.

use axum::{Json, extract::State};
use domain::{
    access::{Audience, Sight, sees_incident},
    ids::ClassId,
    incident::Incident,
    refusal::Code,
    site::{Place, Site},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commands::person;
use crate::{
    body::{Asked, Given},
    desk::Desk,
    places::{self, PlaceHit, PlaceInput},
    problem::Problem,
    session::Caller,
};

/// Open incidents within this distance may be the same, metres.
const NEAR: f64 = 60.0;
/// Duplicates named at most.
const DUPLICATES: usize = 10;

/// Words to look up.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceQuery {
    /// What the caller says: `12栋2单元6层`, `三社区广场`, a local name.
    q: String,
}

/// Places that words may mean, with their nearest cameras.
#[utoipa::path(
    get, path = "/api/v1/places", tag = "intake", params(PlaceQuery),
    responses((status = 200, body = [PlaceHit]), Problem)
)]
pub(crate) async fn places(
    State(desk): State<Desk>,
    _caller: Caller,
    Asked(query): Asked<PlaceQuery>,
) -> Result<Json<Vec<PlaceHit>>, Problem> {
    Ok(Json(places::suggest(desk.site()?.as_ref(), &query.q)))
}

/// Class and place of what is being reported.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DuplicateQuery {
    /// Class.
    class: Option<String>,
    /// Building.
    building: Option<String>,
    /// Landmark.
    landmark: Option<String>,
    /// Grid.
    grid: Option<String>,
    /// Unit 单元; narrows nothing.
    unit: Option<u8>,
    /// Floor; narrows nothing.
    floor: Option<i8>,
    /// Flat; narrows nothing.
    flat: Option<u8>,
    /// Words for the place.
    text: Option<String>,
}

/// An open incident that may be the same matter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Duplicate {
    /// Number.
    incident: u64,
    /// Class.
    class: String,
    /// Stage.
    stage: String,
    /// Where, Chinese.
    place: String,
    /// Reported, ms since 1970.
    reported: i64,
}

/// Open incidents near a place, those of the same class first.
#[utoipa::path(
    get, path = "/api/v1/duplicates", tag = "intake", params(DuplicateQuery),
    responses((status = 200, body = [Duplicate]), Problem)
)]
pub(crate) async fn duplicates(
    State(desk): State<Desk>,
    caller: Caller,
    Asked(query): Asked<DuplicateQuery>,
) -> Result<Json<Vec<Duplicate>>, Problem> {
    let site = desk.site()?;
    let input = PlaceInput {
        grid: query.grid,
        building: query.building,
        landmark: query.landmark,
        unit: query.unit,
        floor: query.floor,
        flat: query.flat,
        text: query.text,
        ..PlaceInput::default()
    };
    let place = places::resolve(&site, &input)?;
    let class = query.class.map(ClassId::new);
    let seen = desk.mirror.read();
    let mut found: Vec<&Incident> = (seen.state.incidents.values())
        .filter(|i| i.open() && sees_incident(&caller.audience, i) != Sight::Hidden && near(&place, &i.place))
        .collect();
    found.sort_by_key(|i| (Some(&i.class) != class.as_ref(), std::cmp::Reverse(i.id)));
    Ok(Json(found.into_iter().take(DUPLICATES).map(|i| duplicate(&site, i)).collect()))
}

fn near(a: &Place, b: &Place) -> bool {
    (a.building.is_some() && a.building == b.building) || a.point.distance(b.point) <= NEAR
}

fn duplicate(site: &Site, incident: &Incident) -> Duplicate {
    Duplicate {
        incident: incident.id.0,
        class: incident.class.to_string(),
        stage: incident.stage.name().to_owned(),
        place: places::label(site, &incident.place).zh,
        reported: incident.times.reported.0,
    }
}

/// A number; in a body, so that it stands in no address and no log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    /// Telephone number.
    phone: String,
}

/// No telephone number is longer, however it is written, characters.
const MAX_NUMBER: usize = 40;

/// Earlier reports of a number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Earlier {
    /// Incidents and messages of the same number in memory.
    earlier: usize,
    /// The newest incidents of them.
    incidents: Vec<u64>,
}

/// How often a number reported before; for the centre.
#[utoipa::path(
    post, path = "/api/v1/reporters/lookup", tag = "intake", request_body = Number,
    responses((status = 200, body = Earlier), Problem)
)]
pub(crate) async fn reporter(
    State(desk): State<Desk>,
    caller: Caller,
    given: Given<Number>,
) -> Result<Json<Earlier>, Problem> {
    if caller.audience != Audience::Centre {
        return Err(Code::Forbidden.into());
    }
    if given.value.phone.chars().count() > MAX_NUMBER {
        return Err(Problem::bad_field().field("phone"));
    }
    let Some(person) = person(&desk, &given.value.phone) else {
        return Ok(Json(Earlier { earlier: 0, incidents: Vec::new() }));
    };
    let seen = desk.mirror.read();
    let same = |p: Option<&String>| p == Some(&person);
    let by = |i: &&Incident| same(i.reporter.as_ref().and_then(|r| r.person.as_ref()));
    let incidents: Vec<u64> = seen.state.incidents.values().rev().filter(by).map(|i| i.id.0).collect();
    let messages = seen.state.messages.values().filter(|m| m.inbound && same(m.person.as_ref())).count();
    let earlier = incidents.len() + messages;
    Ok(Json(Earlier { earlier, incidents: incidents.into_iter().take(DUPLICATES).collect() }))
}
