//! What was written reads back; what was not written by us is an error.

use domain::{State, account::Role, event::Key, light::Light, site::*};
use proptest::prelude::*;
use prost::Message as _;

use crate::{
    WireError, document,
    event::{self, VERSION, Variant},
    field::Field,
    input, link, outgoing, refs,
    samples::{Dice, Listed},
    store as pb,
};

/// A state from its documents.
fn reload(state: &State) -> State {
    let mut read = State::default();
    for key in state.keys() {
        let (kind, id) = key.parts();
        document::load(&mut read, kind, &id, &document::encode(state, &key).unwrap()).unwrap();
    }
    document::load(&mut read, document::COUNTERS, "", &document::counters(state)).unwrap();
    read
}

proptest! {
    #[test]
    fn events_read_back(seed: u64) {
        let mut dice = Dice::seeded(seed);
        for variant in Variant::ALL {
            let written = dice.event(*variant);
            let read = event::decode(written.body.name(), VERSION, &event::encode(&written)).unwrap();
            prop_assert_eq!(&read, &written);
        }
    }

    #[test]
    fn states_read_back(seed: u64) {
        let state = Dice::seeded(seed).state();
        prop_assert_eq!(reload(&state), state);
    }

    #[test]
    fn deliveries_and_outcomes_read_back(seed: u64) {
        let mut dice = Dice::seeded(seed);
        for (_, written) in dice.outgoing() {
            prop_assert_eq!(outgoing::decode(&outgoing::encode(&written)), Ok(written));
        }
        let written = dice.refs();
        prop_assert_eq!(refs::decode(&refs::encode(&written)), Ok(written));
    }

    #[test]
    fn inputs_cross_the_link(seed: u64) {
        for sent in Dice::seeded(seed).inputs() {
            let bytes = input::put(&sent).encode_to_vec();
            prop_assert_eq!(input::get(link::Input::decode(bytes.as_slice()).unwrap()), Ok(sent));
        }
    }

    #[test]
    fn random_bytes_are_no_panic(bytes: Vec<u8>) {
        read_all(&bytes);
    }

    /// Our own bytes with damage reach deeper than random ones.
    #[test]
    fn damaged_bytes_are_no_panic(seed: u64, at: prop::sample::Index, with: u8, cut: prop::sample::Index) {
        let mut dice = Dice::seeded(seed);
        let state = dice.state();
        let events = Variant::ALL.iter().map(|v| event::encode(&dice.event(*v))).collect::<Vec<_>>();
        let documents = state.keys().into_iter().filter_map(|k| document::encode(&state, &k));
        for mut bytes in events.into_iter().chain(documents) {
            let place = at.index(bytes.len());
            bytes[place] = with;
            read_all(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            read_all(&bytes);
        }
    }
}

/// What decodes at all must also encode and decode to the same.
fn read_all(bytes: &[u8]) {
    let read = event::decode("filed", VERSION, bytes);
    let kind = match &read {
        Ok(event) => Some(event.body.name().to_owned()),
        Err(WireError::Mismatch { bytes, .. }) => Some(bytes.clone()),
        Err(_) => None,
    };
    if let Some(kind) = kind {
        // Encoded again, not compared by value: damage may make a float that does not equal itself.
        let read = event::encode(&event::decode(&kind, VERSION, bytes).unwrap());
        assert_eq!(event::encode(&event::decode(&kind, VERSION, &read).unwrap()), read);
    }
    let mut state = State::default();
    if document::load(&mut state, "site", "", bytes).is_err() {
        assert_eq!(state, State::default());
    }
    drop((outgoing::decode(bytes), refs::decode(bytes), link::Input::decode(bytes).map(input::get)));
}

#[test]
fn full_and_empty_states_read_back() {
    assert_eq!(reload(&State::default()), State::default());
    let full = Dice::full().state();
    assert_eq!(reload(&full), full);
    let mut kinds: std::collections::BTreeSet<_> = full.keys().iter().map(|k| k.parts().0).collect();
    assert_eq!(kinds.len(), 13, "the full state has a document of every kind");
    kinds.insert(document::COUNTERS);
    assert_eq!(kinds, document::KINDS.iter().copied().collect(), "and all of them are loaded");
}

#[test]
fn every_variant_of_every_enum_reads_back() {
    fn check<T: Listed + Field<i32> + PartialEq + std::fmt::Debug>() {
        for value in T::LIST {
            assert_eq!(T::get(value.put(), "it"), Ok(*value));
        }
        assert_eq!(T::get(0, "it"), Err(WireError::Missing("it")));
        assert_eq!(T::get(77, "it"), Err(WireError::Unknown { field: "it", value: 77 }));
    }
    use domain::{
        account::DutyPost, alarm::Verdict, device::Voice, event::Mode, incident::*, patrol::PatrolKind, task::*,
    };
    macro_rules! all { ($($type:ident)*) => { $(check::<$type>();)* } }
    all!(Mode Role DutyPost LandmarkKind SensorKind Precision UnitKind Level Verdict Stage Channel ReporterKind Receipt);
    all!(FeedbackResult TaskState ExhibitKind PatrolKind Light Voice);
}

/// Writes a sample, changes the message, reads it.
fn changed(variant: Variant, change: impl FnOnce(&mut pb::Event)) -> WireError {
    let written = Dice::full().event(variant);
    let mut stored = pb::Event::decode(event::encode(&written).as_slice()).unwrap();
    change(&mut stored);
    event::decode(written.body.name(), VERSION, &stored.encode_to_vec()).unwrap_err()
}

#[test]
fn errors_name_the_field() {
    use pb::event::Body;
    let filed = |change: fn(&mut pb::Filed)| {
        changed(Variant::Filed, |e| match e.body.as_mut() {
            Some(Body::Filed(filed)) => change(filed),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(filed(|f| f.incident = None), WireError::Missing("Filed.incident"));
    assert_eq!(filed(|f| f.level = 9), WireError::Unknown { field: "Filed.level", value: 9 });
    assert_eq!(filed(|f| f.level = 0), WireError::Missing("Filed.level"));
    let place = changed(Variant::PlaceCorrected, |e| match e.body.as_mut() {
        Some(Body::PlaceCorrected(body)) => body.place.as_mut().unwrap().floor = Some(1000),
        other => panic!("{other:?}"),
    });
    assert_eq!(place, WireError::Unknown { field: "Place.floor", value: 1000 });
    assert_eq!(changed(Variant::Filed, |e| e.by = None), WireError::Missing("Event.by"));
    assert_eq!(changed(Variant::Filed, |e| e.body = None), WireError::Missing("Event.body"));
    assert_eq!(changed(Variant::Filed, |e| e.at = None), WireError::Missing("Event.at"));
}

#[test]
fn rows_and_bytes_must_agree() {
    let bytes = event::encode(&Dice::full().event(Variant::Filed));
    assert!(matches!(event::decode("closed", VERSION, &bytes), Err(WireError::Mismatch { .. })));
    assert_eq!(event::decode("filed", VERSION + 1, &bytes), Err(WireError::Version(2)));
    assert_eq!(event::decode("filed", 0, &bytes), Err(WireError::Version(0)));

    let full = Dice::full().state();
    let id = *full.alarms.keys().next().unwrap();
    let bytes = document::encode(&full, &Key::Alarm(id)).unwrap();
    let mut state = State::default();
    for (kind, id) in [("incident", id.to_string()), ("alarm", "0".to_owned()), ("counters", String::new())] {
        assert!(matches!(document::load(&mut state, kind, &id, &bytes), Err(WireError::Mismatch { .. })));
    }
    assert_eq!(state, State::default());
    let mut stored = pb::Document::decode(bytes.as_slice()).unwrap();
    stored.version = 7;
    assert_eq!(document::load(&mut state, "alarm", "1", &stored.encode_to_vec()), Err(WireError::Version(7)));
    assert_eq!(document::encode(&full, &Key::Alarm(domain::ids::AlarmId(u64::MAX))), None);
}
