//! Decoders as data: which topics a format has, where in a message a device, a time and a value stand, and what words mean.
//! The files in `data/decoders` come with the program; each is read once, and a mistake in one is told with its place.
//!
//! A value is chosen by what the site says that the sensor measures. One value that cannot be read hides no other, and an
//! alarm beside it counts; what was not understood is a [`Fault`] beside the reading.

use std::{collections::BTreeMap, sync::Arc};

use domain::site::SensorKind;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Extra, Fault, Heard, Measure, Message, Reading, Unit, Why,
    lenient::{self, Text},
    names::{Names, Target},
    path::Path,
    sparkplug,
    topic::{Pattern, Who, covers},
    value::{self, Got},
};
use crate::rules::KINDS;

/// Bodies that one message may have, those included that are not understood.
const MAX_BODIES: usize = 1_000;

/// Why a decoder is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("解码器 decoder {decoder}: {message}")]
pub struct BadDecoder {
    /// Its id, or the file.
    pub decoder: String,
    /// What is wrong.
    pub message: String,
}

/// A decoder as its file says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decoder {
    pub(super) id: String,
    /// What `{base}` stands for.
    #[serde(default)]
    pub(super) bases: Vec<String>,
    pub(super) messages: Vec<Form>,
}

/// What messages of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Is {
    /// Devices say what they measure.
    #[default]
    Reading,
    /// A device is there or not.
    Link,
    /// A bridge is there or not, and with it all behind it.
    Bridge,
    /// Nothing for us.
    Ignored,
}

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    #[default]
    Json,
    Sparkplug,
}

/// One form of messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    topic: String,
    #[serde(default)]
    is: Is,
    #[serde(default)]
    body: Body,
    /// Where the bodies are when one message has several; the first `*` may be the device.
    #[serde(default)]
    each: Option<Path>,
    /// Where the body names its device; `"key"` = the key that `each` found.
    #[serde(default)]
    device: Option<Named>,
    /// What separates devices of one name: the value picks one of 32 parts, and the device calls while one of them does.
    #[serde(default)]
    part: Option<Path>,
    /// Without this the values are not those of a message from the device.
    #[serde(default)]
    needs: Option<Path>,
    /// Bodies with another word there are nothing for us.
    #[serde(default)]
    only: Vec<Only>,
    /// Where the time stands; the first that is there counts.
    #[serde(default)]
    time: Vec<Path>,
    /// Where the values stand, by the kinds of sensors that tell them, separated by blanks.
    #[serde(default)]
    values: BTreeMap<String, Vec<Field>>,
    /// Values by the names that gateways usually give them count as well, below each of these.
    #[serde(default)]
    usual: Vec<String>,
    #[serde(default)]
    extras: Vec<ExtraField>,
    #[serde(default)]
    test: Vec<Path>,
    #[serde(default)]
    fault: Vec<Path>,
    #[serde(default)]
    tamper: Vec<Path>,
    /// What a device's own words for a fault mean.
    #[serde(default)]
    fault_words: BTreeMap<String, String>,
    #[serde(default)]
    stuck: Option<Stuck>,
    /// What a device says that never says when it is over ends this long after its last word, seconds.
    #[serde(default)]
    ends_s: Option<u32>,
    /// Where a link or bridge says whether it is there.
    #[serde(default)]
    state: Vec<Path>,
    #[serde(default)]
    words: BTreeMap<String, bool>,
    /// A link that the topic itself tells.
    #[serde(default)]
    online: Option<bool>,
}

/// Where the name of a device stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
enum Named {
    Key,
    At(Path),
}

impl TryFrom<String> for Named {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "key" { Ok(Self::Key) } else { Path::try_from(text).map(Self::At) }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    path: Path,
    among: Vec<String>,
}

/// How a value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum As {
    /// The device decided.
    #[default]
    Flag,
    /// Measured, in the unit of the sensor's kind once multiplied.
    Value,
    /// A flag when it is a truth; a number has a unit that the message does not tell.
    Either,
    /// A number without a unit; a truth is 0 or 1.
    Code,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    path: Path,
    #[serde(default, rename = "as")]
    meant: As,
    /// Words of this field.
    #[serde(default)]
    words: BTreeMap<String, bool>,
    /// Other words than these say nothing.
    #[serde(default)]
    only_words: bool,
    /// The flag says the opposite.
    #[serde(default)]
    not: bool,
    #[serde(default = "one")]
    factor: f64,
    /// Where the unit stands, and the factor of each.
    #[serde(default)]
    unit: Option<Path>,
    #[serde(default)]
    units: BTreeMap<String, f64>,
}

const fn one() -> f64 {
    1.0
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtraField {
    path: Path,
    name: Arc<str>,
    unit: Arc<str>,
    #[serde(default = "one")]
    factor: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stuck {
    /// Where the proof stands, a number that is 0 while nothing is there.
    zero: Path,
    after_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Usual {
    values: BTreeMap<String, Vec<UsualField>>,
    extras: Vec<UsualExtra>,
    test: Vec<String>,
    fault: Vec<String>,
    tamper: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsualField {
    name: String,
    #[serde(default, rename = "as")]
    meant: As,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsualExtra {
    name: Arc<str>,
    unit: Arc<str>,
}

/// The files that come with the program.
const SHIPPED: [&str; 9] = [
    include_str!("../../data/decoders/zigbee2mqtt.json"),
    include_str!("../../data/decoders/tasmota.json"),
    include_str!("../../data/decoders/thingsboard.json"),
    include_str!("../../data/decoders/shelly.json"),
    include_str!("../../data/decoders/esphome.json"),
    include_str!("../../data/decoders/chirpstack.json"),
    include_str!("../../data/decoders/ttn.json"),
    include_str!("../../data/decoders/frigate.json"),
    include_str!("../../data/decoders/sparkplug.json"),
];
const USUAL: &str = include_str!("../../data/decoders/usual.json");

/// A form with what it needs for each kind.
#[derive(Debug, Clone)]
struct Ready {
    decoder: Arc<str>,
    pattern: Pattern,
    form: Arc<Form>,
    fields: Arc<[Vec<Field>; KINDS.len()]>,
}

/// All decoders, in the order in which they are asked.
#[derive(Debug, Clone)]
pub struct Decoders(Vec<Ready>);

impl Decoders {
    /// Those of the program's own that are `chosen`, or all; `bases` are further bases by decoder.
    ///
    /// # Errors
    /// A base that is no topic, or one of a decoder that there is not.
    pub fn shipped(chosen: &[String], bases: &BTreeMap<String, Vec<String>>) -> Result<Self, BadDecoder> {
        Self::with(&[], chosen, bases)
    }

    /// The same behind those of these texts.
    ///
    /// # Errors
    /// What is wrong with a text or a base.
    pub fn with(own: &[String], chosen: &[String], bases: &BTreeMap<String, Vec<String>>) -> Result<Self, BadDecoder> {
        let mut all = Vec::new();
        for text in own {
            ready(read(text)?, &mut all)?;
        }
        let mut named = std::collections::BTreeSet::new();
        for text in SHIPPED {
            let mut decoder = read(text)?;
            named.insert(decoder.id.clone());
            if let Some(more) = bases.get(&decoder.id) {
                if decoder.bases.is_empty() && !more.is_empty() {
                    return Err(bad(&decoder.id, "它的主题没有 {base} its topics have no {base}"));
                }
                decoder.bases.extend(more.iter().filter(|b| !b.is_empty()).cloned());
                decoder.bases.dedup();
            }
            if chosen.is_empty() || chosen.contains(&decoder.id) {
                ready(decoder, &mut all)?;
            }
        }
        match bases.keys().chain(chosen).find(|id| !named.contains(*id)) {
            Some(id) => Err(bad(id, "没有这个解码器 there is no such decoder")),
            None => Ok(Self(all)),
        }
    }

    /// The one that a text describes, to be tried.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(text: &str) -> Result<Self, BadDecoder> {
        let mut all = Vec::new();
        ready(read(text)?, &mut all)?;
        Ok(Self(all))
    }

    /// Topics that the centre listens to for them, none covered by another.
    pub fn filters(&self) -> Vec<String> {
        let mut all: Vec<String> = self.0.iter().map(|r| r.pattern.filter()).collect();
        all.sort();
        all.dedup();
        let covered = |f: &String| all.iter().any(|other| other != f && covers(other, f));
        all.iter().filter(|f| !covered(f)).cloned().collect()
    }

    /// The topics that this device writes in the formats of these decoders; in all of them without any named.
    pub(super) fn of_device<'a>(
        &'a self,
        device: &'a str,
        decoders: &'a [&'a str],
    ) -> impl Iterator<Item = String> + 'a {
        let ours = |r: &&Ready| decoders.is_empty() || decoders.contains(&&*r.decoder);
        self.0.iter().filter(ours).filter(|r| r.form.is != Is::Ignored).filter_map(|r| r.pattern.of(device))
    }

    /// The topics on which bridges of this decoder say whether they are there.
    pub(super) fn of_bridges<'a>(&'a self, decoder: &'a str) -> impl Iterator<Item = String> + 'a {
        let bridge = move |r: &&Ready| &*r.decoder == decoder && r.form.is == Is::Bridge;
        self.0.iter().filter(bridge).map(|r| r.pattern.filter())
    }

    /// Reads a message; `None` when no decoder knows its topic.
    pub(super) fn decode(&self, topic: &str, payload: &[u8], names: &Names) -> Option<Result<Message, Fault>> {
        let (ready, who) = self.0.iter().find_map(|r| Some((r, r.pattern.fits(topic)?)))?;
        Some(ready.decode(who, payload, names))
    }
}

fn bad(decoder: &str, message: &str) -> BadDecoder {
    BadDecoder { decoder: decoder.to_owned(), message: message.to_owned() }
}

fn read(text: &str) -> Result<Decoder, BadDecoder> {
    serde_json::from_str(text).map_err(|error| {
        let id = serde_json::from_str::<Value>(text).ok().and_then(|v| v.get("id")?.as_str().map(str::to_owned));
        bad(id.as_deref().unwrap_or("?"), &error.to_string())
    })
}

fn ready(decoder: Decoder, all: &mut Vec<Ready>) -> Result<(), BadDecoder> {
    let Decoder { id, bases, messages } = decoder;
    let name: Arc<str> = id.as_str().into();
    for form in messages {
        let (topic, fields) = (form.topic.clone(), Arc::new(fields(&id, &form)?));
        let form = Arc::new(with_usual(form)?);
        let based = topic.starts_with("{base}/");
        let bases: Vec<_> = if based { bases.iter().map(|b| Some(b.as_str())).collect() } else { vec![None] };
        if bases.is_empty() {
            return Err(bad(&id, "缺少 bases bases are missing"));
        }
        for base in bases {
            let pattern = Pattern::read(&topic, base).map_err(|message| bad(&id, &message))?;
            all.push(Ready { decoder: name.clone(), pattern, form: form.clone(), fields: fields.clone() });
        }
    }
    Ok(())
}

fn usual() -> Result<Usual, BadDecoder> {
    serde_json::from_str(USUAL).map_err(|error| bad("usual", &error.to_string()))
}

fn below(root: &str, name: &str) -> Result<Path, BadDecoder> {
    Path::try_from(format!("{root}/{name}")).map_err(|message| bad(name, &message))
}

fn kind_number(decoder: &str, name: &str) -> Result<usize, BadDecoder> {
    let unknown = || bad(decoder, &format!("没有这种传感器 there is no kind of sensor {name:?}"));
    KINDS.iter().position(|(n, _)| *n == name).ok_or_else(unknown)
}

fn fields(decoder: &str, form: &Form) -> Result<[Vec<Field>; KINDS.len()], BadDecoder> {
    let mut all: [Vec<Field>; KINDS.len()] = Default::default();
    for (kinds, fields) in &form.values {
        for kind in kinds.split_whitespace() {
            if let Some(of) = all.get_mut(kind_number(decoder, kind)?) {
                of.extend(fields.iter().cloned());
            }
        }
    }
    if form.usual.is_empty() {
        return Ok(all);
    }
    let usual = usual()?;
    for (kinds, fields) in &usual.values {
        for kind in kinds.split_whitespace() {
            let Some(of) = all.get_mut(kind_number("usual", kind)?) else { continue };
            for root in &form.usual {
                for UsualField { name, meant } in fields {
                    of.push(Field {
                        path: below(root, name)?,
                        meant: *meant,
                        words: BTreeMap::new(),
                        only_words: false,
                        not: false,
                        factor: 1.0,
                        unit: None,
                        units: BTreeMap::new(),
                    });
                }
            }
        }
    }
    Ok(all)
}

fn with_usual(mut form: Form) -> Result<Form, BadDecoder> {
    if form.usual.is_empty() {
        return Ok(form);
    }
    let usual = usual()?;
    for root in form.usual.clone() {
        for UsualExtra { name, unit } in &usual.extras {
            let path = below(&root, name)?;
            form.extras.push(ExtraField { path, name: name.clone(), unit: unit.clone(), factor: 1.0 });
        }
        for (of, names) in
            [(&mut form.test, &usual.test), (&mut form.fault, &usual.fault), (&mut form.tamper, &usual.tamper)]
        {
            for name in names {
                of.push(below(&root, name)?);
            }
        }
    }
    Ok(form)
}

/// What a message leads to so far.
#[derive(Default)]
struct Out {
    readings: Vec<Reading>,
    links: Vec<(usize, bool)>,
    faults: Vec<Fault>,
}

impl Ready {
    fn decode(&self, who: Who<'_>, payload: &[u8], names: &Names) -> Result<Message, Fault> {
        let form = &*self.form;
        if form.is == Is::Ignored || payload.is_empty() {
            return Ok(Message::Nothing);
        }
        let text = match form.body {
            Body::Json => lenient::read(payload),
            // Of one that is none of the kind the device is known all the same.
            Body::Sparkplug => sparkplug::read(payload).or(Some(Text { value: Value::Null, broken: true })),
        };
        let Some(text) = text else { return Ok(Message::Nothing) };
        let mut out = Out::default();
        if form.is == Is::Bridge {
            let bridge = who.bridge.or(who.device).unwrap_or_default().to_owned();
            let online = self.online(&text.value).ok_or(Why::Malformed)?;
            return Ok(Message::Bridge { bridge, online });
        }
        match &form.each {
            None => self.body(who, None, &text.value, names, &mut out),
            Some(each) => {
                let mut count = 0;
                each.visit(&text.value, &mut |body, key| {
                    count += 1;
                    if count <= MAX_BODIES {
                        self.body(who, key, body, names, &mut out);
                    }
                });
                if count > MAX_BODIES || !(text.value.is_object() || text.value.is_array()) {
                    return Err(Why::Malformed.into());
                }
            }
        }
        if text.broken && out.faults.is_empty() {
            let device = out.readings.first().map(|r| r.device);
            out.faults.push(Fault { device, ..Why::Malformed.into() });
        }
        let bridge = who.bridge.map(str::to_owned);
        Ok(Message::Many { readings: out.readings, links: out.links, bridge, faults: out.faults })
    }

    fn online(&self, body: &Value) -> Option<bool> {
        let form = &*self.form;
        if form.online.is_some() {
            return form.online;
        }
        let read = |value: &Value| {
            let own = match value.as_str().map(|s| s.trim().to_ascii_lowercase()).as_deref() {
                Some("online" | "connected") => Some(true),
                Some("offline" | "disconnected") => Some(false),
                _ => None,
            };
            own.or_else(|| match value::truth(value, &form.words) {
                Got::Value(is) => Some(is),
                _ => None,
            })
        };
        form.state.iter().find_map(|path| path.first(body).and_then(read))
    }

    /// One body of a message.
    fn body(&self, who: Who<'_>, key: Option<&str>, body: &Value, names: &Names, out: &mut Out) {
        let form = &*self.form;
        let skips = |only: &Only| {
            only.path.first(body).is_some_and(|v| !v.as_str().is_some_and(|word| only.among.iter().any(|a| a == word)))
        };
        if form.only.iter().any(skips) {
            return;
        }
        let named;
        let device = match &form.device {
            Some(Named::Key) => key,
            Some(Named::At(path)) => {
                named = path.first(body).and_then(word);
                named.as_deref()
            }
            None => who.device.or(who.bridge),
        };
        let Some(device) = device else {
            out.faults.push(Why::Malformed.into());
            return;
        };
        let targets = names.targets(device, who.channel);
        if targets.is_empty() {
            let name = who.channel.map_or_else(|| device.to_owned(), |c| format!("{device}/{c}"));
            out.faults.push(Fault::stranger(&name, &self.decoder));
            return;
        }
        if form.is == Is::Link {
            match self.online(body) {
                Some(online) => out.links.extend(targets.iter().map(|t| (t.device, online))),
                None => out.faults.extend(targets.iter().map(|t| Fault::of(Why::Malformed, t.device))),
            }
            return;
        }
        let (at, undated) = self.time(body);
        let lacks = form.needs.as_ref().is_some_and(|path| path.first(body).is_none_or(Value::is_null));
        for target in &targets {
            let mut reading = Reading { at, undated, ..Reading::of(target.device) };
            // Else it is only a sign of life.
            if !lacks {
                let odd = self.measure(target, &targets, who, body, &mut reading);
                self.about(target, body, &mut reading);
                if odd || !matches!(body, Value::Object(_)) && reading.measure.is_none() && form.each.is_some() {
                    out.faults.push(Fault::of(Why::Malformed, target.device));
                }
            }
            out.readings.push(reading);
        }
    }

    /// The time of a body, and whether it has one that cannot be read.
    fn time(&self, body: &Value) -> (Option<i64>, bool) {
        let mut undated = false;
        for value in self.form.time.iter().filter_map(|path| path.first(body)) {
            match value::moment(value) {
                Some(at) => return (Some(at), false),
                None => undated |= !value.is_null(),
            }
        }
        (None, undated)
    }

    fn fields(&self, kind: SensorKind) -> &[Field] {
        let number = KINDS.iter().position(|(_, k)| *k == kind);
        number.and_then(|n| self.fields.get(n)).map(Vec::as_slice).unwrap_or_default()
    }

    /// What a target measures; whether something of it cannot be read and nothing else tells.
    fn measure(
        &self,
        target: &Target<'_>,
        targets: &[Target<'_>],
        who: Who<'_>,
        body: &Value,
        reading: &mut Reading,
    ) -> bool {
        let part = self.form.part.as_ref().and_then(|p| p.first(body)).and_then(word);
        let mut found = Found::default();
        for field in self.fields(target.kind) {
            field.path.visit(body, &mut |value, key| {
                let channel = key.or(who.channel);
                // A channel that is a sensor of its own is no other's; one that is asked for by name is only its own.
                let ours = match (target.channel, channel) {
                    (Some(own), channel) => channel == Some(own),
                    (None, Some(channel)) => !targets.iter().any(|t| t.channel == Some(channel)),
                    (None, None) => true,
                };
                if ours {
                    let bit = part.as_deref().or(channel).map_or(0, bit);
                    found.take(field, value, body, bit);
                }
            });
        }
        reading.measure = found.measure();
        found.odd && reading.measure.is_none()
    }

    /// What a device says about itself.
    fn about(&self, target: &Target<'_>, body: &Value, reading: &mut Reading) {
        let form = &*self.form;
        for extra in &form.extras {
            if let Some(Got::Value(v)) = extra.path.first(body).map(value::number) {
                let known = reading.extras.iter().any(|e| e.name == extra.name);
                if !known {
                    reading.extras.push(Extra {
                        name: extra.name.clone(),
                        value: v * extra.factor,
                        unit: extra.unit.clone(),
                    });
                }
            }
        }
        let measures = |path: &Path| self.fields(target.kind).iter().any(|f| f.path == *path);
        let mut heard = Heard { ends_s: form.ends_s, ..Heard::default() };
        let test = form.test.iter().filter_map(|path| path.first(body));
        for value in test {
            if let Got::Value(is) = value::truth(value, &BTreeMap::new()) {
                heard.test = Some(heard.test.unwrap_or_default() || is);
            }
        }
        for (paths, tamper) in [(&form.fault, false), (&form.tamper, true)] {
            for path in paths.iter().filter(|path| !measures(path)) {
                path.visit(body, &mut |value, _| {
                    let Some(words) = complaint(value, &form.fault_words) else { return };
                    let words = if tamper && !words.is_empty() { "防拆触发".to_owned() } else { words };
                    let before = heard.fault.get_or_insert_default();
                    if !words.is_empty() {
                        before.push_str(if before.is_empty() { "" } else { "、" });
                        before.push_str(&words);
                    }
                });
            }
        }
        if let Some(stuck) = &form.stuck
            && let Some(Got::Value(proof)) = stuck.zero.first(body).map(value::number)
        {
            heard.unproven_s = (proof == 0.0).then_some(stuck.after_s);
            heard.proven = proof > 0.0;
        }
        if heard != Heard::default() {
            reading.heard = Some(Box::new(heard));
        }
    }
}

/// A word or number as a name.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(s) if !s.is_empty() => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// One of 32 parts for a channel's name: by its number, or by its letters.
fn bit(channel: &str) -> u32 {
    let digits = channel.trim_start_matches(|c: char| !c.is_ascii_digit());
    match digits.parse::<u32>() {
        Ok(number) if !digits.is_empty() => number % 32,
        _ => channel.bytes().fold(5_381, |hash: u32, b| hash.wrapping_mul(33) ^ u32::from(b)) % 32,
    }
}

/// What a member says about a fault: its words, none when all is well, `None` when it says nothing.
fn complaint(value: &Value, words: &BTreeMap<String, String>) -> Option<String> {
    let means = |word: &str| words.get(word).cloned().unwrap_or_else(|| word.to_owned());
    match value {
        Value::Array(all) => {
            let all: Vec<_> = all.iter().filter_map(|v| complaint(v, words)).filter(|w| !w.is_empty()).collect();
            Some(all.join("、"))
        }
        value => match value::truth(value, &BTreeMap::new()) {
            Got::Value(false) => Some(String::new()),
            Got::Value(true) => Some("设备报告故障".to_owned()),
            Got::Missing => {
                matches!(value.as_str(), Some(s) if s.eq_ignore_ascii_case("none") || s.is_empty()).then(String::new)
            }
            Got::Odd => match value {
                Value::String(s) if s.eq_ignore_ascii_case("ok") => Some(String::new()),
                Value::String(s) => Some(means(s.trim()).chars().take(64).collect()),
                Value::Number(n) => Some(means(&n.to_string())),
                _ => None,
            },
        },
    }
}

/// What the fields of a body tell together.
#[derive(Default)]
struct Found {
    /// Parts that told, and those of them that call.
    seen: u32,
    calls: u32,
    number: Option<f64>,
    /// 0 or 1 of a member whose unit nobody tells.
    doubtful: Option<f64>,
    odd: bool,
}

impl Found {
    fn take(&mut self, field: &Field, value: &Value, body: &Value, bit: u32) {
        let flag = || match value::truth(value, &field.words) {
            Got::Odd | Got::Missing if field.only_words => Got::Missing,
            Got::Value(_) if field.only_words && !named(value, &field.words) => Got::Missing,
            other => other,
        };
        let number = || match value {
            // The largest of several phases counts.
            Value::Array(all) if !all.is_empty() => {
                let all: Vec<_> = all.iter().map(value::number).collect();
                let most = all.iter().filter_map(|n| if let Got::Value(v) = n { Some(*v) } else { None });
                most.reduce(f64::max).map_or(Got::Odd, Got::Value)
            }
            value => value::number(value),
        };
        let odd = match field.meant {
            As::Flag => match flag() {
                Got::Value(is) => {
                    self.flag(is != field.not, bit);
                    false
                }
                other => other == Got::Odd,
            },
            As::Value => match number() {
                Got::Value(v) => match field.scale(body) {
                    Some(factor) => {
                        self.number(v * factor);
                        false
                    }
                    None => true,
                },
                other => other == Got::Odd,
            },
            As::Code => match (value::number(value), value) {
                (Got::Value(v), _) => {
                    self.number(v);
                    false
                }
                (_, _) => match flag() {
                    Got::Value(is) => {
                        self.number(f64::from(u8::from(is)));
                        false
                    }
                    other => other == Got::Odd,
                },
            },
            As::Either => match value::number(value) {
                Got::Value(v) if v == 0.0 || v == 1.0 => {
                    self.doubtful = Some(self.doubtful.map_or(v, |d| d.max(v)));
                    false
                }
                Got::Value(v) => {
                    self.number(v);
                    false
                }
                _ => match flag() {
                    Got::Value(is) => {
                        self.flag(is, bit);
                        false
                    }
                    other => other == Got::Odd,
                },
            },
        };
        self.odd |= odd;
    }

    fn flag(&mut self, is: bool, bit: u32) {
        self.seen |= 1 << bit;
        self.calls |= u32::from(is) << bit;
    }

    fn number(&mut self, value: f64) {
        self.number.get_or_insert(value);
    }

    fn measure(&self) -> Option<Measure> {
        let (parts, is) = ((self.seen, self.calls), self.calls != 0);
        let measure = |value, detected, unit| Some(Measure { value, detected, unit, parts });
        match (self.seen != 0, self.number, self.doubtful) {
            (true, Some(value), _) => measure(value, Some(is), Unit::Sensor),
            (true, None, _) => measure(f64::from(u8::from(is)), Some(is), Unit::Flag),
            // A number beside it tells how much, so this one says whether.
            (false, Some(value), Some(1.0)) => measure(value, Some(true), Unit::Sensor),
            (false, Some(value), _) => measure(value, None, Unit::Sensor),
            (false, None, Some(value)) => measure(value, None, Unit::Unknown),
            (false, None, None) => None,
        }
    }
}

fn named(value: &Value, words: &BTreeMap<String, bool>) -> bool {
    value.as_str().is_some_and(|s| words.keys().any(|w| w.eq_ignore_ascii_case(s.trim())))
}

impl Field {
    /// By how much a value is to be multiplied; `None` when its unit is not known.
    fn scale(&self, body: &Value) -> Option<f64> {
        let Some(path) = &self.unit else { return Some(self.factor) };
        let unit = path.first(body)?.as_str()?;
        self.units.get(unit.trim()).map(|u| u * self.factor)
    }
}
