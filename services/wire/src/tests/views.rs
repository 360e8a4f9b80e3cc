//! What audiences see, and above all what they do not.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::{
    State,
    access::Sight,
    account::Account,
    event::{By, Key},
    ids::*,
    incident::{Incident, Reporter, ReporterKind},
    task::TaskState,
    time::{Millis, Timestamp},
};
use proptest::prelude::*;
use prost::Message as _;

use crate::{
    event::Variant,
    feed::{self, state::Kind},
    samples::{self, Dice},
    view::{self, Shown, Texts},
};

/// Every value is there: `FULL-7-` in full, `MASK-7-` masked; names that the roster publishes are `PUBLISHED`.
struct Vault {
    published: BTreeSet<VaultId>,
    erased: bool,
}

impl Vault {
    fn of(state: &State) -> Self {
        Self { published: state.accounts.values().map(|a| a.name).collect(), erased: false }
    }
}

impl Texts for Vault {
    fn text(&self, id: VaultId) -> Option<Shown> {
        let (full, masked) = if self.published.contains(&id) {
            ("PUBLISHED".to_owned(), "PUBLISHED".to_owned())
        } else {
            (format!("FULL-{id}-"), format!("MASK-{id}-"))
        };
        Some(Shown { full: Some(full), masked, erased: self.erased })
    }
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
}

/// Every state and event of `dice` as an audience of `sight` gets it.
fn seen(dice: &mut Dice, sight: Sight) -> Vec<Vec<u8>> {
    let state = dice.state();
    let vault = Vault::of(&state);
    let states = state.keys().into_iter().map(|k| view::state(&state, &k, 9, sight, &vault).encode_to_vec());
    let mut all: Vec<_> = states.collect();
    for variant in Variant::ALL {
        let event = dice.event(*variant);
        all.push(view::event(&state, 9, &event, sight, &vault).encode_to_vec());
    }
    all
}

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

/// A state around one incident at 12栋2单元604室 with two tasks, an alarm and an owner.
fn story() -> State {
    let mut dice = Dice::full();
    let mut state = State { site: Some(Arc::new(samples::site())), ..State::default() };
    let owner = Account { id: "duty".into(), ..dice.account() };
    let mut alarm = dice.alarm();
    alarm.place = samples::place();
    let mut incident = Incident {
        id: IncidentId(3001),
        class: "fire".into(),
        place: samples::place(),
        first_owner: By::Account("duty".into()),
        approved_by: Some(By::Unit("fire".into())),
        alarms: vec![alarm.id, AlarmId(u64::MAX)],
        ..dice.incident()
    };
    incident.reporter = Some(reporter(ReporterKind::Named, "p1"));
    incident.tasks[0].state = TaskState::Delivered;
    (incident.tasks[0].times.pushed, incident.tasks[0].terms.decline) = (at(1_000), Millis(500));
    incident.tasks[1].state = TaskState::Acknowledged;
    state.accounts.insert(owner.id.clone(), owner);
    state.alarms.insert(alarm.id, alarm);
    state.incidents.insert(incident.id, incident);
    state
}

fn reporter(kind: ReporterKind, person: &str) -> Reporter {
    Reporter { kind, person: Some(person.to_owned()), name: Some(VaultId(900_001)), phone: Some(VaultId(900_002)) }
}

fn incident(state: &State, sight: Sight, vault: &Vault) -> feed::Incident {
    match view::state(state, &Key::Incident(IncidentId(3001)), 9, sight, vault).kind {
        Some(Kind::Incident(incident)) => incident,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn facts_hold_no_value_of_the_vault(seed: u64) {
        for bytes in seen(&mut Dice::seeded(seed), Sight::Facts) {
            prop_assert!(!holds(&bytes, "FULL-") && !holds(&bytes, "MASK-"));
        }
    }

    #[test]
    fn what_a_view_asks_for_is_known_before(seed: u64) {
        struct Strict(Vec<VaultId>);
        impl Texts for Strict {
            fn text(&self, id: VaultId) -> Option<Shown> {
                assert!(self.0.contains(&id), "{id} was not announced");
                None
            }
        }
        let mut dice = Dice::seeded(seed);
        let state = dice.state();
        for sight in [Sight::Facts, Sight::Text] {
            for key in state.keys() {
                view::state(&state, &key, 1, sight, &Strict(view::refs_of_state(&state, &key)));
            }
            for variant in Variant::ALL {
                let event = dice.event(*variant);
                view::event(&state, 1, &event, sight, &Strict(view::refs_of_event(&state, &event)));
            }
        }
    }
}

#[test]
fn facts_hold_no_value_and_text_does() {
    let facts = seen(&mut Dice::full(), Sight::Facts);
    assert!(!facts.iter().any(|b| holds(b, "FULL-") || holds(b, "MASK-")));
    let text = seen(&mut Dice::full(), Sight::Text);
    assert!(text.iter().any(|b| holds(b, "FULL-")) && text.iter().any(|b| holds(b, "MASK-")));
}

#[test]
fn hidden_tells_nothing() {
    let state = story();
    let vault = Vault::of(&state);
    for key in state.keys() {
        let (kind, id) = key.parts();
        let gone = Kind::Gone(feed::Gone { kind: kind.to_owned(), id });
        assert_eq!(view::state(&state, &key, 9, Sight::Hidden, &vault).kind, Some(gone));
    }
    let event = Dice::full().event(Variant::Reported);
    let line = view::event(&state, 5, &event, Sight::Hidden, &vault);
    assert_eq!(line, feed::Event { seq: 5, at: event.at.0, ..feed::Event::default() });
    let unknown = Key::Incident(IncidentId(1));
    assert!(matches!(view::state(&state, &unknown, 9, Sight::Text, &vault).kind, Some(Kind::Gone(_))));
}

#[test]
fn persons_are_masked_for_everybody() {
    let state = story();
    let shown = incident(&state, Sight::Text, &Vault::of(&state));
    let reporter = shown.reporter.clone().unwrap();
    assert_eq!(reporter.name.unwrap().value, "MASK-900001-");
    assert_eq!(reporter.phone.unwrap().value, "MASK-900002-");
    assert!(!holds(&shown.encode_to_vec(), "FULL-90000"));
    assert!(shown.text.unwrap().value.starts_with("FULL-"));
    assert_eq!(incident(&state, Sight::Facts, &Vault::of(&state)).reporter, None);

    let mut message = Dice::full().message();
    (message.phone, message.text) = (VaultId(900_003), VaultId(900_004));
    let mut state = story();
    state.messages.insert(message.id, message.clone());
    let bytes = view::state(&state, &Key::Message(message.id), 9, Sight::Text, &Vault::of(&state)).encode_to_vec();
    assert!(holds(&bytes, &format!("MASK-{}-", message.phone)) && holds(&bytes, &format!("FULL-{}-", message.text)));
    assert!(!holds(&bytes, &format!("FULL-{}-", message.phone)));
}

#[test]
fn a_confidential_reporter_is_a_reference_only() {
    let mut state = story();
    let found = state.incidents.get_mut(&IncidentId(3001)).unwrap();
    found.reporter = Some(reporter(ReporterKind::Confidential, "p1"));
    let shown = incident(&state, Sight::Text, &Vault::of(&state)).reporter.unwrap();
    assert_eq!(shown.name, Some(feed::Text { r#ref: 900_001, value: String::new(), erased: false }));
    assert_eq!(shown.phone.unwrap().value, "");
}

#[test]
fn the_flat_is_for_those_who_read_text() {
    let state = story();
    let place = |sight| incident(&state, sight, &Vault::of(&state)).place.unwrap();
    let (text, facts) = (place(Sight::Text), place(Sight::Facts));
    assert_eq!((text.flat, text.label_zh.as_str(), text.community.as_str()), (4, "12栋2单元604室", "s1"));
    assert_eq!((facts.flat, facts.label_zh.as_str()), (0, "12栋2单元6层"));
    assert_eq!((facts.unit, facts.floor), (2, 6));
}

#[test]
fn erased_values_stay_marked() {
    let state = story();
    let vault = Vault { erased: true, ..Vault::of(&state) };
    let shown = incident(&state, Sight::Text, &vault);
    let text = shown.text.clone().unwrap();
    assert_eq!((text.value.as_str(), text.erased), ("", true));
    let bytes = shown.encode_to_vec();
    assert!(!holds(&bytes, "FULL-") && !holds(&bytes, "MASK-"));
}

#[test]
fn authors_have_names() {
    let state = story();
    let shown = incident(&state, Sight::Facts, &Vault::of(&state));
    assert_eq!(shown.first_owner.unwrap().name_zh, "PUBLISHED");
    assert_eq!(shown.approved_by.unwrap().name_zh, "消防");
    let mut event = Dice::full().event(Variant::Accepted);
    let mut name = |by| {
        event.by = by;
        view::event(&state, 1, &event, Sight::Facts, &Vault::of(&state)).by.unwrap().name_zh
    };
    assert_eq!(name(By::Rule("smoke".into())), "系统规则");
    assert_eq!(name(By::Resident), "居民");
    assert_eq!(name(By::System), "系统");
    assert_eq!(name(By::Account("ghost".into())), "ghost");
}

#[test]
fn an_incident_brings_what_its_screen_needs() {
    let mut state = story();
    let mut other = state.incidents[&IncidentId(3001)].clone();
    for (id, person) in [(3002, "p1"), (3003, "p1"), (3004, "p2")] {
        other.id = IncidentId(id);
        other.reporter = Some(reporter(ReporterKind::Named, person));
        state.incidents.insert(other.id, other.clone());
    }
    let vault = Vault::of(&state);
    let shown = incident(&state, Sight::Text, &vault);
    assert_eq!(shown.reporter.unwrap().earlier, 2);
    assert_eq!(shown.cameras, ["c005", "c001", "c002", "c003"], "those of the building first");
    let own = &state.incidents[&IncidentId(3001)];
    let exhibits = own.exhibits.len() + state.alarms.values().map(|a| a.exhibits.len()).sum::<usize>();
    assert_eq!(shown.exhibits.len(), exhibits);
    assert_eq!(shown.tasks[0].decline_until, 1_500);
    assert_eq!(shown.tasks[1].decline_until, 0, "taken, so no longer to be declined");
    let limits = &state.site.as_ref().unwrap().class(&"fire".into()).unwrap().limits;
    assert_eq!(shown.clocks.len(), own.clocks(limits).len());
    assert!(!shown.clocks.is_empty());
    assert_eq!(shown.open, own.open());

    state.incidents.get_mut(&IncidentId(3001)).unwrap().class = "ghost".into();
    state.incidents.get_mut(&IncidentId(3001)).unwrap().tasks[0].terms.decline = Millis(0);
    let shown = incident(&state, Sight::Text, &vault);
    assert!(shown.clocks.is_empty());
    assert_eq!(shown.tasks[0].decline_until, 0);
}

#[test]
fn an_event_of_a_task_names_the_unit() {
    let state = story();
    let own = &state.incidents[&IncidentId(3001)];
    let mut event = Dice::full().event(Variant::TaskOnScene);
    event.body = domain::incident::IncidentEvent::TaskOnScene { incident: own.id, task: own.tasks[1].id }.into();
    let line = view::event(&state, 7, &event, Sight::Facts, &Vault::of(&state));
    assert_eq!((line.seq, line.kind.as_str(), line.incident), (7, "task_on_scene", 3001));
    assert_eq!((line.task, line.unit), (own.tasks[1].id.0, own.tasks[1].unit.to_string()));
}

#[test]
fn an_erased_person_has_no_key_in_the_feed() {
    let mut event = Dice::full().event(Variant::Erased);
    event.body =
        domain::erasure::ErasureEvent::Erased { subject: domain::text::Subject::Person("SECRET".into()) }.into();
    let line = view::event(&State::default(), 1, &event, Sight::Text, &Vault::of(&State::default()));
    assert_eq!(line.detail, "person");
    assert!(!holds(&line.encode_to_vec(), "SECRET"));
}

#[test]
fn no_line_holds_a_flat_or_text_at_the_sight_of_facts() {
    let state = story();
    for variant in Variant::ALL {
        let line = view::event(&state, 1, &Dice::full().event(*variant), Sight::Facts, &Vault::of(&state));
        assert_eq!(line.place.map_or(0, |p| p.flat), 0, "{variant:?}");
        assert_eq!(line.text, None, "{variant:?}");
    }
}
