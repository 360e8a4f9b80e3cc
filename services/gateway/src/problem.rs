//! Every error of the HTTP edge as an RFC 9457 problem: a stable code for programs, Chinese first for people, the field
//! that is wrong. Problems never repeat what the caller sent and never carry personal values.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::refusal::{Code, Fault, Refusal};
use link::{intake::IntakeError, media::MediaError};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, Ref, RefOr, Response as Described},
};

/// Content type of every problem.
const CONTENT_TYPE: &str = "application/problem+json";

/// The body of a problem, `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `/problems/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What people read, Chinese.
    pub title: String,
    /// What people read, English.
    pub title_en: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: String,
    /// The field of the request that is wrong, dotted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// More, for the one who writes the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    title_en: &'static str,
    field: Option<Cow<'static, str>>,
    detail: Option<String>,
    retry_after: Option<u64>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $zh:literal, $en:literal;)*) => {
        impl Problem {
            $($(#[$doc])*
            pub(crate) const fn $name() -> Self { Self::new(StatusCode::$status, $code, $zh, $en) })*
            /// Codes that the edge itself gives, beside those of refusals.
            pub const EDGE_CODES: &'static [&'static str] = &[$($code),*];
        }
    };
}

problems! {
    /// Nobody is logged in.
    no_session = UNAUTHORIZED, "no_session", "请先登录", "Log in first";
    /// Wrong account or password.
    bad_login = UNAUTHORIZED, "bad_login", "账号或密码不对", "The account or the password is wrong";
    /// Too many failures.
    locked = TOO_MANY_REQUESTS, "locked", "失败次数过多，账号暂时锁定", "Too many failures; the account is locked for a while";
    /// Another site's page asks.
    cross_site = FORBIDDEN, "cross_site", "不接受来自其他网站的请求", "Requests from other sites are not taken";
    /// The role does not allow it.
    forbidden = FORBIDDEN, "forbidden", "没有这项操作的权限", "Your role does not allow this";
    /// No such path or thing.
    not_found = NOT_FOUND, "not_found", "没有这个地址或对象", "There is no such address or thing";
    /// Wrong method.
    bad_method = METHOD_NOT_ALLOWED, "bad_method", "这个地址不支持该操作", "The address does not take this method";
    /// Wrong content type.
    bad_type = UNSUPPORTED_MEDIA_TYPE, "bad_type", "内容类型不对", "The content type is not taken here";
    /// Body too large.
    too_large = PAYLOAD_TOO_LARGE, "too_large", "内容过大", "The body is too large";
    /// Body did not arrive.
    bad_body = BAD_REQUEST, "bad_body", "内容没有完整到达", "The body did not arrive whole";
    /// No JSON.
    bad_json = BAD_REQUEST, "bad_json", "内容不是有效的 JSON", "The body is not valid JSON";
    /// A field has the wrong shape.
    bad_field = UNPROCESSABLE_ENTITY, "bad_field", "字段缺失或取值不对", "A field is missing or has a wrong value";
    /// A query parameter is wrong.
    bad_query = BAD_REQUEST, "bad_query", "查询参数不对", "A query parameter is wrong";
    /// No or bad idempotency key.
    key_missing = BAD_REQUEST, "key_missing", "缺少有效的 Idempotency-Key（1 至 128 个可见字符）", "A valid Idempotency-Key header is missing (1 to 128 visible characters)";
    /// Same key, other request.
    key_reused = UNPROCESSABLE_ENTITY, "key_reused", "同一个 Idempotency-Key 用在了不同的请求上", "The Idempotency-Key was used for another request";
    /// No JPEG.
    bad_picture = UNPROCESSABLE_ENTITY, "bad_picture", "不是有效的 JPEG 照片", "The body is not a valid JPEG picture";
    /// Erased.
    erased = GONE, "erased", "已删除", "It was erased";
    /// Range outside.
    bad_range = RANGE_NOT_SATISFIABLE, "bad_range", "请求的范围不存在", "The requested range does not exist";
    /// No picture of that time.
    no_picture = NOT_FOUND, "no_picture", "没有该时刻的画面", "There is no picture of that time";
    /// Media are off.
    no_media = SERVICE_UNAVAILABLE, "no_media", "视频服务暂不可用", "Video is not available now";
    /// The broker is somebody else's.
    no_broker = CONFLICT, "no_broker", "本站使用外部 MQTT 代理，设备口令由该代理管理", "The site uses an MQTT broker that runs elsewhere; devices' passwords are managed there";
    /// Busy.
    busy = SERVICE_UNAVAILABLE, "busy", "系统繁忙，请稍后再试", "The centre is busy; try again";
    /// It names something that is not stored any more, or breaks a bound of the store.
    unstorable = UNPROCESSABLE_ENTITY, "unstorable", "内容无法保存（如所附照片已失效），没有生效", "It cannot be stored, for example because a picture that it names is gone; nothing took effect";
    /// Storage is down.
    unavailable = SERVICE_UNAVAILABLE, "unavailable", "暂时无法保存，没有生效", "Nothing can be stored now; nothing took effect";
    /// The commit or its answer broke off.
    unknown = SERVICE_UNAVAILABLE, "unknown", "是否生效尚不清楚，请原样重试", "Whether it took effect is not known; repeat it under the same key";
    /// The feed has no state yet.
    starting = SERVICE_UNAVAILABLE, "starting", "系统正在启动", "The centre is starting";
    /// The simulator does not answer.
    no_simulator = BAD_GATEWAY, "no_simulator", "模拟器没有应答", "The simulator does not answer";
    /// No socket.
    bad_upgrade = BAD_REQUEST, "bad_upgrade", "这里只接受 WebSocket 连接及其子协议", "Only WebSocket connections with the right subprotocol are taken here";
    /// A fault of ours.
    fault = INTERNAL_SERVER_ERROR, "fault", "系统内部错误，已记录", "An internal fault; it was logged";
}

impl Problem {
    const fn new(status: StatusCode, code: &'static str, title: &'static str, title_en: &'static str) -> Self {
        Self { status, code, title, title_en, field: None, detail: None, retry_after: None }
    }

    /// With the field that is wrong.
    #[must_use]
    pub(crate) fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// With a remark for programmers; must not repeat values.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With the seconds to wait.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

/// How every operation's description names its problems.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let problem =
            || Described::builder().content(CONTENT_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))));
        ["4XX", "5XX"].map(|status| (status.to_owned(), problem().build().into())).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("/problems/{}", self.code),
            title: self.title.to_owned(),
            title_en: self.title_en.to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            field: self.field.map(Cow::into_owned),
            detail: self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code;
        let status = match refusal.fault() {
            Fault::Forbidden => StatusCode::FORBIDDEN,
            Fault::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Field => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Missing => StatusCode::NOT_FOUND,
            Fault::Conflict => StatusCode::CONFLICT,
        };
        let mut problem = Self::new(status, code.as_str(), code.zh(), code.en());
        problem.field = refusal.field;
        problem
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Refusal::new(code).into()
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Refused(refusal) => refusal.into(),
            IntakeError::KeyReused => Self::key_reused(),
            IntakeError::TooLong(what) => Self::too_large().detail(what),
            IntakeError::Busy => Self::busy().retry_after(1),
            IntakeError::Unstorable => Self::unstorable(),
            // The reason stands on /readyz and in the log.
            IntakeError::Unavailable(_) => Self::unavailable().retry_after(2),
            IntakeError::Unknown(_) => Self::unknown().retry_after(2),
        }
    }
}

impl From<ledger::LedgerError> for Problem {
    fn from(error: ledger::LedgerError) -> Self {
        let code = error.code();
        if error.is_transient() {
            tracing::warn!(code, "the store failed");
            Self::unavailable().retry_after(2).detail(code)
        } else {
            tracing::error!(code, error = %error, "the store failed");
            Self::fault().detail(code)
        }
    }
}

impl From<wire::WireError> for Problem {
    fn from(error: wire::WireError) -> Self {
        tracing::error!(error = %error, "stored bytes cannot be read");
        Self::fault().detail("stored bytes")
    }
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::UnknownCamera => Refusal::field(Code::NoDevice, "camera").into(),
            MediaError::NoPicture => Self::no_picture(),
            MediaError::Busy(_) => Self::busy().retry_after(2),
            MediaError::Unavailable => Self::no_media().retry_after(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_code_and_get_a_status() {
        let cases = [
            (Refusal::new(Code::Forbidden), 403),
            (Refusal::new(Code::NoIncident), 404),
            (Refusal::field(Code::NoPlace, "place"), 422),
            (Refusal::new(Code::WrongStage), 409),
        ];
        for (refusal, status) in cases {
            let problem = Problem::from(refusal.clone());
            assert_eq!((problem.code(), problem.status().as_u16()), (refusal.code.as_str(), status));
        }
    }

    #[test]
    fn codes_are_not_spelt_twice() {
        let mut codes: Vec<&str> = Problem::EDGE_CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Problem::EDGE_CODES.len());
    }
}
