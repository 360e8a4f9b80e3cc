//! The files of a folder: which there are, how large they may be, and how their bytes become text.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use crate::fault::{At, Desk};

pub(crate) const SITE: &str = "site.toml";
pub(crate) const COMMUNITIES: &str = "communities.csv";
pub(crate) const GRIDS: &str = "grids.csv";
pub(crate) const BUILDINGS: &str = "buildings.csv";
pub(crate) const LANDMARKS: &str = "landmarks.csv";
pub(crate) const CAMERAS: &str = "cameras.csv";
pub(crate) const SENSORS: &str = "sensors.csv";
pub(crate) const UNITS: &str = "units.csv";
pub(crate) const CLASSES: &str = "classes.toml";
pub(crate) const ALARM_KINDS: &str = "alarm_kinds.toml";
pub(crate) const TOURS: &str = "tours.toml";
pub(crate) const COMMUNITY_OUTLINES: &str = "communities.geojson";
pub(crate) const GRID_OUTLINES: &str = "grids.geojson";
pub(crate) const BUILDING_OUTLINES: &str = "buildings.geojson";
pub(crate) const LANDMARK_OUTLINES: &str = "landmarks.geojson";
pub(crate) const PATHS: &str = "paths.geojson";

/// The files that a folder must have.
const NEEDED: [&str; 11] =
    [SITE, COMMUNITIES, GRIDS, BUILDINGS, LANDMARKS, CAMERAS, SENSORS, UNITS, CLASSES, ALARM_KINDS, TOURS];
/// Geometry, which may come later.
const DRAWN: [&str; 5] = [COMMUNITY_OUTLINES, GRID_OUTLINES, BUILDING_OUTLINES, LANDMARK_OUTLINES, PATHS];

/// Bytes of one file.
const LARGEST: u64 = 16 << 20;
/// Files of the folder that are looked at, whatever they are.
const ENTRIES: usize = 1_000;

/// The texts of a folder by file name. A file that is missing or cannot be read has none, and the desk knows why.
pub(crate) struct Texts<'a>(BTreeMap<&'static str, Cow<'a, str>>);

impl<'a> Texts<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// What is part of the program.
    pub(crate) fn embedded(files: &[(&'static str, &'a str)]) -> Self {
        Self(files.iter().map(|(name, text)| (*name, Cow::Borrowed(*text))).collect())
    }

    pub(crate) fn owned(files: Vec<(&'static str, String)>) -> Self {
        Self(files.into_iter().map(|(name, text)| (name, Cow::Owned(text))).collect())
    }

    /// Reads a folder.
    pub(crate) fn read(folder: &Path, desk: &Desk) -> Self {
        let mut texts = BTreeMap::new();
        let shown = folder.display().to_string();
        let names = match names(folder) {
            Ok(names) => names,
            Err(error) => {
                desk.note(At::file(&shown), format!("目录无法读取 the folder cannot be read: {error}"));
                return Self(texts);
            }
        };
        for name in &names {
            let ours = [".csv", ".toml", ".geojson"].iter().any(|end| name.to_lowercase().ends_with(end));
            if ours && !name.starts_with(['.', '~']) && !NEEDED.iter().chain(&DRAWN).any(|known| known == name) {
                desk.note(At::file(name), "不认识这个文件，请核对文件名 a site has no such file: check its name");
            }
        }
        for name in NEEDED.into_iter().chain(DRAWN) {
            if names.iter().any(|n| n == name) {
                if let Some(text) = one(&folder.join(name), name, desk) {
                    texts.insert(name, Cow::Owned(text));
                }
            } else if NEEDED.contains(&name) {
                desk.note(At::file(name), "缺少这个文件 the file is missing");
            }
        }
        Self(texts)
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .take(ENTRIES)
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}

fn one(path: &Path, name: &str, desk: &Desk) -> Option<String> {
    match bytes(path) {
        Ok(Some(bytes)) => decoded(bytes, name, desk),
        Ok(None) => {
            let limit = LARGEST >> 20;
            desk.note(
                At::file(name),
                format!("不是普通文件，或超过 {limit} MiB is no plain file, or over {limit} MiB"),
            );
            None
        }
        Err(error) => {
            desk.note(At::file(name), format!("无法读取 cannot be read: {error}"));
            None
        }
    }
}

/// The bytes of a plain file; `None` if it is too large or something else.
fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LARGEST).then_some(bytes))
}

/// UTF-8 with or without the mark that spreadsheets put first.
fn decoded(mut bytes: Vec<u8>, name: &str, desk: &Desk) -> Option<String> {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(good).filter(|b| **b == b'\n').count();
            desk.note(
                At::line(name, line),
                "不是 UTF-8 编码（可能是 GBK 或 Unicode），请在表格软件中另存为“CSV UTF-8” \
                 is not UTF-8: save it as “CSV UTF-8” in the spreadsheet program",
            );
            None
        }
    }
}
