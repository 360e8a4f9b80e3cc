//! One connection to the feed.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue, protocol::WebSocketConfig},
};
use wire::feed::{self, client_message, server_message};

use crate::{Cursor, Error, Position, Session, Step};

/// The subprotocol: binary messages of `proto/feed.proto`.
pub const PROTOCOL: &str = "maojiawan.feed.v1";

/// How to follow.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port` of a gateway.
    pub address: String,
    /// The latest state only, on a tick; else every event.
    pub conflate: bool,
    /// For the connection, and between two messages: the server sends a heartbeat every second.
    pub patience: Duration,
    /// Bytes of one message at most; snapshots are the largest.
    pub largest: usize,
    /// First and longest pause of a [`crate::Follower`] before it connects again.
    pub pause: (Duration, Duration),
    /// Longest pause that a server may ask for.
    pub asked: Duration,
}

impl Options {
    /// Every event, six seconds of patience, messages up to 64 MiB, pauses from 100 ms to five seconds, or to a minute
    /// where a server asks for it.
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            conflate: false,
            patience: Duration::from_secs(6),
            largest: 64 << 20,
            pause: (Duration::from_millis(100), Duration::from_secs(5)),
            asked: Duration::from_secs(60),
        }
    }
}

/// A connection that has said where it stands.
#[derive(Debug)]
pub struct Feed {
    socket: WebSocketStream<TcpStream>,
    cursor: Cursor,
    patience: Duration,
}

impl Feed {
    /// Connects; from `position` where there is one, else the first step is a snapshot. So it is too when the server
    /// cannot go on from there.
    ///
    /// # Errors
    /// The network, the patience, or [`Error::Refused`].
    pub async fn open(options: &Options, session: &Session, position: Option<Position>) -> Result<Self, Error> {
        let cursor = Cursor::at(position);
        let opened = async {
            let stream = TcpStream::connect(&options.address).await?;
            stream.set_nodelay(true)?;
            let request = request(&options.address, session)?;
            let mut config = WebSocketConfig::default();
            config.read_buffer_size = 4 << 10;
            config.max_message_size = Some(options.largest);
            config.max_frame_size = Some(options.largest);
            let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
            let mut feed = Self { socket, cursor, patience: options.patience };
            feed.send(client_message::Kind::Hello(cursor.hello(options.conflate))).await?;
            Ok(feed)
        };
        timeout(options.patience, opened).await.map_err(|_| Error::Silent)?
    }

    /// Where it stands; what the next connection is to be told.
    pub fn position(&self) -> Option<Position> {
        self.cursor.position()
    }

    /// The next step. Cancel safe. After an error the connection is of no further use.
    ///
    /// # Errors
    /// See [`Error`]; the position stays where it was.
    pub async fn next(&mut self) -> Result<Step, Error> {
        loop {
            let bytes = timeout(self.patience, self.bytes()).await.map_err(|_| Error::Silent)??;
            if let Some(kind) = read(bytes)? {
                return self.cursor.take(kind);
            }
        }
    }

    /// Asks for [`Step::Pong`].
    ///
    /// # Errors
    /// The connection.
    pub async fn ping(&mut self, client_time: i64) -> Result<(), Error> {
        self.send(client_message::Kind::Ping(feed::Ping { client_time })).await
    }

    async fn send(&mut self, kind: client_message::Kind) -> Result<(), Error> {
        let message = feed::ClientMessage { kind: Some(kind) };
        Ok(self.socket.send(Message::Binary(message.encode_to_vec().into())).await?)
    }

    async fn bytes(&mut self) -> Result<tokio_tungstenite::tungstenite::Bytes, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    return Err(Error::Closed { code, reason });
                }
                Some(Ok(Message::Text(_))) => return Err(Error::Protocol("a text message")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::Closed { code: 1006, reason: String::new() }),
            }
        }
    }
}

/// A message; `None` when it is of a kind that only a newer server knows.
fn read(bytes: tokio_tungstenite::tungstenite::Bytes) -> Result<Option<server_message::Kind>, Error> {
    if bytes.is_empty() {
        return Err(Error::Protocol("an empty message"));
    }
    let message = feed::ServerMessage::decode(bytes).map_err(|_| Error::Protocol("not a message"))?;
    Ok(message.kind)
}

type Request = tokio_tungstenite::tungstenite::handshake::client::Request;

fn request(address: &str, session: &Session) -> Result<Request, Error> {
    let value = |text: String| HeaderValue::from_str(&text).map_err(|_| Error::Protocol("not a header value"));
    let mut request = format!("ws://{address}/api/v1/feed").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("origin", value(format!("http://{address}"))?);
    headers.insert("cookie", value(session.cookie())?);
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(PROTOCOL));
    Ok(request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kinds_of_a_newer_server_pass_and_what_is_no_message_does_not() {
        assert_eq!(read(vec![0x7a, 0x02, 0x08, 0x01].into()).unwrap(), None);
        assert!(matches!(read(vec![].into()), Err(Error::Protocol(_))));
        assert!(matches!(read(vec![0x0a, 0x7f].into()), Err(Error::Protocol(_))));
        let beat = feed::Heartbeat { head: 3, ..feed::Heartbeat::default() };
        let kind = server_message::Kind::Heartbeat(beat);
        let bytes = feed::ServerMessage { kind: Some(kind.clone()) }.encode_to_vec();
        assert_eq!(read(bytes.into()).unwrap(), Some(kind));
    }
}
