//! What the simulator is told. Secrets never show in `Debug`.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use serde::Deserialize;

/// A secret that does not print.
#[derive(Clone, Deserialize, PartialEq, Eq, Default)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The MQTT broker of the sensors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User, if the broker asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// Configuration of the simulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// Loopback address of the API, the department servers and the SMS gateway; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Base address of the centre, without a slash at the end, e.g. `http://127.0.0.1:8080`.
    pub centre: String,
    /// The broker; without one no sensor reports.
    #[serde(default)]
    pub broker: Option<Broker>,
    /// Bearer token of the API.
    pub token: Secret,
    /// Secret of each department that has a server here, by unit id. A department without one answers 404.
    pub departments: BTreeMap<String, Secret>,
    /// Secret of the SMS gateway, both ways.
    pub sms_secret: Secret,
    /// The centre's number.
    #[serde(default = "defaults::sms_number")]
    pub sms_number: String,
    /// Departments that acknowledge and work by themselves from the start; the others wait for a person.
    #[serde(default)]
    pub auto: Vec<String>,
    /// Factor of all delays of people and of happenings; 1 is life-like, 0.1 ten times faster.
    #[serde(default = "defaults::pace")]
    pub pace: f64,
    /// Mean time between random happenings of ordinary life, minutes; 0 turns them off.
    #[serde(default)]
    pub ordinary_minutes: f64,
    /// Mean time between two pushes of records of one department, minutes; 0 turns them off.
    #[serde(default)]
    pub records_minutes: f64,
    /// Mean time between two readings of one sensor, seconds (each varies by a third).
    #[serde(default = "defaults::reading_seconds")]
    pub reading_seconds: f64,
}

mod defaults {
    pub(super) fn seed() -> u64 {
        1
    }
    pub(super) fn sms_number() -> String {
        "96885".to_owned()
    }
    pub(super) fn pace() -> f64 {
        1.0
    }
    pub(super) fn reading_seconds() -> f64 {
        45.0
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {message}")]
pub struct Refused {
    /// The key.
    pub key: &'static str,
    /// Why, in both languages.
    pub message: &'static str,
}

impl Config {
    /// Checks values that their types cannot.
    pub fn check(&self) -> Result<(), Refused> {
        let refuse = |key, message| Err(Refused { key, message });
        if !self.listen.ip().is_loopback() {
            return refuse("listen", "只能监听本机回环地址 must be a loopback address");
        }
        if self.token.bytes().len() < 16 || self.sms_secret.bytes().len() < 16 {
            return refuse("token", "令牌和密钥至少 16 个字符 token and secrets need 16 characters");
        }
        if self.departments.values().any(|s| s.bytes().len() < 16) {
            return refuse("departments", "密钥至少 16 个字符 a secret needs 16 characters");
        }
        if !self.centre.starts_with("http://") || self.centre.ends_with('/') {
            return refuse(
                "centre",
                "须为 http:// 地址且不以斜杠结尾 must be an http:// address without a slash at the end",
            );
        }
        if !(0.001..=100.0).contains(&self.pace) {
            return refuse("pace", "须在 0.001 到 100 之间 must lie between 0.001 and 100");
        }
        if !(1.0..=3_600.0).contains(&self.reading_seconds) {
            return refuse("reading_seconds", "须在 1 到 3600 之间 must lie between 1 and 3600");
        }
        let interval = |v: f64| v == 0.0 || (0.05..=10_080.0).contains(&v);
        if !interval(self.ordinary_minutes) || !interval(self.records_minutes) {
            return refuse("ordinary_minutes", "须为 0 或 0.05 到 10080 must be 0 or lie between 0.05 and 10080");
        }
        Ok(())
    }
}
