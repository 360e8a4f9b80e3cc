//! Configuration of sensing. Unknown keys are refused.

use std::path::PathBuf;

use serde::Deserialize;

use crate::rules::Rule;

/// `[sensing]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A broker that runs elsewhere; without it a Mosquitto is started as a child.
    pub external: Option<External>,
    /// Port of the child broker on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Program of the child broker.
    pub program: String,
    /// MQTT client id. The broker keeps what it could not deliver under this name, so it must not change.
    pub client_id: String,
    /// Keep-alive, seconds.
    pub keep_alive_s: u16,
    /// Largest payload taken, bytes; larger ones are recorded and acknowledged.
    pub max_payload: usize,
    /// Days that values are kept; 0 = for ever.
    pub history_days: u32,
    /// Rules in place of the shipped ones; empty = the shipped ones.
    pub rules: Vec<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            external: None,
            port: 1883,
            program: "mosquitto".to_owned(),
            client_id: "maojiawan-sensing".to_owned(),
            keep_alive_s: 20,
            max_payload: 32_768,
            history_days: 90,
            rules: Vec::new(),
        }
    }
}

/// `[sensing.external]`: a broker that runs elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User, if it asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password, one line.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// `[sensing.external.tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the authorities that are trusted.
    pub ca_file: PathBuf,
    /// PEM file with our certificate, if the broker asks for one.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// PEM file with its key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}
