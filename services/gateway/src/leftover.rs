//! What a handler left unread of a body is read before the answer: a client that still sends would lose an answer that
//! comes with a closed connection. Bounded in size and time; may wait.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// Beyond this much the connection closes instead, bytes.
const MOST: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads what is left once the answer is known.
pub(crate) async fn read(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (back, left) = oneshot::channel();
    let request = request.map(|body| Body::new(Kept { body, back: Some(back) }));
    let answer = next.run(request).await;
    // It is not back if something still reads it.
    if let Ok(Ok(left)) = tokio::time::timeout(PATIENCE, left).await {
        discard(left).await;
    }
    answer
}

async fn discard(body: Body) {
    let mut body = Limited::new(body, MOST);
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(PATIENCE, all).await;
}

/// A body that is sent back when its reader drops it.
struct Kept {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}
