//! What an audience sees of the state and its events, as messages of the feed.
//!
//! Invariants: masking happens here, before anything is serialised. Persons are shown masked to everybody; free text
//! only where the [`Sight`] allows text; at [`Sight::Words`] of it only what was reported, starred; at [`Sight::Facts`]
//! none, and at neither a reporter or a flat. The vault's
//! values come from [`Texts`], which must not block: ask [`refs_of_state`] and [`refs_of_event`] and fetch first.

mod case;
mod event;
mod place;
mod records;

use std::cell::RefCell;

use domain::{
    State,
    access::Sight,
    event::{By, Event, Key},
    ids::VaultId,
    site::Place,
    text::starred,
    time::Timestamp,
};

pub use place::place;

use crate::feed::{self, state::Kind};

/// Cameras named with an alarm, incident or message, nearest first.
pub const NEAREST_CAMERAS: usize = 4;

/// A value of the vault as a view may use it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The value; `None` where the caller did not fetch it.
    pub full: Option<String>,
    /// The value masked by its kind.
    pub masked: String,
    /// Its subject was erased: nothing else is set.
    pub erased: bool,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("erased", &self.erased).finish_non_exhaustive()
    }
}

/// Values of the vault that were fetched for a view. A value that is not there is shown as empty.
pub trait Texts {
    /// The value under `id`.
    fn text(&self, id: VaultId) -> Option<Shown>;
}

/// The state of the aggregate `key` at `rev` for an audience whose sight of it is `sight`.
///
/// `Gone` where there is nothing to see: hidden, forgotten, or without a view of its own (`Erasures`, `Credential`). Whether an
/// audience that never saw the aggregate is told so is the caller's decision.
pub fn state(state: &State, key: &Key, rev: u64, sight: Sight, texts: &dyn Texts) -> feed::State {
    let view = View { state, sight, texts };
    let kind = if sight == Sight::Hidden { None } else { view.kind(key) };
    let kind = kind.unwrap_or_else(|| {
        let (kind, id) = key.parts();
        Kind::Gone(feed::Gone { kind: kind.to_owned(), id })
    });
    feed::State { rev, kind: Some(kind) }
}

/// One line of a timeline for an audience whose sight of the event's aggregate is `sight`. Not for [`Sight::Hidden`]: of
/// such an event only its number and time are told.
///
/// `state` is the state at or after the event. `other` names the second thing of an event: the incident of a merge,
/// the task replaced, and for events of patrols and messages their own number.
pub fn event(state: &State, seq: u64, event: &Event, sight: Sight, texts: &dyn Texts) -> feed::Event {
    if sight == Sight::Hidden {
        return feed::Event { seq, at: event.at.0, ..feed::Event::default() };
    }
    View { state, sight, texts }.event(seq, event)
}

/// The values that [`state`] may ask for at any sight, without doubles.
pub fn refs_of_state(at: &State, key: &Key) -> Vec<VaultId> {
    asked(|texts| drop(state(at, key, 0, Sight::Text, texts)))
}

/// The values that [`event`](fn@event) may ask for at any sight, without doubles.
pub fn refs_of_event(at: &State, of: &Event) -> Vec<VaultId> {
    asked(|texts| drop(event(at, 0, of, Sight::Text, texts)))
}

/// Makes the view itself with a vault that only listens, so that both can never differ.
fn asked(make: impl Fn(&dyn Texts)) -> Vec<VaultId> {
    struct Listener(RefCell<Vec<VaultId>>);
    impl Texts for Listener {
        fn text(&self, id: VaultId) -> Option<Shown> {
            self.0.borrow_mut().push(id);
            None
        }
    }
    let listener = Listener(RefCell::default());
    make(&listener);
    let mut ids = listener.0.into_inner();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A view in the making.
struct View<'a> {
    state: &'a State,
    sight: Sight,
    texts: &'a dyn Texts,
}

impl View<'_> {
    fn kind(&self, key: &Key) -> Option<Kind> {
        let s = self.state;
        Some(match key {
            Key::Site => Kind::Site(feed::SiteRef { version: s.site.as_ref()?.version }),
            Key::Account(id) => Kind::Account(self.account(s.accounts.get(id)?)),
            Key::Duty => Kind::Duty(self.duty()),
            Key::Alarm(id) => Kind::Alarm(self.alarm(s.alarms.get(id)?)),
            Key::Incident(id) => Kind::Incident(self.incident(s.incidents.get(id)?)),
            Key::Sensor(id) => Kind::Sensor(self.sensor(id)?),
            Key::Camera(id) => Kind::Camera(self.camera(s.cameras.get(id)?)),
            Key::Light(id) => Kind::Light(self.light(s.lights.get(id)?)),
            Key::Patrol(id) => Kind::Patrol(self.patrol(s.patrols.get(id)?)),
            Key::Message(id) => Kind::Message(self.message(s.messages.get(id)?)),
            Key::Unreadable => Kind::Unreadable(self.unreadable()),
            Key::Erasures | Key::Credential(_) => return None,
        })
    }

    /// Free text, where it may be read.
    fn free(&self, id: Option<VaultId>) -> Option<feed::Text> {
        let id = id.filter(|_| self.sight.text())?;
        let shown = self.texts.text(id).unwrap_or_default();
        Some(text(id, shown.full.unwrap_or(shown.masked), shown.erased))
    }

    /// What was reported: in full where free text may be read, starred where words may.
    fn said(&self, id: Option<VaultId>) -> Option<feed::Text> {
        if self.sight != Sight::Words {
            return self.free(id);
        }
        let id = id?;
        let shown = self.texts.text(id).unwrap_or_default();
        Some(text(id, shown.full.map(|words| starred(&words)).unwrap_or(shown.masked), shown.erased))
    }

    /// A person's name or number, masked, where persons may be shown at all.
    fn person(&self, id: Option<VaultId>) -> Option<feed::Text> {
        let id = id.filter(|_| self.sight.text())?;
        let shown = self.texts.text(id).unwrap_or_default();
        Some(text(id, shown.masked, shown.erased))
    }

    /// A name that the roster publishes: its masked form is the name.
    fn published(&self, id: VaultId) -> feed::Text {
        let shown = self.texts.text(id).unwrap_or_default();
        text(id, shown.masked, shown.erased)
    }

    fn by(&self, by: &By) -> feed::By {
        let (kind, id, name) = match by {
            By::Account(id) => {
                let account = self.state.accounts.get(id);
                ("account", id.to_string(), account.map(|a| self.published(a.name).value))
            }
            By::Unit(id) => {
                let unit = self.state.site.as_ref().and_then(|s| s.unit(id));
                ("unit", id.to_string(), unit.map(|u| u.name.zh.clone()))
            }
            By::Rule(id) => ("rule", id.to_string(), Some("系统规则".to_owned())),
            By::Resident => ("resident", String::new(), Some("居民".to_owned())),
            By::System => ("system", String::new(), Some("系统".to_owned())),
        };
        let name_zh = name.filter(|n| !n.is_empty()).unwrap_or_else(|| id.clone());
        feed::By { kind: kind.to_owned(), id, name_zh }
    }

    fn place(&self, place: &Place) -> feed::Place {
        place::place(self.state.site.as_deref(), place, self.sight.text())
    }

    fn nearest(&self, place: &Place) -> Vec<String> {
        let found = self.state.site.as_ref().map(|s| s.nearest_cameras(place, NEAREST_CAMERAS));
        found.unwrap_or_default().iter().map(ToString::to_string).collect()
    }
}

fn text(id: VaultId, value: String, erased: bool) -> feed::Text {
    let value = if erased { String::new() } else { value };
    feed::Text { r#ref: id.0, value, erased }
}

/// 0 = not yet.
fn ms(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |t| t.0)
}

fn mode(mode: domain::event::Mode) -> i32 {
    use domain::event::Mode;
    let shown = match mode {
        Mode::Real => feed::Mode::Real,
        Mode::Exercise => feed::Mode::Exercise,
        Mode::Test => feed::Mode::Test,
    };
    shown.into()
}

fn level(level: domain::site::Level) -> i32 {
    use domain::site::Level;
    let shown = match level {
        Level::Normal => feed::Level::Normal,
        Level::Yellow => feed::Level::Yellow,
        Level::Red => feed::Level::Red,
    };
    shown.into()
}
