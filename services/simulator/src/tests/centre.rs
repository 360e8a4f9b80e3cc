//! A stand-in for the centre's side of the exchange.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

use super::{LIMIT, SECRET};
use crate::{
    config::Secret,
    sign::{KEY, verify},
};

/// A call that came in, also one that was answered 503.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: Value,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Call {
    /// Whether the signature is right.
    pub(super) fn verified(&self, now_ms: i64) -> bool {
        verify(&Secret::new(SECRET), &self.headers, &self.bytes, now_ms / 1_000).is_ok()
    }
}

#[derive(Clone)]
struct Desk {
    calls: mpsc::Sender<Call>,
    failing: Arc<AtomicUsize>,
}

/// The stand-in.
pub(super) struct Centre {
    address: SocketAddr,
    calls: Mutex<mpsc::Receiver<Call>>,
    failing: Arc<AtomicUsize>,
}

async fn take(State(desk): State<Desk>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> StatusCode {
    let key = headers.get(KEY).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let body = serde_json::from_slice(&bytes).unwrap();
    desk.calls.send(Call { path: uri.path().to_owned(), key, body, headers, bytes }).await.unwrap();
    let failing = desk.failing.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
    if failing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

impl Centre {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tx, rx) = mpsc::channel(1_000);
        let failing = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(take).with_state(Desk { calls: tx, failing: failing.clone() });
        let tasks = runtime::Tasks::default();
        tasks.spawn("centre", runtime::tasks::Stage::Sockets, runtime::Criticality::Ordinary, async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, calls: Mutex::new(rx), failing }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next calls with 503.
    pub(super) fn fail_next(&self, n: usize) {
        self.failing.store(n, SeqCst);
    }

    /// The next call.
    pub(super) async fn next(&self) -> Call {
        let mut calls = self.calls.lock().await;
        tokio::time::timeout(LIMIT, calls.recv()).await.unwrap().unwrap()
    }

    /// Calls that came and were not asked for.
    pub(super) fn waiting(&self) -> usize {
        self.calls.try_lock().unwrap().len()
    }
}
