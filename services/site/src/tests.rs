//! What is written is read again, and what is wrong is told where it is.
#![allow(clippy::unwrap_used)]

mod data;
mod given;

use std::{fs, path::Path};

use domain::{site::*, time::Millis};
use proptest::prelude::*;

use crate::{built_in, changes, files, read, tables, write};

/// The built-in site in a folder of its own.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&built_in(), folder.path()).unwrap();
    folder
}

/// Replaces a part of a file that is there once.
fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{file}: {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn told(folder: &Path) -> String {
    read(folder).unwrap_err().to_string()
}

#[test]
fn the_built_in_files_are_what_the_program_would_write() {
    for (name, text) in tables::write(&built_in()) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/site/maojiawan").join(name);
        assert!(fs::read_to_string(file).unwrap() == text, "{name} is not in the form that an export gives it");
    }
}

#[test]
fn a_folder_written_twice_has_the_same_bytes_and_gives_the_same_site() {
    let (a, b) = (folder(), folder());
    let site = read(a.path()).unwrap();
    assert_eq!(site, *built_in());
    write(&site, b.path()).unwrap();
    let mut names: Vec<_> = fs::read_dir(a.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 16);
    for name in names {
        assert_eq!(fs::read(a.path().join(&name)).unwrap(), fs::read(b.path().join(&name)).unwrap(), "{name:?}");
    }
}

#[test]
fn what_a_spreadsheet_program_saves_is_the_same_site() {
    let folder = folder();
    for file in [files::BUILDINGS, files::CAMERAS, files::SENSORS, files::UNITS, files::GRIDS] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        // A mark, its own line ends, its own words for yes and no, an empty row at the end.
        let commas = ",".repeat(text.lines().next().unwrap().matches(',').count());
        let saved = text.replace(",true\n", ",TRUE\n").replace(",false\n", ",FALSE\n").replace('\n', "\r\n");
        fs::write(path, format!("\u{feff}{saved}{commas}\r\n")).unwrap();
    }
    assert_eq!(read(folder.path()).unwrap(), *built_in());
}

#[test]
fn each_fault_of_each_file_is_told_with_file_line_and_column_and_nothing_is_read() {
    let folder = folder();
    let f = folder.path();
    edit(f, "site.toml", "version = 1\n", "version = 0\n");
    edit(f, "grids.csv", "53062100200102,s1,", "53062100200102,s9,");
    edit(f, "buildings.csv", "b2,2,53062100200101,2栋,", "b1,1,53062100200199,,");
    edit(f, "cameras.csv", "c002,2,53062100200101,", "c002,2月2日,53062100200101,");
    edit(f, "sensors.csv", "smoke-b12-2-06,smoke,", "smoke-b12-2-06,烟感,");
    edit(f, "sensors.csv", "gas-b12-2-01,gas,", "5.3E+13,gas,");
    edit(f, "units.csv", "fire,department,", "fire,部门,");
    edit(
        f,
        "classes.toml",
        "lead = \"lift_firm\"\nassists = [\"property\", \"fire\"]",
        "lead = \"lift\"\nassists = [\"property\", \"fire\"]",
    );
    edit(f, "alarm_kinds.toml", "id = \"smoke\"\nname", "id = \"smoke\"\ncolour = \"grey\"\nname");
    edit(f, "tours.toml", "id = \"night\"\n", "id = \"day\"\n");
    edit(f, "landmarks.geojson", "\"id\": \"square\"", "\"id\": \"circle\"");
    let told = told(f);
    let line = |file: &str, part: &str| {
        let text = fs::read_to_string(f.join(file)).unwrap();
        format!("{file}:{}: ", text.lines().position(|l| l.contains(part)).unwrap() + 1)
    };
    for (place, column, words) in [
        ("site.toml:3: ".to_owned(), "version", "须在 1 到"),
        ("grids.csv:3: ".to_owned(), "community", "没有这个社区"),
        ("buildings.csv:3: ".to_owned(), "id", "编号重复，已在第 2 行"),
        ("buildings.csv:3: ".to_owned(), "number", "与第 2 行重复"),
        ("buildings.csv:3: ".to_owned(), "grid", "没有这个网格"),
        ("buildings.csv:3: ".to_owned(), "name_zh", "不能为空"),
        ("cameras.csv:3: ".to_owned(), "number", "变成了日期"),
        (line("sensors.csv", "smoke-b12-2-06"), "kind", "须为其中之一"),
        (line("sensors.csv", "5.3E+13,gas"), "id", "科学计数"),
        (line("units.csv", "fire,部门"), "kind", "须为其中之一"),
        (line("classes.toml", "lead = \"lift\""), "lead", "没有这个单位"),
        (line("alarm_kinds.toml", "colour"), "colour", "不认识这个键"),
        (line("landmarks.geojson", "circle"), "id", "没有这个地点"),
    ] {
        let found = told.lines().any(|l| l.starts_with(&format!("{place}{column}: ")) && l.contains(words));
        assert!(found, "{place}{column}: {words}\n{told}");
    }
    assert!(told.contains("tours.toml:") && told.contains("编号重复"), "{told}");
}

#[test]
fn a_table_that_cannot_be_read_is_told_once_and_not_by_everything_that_leads_to_it() {
    for (file, text, words) in [
        ("grids.csv", &b"id,community,name\n"[..], "grids.csv:1: name: 不认识"),
        ("grids.csv", b"", "grids.csv: 文件是空的"),
        ("buildings.csv", b"id,\xC2\xA5\n\xB0\xA1\n", "buildings.csv:2: 不是 UTF-8"),
        ("classes.toml", b"[[class]\n", "classes.toml:1: TOML"),
    ] {
        let folder = folder();
        fs::write(folder.path().join(file), text).unwrap();
        let told = told(folder.path());
        assert!(told.starts_with(words) && told.lines().all(|l| l.starts_with(file)), "{told}");
    }
    let folder = folder();
    fs::remove_file(folder.path().join("units.csv")).unwrap();
    fs::rename(folder.path().join("paths.geojson"), folder.path().join("path.geojson")).unwrap();
    let told = told(folder.path());
    assert!(told.starts_with("path.geojson: 不认识") && told.contains("\nunits.csv: 缺少"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn an_id_that_a_spreadsheet_broke_is_told_once() {
    let folder = folder();
    edit(folder.path(), "grids.csv", "53062100200102,s1,", "5.30621E+13,s1,");
    let told = told(folder.path());
    assert!(told.starts_with("grids.csv:3: id: 表格软件把编号变成了科学计数") && told.lines().count() == 1, "{told}");
}

#[test]
fn what_lies_far_from_its_grid_is_told() {
    let folder = folder();
    let site = built_in();
    let c = &site.cameras[0];
    edit(folder.path(), "cameras.csv", &format!(",{},{},", c.at.x, c.at.y), ",1400,900,");
    let told = told(folder.path());
    assert!(told.starts_with("cameras.csv:2: x_m: 在第1网格之外 ") && told.lines().count() == 1, "{told}");
}

#[test]
fn a_unit_or_floor_that_a_building_lacks_is_told() {
    let folder = folder();
    let (from, to) = ("53062100200106,b12,,2,6,,", "53062100200106,b12,,4,11,,");
    let text = fs::read_to_string(folder.path().join("sensors.csv")).unwrap();
    fs::write(folder.path().join("sensors.csv"), text.replacen(from, to, 1)).unwrap();
    let told = told(folder.path());
    assert!(told.contains(": unit: 这栋楼没有这个单元") && told.contains(": floor: 这栋楼没有这一层"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn geometry_may_come_later_and_from_a_map_program() {
    let folder = folder();
    for file in ["communities", "grids", "buildings", "landmarks", "paths"] {
        fs::remove_file(folder.path().join(format!("{file}.geojson"))).unwrap();
    }
    let bare = read(folder.path()).unwrap();
    assert!(bare.paths.is_empty() && bare.buildings.iter().all(|b| b.outline.is_empty()));
    // Degrees, as RFC 7946 wants them: a square of about 100 m whose corner is the anchor.
    let (latitude, longitude) = bare.anchor;
    let (south, east) = (latitude - 0.001, longitude + 0.001);
    let ring = format!(
        "[[[{longitude},{latitude}],[{east},{latitude}],[{east},{south},1900],[{longitude},{south}],[{longitude},{latitude}]]]"
    );
    let text = format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"id":"b1","fid":1}},
            "geometry":{{"type":"Polygon","coordinates":{ring}}}}}]}}"#
    );
    fs::write(folder.path().join("buildings.geojson"), text).unwrap();
    let drawn = read(folder.path()).unwrap();
    let outline = &drawn.buildings[0].outline;
    assert_eq!(outline.len(), 4);
    let (width, height) = (outline[0].distance(outline[1]), outline[1].distance(outline[2]));
    assert!((width - 99.0).abs() < 0.5 && (height - 111.3).abs() < 0.1, "{width} {height}");
    assert!(outline[0] == Point { x: 0.0, y: 0.0 } && outline[2].y > 111.0);
}

#[test]
fn broken_geometry_is_told_by_its_line() {
    let folder = folder();
    let feature = |id: &str, ring: &str| {
        format!(
            "{{\"type\":\"Feature\",\"properties\":{{\"id\":\"{id}\"}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":[{ring}]}}}}"
        )
    };
    let plane = r#""crs":{"type":"name","properties":{"name":"site:plane-metres-east-south"}}"#;
    let features = [
        feature("b1", "[[0,0],[1,0],[1,1]]"),
        feature("b2", "[[0,0],[1,0],[1,\"x\"],[0,0]]"),
        feature("b3", "[[0,0],[1,0],[1,1],[0,0]],[[0,0]]"),
        feature("b4", "[[0,0],[1,0],[1,1],[0,0]]"),
        feature("b4", "[[0,0],[1,0],[1,1],[0,0]]"),
        "{\"type\":\"Feature\",\"properties\":{\"id\":\"b5\"},\"geometry\":null}".to_owned(),
    ];
    let text = format!("{{\"type\":\"FeatureCollection\",{plane},\"features\":[\n{}\n]}}", features.join(",\n"));
    let file = folder.path().join("buildings.geojson");
    fs::write(&file, &text).unwrap();
    let told = told(folder.path());
    let starts =
        [":2: b1: 轮廓须至少", ":3: b2: 须为", ":4: b3: 须为一个没有洞", ":6: id: 有两个轮廓", ":7: 要素没有几何图形"];
    for start in starts {
        assert!(told.lines().any(|l| l.starts_with(&format!("buildings.geojson{start}"))), "{start}\n{told}");
    }
    assert_eq!(told.lines().count(), starts.len(), "{told}");
    fs::write(&file, text.replace("plane-metres", "plane-feet")).unwrap();
    assert!(self::told(folder.path()).starts_with("buildings.geojson: crs: 坐标系"));
    fs::write(&file, &text[..200]).unwrap();
    assert!(self::told(folder.path()).starts_with("buildings.geojson:2: GeoJSON 语法有误"));
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let folder = folder();
    let path = folder.path().join("sensors.csv");
    fs::File::create(&path).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(told(folder.path()).starts_with("sensors.csv: 不是普通文件，或超过 16 MiB"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(told(folder.path()).starts_with("sensors.csv: 不是普通文件"));
    assert!(told(Path::new("/nowhere/at/all")).contains("目录无法读取"));
}

#[test]
fn changes_name_what_is_new_other_and_gone() {
    let old = built_in();
    assert_eq!(changes(&old, &old), []);
    let mut new = (*old).clone();
    new.version = 9;
    assert_eq!(changes(&old, &new), [], "the version alone is no change");
    new.cameras[3].heading = 1.5;
    let gone = new.cameras.remove(5);
    new.cameras.push(Camera { id: "c900".into(), number: 900, ..gone });
    new.sensors.swap(0, 1);
    new.name.en.push('!');
    let changes = changes(&old, &new);
    let kinds: Vec<_> = changes.iter().map(|c| c.en).collect();
    assert_eq!(kinds, ["head", "cameras", "sensors"]);
    assert_eq!((&*changes[0].changed, changes[0].moved), (&["maojiawan".to_owned()][..], false));
    let cameras = &changes[1];
    assert_eq!(
        (&*cameras.added, &*cameras.changed, &*cameras.removed),
        (&["c900".to_owned()][..], &["c004".to_owned()][..], &["c006".to_owned()][..],)
    );
    assert!(!cameras.moved && changes[2].moved && changes[2].changed.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_written_is_read_again(site in given::site()) {
        let folder = tempfile::tempdir().unwrap();
        write(&site, folder.path()).unwrap();
        let again = read(folder.path()).unwrap();
        prop_assert_eq!(&again, &site);
        // Equal numbers may still differ in bits.
        prop_assert_eq!(format!("{again:?}"), format!("{site:?}"));
    }

    #[test]
    fn no_bytes_of_a_file_end_in_a_panic(file in 0_usize..16, at in 0.0_f64..1.0, bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        let (name, text) = tables::write(&built_in()).swap_remove(file);
        let folder = folder();
        let mut changed = text.into_bytes();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = (at * changed.len() as f64) as usize;
        let end = changed.len().min(at + bytes.len());
        changed.splice(at..end, bytes);
        fs::write(folder.path().join(name), changed).unwrap();
        if let Err(faults) = read(folder.path()) {
            prop_assert!(faults.count() > 0);
        }
    }
}

#[test]
fn limits_without_a_span_of_their_own_keep_that() {
    let mut site = (*built_in()).clone();
    site.classes[0].limits.attend = None;
    site.classes[1].limits.collect = Millis(1_234);
    let folder = tempfile::tempdir().unwrap();
    write(&site, folder.path()).unwrap();
    assert_eq!(read(folder.path()).unwrap(), site);
}

#[test]
fn a_site_that_files_cannot_hold_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let mut site = (*built_in()).clone();
    site.name.zh.push(' ');
    // TOML keeps the space, a table does not.
    write(&site, &to).unwrap();
    fs::remove_dir_all(&to).unwrap();
    site.cameras[0].name.zh.push(' ');
    assert!(write(&site, &to).unwrap_err().to_string().contains("出入"));
    site.cameras[0].grid = "nowhere".into();
    let refused = write(&site, &to).unwrap_err();
    assert!(matches!(&refused, crate::WriteError::Refused(faults) if faults.count() == 1), "{refused:?}");
    assert!(!to.exists());
}
