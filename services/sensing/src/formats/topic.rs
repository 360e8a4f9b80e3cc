//! Patterns of topics: `{base}/{device*}/availability`. A level is a word, `+` for any one, `{device}`, `{bridge}` or
//! `{channel}` for one that says who speaks, `{device*}` for a name of several levels, or `#` at the end for all that follows.
//! `{base}` at the beginning stands for each base of the decoder.

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    levels: Vec<Level>,
    /// The base, where the pattern begins with one: whoever writes there is one bridge.
    base: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Word(String),
    Any,
    Device,
    Name,
    Bridge,
    Channel,
    Rest,
}

/// Who speaks, as a topic says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Who<'a> {
    pub(super) device: Option<&'a str>,
    pub(super) channel: Option<&'a str>,
    pub(super) bridge: Option<&'a str>,
}

impl Pattern {
    /// Reads a pattern for this base.
    pub(super) fn read(text: &str, base: Option<&str>) -> Result<Self, String> {
        let bad = |what: &str| Err(format!("主题模式 topic pattern {text}: {what}"));
        let based = text.strip_prefix("{base}/");
        let (rest, base) = match (based, base) {
            (Some(rest), Some(base)) => (rest, Some(base)),
            (Some(_), None) => return bad("缺少 bases bases are missing"),
            (None, _) => (text, None),
        };
        let level = |part: &str| match part {
            "+" => Level::Any,
            "#" => Level::Rest,
            "{device}" => Level::Device,
            "{device*}" => Level::Name,
            "{bridge}" => Level::Bridge,
            "{channel}" => Level::Channel,
            word => Level::Word(word.to_owned()),
        };
        let words = base.into_iter().flat_map(|b| b.split('/')).map(|w| Level::Word(w.to_owned()));
        let levels: Vec<_> = words.chain(rest.split('/').map(level)).collect();
        let odd = |l: &Level| matches!(l, Level::Word(w) if w.is_empty() || w.contains(['+', '#', '{', '}', '\0']));
        if levels.iter().any(odd) {
            return bad("有一级为空或含 + # { } a level is empty or holds + # { }");
        }
        let many = levels.iter().filter(|l| matches!(l, Level::Name | Level::Rest)).count();
        if many > 1 || levels.iter().rev().skip(1).any(|l| *l == Level::Rest) {
            return bad("多级通配只能有一个，# 只能在末尾 one part of several levels at most, # only at the end");
        }
        Ok(Self { levels, base: base.map(str::to_owned) })
    }

    /// Who speaks by this topic; `None` when it is another's.
    pub(super) fn fits<'a>(&'a self, topic: &'a str) -> Option<Who<'a>> {
        let mut who = Who { bridge: self.base.as_deref(), ..Who::default() };
        let many = self.levels.iter().position(|l| matches!(l, Level::Name | Level::Rest));
        let (head, tail) = self.levels.split_at(many.unwrap_or(self.levels.len()));
        let mut rest = topic;
        for (n, level) in head.iter().enumerate() {
            let (part, behind) = rest.split_once('/').unwrap_or((rest, ""));
            let last = behind.is_empty() && rest.len() == part.len();
            if last != (many.is_none() && n + 1 == head.len()) {
                return None;
            }
            fit(level, part, &mut who)?;
            rest = behind;
        }
        let Some((level, tail)) = tail.split_first() else { return Some(who) };
        for level in tail.iter().rev() {
            let (before, part) = rest.rsplit_once('/')?;
            fit(level, part, &mut who)?;
            rest = before;
        }
        if *level == Level::Name {
            who.device = (!rest.is_empty()).then_some(rest);
            who.device?;
        }
        Some(who)
    }

    /// What to subscribe to.
    pub(super) fn filter(&self) -> String {
        let mut all = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            match level {
                Level::Word(word) => all.push(word.as_str()),
                Level::Name | Level::Rest => {
                    all.push("#");
                    break;
                }
                _ => all.push("+"),
            }
        }
        all.join("/")
    }

    /// The topics that this device writes; `None` when the pattern names no device.
    pub(super) fn of(&self, device: &str) -> Option<String> {
        let speaker = |l: &Level| matches!(l, Level::Device | Level::Name);
        let by = if self.levels.iter().any(speaker) { speaker } else { |l: &Level| *l == Level::Bridge };
        self.levels.iter().any(by).then(|| {
            let part = |level: &Level| match level {
                level if by(level) => device.to_owned(),
                Level::Word(word) => word.clone(),
                Level::Rest => "#".to_owned(),
                _ => "+".to_owned(),
            };
            self.levels.iter().map(part).collect::<Vec<_>>().join("/")
        })
    }
}

fn fit<'a>(level: &Level, part: &'a str, who: &mut Who<'a>) -> Option<()> {
    match level {
        Level::Word(word) if word != part => return None,
        Level::Device => who.device = Some(part),
        Level::Bridge => who.bridge = Some(part),
        Level::Channel => who.channel = Some(part),
        _ => {}
    }
    Some(())
}

/// Whether all that `inner` lets through comes by `outer` too.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let (mut outer, mut inner) = (outer.split('/'), inner.split('/'));
    loop {
        match (outer.next(), inner.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(part)) if part != "#" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn topics_tell_who_speaks() {
        let fits = |pattern: &str, base: Option<&str>, topic: &str| {
            let pattern = Pattern::read(pattern, base).unwrap();
            let who = pattern.fits(topic)?;
            Some([who.device, who.channel, who.bridge].map(|p| p.unwrap_or_default().to_owned()))
        };
        let who = |d: &str, c: &str, b: &str| Some([d, c, b].map(str::to_owned));
        let z = Some("site/z2m");
        let long = "living_room/sensor/0004/doorsensor";
        assert_eq!(fits("{base}/{device*}", z, &format!("site/z2m/{long}")), who(long, "", "site/z2m"));
        let there = format!("site/z2m/{long}/availability");
        assert_eq!(fits("{base}/{device*}/availability", z, &there), who(long, "", "site/z2m"));
        assert_eq!(fits("{base}/{device*}/availability", z, "site/z2m/availability"), None);
        assert_eq!(fits("{base}/{device*}", z, "site/z2m"), None);
        assert_eq!(fits("{base}/{device*}", z, "site/z2m/"), None);
        assert_eq!(fits("{base}/bridge/#", z, "site/z2m/bridge/a/b"), who("", "", "site/z2m"));
        assert_eq!(fits("stat/{device}/RESULT", None, "stat/tasmota_3DD57B/RESULT"), who("tasmota_3DD57B", "", ""));
        assert_eq!(fits("stat/{device}/RESULT", None, "stat/a/b/RESULT"), None);
        assert_eq!(fits("stat/{device}/RESULT", None, "stat/a/RESULT/"), None);
        let esp = "{bridge}/binary_sensor/{channel}/state";
        assert_eq!(fits(esp, None, "node/binary_sensor/smoke/state"), who("", "smoke", "node"));
        for bad in ["{base}/x", "a//b", "a/#/b", "{device*}/{device*}", "a/{devise}"] {
            assert!(Pattern::read(bad, None).is_err(), "{bad}");
        }
        let of = |pattern: &str, device: &str| Pattern::read(pattern, z).unwrap().of(device);
        assert_eq!(of("{base}/{device*}/availability", "d"), Some("site/z2m/d/availability".to_owned()));
        assert_eq!(of(esp, "node"), Some("node/binary_sensor/+/state".to_owned()));
        assert_eq!(of("v1/gateway/telemetry", "d"), None);
        assert!(covers("a/#", "a/+/b") && covers("a/+", "a/b") && covers("a/#", "a/#"));
        assert!(!covers("a/+", "a/#") && !covers("a/+", "a/b/c") && !covers("a/b", "a/+"));
    }
}
