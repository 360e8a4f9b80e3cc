//! Where a client stands, and what each message means there. Pure.

use wire::feed::{self, server_message::Kind};

use crate::Error;

/// A place in a log. Positions of different logs do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which log.
    pub log_id: u64,
    /// The last event seen.
    pub seq: u64,
}

/// What a message of the server means.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Everything as of its position: replaces all that is held.
    Snapshot(feed::Snapshot),
    /// What followed; begins exactly where the client stood.
    Frame(feed::Frame),
    /// What is held is void, a snapshot follows; the reason is the server's.
    Resync(String),
    /// The server stops serving, and another one will go on from here.
    Handover {
        /// `draining` or `trouble`.
        reason: String,
        /// Milliseconds until the next connection, drawn for this client.
        retry_after_ms: u32,
    },
    /// Nothing new; the server's clock (ms) and the end of its log.
    Heartbeat {
        /// Milliseconds since 1970.
        server_time: i64,
        /// The last event that the server knows …
        head: u64,
        /// … and of which log.
        log_id: u64,
    },
    /// The answer to a ping.
    Pong {
        /// As the ping had it.
        client_time: i64,
        /// Milliseconds since 1970.
        server_time: i64,
    },
}

/// The position of one client over all its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(Option<Position>);

impl Cursor {
    /// Stands at `position`; `None` begins with a snapshot.
    pub fn at(position: Option<Position>) -> Self {
        Self(position)
    }

    /// Where it stands; `None` until the snapshot comes.
    pub fn position(&self) -> Option<Position> {
        self.0
    }

    /// The first message of a connection.
    pub fn hello(&self, conflate: bool) -> feed::Hello {
        let Position { log_id, seq } = self.0.unwrap_or(Position { log_id: 0, seq: 0 });
        feed::Hello { log_id, cursor: seq, conflate }
    }

    /// Takes a message of the server.
    ///
    /// # Errors
    /// [`Error::Gap`] when a frame does not join, [`Error::Protocol`] when it is of another log, runs backwards or comes
    /// before the snapshot. The cursor is then where it was: the next connection asks for what is missing.
    pub fn take(&mut self, message: Kind) -> Result<Step, Error> {
        Ok(match message {
            Kind::Snapshot(snapshot) => {
                self.0 = Some(Position { log_id: snapshot.log_id, seq: snapshot.seq });
                Step::Snapshot(snapshot)
            }
            Kind::Frame(frame) => {
                let at = self.0.as_mut().ok_or(Error::Protocol("a frame before the snapshot"))?;
                if frame.log_id != at.log_id {
                    return Err(Error::Protocol("a frame of another log"));
                }
                if frame.after != at.seq {
                    return Err(Error::Gap { cursor: at.seq, after: frame.after });
                }
                if frame.upto < frame.after {
                    return Err(Error::Protocol("a frame that runs backwards"));
                }
                at.seq = frame.upto;
                Step::Frame(frame)
            }
            Kind::Handover(feed::Handover { reason, retry_after_ms, .. }) => Step::Handover { reason, retry_after_ms },
            Kind::Resync(resync) => {
                self.0 = None;
                Step::Resync(resync.reason)
            }
            Kind::Heartbeat(feed::Heartbeat { server_time, head, log_id }) => {
                Step::Heartbeat { server_time, head, log_id }
            }
            Kind::Pong(pong) => Step::Pong { client_time: pong.client_time, server_time: pong.server_time },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn frame(log_id: u64, after: u64, upto: u64) -> Kind {
        Kind::Frame(feed::Frame { log_id, after, upto, ..feed::Frame::default() })
    }

    fn snapshot(log_id: u64, seq: u64) -> Kind {
        Kind::Snapshot(feed::Snapshot { log_id, seq, ..feed::Snapshot::default() })
    }

    fn resync(reason: &str) -> Kind {
        Kind::Resync(feed::Resync { reason: reason.to_owned() })
    }

    #[test]
    fn frames_join_or_are_refused() {
        let mut cursor = Cursor::default();
        assert!(matches!(cursor.take(frame(1, 0, 1)), Err(Error::Protocol(_))), "no snapshot yet");
        cursor.take(snapshot(1, 5)).unwrap();
        cursor.take(frame(1, 5, 9)).unwrap();
        let before = cursor;
        assert!(matches!(cursor.take(frame(1, 10, 11)), Err(Error::Gap { cursor: 9, after: 10 })), "one is missing");
        assert!(matches!(cursor.take(frame(1, 5, 9)), Err(Error::Gap { cursor: 9, after: 5 })), "twice");
        assert!(matches!(cursor.take(frame(2, 9, 10)), Err(Error::Protocol(_))), "another log");
        assert!(matches!(cursor.take(frame(1, 9, 8)), Err(Error::Protocol(_))), "backwards");
        assert_eq!(cursor, before, "what was refused changes nothing");
        assert_eq!(cursor.hello(false), feed::Hello { log_id: 1, cursor: 9, conflate: false });
    }

    #[test]
    fn after_a_resync_only_a_snapshot_counts() {
        let mut cursor = Cursor::at(Some(Position { log_id: 1, seq: 5 }));
        assert_eq!(cursor.take(resync("slow")).unwrap(), Step::Resync("slow".to_owned()));
        assert!(matches!(cursor.take(frame(1, 5, 6)), Err(Error::Protocol(_))));
        assert_eq!(cursor.hello(true), feed::Hello { log_id: 0, cursor: 0, conflate: true });
        cursor.take(snapshot(2, 7)).unwrap();
        assert_eq!(cursor.position(), Some(Position { log_id: 2, seq: 7 }));
    }

    #[test]
    fn a_server_that_hands_over_takes_nothing_away() {
        let mut cursor = Cursor::at(Some(Position { log_id: 1, seq: 5 }));
        let handover =
            feed::Handover { reason: "draining".to_owned(), retry_after_ms: 630, ..feed::Handover::default() };
        let told = Step::Handover { reason: "draining".to_owned(), retry_after_ms: 630 };
        assert_eq!(cursor.take(Kind::Handover(handover)).unwrap(), told);
        assert_eq!(cursor.position(), Some(Position { log_id: 1, seq: 5 }));
    }
}
