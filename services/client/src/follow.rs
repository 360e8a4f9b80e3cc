//! A feed over many connections.

use std::time::Duration;

use runtime::retry::Backoff;
use tokio::time::{Instant, sleep_until};

use crate::{Error, Feed, Options, Position, Session, Step};

/// What a follower tells.
#[derive(Debug)]
pub enum Told {
    /// A step of the feed.
    Step(Step),
    /// Connected, and told the server where we stand.
    Connected,
    /// The connection is lost or could not be made; the next call waits and tries again. What is shown is old until
    /// [`Told::Connected`].
    Lost(Error),
}

/// Follows until the session ends. Over all connections each event comes once and in order, or after a snapshot.
#[derive(Debug)]
pub struct Follower {
    options: Options,
    session: Session,
    position: Option<Position>,
    feed: Option<Feed>,
    backoff: Backoff,
    /// Not before; kept here so that a dropped call does not begin the pause again.
    due: Option<Instant>,
    /// The pause that the server asked for.
    asked: Option<Duration>,
}

impl Follower {
    /// From `position`, or with a snapshot. Connects at the first call of [`Self::next`].
    pub fn new(options: Options, session: Session, position: Option<Position>) -> Self {
        let backoff = Backoff::new(options.pause.0, options.pause.1);
        Self { options, session, position, feed: None, backoff, due: None, asked: None }
    }

    /// Where it stands.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Goes to another gateway with the next connection.
    pub fn turn_to(&mut self, address: impl Into<String>) {
        self.options.address = address.into();
    }

    /// What happens next. Cancel safe.
    ///
    /// # Errors
    /// Only what no further connection heals: the session is over, or the server refuses.
    pub async fn next(&mut self) -> Result<Told, Error> {
        let Some(feed) = &mut self.feed else { return self.connect().await };
        let step = feed.next().await;
        // A resync takes the position away, so it is taken over after an error too.
        self.position = feed.position();
        match step {
            Ok(step) => {
                if let Step::Handover { retry_after_ms, .. } = &step {
                    self.asked = Some(Duration::from_millis((*retry_after_ms).into()));
                }
                if matches!(step, Step::Frame(_) | Step::Snapshot(_) | Step::Heartbeat { .. }) {
                    self.backoff.reset();
                }
                Ok(Told::Step(step))
            }
            Err(error) => self.lost(error),
        }
    }

    async fn connect(&mut self) -> Result<Told, Error> {
        if let Some(due) = self.due {
            sleep_until(due).await;
        }
        match Feed::open(&self.options, &self.session, self.position).await {
            Ok(feed) => {
                (self.feed, self.due) = (Some(feed), None);
                Ok(Told::Connected)
            }
            Err(error) => self.lost(error),
        }
    }

    fn lost(&mut self, error: Error) -> Result<Told, Error> {
        self.feed = None;
        if !error.passes() {
            return Err(error);
        }
        let refused = match &error {
            Error::Refused { retry_after, .. } => retry_after.map(Duration::from_secs),
            _ => None,
        };
        let asked = self.asked.take().or(refused).map(|asked| asked.min(self.options.asked));
        let pause = asked.unwrap_or_else(|| self.backoff.delay());
        self.due = Some(Instant::now() + pause);
        Ok(Told::Lost(error))
    }
}
