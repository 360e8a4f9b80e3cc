//! Errors of inbound calls as RFC 9457 problems: a stable code, Chinese first, the field that is wrong. They never repeat
//! what the caller sent.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::refusal::{Code, Fault, Refusal};
use link::intake::IntakeError;
use serde_json::json;

use crate::sign::Unsigned;

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    title: &'static str,
    title_en: &'static str,
    pub(crate) field: Option<String>,
    retry_after: Option<u32>,
}

impl Problem {
    const fn new(status: StatusCode, code: &'static str, title: &'static str, title_en: &'static str) -> Self {
        Self { status, code, title, title_en, field: None, retry_after: None }
    }

    /// What is wrong, Chinese.
    pub(crate) fn zh(&self) -> String {
        match &self.field {
            Some(field) => format!("{} {field}", self.title),
            None => self.title.to_owned(),
        }
    }

    pub(crate) fn no_department() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_department", "没有对接这个部门", "This department is not connected")
    }
    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "请求过大", "The request is too large")
    }
    pub(crate) fn interrupted() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "interrupted", "请求没有传完", "The request ended early")
    }
    pub(crate) fn key_missing() -> Self {
        let (zh, en) =
            ("缺少幂等键 Idempotency-Key，或长度不在 1 到 100", "Idempotency-Key is missing or not of 1 to 100 bytes");
        Self::new(StatusCode::BAD_REQUEST, "key_missing", zh, en)
    }
    pub(crate) fn malformed() -> Self {
        let (zh, en) = ("请求不是可读的 JSON 对象", "The request is no readable JSON object");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", zh, en)
    }
    pub(crate) fn field(field: impl Into<String>) -> Self {
        let (zh, en) = ("字段缺失或不合要求", "A field is missing or wrong");
        let new = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "field_invalid", zh, en);
        Self { field: Some(field.into()), ..new }
    }
    pub(crate) fn no_place() -> Self {
        let code = Code::NoPlace;
        let new = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code.as_str(), code.zh(), code.en());
        Self { field: Some("place_text".to_owned()), ..new }
    }
}

impl From<Unsigned> for Problem {
    fn from(unsigned: Unsigned) -> Self {
        let (code, zh, en) = match unsigned {
            Unsigned::Missing => ("signature_missing", "缺少签名或时间戳", "The signature or its time is missing"),
            Unsigned::Stale => {
                ("signature_stale", "签名时间超出允许范围", "The signature's time is outside the window")
            }
            Unsigned::Wrong => ("signature_invalid", "签名不符", "The signature does not match"),
        };
        Self::new(StatusCode::UNAUTHORIZED, code, zh, en)
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
        let new = Self::new(status, code.as_str(), code.zh(), code.en());
        Self { field: refusal.field.map(Cow::into_owned), ..new }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let (unprocessable, unavailable) = (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::SERVICE_UNAVAILABLE);
        match error {
            IntakeError::Refused(refusal) => refusal.into(),
            IntakeError::KeyReused => {
                let (zh, en) = ("同一幂等键已用于不同的请求", "The key was used for another request");
                Self::new(unprocessable, "key_reused", zh, en)
            }
            IntakeError::TooLong(_) => Self::new(unprocessable, "too_long", "内容过长", "It is too long"),
            IntakeError::Unstorable => Self::new(
                unprocessable,
                "unstorable",
                "内容无法保存，没有生效",
                "It cannot be stored; nothing took effect",
            ),
            IntakeError::Busy => {
                let new = Self::new(unavailable, "busy", "系统繁忙，请稍后再试", "Busy, try again");
                Self { retry_after: Some(1), ..new }
            }
            IntakeError::Unavailable(_) => {
                let new =
                    Self::new(unavailable, "unavailable", "暂时无法保存，请稍后再试", "Nothing can be stored now");
                Self { retry_after: Some(5), ..new }
            }
            IntakeError::Unknown(_) => {
                let (zh, en) = (
                    "是否生效尚不清楚，请原样重试",
                    "Whether it took effect is not known; repeat it under the same key",
                );
                Self { retry_after: Some(5), ..Self::new(unavailable, "unknown", zh, en) }
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("/problems/{}", self.code),
            "title": self.title,
            "title_en": self.title_en,
            "status": self.status.as_u16(),
            "code": self.code,
        });
        if let (Some(field), Some(body)) = (&self.field, body.as_object_mut()) {
            body.insert("field".to_owned(), json!(field));
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
