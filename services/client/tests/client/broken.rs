//! Against a server that breaks the rules.

use std::time::Duration;

use client::{Error, Feed, Follower, Options, Position, Session, Step, Told};
use futures::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use wire::feed::{self, client_message, server_message::Kind};

struct Server(TcpListener);

impl Server {
    async fn new() -> (Self, Options) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = Options::at(listener.local_addr().unwrap().to_string());
        options.pause = (Duration::from_millis(1), Duration::from_millis(1));
        (Self(listener), options)
    }

    /// The next client, if it stays until it is upgraded.
    async fn upgrade(&self) -> Option<WebSocketStream<TcpStream>> {
        let (stream, _) = self.0.accept().await.unwrap();
        #[allow(clippy::result_large_err, reason = "as the library has it")]
        let protocol = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let protocol = request.headers()["sec-websocket-protocol"].clone();
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        accept_hdr_async(stream, protocol).await.ok()
    }

    /// The next client and its first message.
    async fn accept(&self) -> (WebSocketStream<TcpStream>, feed::Hello) {
        let mut socket = self.upgrade().await.unwrap();
        let bytes = socket.next().await.unwrap().unwrap().into_data();
        match feed::ClientMessage::decode(bytes).unwrap().kind.unwrap() {
            client_message::Kind::Hello(hello) => (socket, hello),
            other @ client_message::Kind::Ping(_) => panic!("{other:?}"),
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, kind: Kind) {
    let bytes = feed::ServerMessage { kind: Some(kind) }.encode_to_vec();
    socket.send(Message::Binary(bytes.into())).await.unwrap();
}

fn frame(after: u64, upto: u64) -> Kind {
    Kind::Frame(feed::Frame { log_id: 3, after, upto, ..feed::Frame::default() })
}

const AT: Position = Position { log_id: 3, seq: 5 };

#[tokio::test]
async fn a_gap_ends_the_connection_and_the_next_asks_for_it() {
    let (server, options) = Server::new().await;
    let serve = async {
        let (mut socket, hello) = server.accept().await;
        assert_eq!((hello.log_id, hello.cursor), (3, 5));
        send(&mut socket, frame(5, 6)).await;
        send(&mut socket, frame(7, 8)).await;
        let (mut socket, hello) = server.accept().await;
        assert_eq!((hello.log_id, hello.cursor), (3, 6), "what was refused did not count");
        send(&mut socket, frame(6, 8)).await;
        let over = CloseFrame { code: CloseCode::from(4401), reason: "session".into() };
        socket.send(Message::Close(Some(over))).await.unwrap();
        socket
    };
    let follow = async {
        let mut follower = Follower::new(options, Session::new("t"), Some(AT));
        assert!(matches!(follower.next().await.unwrap(), Told::Connected));
        assert!(matches!(follower.next().await.unwrap(), Told::Step(Step::Frame(_))));
        let gap = follower.next().await.unwrap();
        assert!(matches!(gap, Told::Lost(Error::Gap { cursor: 6, after: 7 })), "{gap:?}");
        assert!(matches!(follower.next().await.unwrap(), Told::Connected));
        assert!(matches!(follower.next().await.unwrap(), Told::Step(Step::Frame(_))));
        let over = follower.next().await.unwrap_err();
        assert!(matches!(over, Error::Closed { code: 4401, .. }), "{over:?}");
        assert_eq!(follower.position(), Some(Position { log_id: 3, seq: 8 }));
    };
    tokio::join!(serve, follow);
}

#[tokio::test]
async fn silence_counts_as_death() {
    let (server, mut options) = Server::new().await;
    options.patience = Duration::from_millis(50);
    let mut follower = Follower::new(options, Session::new("t"), Some(AT));
    let follow = async {
        let mut connected = false;
        loop {
            match follower.next().await.unwrap() {
                Told::Connected => connected = true,
                Told::Lost(Error::Silent) if connected => break,
                // A busy machine may not even connect in that time.
                Told::Lost(Error::Silent) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let serve = async {
        let mut held = Vec::new();
        loop {
            // One that gave up while it was being accepted is none of ours.
            held.extend(server.upgrade().await);
        }
    };
    tokio::select! {
        () = follow => {}
        () = serve => {}
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let (server, options) = Server::new().await;
    let session = Session::new("t");
    for bad in [Message::Binary(vec![0xff; 9].into()), Message::text("hello"), Message::Binary(Vec::new().into())] {
        let (accepted, feed) = tokio::join!(server.accept(), Feed::open(&options, &session, Some(AT)));
        let (mut socket, _) = accepted;
        socket.send(bad).await.unwrap();
        assert!(matches!(feed.unwrap().next().await, Err(Error::Protocol(_))));
    }
}

#[tokio::test]
async fn too_long_a_message_is_refused() {
    let (server, mut options) = Server::new().await;
    options.largest = 1_000;
    let session = Session::new("t");
    let (accepted, feed) = tokio::join!(server.accept(), Feed::open(&options, &session, Some(AT)));
    let (mut socket, _) = accepted;
    socket.send(Message::Binary(vec![0; 2_000].into())).await.unwrap();
    let error = feed.unwrap().next().await.unwrap_err();
    assert!(matches!(error, Error::Socket(_)), "{error:?}");
}
