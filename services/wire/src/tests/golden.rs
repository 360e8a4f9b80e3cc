//! Bytes of every stored kind as version 1 wrote them. They must decode to the same values for ever: a file that is
//! there is never changed, `UPDATE_GOLDEN=1` only writes the ones that are not.

use std::{collections::BTreeMap, fs, path::PathBuf};

use domain::State;

use crate::{document, event, event::Variant, outgoing, refs, samples::Dice};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

/// The file of `name` against what is written today; gives the bytes of the file.
fn compare(name: &str, written: &[u8]) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(&path, to_hex(written)).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let golden = from_hex(&golden);
    assert_eq!(golden, written, "{name}: written otherwise than before");
    golden
}

/// Lines of 48 bytes.
fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n";
    bytes.chunks(48).map(line).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

#[test]
fn events() {
    for variant in Variant::ALL {
        let sample = Dice::full().event(*variant);
        let name = sample.body.name();
        let golden = compare(&format!("event.{name}"), &event::encode(&sample));
        assert_eq!(event::decode(name, 1, &golden).unwrap(), sample);
    }
}

#[test]
fn documents() {
    let sample = Dice::full().state();
    let mut read = State::default();
    let mut numbers = BTreeMap::<&str, u32>::new();
    for key in sample.keys() {
        let (kind, id) = key.parts();
        let number = numbers.entry(kind).or_default();
        *number += 1;
        let golden = compare(&format!("document.{kind}.{number}"), &document::encode(&sample, &key).unwrap());
        document::load(&mut read, kind, &id, &golden).unwrap();
    }
    let golden = compare("document.counters", &document::counters(&sample));
    document::load(&mut read, document::COUNTERS, "", &golden).unwrap();
    assert_eq!(read, sample);
}

#[test]
fn deliveries_and_outcomes() {
    for (name, sample) in Dice::full().outgoing() {
        let golden = compare(&format!("outgoing.{name}"), &outgoing::encode(&sample));
        assert_eq!(outgoing::decode(&golden).unwrap(), sample);
    }
    let sample = Dice::full().refs();
    assert_eq!(refs::decode(&compare("refs", &refs::encode(&sample))).unwrap(), sample);
}

/// What was added to stored kinds after their first files, in files of their own.
const ADDED: [Variant; 2] = [Variant::TaskAcknowledged, Variant::PlaceCorrected];

#[test]
fn additions() {
    for variant in ADDED {
        let sample = Dice::fuller().event(variant);
        let name = sample.body.name();
        let golden = compare(&format!("event.{name}.later"), &event::encode(&sample));
        assert_eq!(event::decode(name, 1, &golden).unwrap(), sample);
    }
    let sample = Dice::fuller().state();
    for kind in ["site", "alarm", "incident"] {
        let key = sample.keys().into_iter().find(|key| key.parts().0 == kind).unwrap();
        let golden = compare(&format!("document.{kind}.later"), &document::encode(&sample, &key).unwrap());
        let mut read = State::default();
        document::load(&mut read, kind, &key.parts().1, &golden).unwrap();
        assert_eq!(document::encode(&read, &key).unwrap(), golden);
    }
}

#[test]
fn every_file_has_its_sample() {
    let files = fs::read_dir(folder()).unwrap().count();
    let documents = Dice::full().state().keys().len() + 1;
    let kinds = Variant::ALL.len() + documents + Dice::full().outgoing().len() + 1 + ADDED.len() + 3;
    assert_eq!(files, kinds);
}
