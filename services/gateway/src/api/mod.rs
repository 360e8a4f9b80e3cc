//! The REST interface under `/api/v1`, with its OpenAPI document.

pub(crate) mod alarms;
pub(crate) mod blobs;
pub(crate) mod bodies;
pub(crate) mod cameras;
pub(crate) mod centre;
pub(crate) mod commands;
pub(crate) mod credentials;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod health;
pub(crate) mod incidents;
pub(crate) mod intake;
pub(crate) mod session;
pub(crate) mod shapes;
pub(crate) mod site;
pub(crate) mod tasks;

use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::desk::Desk;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "智慧卯家湾 Smart Maojiawan",
        description = "指挥中心接口 The command centre's interface. Commands carry an `Idempotency-Key` and are answered \
                       after they are durable; errors are RFC 9457 problems. Times are milliseconds since 1970 UTC, \
                       lengths metres.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(incidents::Which, crate::problem::ProblemBody)),
    modifiers(&Cookie),
    security(("session" = []))
)]
struct Document;

struct Cookie;

impl Modify for Cookie {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(crate::session::COOKIE)));
        openapi.components.get_or_insert_default().add_security_scheme("session", cookie);
    }
}

/// The routes and their document.
pub(crate) fn router() -> (axum::Router<Desk>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(session::log_in, session::current, session::log_out))
        .routes(routes!(site::site))
        .routes(routes!(incidents::list, commands::report))
        .routes(routes!(incidents::one))
        .routes(routes!(incidents::timeline))
        .routes(routes!(commands::accept))
        .routes(routes!(commands::reject))
        .routes(routes!(commands::merge))
        .routes(routes!(commands::file))
        .routes(routes!(commands::approve))
        .routes(routes!(commands::refuse_approval))
        .routes(routes!(commands::push))
        .routes(routes!(commands::note))
        .routes(routes!(commands::attend))
        .routes(routes!(commands::place))
        .routes(routes!(commands::verify))
        .routes(routes!(commands::close))
        .routes(routes!(commands::reopen))
        .routes(routes!(cameras::exhibit))
        .routes(routes!(alarms::list))
        .routes(routes!(commands::confirm))
        .routes(routes!(commands::judge))
        .routes(routes!(commands::shelve))
        .routes(routes!(commands::unshelve))
        .routes(routes!(commands::place_alarm))
        .routes(routes!(tasks::list))
        .routes(routes!(commands::receipt))
        .routes(routes!(commands::acknowledge))
        .routes(routes!(commands::en_route))
        .routes(routes!(commands::on_scene))
        .routes(routes!(commands::feedback))
        .routes(routes!(commands::decline))
        .routes(routes!(commands::recall))
        .routes(routes!(commands::reassign))
        .routes(routes!(commands::rework))
        .routes(routes!(tasks::units))
        .routes(routes!(blobs::photo))
        .routes(routes!(blobs::blob))
        .routes(routes!(intake::places))
        .routes(routes!(intake::duplicates))
        .routes(routes!(intake::reporter))
        .routes(routes!(devices::list))
        .routes(routes!(devices::chattering))
        .routes(routes!(devices::strangers))
        .routes(routes!(devices::history))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::issue, credentials::revoke))
        .routes(routes!(cameras::list))
        .routes(routes!(cameras::still))
        .routes(routes!(centre::departments))
        .routes(routes!(centre::preview))
        .routes(routes!(centre::messages))
        .routes(routes!(commands::place_message))
        .routes(routes!(centre::patrols))
        .routes(routes!(centre::duty, commands::set_duty))
        .routes(routes!(centre::figures))
        .routes(routes!(demo::demo))
        .routes(routes!(demo::happenings, demo::happen, demo::calm))
        .routes(routes!(crate::feed::socket::upgrade))
        .routes(routes!(crate::media::upgrade))
        .split_for_parts()
}

/// The OpenAPI document, as the dashboard's types are made from.
pub fn openapi() -> utoipa::openapi::OpenApi {
    router().1
}
