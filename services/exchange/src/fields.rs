//! Typed fields of records. Departments write one thing in many forms: a door as `0607`, `607` or `607.0`, a number with
//! separators and its unit, a date in a dozen ways. A value either becomes what its type says or is refused with a reason;
//! nothing is guessed. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use crate::records::Field;

/// Longest text of a field, bytes.
const TEXT: usize = 256;
/// Times without a zone are those of China.
const ZONE_S: i64 = 8 * 3_600;

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// As it is written; also a number, if it is one.
    #[default]
    Plain,
    /// A door or another number of a place: without leading zeros and 室, as `607`, `12-2-602`, `B12`.
    Door,
    /// A number, with separators of thousands and its unit.
    Number,
    /// A date, with or without time: the text is `2026-01-05` or `2026-01-05T08:30:00+08:00`, the number ms since 1970.
    Date,
    /// Yes or no: the text is `true` or `false`.
    Truth,
    /// Digits that are no number: telephone, account, meter.
    Digits,
    /// A resident identity number; its check digit is computed.
    IdCard,
}

/// How a field is read: a JSON pointer, or `{ at = "/用电量", as = "number", units = ["度"] }`. Columns of tables have their
/// heading as the name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Spelled")]
pub struct FieldRule {
    /// JSON pointer into the record.
    pub at: String,
    /// What it is.
    pub kind: As,
    /// Units that a number may have; others are refused.
    pub units: Vec<String>,
    /// Their words for ours: `{ "空置" = "empty" }`; a word that is not there is refused.
    pub words: BTreeMap<String, String>,
    /// The record counts without it.
    pub optional: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelled {
    Pointer(String),
    Rule(Rule),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    at: String,
    #[serde(default, rename = "as")]
    kind: As,
    #[serde(default)]
    units: Vec<String>,
    #[serde(default)]
    words: BTreeMap<String, String>,
    #[serde(default)]
    optional: bool,
}

impl From<Spelled> for FieldRule {
    fn from(spelled: Spelled) -> Self {
        match spelled {
            Spelled::Pointer(at) => at.into(),
            Spelled::Rule(Rule { at, kind, units, words, optional }) => Self { at, kind, units, words, optional },
        }
    }
}

impl From<String> for FieldRule {
    fn from(at: String) -> Self {
        Self { at, kind: As::Plain, units: Vec::new(), words: BTreeMap::new(), optional: false }
    }
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    Missing,
    NoScalar,
    TooLong,
    NoNumber,
    Unit(String),
    NoDoor,
    NoDate,
    NoTruth,
    NoDigits,
    /// A table program made a number of it and lost digits.
    Rewritten,
    NoIdCard,
    NoWord,
}

impl Why {
    /// For people, Chinese; repeats no value.
    pub(crate) fn zh(&self) -> String {
        match self {
            Self::Missing => "缺少值",
            Self::NoScalar => "不是单个值",
            Self::TooLong => "内容过长",
            Self::NoNumber => "不是数字",
            Self::Unit(units) => return format!("单位不是{units}"),
            Self::NoDoor => "不是门牌号",
            Self::NoDate => "不是可识别的日期",
            Self::NoTruth => "不是“是”或“否”",
            Self::NoDigits => "不是号码",
            Self::Rewritten => "号码被表格软件改写，请设为文本格式后重新导出",
            Self::NoIdCard => "身份证号不合校验",
            Self::NoWord => "不在对照表中",
        }
        .to_owned()
    }
}

/// Reads a value. `Ok(None)` is an optional field that is not there.
pub(crate) fn read(rule: &FieldRule, value: Option<&Value>) -> Result<Option<Field>, Why> {
    let Some((written, numeric)) = scalar(value)? else {
        return if rule.optional { Ok(None) } else { Err(Why::Missing) };
    };
    let written = written.trim();
    if written.len() > TEXT {
        return Err(Why::TooLong);
    }
    if !rule.words.is_empty() {
        let word = rule.words.get(written).ok_or(Why::NoWord)?;
        return Ok(Some(plain(word)));
    }
    let text = |text: String| Field { text, number: None };
    let field = match rule.kind {
        As::Plain => plain(written),
        As::Door => {
            let door = door(written).ok_or(Why::NoDoor)?;
            Field { number: finite(&door), text: door }
        }
        As::Number => {
            let number = number(written, &rule.units)?;
            Field { text: number.to_string(), number: Some(number) }
        }
        As::Date => match date(written).ok_or(Why::NoDate)? {
            Some((ms, shown)) => Field { text: shown, number: Some(ms as f64) },
            None if rule.optional => return Ok(None),
            None => return Err(Why::Missing),
        },
        As::Truth => text(truth(written).ok_or(Why::NoTruth)?.to_string()),
        As::Digits => text(digits(written, numeric)?),
        As::IdCard => text(id_card(written, numeric)?),
    };
    Ok(Some(field))
}

/// A scalar as it is written, and whether it came as a number; `None` when there is no value.
fn scalar(value: Option<&Value>) -> Result<Option<(String, bool)>, Why> {
    Ok(match value {
        None | Some(Value::Null) => None,
        Some(Value::String(s)) if nothing(s.trim()) => None,
        Some(Value::String(s)) => Some((s.clone(), false)),
        Some(Value::Number(n)) => Some((n.to_string(), true)),
        Some(Value::Bool(b)) => Some((b.to_string(), false)),
        Some(_) => return Err(Why::NoScalar),
    })
}

/// What people write into a cell that has nothing to say.
fn nothing(text: &str) -> bool {
    matches!(text, "" | "-" | "--" | "—" | "——" | "/" | "\\" | "无" | "空" | "暂无")
        || ["null", "n/a", "nan", "none"].iter().any(|n| text.eq_ignore_ascii_case(n))
}

fn plain(text: &str) -> Field {
    Field { text: text.to_owned(), number: finite(text) }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

/// Full-width digits and signs as those of ASCII, without spaces.
fn narrow(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '−' | '–' => '-',
        c => c,
    };
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}'))
        .map(narrow)
        .collect()
}

fn door(text: &str) -> Option<String> {
    let text = narrow(text);
    let text = text.trim_end_matches(['室', '号', '户', '#']);
    // A number cell: 607.0.
    let whole = text.split_once('.').filter(|(_, zeros)| !zeros.is_empty() && zeros.chars().all(|c| c == '0'));
    let text = whole.map_or(text, |(whole, _)| whole);
    if text.is_empty() || text.len() > 32 || !text.chars().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let part = |part: &str| {
        let known = !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        let kept = if part.chars().all(|c| c.is_ascii_digit()) { part.trim_start_matches('0') } else { part };
        known.then(|| if kept.is_empty() { "0".to_owned() } else { kept.to_ascii_uppercase() })
    };
    let parts: Vec<String> = text.split('-').map(part).collect::<Option<_>>()?;
    Some(parts.join("-"))
}

fn number(text: &str, units: &[String]) -> Result<f64, Why> {
    let text = narrow(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.' | ',' | 'e' | 'E'))
        .unwrap_or(text.len());
    let (mut figure, mut unit) = text.split_at(end);
    // An `e` without an exponent begins the unit.
    if let Some(at) = figure.find(['e', 'E']).filter(|at| figure.get(at + 1..).is_none_or(|x| x.is_empty())) {
        (figure, unit) = text.split_at(at);
    }
    if !unit.is_empty() && !units.iter().any(|u| narrow(u).eq_ignore_ascii_case(unit)) {
        let digits = figure.chars().any(|c| c.is_ascii_digit());
        return Err(if digits && !units.is_empty() { Why::Unit(units.join("、")) } else { Why::NoNumber });
    }
    let figure =
        if figure.contains(',') { without_separators(figure).ok_or(Why::NoNumber)? } else { figure.to_owned() };
    finite(&figure).ok_or(Why::NoNumber)
}

/// `1,234.5` as `1234.5`; separators that stand elsewhere than at thousands may mean something else.
fn without_separators(figure: &str) -> Option<String> {
    let (whole, fraction) = figure.split_once('.').unwrap_or((figure, ""));
    let mut groups = whole.trim_start_matches(['+', '-']).split(',');
    let first = groups.next()?;
    let right = (1..=3).contains(&first.len()) && groups.all(|g| g.len() == 3) && !fraction.contains(',');
    right.then(|| figure.replace(',', ""))
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "是" | "有" | "true" | "1" | "1.0" | "y" | "yes" | "√" => Some(true),
        "否" | "没有" | "false" | "0" | "0.0" | "n" | "no" | "×" => Some(false),
        _ => None,
    }
}

fn digits(text: &str, numeric: bool) -> Result<String, Why> {
    let text = narrow(text);
    // A number cell of up to 15 digits is whole: 13800000001.0.
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text.contains(['e', 'E']) && finite(text).is_some() {
        return whole(text).ok_or(Why::Rewritten);
    }
    let bare: String = text.chars().filter(|c| !matches!(c, '-' | '(' | ')')).collect();
    let figures = bare.strip_prefix('+').unwrap_or(&bare);
    if figures.is_empty() || !figures.chars().all(|c| c.is_ascii_digit()) {
        return Err(Why::NoDigits);
    }
    if lost(figures, numeric) { Err(Why::Rewritten) } else { Ok(bare) }
}

/// Tables keep 15 digits of a number; what comes after them is zeros.
fn lost(figures: &str, numeric: bool) -> bool {
    numeric && figures.len() > 15 && figures.ends_with("000")
}

/// `1.3800000001E10` written out; nothing if digits were lost.
fn whole(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let (int, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: usize = exponent.trim_start_matches('+').parse().ok().filter(|e| *e <= 15)?;
    let digits = |t: &str| t.chars().all(|c| c.is_ascii_digit());
    // Few figures of many: 1.38E+10 hides the rest.
    let told = fraction.trim_end_matches('0').len();
    let all = int.len() == 1 && digits(int) && digits(fraction) && told <= exponent && exponent - told <= 2;
    all.then(|| format!("{int}{:0<exponent$}", fraction.get(..told).unwrap_or("")))
}

fn id_card(text: &str, numeric: bool) -> Result<String, Why> {
    let text = narrow(text).to_ascii_uppercase();
    if text.contains('E') || lost(&text, numeric) {
        return Err(Why::Rewritten);
    }
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let figures: Vec<u32> = text.chars().take(17).filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = figures.iter().zip(WEIGHTS).map(|(f, w)| f * w).sum();
    let check = "10X98765432".chars().nth((sum % 11) as usize);
    let right = text.chars().count() == 18 && figures.len() == 17 && text.chars().last() == check;
    if right { Ok(text) } else { Err(Why::NoIdCard) }
}

/// A date in any of its forms: ms since 1970 and how it is shown. `Some(None)` is a date that stands for none (year 1).
#[allow(clippy::option_option)]
fn date(text: &str) -> Option<Option<(i64, String)>> {
    let text = text.trim();
    if let Some(found) = stamp(text) {
        return Some(Some(found));
    }
    let split = text.find(['T', 't', ' ', '日']).unwrap_or(text.len());
    let (day, rest) = text.split_at(split);
    let mut parts = day.split(['-', '/', '.', '年', '月']).map(str::trim).filter(|p| !p.is_empty());
    let mut next = |most: usize| parts.next().filter(|p| p.len() <= most)?.parse::<u16>().ok();
    let year = day.split(['-', '/', '.', '年']).next().filter(|y| y.len() == 4).and_then(|_| next(4))?;
    let (month, dom) = (u8::try_from(next(2)?).ok()?, u8::try_from(next(2)?).ok()?);
    if parts.next().is_some() {
        return None;
    }
    if year < 1900 {
        return Some(None);
    }
    let day = Date::from_calendar_date(year.into(), Month::try_from(month).ok()?, dom).ok()?;
    let rest = rest.trim_start_matches(['T', 't', ' ', '日']).trim();
    if rest.is_empty() {
        return Some(Some(shown(day, Time::MIDNIGHT, None, false)));
    }
    let (clock, zone) = zone(rest)?;
    Some(Some(shown(day, self::clock(clock)?, zone, true)))
}

/// Splits the zone off a time: the rest, and the zone in seconds.
fn zone(text: &str) -> Option<(&str, Option<i64>)> {
    if let Some(rest) = text.strip_suffix(['Z', 'z']) {
        return Some((rest, Some(0)));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, None)) };
    let (rest, zone) = text.split_at(at);
    let figures: String = zone.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = match figures.len() {
        2 => (figures.parse::<i64>().ok()?, 0),
        4 => (figures.get(..2)?.parse().ok()?, figures.get(2..)?.parse().ok()?),
        _ => return None,
    };
    let seconds = hours * 3_600 + minutes * 60;
    Some((rest.trim(), Some(if zone.starts_with('-') { -seconds } else { seconds })))
}

fn clock(text: &str) -> Option<Time> {
    let text = text.trim_end_matches('秒').trim_end_matches('分').trim_end_matches(['时', '点']);
    let mut parts = text.split([':', '时', '点', '分']).map(str::trim);
    let mut whole = || parts.next().map(|p| p.parse::<u8>().ok());
    let (hour, minute) = (whole()??, whole().unwrap_or(Some(0))?);
    let second = parts.next().unwrap_or("0");
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    if parts.next().is_some() || !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let milli = format!("{:0<3}", fraction.get(..3.min(fraction.len()))?).parse().ok()?;
    Time::from_hms_milli(hour, minute, second.parse().ok()?, milli).ok()
}

/// Stamps: seconds to nanoseconds since 1970, `20260105`, `20260105083000`, and the serial days of tables.
fn stamp(text: &str) -> Option<(i64, String)> {
    let bare = text.strip_suffix(".0").unwrap_or(text);
    let figures = bare.chars().all(|c| c.is_ascii_digit());
    let part = |from: usize, to: usize| bare.get(from..to)?.parse::<u8>().ok();
    let day = || {
        let year = bare.get(..4)?.parse().ok().filter(|y| (1900..2200).contains(y))?;
        Date::from_calendar_date(year, Month::try_from(part(4, 6)?).ok()?, part(6, 8)?).ok()
    };
    match bare.len() {
        8 if figures => Some(shown(day()?, Time::MIDNIGHT, None, false)),
        14 if figures => {
            let time = Time::from_hms(part(8, 10)?, part(10, 12)?, part(12, 14)?).ok()?;
            Some(shown(day()?, time, None, true))
        }
        10 if figures => at(bare.parse::<i64>().ok()?.checked_mul(1_000)?),
        13 if figures => at(bare.parse().ok()?),
        16 if figures => at(bare.parse::<i64>().ok()? / 1_000),
        19 if figures => at(bare.parse::<i64>().ok()? / 1_000_000),
        _ => {
            let serial = text.parse::<f64>().ok().filter(|s| (20_000.0..80_000.0).contains(s))?;
            // Day 25,569 of tables is 1970-01-01.
            let ms = ((serial - 25_569.0) * 86_400.0).round() as i64 * 1_000 - ZONE_S * 1_000;
            let (ms, text) = at(ms)?;
            Some((ms, if serial.fract() == 0.0 { text.get(..10)?.to_owned() } else { text }))
        }
    }
}

fn at(ms: i64) -> Option<(i64, String)> {
    let zone = UtcOffset::from_whole_seconds(i32::try_from(ZONE_S).ok()?).ok()?;
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?.to_offset(zone);
    Some(shown(moment.date(), moment.time(), None, true))
}

fn shown(day: Date, time: Time, zone: Option<i64>, has_time: bool) -> (i64, String) {
    let utc = PrimitiveDateTime::new(day, time).assume_utc();
    let ms = i64::try_from(utc.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let ms = ms.saturating_sub(zone.unwrap_or(ZONE_S) * 1_000);
    let day = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
    if !has_time {
        return (ms, day);
    }
    match zone {
        None | Some(ZONE_S) => {
            (ms, format!("{day}T{:02}:{:02}:{:02}+08:00", time.hour(), time.minute(), time.second()))
        }
        // Shown in our own zone, so that texts compare.
        Some(_) => at(ms).unwrap_or((ms, day)),
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
