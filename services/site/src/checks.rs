//! Values that every kind of file has: ids and what they lead to, names, numbers, words of a list, spans of time.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr};

use domain::time::Millis;

use crate::fault::{At, Desk};

/// Characters of an id.
const ID: usize = 64;
/// Characters of a name or another text.
pub(crate) const TEXT: usize = 1_000;

/// What a kind of thing is called.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) zh: &'static str,
    pub(crate) en: &'static str,
}

/// The ids of a kind that were read, so that others may lead to them.
pub(crate) struct Known {
    kind: Kind,
    lines: BTreeMap<String, usize>,
    whole: bool,
}

impl Known {
    /// `whole` = everything of the kind could be read: only then does a missing id mean something.
    pub(crate) fn of(kind: Kind, whole: bool) -> Self {
        Self { kind, lines: BTreeMap::new(), whole }
    }

    /// Not everything of this kind could be read after all.
    pub(crate) fn incomplete(&mut self) {
        self.whole = false;
    }

    /// Takes in an id of this kind. After a wrong one nothing is missed any more: it may be the one that was meant.
    pub(crate) fn add<T: From<String>>(&mut self, desk: &Desk, at: At<'_>, text: &str) -> T {
        if !is_id(desk, at, text) {
            self.whole = false;
        } else if let Some(line) = self.lines.get(text) {
            desk.note(at, format!("编号重复，已在第 {line} 行用过 the id is used in line {line} too: {text}"));
            self.whole = false;
        } else {
            self.lines.insert(text.to_owned(), at.line);
        }
        T::from(text.to_owned())
    }

    /// An id that must lead to one of this kind.
    pub(crate) fn find<T: From<String>>(&self, desk: &Desk, at: At<'_>, text: &str) -> T {
        if is_id(desk, at, text) && self.whole && !self.lines.contains_key(text) {
            let Kind { zh, en } = self.kind;
            desk.note(at, format!("没有这个{zh} there is no such {en}: {text}"));
        }
        T::from(text.to_owned())
    }
}

fn is_id(desk: &Desk, at: At<'_>, text: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let message = if text.is_empty() {
        "编号不能为空 the id is missing".to_owned()
    } else if let Some(why) = spoilt(text) {
        format!("{why}: {text}")
    } else if text.chars().count() > ID || !text.chars().all(fit) {
        format!(
            "编号只能用英文字母、数字、_ - .，最多 {ID} 个 an id has letters, digits, _ - . and at most {ID}: {text}"
        )
    } else {
        return true;
    };
    desk.note(at, message);
    false
}

/// A site's own id, which becomes part of keys and channels.
pub(crate) fn site_id(desk: &Desk, at: At<'_>, text: &str) {
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if text.is_empty() || text.len() > 40 || !text.chars().all(fit) {
        desk.note(at, "须为 a-z、0-9、_、-，最多 40 个字符 must be a-z, 0-9, _ and -, at most 40");
    }
}

/// A name in Chinese; `needed` = it may not be empty.
pub(crate) fn text(desk: &Desk, at: At<'_>, text: &str, needed: bool) -> String {
    if needed && text.is_empty() {
        desk.note(at, "不能为空 must not be empty");
    }
    if text.chars().count() > TEXT {
        desk.note(
            at,
            format!("超过 {TEXT} 个字（引号没有闭合？） is over {TEXT} characters (an open quotation mark?)"),
        );
    }
    if text.starts_with('#') && spoilt(text).is_some() {
        desk.note(at, format!("表格公式出错，请改正后再导出 a formula of the spreadsheet failed: {text}"));
    }
    text.to_owned()
}

/// A number of a table.
pub(crate) fn number<T>(desk: &Desk, at: At<'_>, text: &str, range: &RangeInclusive<T>, or: T) -> T
where
    T: FromStr + PartialOrd + Display,
{
    let (low, high) = (range.start(), range.end());
    let message = match text.parse::<T>() {
        Ok(value) if range.contains(&value) => return value,
        Ok(value) => format!("须在 {low} 到 {high} 之间 must lie between {low} and {high}: {value}"),
        Err(_) if text.is_empty() => "不能为空 must not be empty".to_owned(),
        Err(_) => match spoilt(text) {
            Some(why) => format!("{why}: {text}"),
            None => format!("须为 {low} 到 {high} 的数 must be a number from {low} to {high}: {text}"),
        },
    };
    desk.note(at, message);
    or
}

/// One word of a list; the first one stands in for a wrong one.
pub(crate) fn choice<T: Copy>(desk: &Desk, at: At<'_>, text: &str, words: &[(&str, T)], or: T) -> T {
    let text = text.to_ascii_lowercase();
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).unwrap_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let all = all.join("、");
        desk.note(at, format!("须为其中之一 must be one of: {all}"));
        or
    })
}

/// What a spreadsheet program did to a value, with the way back.
fn spoilt(text: &str) -> Option<&'static str> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let lower = text.to_ascii_lowercase();
    let digits = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_digit());
    if let Some((mantissa, exponent)) = lower.split_once("e+")
        && digits(exponent)
        && mantissa.parse::<f64>().is_ok()
    {
        return Some(
            "表格软件把编号变成了科学计数，原数已失：请把这一列设为“文本”，重新填写再导出 the spreadsheet turned it into \
             a rounded number: format the column as text, fill it in again and export",
        );
    }
    let month = |s: &str| MONTHS.contains(&s.get(..3).unwrap_or(s)) && s.chars().all(|c| c.is_ascii_alphabetic());
    let parts: Vec<&str> = lower.split(['-', '/']).collect();
    let dated = match parts.as_slice() {
        [a, b] => (digits(a) && month(b)) || (month(a) && digits(b)) || (digits(a) && digits(b) && lower.contains('/')),
        [a, b, c] => digits(a) && digits(b) && digits(c) && (a.len() == 4 || lower.contains('/')),
        _ => false,
    };
    if dated || (lower.contains('月') && lower.ends_with('日')) {
        return Some(
            "表格软件把它变成了日期：请把这一列设为“文本”，重新填写再导出 the spreadsheet turned it into a date: format \
             the column as text, fill it in again and export",
        );
    }
    if ["#ref!", "#n/a", "#value!", "#name?", "#div/0!", "#num!", "#null!"].contains(&lower.as_str())
        || (!lower.is_empty() && lower.chars().all(|c| c == '#'))
    {
        return Some(
            "表格公式出错或列宽不够，请改正后再导出 a formula failed or the column was too narrow: export again",
        );
    }
    if lower.contains(',')
        && lower.split(',').all(|part| digits(part.trim_start_matches('-').split('.').next().unwrap_or("")))
    {
        return Some("带有千位分隔符，请把这一列设为“常规” has separators of thousands: format the column as general");
    }
    None
}

const SPANS: [(&str, i64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// `90s`, `2m`, `24h` or `1500ms`.
pub(crate) fn span(desk: &Desk, at: At<'_>, text: &str) -> Millis {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor = SPANS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, ms)| *ms);
    let span = digits.parse::<i64>().ok().zip(factor).and_then(|(n, ms)| n.checked_mul(ms));
    // A hundred years.
    if let Some(ms) = span.filter(|ms| *ms <= 3_155_760_000_000) {
        return Millis(ms);
    }
    desk.note(at, format!("须为时长，如 90s、2m、24h must be a span of time such as 90s, 2m or 24h: {text}"));
    Millis(0)
}

/// As [`span`] reads it, in the largest unit that fits.
pub(crate) fn span_text(span: Millis) -> String {
    let (unit, ms) = SPANS.iter().find(|(_, ms)| span.0 != 0 && span.0 % ms == 0).copied().unwrap_or(("s", 1_000));
    format!("{}{unit}", span.0 / ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: At<'static> = At { file: "f", line: 1, column: "c" };

    #[test]
    fn what_a_spreadsheet_spoilt_is_named() {
        for (text, words) in [
            ("5.30621E+13", "科学计数"),
            ("1e+05", "科学计数"),
            ("2-Jan", "日期"),
            ("Jan-02", "日期"),
            ("1月2日", "日期"),
            ("2026/1/2", "日期"),
            ("1/2", "日期"),
            ("#REF!", "公式"),
            ("#####", "公式"),
            ("1,234", "千位"),
            ("-1,234.5", "千位"),
        ] {
            assert!(spoilt(text).is_some_and(|why| why.contains(words)), "{text}: {:?}", spoilt(text));
        }
        for text in
            ["53062100200106", "b12", "smoke-b12-2-06", "-12.5", "1.5", "", "e+1", "march", "12栋", "sos-g01", "1-2"]
        {
            assert_eq!(spoilt(text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (ms, text) in [(0, "0s"), (60_000, "1m"), (90_000, "90s"), (86_400_000, "24h"), (1_500, "1500ms")] {
            assert_eq!(span_text(Millis(ms)), text);
            let desk = Desk::default();
            assert_eq!(span(&desk, AT, text), Millis(ms));
            desk.finish(()).unwrap();
        }
        for text in ["", "5", "m", "-5m", "5d", "99999999999999999999h", "99999999h", "1.5h", "5µs"] {
            let desk = Desk::default();
            span(&desk, AT, text);
            assert_eq!(desk.count(), 1, "{text}");
        }
    }
}
