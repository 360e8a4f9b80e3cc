//! The dashboard's files: hashed assets for ever, pages never from a cache. Pages of the app all are `index.html`.

use std::path::Path;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, header},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

use crate::problem::Problem;

/// Serves a path from `folder`.
pub(crate) async fn serve(folder: Option<&Path>, request: Request<Body>) -> Response {
    let path = request.uri().path();
    let api = path == "/api" || path.starts_with("/api/");
    let Some(folder) = folder.filter(|_| !api) else { return Problem::not_found().into_response() };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Problem::bad_method().into_response();
    }
    let page = !path.rsplit('/').next().unwrap_or("").contains('.');
    let cache = if page || path == "/index.html" {
        "no-store"
    } else if path.starts_with("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let served = if page {
        ServeFile::new(folder.join("index.html")).oneshot(request).await.map(IntoResponse::into_response)
    } else {
        ServeDir::new(folder)
            .append_index_html_on_directories(false)
            .oneshot(request)
            .await
            .map(IntoResponse::into_response)
    };
    match served {
        Ok(mut response) if !response.status().is_client_error() && !response.status().is_server_error() => {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
            response
        }
        Ok(response) if response.status().is_server_error() => Problem::fault().into_response(),
        _ => Problem::not_found().into_response(),
    }
}
