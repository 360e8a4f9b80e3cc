//! Configuration: departments are data. Unknown keys are refused.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Deserialize;

use crate::{ExchangeError, rules::DataRule};

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
}

impl Default for Config {
    fn default() -> Self {
        Self { departments: Vec::new(), sms: None, ca_file: None, data_rules: Vec::new(), message_patrol_s: 3_600 }
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
    /// Records that are kept, by kind; other kinds only show that the department is alive.
    #[serde(default)]
    pub records: BTreeMap<String, Mapping>,
    /// Green for this long after a sign of life, seconds.
    #[serde(default = "defaults::fresh_for_s")]
    pub fresh_for_s: u32,
    /// Yellow until this long after a sign of life, then red, seconds.
    #[serde(default = "defaults::late_for_s")]
    pub late_for_s: u32,
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
    /// Field → JSON pointer into the record. The value is a text, a number or a truth value.
    pub fields: BTreeMap<String, String>,
    /// Fields that identify what a record is about: a newer one replaces the older.
    pub key: Vec<String>,
    /// How long a record counts, seconds.
    #[serde(default = "defaults::keep_s")]
    pub keep_s: u32,
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
            for (kind, m) in &c.records {
                if m.key.is_empty() || m.fields.len() > 32 || m.key.iter().any(|k| !m.fields.contains_key(k)) {
                    return bad(key(&format!("records.{kind}.key")), "须为已映射的字段 must name mapped fields");
                }
                if m.fields.values().any(|p| !p.starts_with('/')) {
                    return bad(key(&format!("records.{kind}.fields")), "须为 JSON 指针 must be JSON pointers");
                }
            }
        }
        if self.sms.as_ref().is_some_and(|s| s.secret.bytes().len() < 16) {
            return bad("exchange.sms.secret".to_owned(), "密钥至少 16 个字符 a secret needs 16 characters");
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
        let department = self.departments.iter().find(|c| example(&c.secret));
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
        for (of, url) in pushes.chain(pulls).chain(sms) {
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
