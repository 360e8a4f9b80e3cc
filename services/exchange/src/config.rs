//! Configuration: departments are data. Unknown keys are refused.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Deserialize;

use crate::{ExchangeError, rules::DataRule};
pub use crate::{
    fields::{As, FieldRule},
    receipt::ReceiptRule,
    source::{Method, Pages, Source},
    table::{Format, Layout, Text},
};

/// A secret that does not print.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `[exchange]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Connectors, one a department.
    pub departments: Vec<Connector>,
    /// The message platform.
    pub sms: Option<Sms>,
    /// PEM file with the authorities trusted for https; no others are.
    pub ca_file: Option<PathBuf>,
    /// Data rules in place of the shipped ones; empty = the shipped ones.
    pub data_rules: Vec<DataRule>,
    /// Length of one message patrol, seconds.
    pub message_patrol_s: u32,
    /// Kind of the alarm for a connection that wants a person: refused credentials. A site without it gets a message in
    /// its inbox instead.
    pub fault_alarm: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            departments: Vec::new(),
            sms: None,
            ca_file: None,
            data_rules: Vec::new(),
            message_patrol_s: 3_600,
            fault_alarm: "connector_fault".to_owned(),
        }
    }
}

/// `[[exchange.departments]]`: how one department is connected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Unit id.
    pub unit: String,
    /// Secret that signs calls in both directions, 16 characters at least.
    pub secret: Secret,
    /// How far the time of a signature may be off, seconds.
    #[serde(default = "defaults::window_s")]
    pub window_s: u32,
    /// Where tasks go; none = its clerks use our pages.
    #[serde(default)]
    pub push: Option<Endpoint>,
    /// Where records are fetched; none = it sends them.
    #[serde(default)]
    pub pull: Option<Pull>,
    /// Further addresses that records are fetched from, each in its own way.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Records that are kept, by kind; other kinds only show that the department is alive.
    #[serde(default)]
    pub records: BTreeMap<String, Mapping>,
    /// Green for this long after a sign of life, seconds.
    #[serde(default = "defaults::fresh_for_s")]
    pub fresh_for_s: u32,
    /// Yellow until this long after a sign of life, then red, seconds.
    #[serde(default = "defaults::late_for_s")]
    pub late_for_s: u32,
    /// How a red task goes on that its system does not take, in this order until one is taken; after the last a person of
    /// the centre is asked.
    #[serde(default)]
    pub next: Vec<Channel>,
    /// When a red task goes by `next`, seconds after its push; its push is repeated all the same.
    #[serde(default = "defaults::red_limit_s")]
    pub red_limit_s: u32,
}

/// A further way to a unit: `{ sms = "19900000001" }` or `{ phone = "0870-1234567" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A message to the number of the unit's duty.
    Sms(String),
    /// A person of the centre is asked to call this number.
    Phone(String),
}

impl Channel {
    fn number(&self) -> &str {
        match self {
            Self::Sms(number) | Self::Phone(number) => number,
        }
    }
}

/// An address that is posted to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Address.
    pub url: String,
    /// Time for an answer, seconds.
    #[serde(default = "defaults::timeout_s")]
    pub timeout_s: u32,
    /// Attempts before a delivery is given up; 300 take about a day.
    #[serde(default = "defaults::attempts")]
    pub attempts: u32,
    /// Which answers are a receipt; none = every one with a status of 2xx.
    #[serde(default)]
    pub receipt: Option<ReceiptRule>,
}

/// An address that records are fetched from, as `GET <url>?since=<cursor>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// Address.
    pub url: String,
    /// Time between two calls, seconds.
    pub every_s: u32,
    /// Time for an answer, seconds.
    #[serde(default = "defaults::timeout_s")]
    pub timeout_s: u32,
}

/// How records of one kind are read. Only mapped fields are kept, so personal values stay where they are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Field → where it stands in the record, as a JSON pointer, and what it is. The value is a text, a number or a truth
    /// value.
    pub fields: BTreeMap<String, FieldRule>,
    /// Fields that identify what a record is about: a newer one replaces the older.
    pub key: Vec<String>,
    /// How long a record counts, seconds.
    #[serde(default = "defaults::keep_s")]
    pub keep_s: u32,
}

impl Mapping {
    /// Fields of one kind of records.
    pub(crate) const MOST: usize = 32;
}

/// `[exchange.sms]`: the gateway of the message platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Secret that signs calls in both directions.
    pub secret: Secret,
    /// How far the time of a signature may be off, seconds.
    #[serde(default = "defaults::window_s")]
    pub window_s: u32,
    /// Where messages go; none = none are sent.
    #[serde(default)]
    pub send: Option<Endpoint>,
}

mod defaults {
    pub(super) fn window_s() -> u32 {
        300
    }
    pub(super) fn fresh_for_s() -> u32 {
        900
    }
    pub(super) fn late_for_s() -> u32 {
        3_600
    }
    pub(super) fn timeout_s() -> u32 {
        10
    }
    pub(super) fn attempts() -> u32 {
        300
    }
    pub(super) fn red_limit_s() -> u32 {
        60
    }
    pub(super) fn keep_s() -> u32 {
        8 * 86_400
    }
}

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The dotted key of the first value that is wrong.
    pub fn check(&self) -> Result<(), ExchangeError> {
        self.check_with(&self.rules()?)
    }

    /// Whether the file of authorities can be used; reads it.
    ///
    /// # Errors
    /// It cannot.
    pub fn usable(&self) -> Result<(), ExchangeError> {
        crate::http::client(self.ca_file.as_deref()).map(drop)
    }

    /// The data rules in force.
    pub(crate) fn rules(&self) -> Result<Vec<DataRule>, ExchangeError> {
        if self.data_rules.is_empty() { Ok(crate::rules::shipped()?) } else { Ok(self.data_rules.clone()) }
    }

    pub(crate) fn check_with(&self, rules: &[DataRule]) -> Result<(), ExchangeError> {
        let bad = |key: String, message| Err(ExchangeError::Config { key, message });
        for (i, c) in self.departments.iter().enumerate() {
            let key = |name: &str| format!("exchange.departments.{}.{name}", c.unit);
            if c.unit.is_empty() || c.unit == "sms" || self.departments.iter().take(i).any(|o| o.unit == c.unit) {
                return bad(key("unit"), "单位编号为空、重复或为保留字 the unit is empty, twice or reserved");
            }
            if c.secret.bytes().len() < 16 {
                return bad(key("secret"), "密钥至少 16 个字符 a secret needs 16 characters");
            }
            if c.late_for_s < c.fresh_for_s || c.fresh_for_s == 0 {
                return bad(key("late_for_s"), "须不小于 fresh_for_s must not be less than fresh_for_s");
            }
            if c.pull.as_ref().is_some_and(|p| p.every_s == 0) {
                return bad(key("pull.every_s"), "须大于 0 must be more than 0");
            }
            let digits = |n: &str| n.chars().filter(char::is_ascii_digit).count();
            let number = |n: &str| digits(n) >= 3 && n.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c));
            if c.next.iter().any(|channel| !number(channel.number())) {
                return bad(key("next"), "须为电话号码 must be telephone numbers");
            }
            if let Some(Err(message)) = c.push.as_ref().and_then(|p| p.receipt.as_ref()).map(ReceiptRule::check) {
                return bad(key("push.receipt"), message);
            }
            for (kind, m) in &c.records {
                if m.key.is_empty() || m.fields.len() > Mapping::MOST || m.key.iter().any(|k| !m.fields.contains_key(k))
                {
                    return bad(key(&format!("records.{kind}.key")), "须为已映射的字段 must name mapped fields");
                }
                if m.fields.values().any(|f| !f.at.starts_with('/')) {
                    return bad(key(&format!("records.{kind}.fields")), "须为 JSON 指针 must be JSON pointers");
                }
                if m.key.iter().any(|k| m.fields.get(k).is_some_and(|f| f.optional)) {
                    return bad(key(&format!("records.{kind}.key")), "不能是可缺的字段 cannot be optional");
                }
            }
            let kinds: Vec<&String> = c.records.keys().collect();
            for (i, source) in c.sources.iter().enumerate() {
                if c.sources.iter().take(i).any(|o| o.id == source.id) {
                    return bad(key("sources"), "编号重复 an id is used twice");
                }
                if let Err((of, message)) = source.check(&kinds) {
                    return bad(key(&format!("sources.{}.{of}", source.id)), message);
                }
            }
        }
        if self.sms.as_ref().is_some_and(|s| s.secret.bytes().len() < 16) {
            return bad("exchange.sms.secret".to_owned(), "密钥至少 16 个字符 a secret needs 16 characters");
        }
        let receipt = self.sms.as_ref().and_then(|s| s.send.as_ref()?.receipt.as_ref());
        if let Some(Err(message)) = receipt.map(ReceiptRule::check) {
            return bad("exchange.sms.send.receipt".to_owned(), message);
        }
        if self.message_patrol_s < 60 {
            return bad("exchange.message_patrol_s".to_owned(), "至少 60 秒 60 seconds at least");
        }
        self.check_urls()?;
        crate::rules::check(rules)
            .map_err(|(rule, message)| ExchangeError::Config { key: format!("exchange.data_rules.{rule}"), message })
    }

    /// The key of a secret that is still the published example's, if one is.
    pub fn example_secret(&self) -> Option<String> {
        let example = |s: &Secret| s.bytes().starts_with(b"change-");
        let department = self
            .departments
            .iter()
            .find(|c| example(&c.secret) || c.sources.iter().flat_map(|s| s.secret_headers.values()).any(example));
        department
            .map(|c| format!("exchange.departments.{}.secret", c.unit))
            .or_else(|| self.sms.as_ref().filter(|s| example(&s.secret)).map(|_| "exchange.sms.secret".to_owned()))
    }

    fn check_urls(&self) -> Result<(), ExchangeError> {
        let departments = || self.departments.iter();
        let pushes =
            departments().filter_map(|c| Some((format!("departments.{}.push", c.unit), &c.push.as_ref()?.url)));
        let pulls = departments().filter_map(|c| Some((format!("departments.{}.pull", c.unit), &c.pull.as_ref()?.url)));
        let sms = self.sms.iter().filter_map(|s| Some(("sms.send".to_owned(), &s.send.as_ref()?.url)));
        let sources = departments()
            .flat_map(|c| c.sources.iter().map(move |s| (format!("departments.{}.sources.{}", c.unit, s.id), &s.url)));
        for (of, url) in pushes.chain(pulls).chain(sources).chain(sms) {
            let url = reqwest::Url::parse(url);
            let message = match url.as_ref().map(reqwest::Url::scheme) {
                Ok("http") => continue,
                Ok("https") if self.ca_file.is_some() => continue,
                Ok("https") => "https 须有 ca_file https needs exchange.ca_file, for no other authority is trusted",
                _ => "须为 http 或 https 地址 must be an http or https address",
            };
            return Err(ExchangeError::Config { key: format!("exchange.{of}"), message });
        }
        Ok(())
    }
}
