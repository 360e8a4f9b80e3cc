//! Extractors that answer with problems: JSON bodies that name the wrong field, ids, queries, idempotency keys.

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{
    config::{BODY, BODY_PATIENCE},
    problem::Problem,
};

/// A JSON body with the bytes that a repetition repeats. An empty body stands for `{}`.
pub(crate) struct Given<T> {
    pub(crate) value: T,
    /// Method, path and body.
    pub(crate) request: Vec<u8>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let head = format!("{} {}\n", request.method(), request.uri());
        let json = is_type(request.headers(), "application/json");
        let bytes = bounded(request, BODY).await?;
        if !json && !bytes.is_empty() {
            return Err(Problem::bad_type().detail("application/json"));
        }
        let body: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let value = parse(body)?;
        Ok(Self { value, request: [head.as_bytes(), body].concat() })
    }
}

/// Whether the content type is `wanted`, whatever its parameters.
pub(crate) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(wanted))
}

/// A body of at most `limit` bytes, which comes in time: one that trickles must not hold a connection for ever.
pub(crate) async fn bounded(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|n| n > limit) {
        return Err(Problem::too_large());
    }
    let read = tokio::time::timeout(BODY_PATIENCE, to_bytes(request.into_body(), limit)).await;
    read.map_err(|_| Problem::bad_body())?.map_err(|error| {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(e) = source {
            if e.is::<http_body_util::LengthLimitError>() {
                return Problem::too_large();
            }
            source = e.source();
        }
        Problem::bad_body()
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde would also take the fields of an object from an array.
    let object = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if !object {
        let json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        return Err(if json { Problem::bad_field().field("body") } else { Problem::bad_json() });
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        if !inner.is_data() {
            return Problem::bad_json().detail(format!("line {}, column {}", inner.line(), inner.column()));
        }
        let path = error.path().to_string();
        let named = named_field(&inner.to_string());
        let field = match (path.as_str(), named) {
            (".", Some(name)) => name,
            (".", None) => "body".to_owned(),
            (path, Some(name)) if !path.ends_with(&name) => format!("{path}.{name}"),
            (path, _) => path.to_owned(),
        };
        Problem::bad_field().field(field)
    })?;
    reader.end().map_err(|_| Problem::bad_json().detail("more after the value"))?;
    Ok(value)
}

/// The field in serde's "missing field `x`" and "unknown field `x`"; those names are ours or the caller's keys, cut short.
fn named_field(message: &str) -> Option<String> {
    let rest = message.strip_prefix("missing field `").or_else(|| message.strip_prefix("unknown field `"))?;
    let name = rest.split('`').next()?;
    Some(name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect())
}

/// A number in the path; anything else is no such thing.
pub(crate) struct Id(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<u64>::from_request_parts(parts, state).await.map(|Path(id)| Self(id)).map_err(|_| Problem::not_found())
    }
}

/// A short name in the path.
pub(crate) struct NameId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for NameId {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?.0;
        if name.len() > 128 { Err(Problem::not_found()) } else { Ok(Self(name)) }
    }
}

/// Query parameters.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|_| Problem::bad_query())
    }
}

/// The `Idempotency-Key` of a command: 1 to 128 visible ASCII characters.
pub(crate) struct CommandKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for CommandKey {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let key = values.next().and_then(|v| v.to_str().ok()).unwrap_or("");
        let good = (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        if good && values.next().is_none() {
            Ok(Self(key.to_owned()))
        } else {
            Err(Problem::key_missing().field("Idempotency-Key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(axum::body::Body::from_stream(never));
        let read = tokio::time::timeout(BODY_PATIENCE * 2, bounded(request, 10)).await;
        assert_eq!(read.unwrap().unwrap_err().code(), "bad_body");
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        reason: String,
        #[serde(default)]
        targets: Vec<Target>,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Target {
        unit: String,
    }

    #[test]
    fn the_wrong_field_is_named() {
        let cases = [
            (r"{", "bad_json", None),
            (r#"{"reason":"x"} y"#, "bad_json", None),
            (r"{}", "bad_field", Some("reason")),
            (r#"{"reason":1}"#, "bad_field", Some("reason")),
            (r#"{"reason":"x","other":1}"#, "bad_field", Some("other")),
            (r#"{"reason":"x","targets":[{"unit":"a"},{}]}"#, "bad_field", Some("targets[1].unit")),
            (r#"["x"]"#, "bad_field", Some("body")),
            ("7", "bad_field", Some("body")),
            ("[", "bad_json", None),
        ];
        for (body, code, field) in cases {
            let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code(), code, "{body}");
            assert_eq!(
                problem,
                field.into_iter().fold(problem.clone(), |_, f| Problem::bad_field().field(f)),
                "{body}"
            );
        }
    }
}
