//! A text as numbers and other characters. A number is taken whole: what is only understood in part is [`Token::Number`]
//! without a value, so that it never passes for another number.

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A run of digits of any script.
    Number(Number),
    /// Anything else; a blank only between two numbers.
    Other(char),
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// `None` when it is not understood.
    pub(super) value: Option<u16>,
    /// In Chinese numerals.
    pub(super) chinese: bool,
    /// Digits that it was written with.
    pub(super) length: usize,
}

impl Token {
    pub(super) fn is(self, c: char) -> bool {
        self == Self::Other(c)
    }

    pub(super) fn number(self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(number),
            Self::Other(_) => None,
        }
    }

    /// The same word, or a number of the same value.
    pub(super) fn matches(self, other: Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.value.is_some() && a.value == b.value,
            (Self::Other(a), Self::Other(b)) => a == b,
            _ => false,
        }
    }
}

/// Cuts a text. Full-width forms, dashes and the many words for a building become one; characters that nobody sees go.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().filter(|c| !invisible(*c)).map(plain).collect();
    let mut out: Vec<Token> = Vec::with_capacity(chars.len());
    let mut blank = false;
    let mut rest = chars.as_slice();
    while let Some((&c, tail)) = rest.split_first() {
        if c.is_whitespace() {
            blank = true;
            rest = tail;
            continue;
        }
        let run = rest.iter().take_while(|c| numeral(**c)).count();
        if blank && run > 0 && out.last().is_some_and(|t| t.number().is_some()) {
            out.push(Token::Other(' '));
        }
        blank = false;
        if let (true, Some((run, after))) = (run > 0, rest.split_at_checked(run)) {
            out.push(Token::Number(read(run)));
            rest = after;
        } else {
            out.push(Token::Other(c));
            rest = tail;
        }
    }
    buildings(out)
}

/// Zero-width and directional marks, soft hyphens, variation selectors.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c).to_ascii_uppercase(),
        '—' | '–' | '‐' | '‑' | '‒' | '―' | '−' | '─' | '﹣' => '-',
        '〜' => '~',
        '幢' | '棟' => '栋',
        '樓' => '楼',
        '單' => '单',
        '號' => '号',
        other => other.to_ascii_uppercase(),
    }
}

/// 号楼 and 号栋 after a number are 栋, and so is 座 after one in digits: 一座 counts, 12座 names.
fn buildings(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let before = out.last().and_then(|t| t.number());
        let word = match (before, token) {
            (Some(_), Token::Other('号' | '#'))
                if tokens.next_if(|t| t.is('楼') || t.is('栋') || t.is('座')).is_some() =>
            {
                '栋'
            }
            (Some(number), Token::Other('座')) if !number.chinese => '栋',
            _ => {
                out.push(token);
                continue;
            }
        };
        out.push(Token::Other(word));
    }
    out
}

const DIGITS: [&str; 3] = ["零一二三四五六七八九", "〇壹贰叁肆伍陆柒捌玖", "○幺两"];

fn chinese_digit(c: char) -> Option<u16> {
    if c == '两' {
        return Some(2);
    }
    let at = |row: &str| row.chars().position(|d| d == c).and_then(|n| u16::try_from(n).ok());
    DIGITS.iter().find_map(|row| at(row))
}

fn tens(c: char) -> Option<u16> {
    match c {
        '十' | '拾' => Some(10),
        '廿' | '卄' => Some(20),
        '卅' => Some(30),
        '卌' => Some(40),
        _ => None,
    }
}

/// Also numerals that are not read, such as ⑫ and Ⅻ.
fn numeral(c: char) -> bool {
    c.is_numeric() || chinese_digit(c).is_some() || tens(c).is_some() || matches!(c, '百' | '佰' | '千' | '仟')
}

fn read(run: &[char]) -> Number {
    let ascii = run.iter().all(char::is_ascii_digit);
    let value = if ascii { run.iter().collect::<String>().parse().ok() } else { hundreds(run) };
    Number { value, chinese: !ascii, length: run.len() }
}

/// Up to 999 in Chinese numerals. 一百二 and 一二 may mean two things and mean nothing here.
fn hundreds(run: &[char]) -> Option<u16> {
    let Some(at) = run.iter().position(|c| matches!(c, '百' | '佰')) else { return below_hundred(run) };
    let (head, rest) = (run.get(..at)?, run.get(at + 1..)?);
    let [digit] = head else { return None };
    let hundreds = chinese_digit(*digit).filter(|d| *d > 0)? * 100;
    match rest {
        [] => Some(hundreds),
        [zero, digit] if chinese_digit(*zero) == Some(0) => Some(hundreds + chinese_digit(*digit)?),
        [first, ..] if rest.len() > 1 && chinese_digit(*first) != Some(0) => Some(hundreds + below_hundred(rest)?),
        _ => None,
    }
}

fn below_hundred(run: &[char]) -> Option<u16> {
    let digit = |part: &[char]| match part {
        [] => Some(0),
        [c] => chinese_digit(*c).filter(|d| *d > 0),
        _ => None,
    };
    match run.iter().position(|c| tens(*c).is_some()) {
        Some(at) => {
            let ten = run.get(at).copied().and_then(tens)?;
            let (head, ones) = (run.get(..at)?, digit(run.get(at + 1..)?)?);
            match head {
                [] => Some(ten + ones),
                [_] if ten == 10 => Some(digit(head)? * 10 + ones),
                _ => None,
            }
        }
        None => match run {
            [c] => chinese_digit(*c),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<u16> {
        tokens(text).into_iter().find_map(Token::number).and_then(|n| n.value)
    }

    #[test]
    fn numbers_are_read_whole_or_not_at_all() {
        let read = [
            ("12", 12),
            ("１２", 12),
            ("4\u{200b}4", 44),
            ("十", 10),
            ("十二", 12),
            ("二十", 20),
            ("七十六", 76),
            ("廿三", 23),
            ("卅一", 31),
            ("卌", 40),
            ("一百", 100),
            ("一百零二", 102),
            ("一百一十二", 112),
            ("贰拾叁", 23),
        ];
        for (text, number) in read {
            assert_eq!(first(text), Some(number), "{text}");
        }
        for text in ["一二", "二三十", "一百二", "1十2", "⑫", "Ⅻ", "99999999", "十百", "百", "十十", "三廿"]
        {
            assert_eq!(first(text), None, "{text}");
        }
    }
}
