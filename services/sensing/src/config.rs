//! Configuration of sensing. Unknown keys are refused.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use runtime::config::on_this_machine;
use serde::Deserialize;

use crate::{
    SensingError, connection,
    formats::{BadDecoder, Decoders, Formats},
    rules::{KINDS, Rule},
};

/// Largest `max_payload`, bytes.
const LARGEST: usize = 65_536;

/// `[sensing]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A broker that runs elsewhere; without it a Mosquitto is started as a child.
    pub external: Option<External>,
    /// Port of the child broker on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where the child broker listens besides 127.0.0.1; a certificate is needed beyond this machine.
    pub listen: Option<Listen>,
    /// Devices may also log in to the child broker with the one user that they share, [`crate::broker::DEVICE_USER`], which
    /// writes for all. Without it each needs a password of its own, as it must where the broker listens beyond this machine.
    pub shared_user: bool,
    /// Program of the child broker.
    pub program: String,
    /// MQTT client id. The broker keeps what it could not deliver under this name, so it must not change. For the child
    /// broker a part is added that nobody else knows, made once.
    pub client_id: String,
    /// Keep-alive, seconds; 5 to 600.
    pub keep_alive_s: u16,
    /// Largest payload taken, bytes; larger ones are recorded and acknowledged.
    pub max_payload: usize,
    /// Days that single values are kept; 0 = for ever.
    pub history_days: u32,
    /// Days that minutes (lowest, mean, highest, count) are kept; 0 = for ever. Not fewer than `history_days`.
    pub minutes_days: u32,
    /// Rules beside the shipped ones, and in place of those of the same id; `off = true` switches one off.
    pub rules: Vec<Rule>,
    /// Decoders that are used; empty = all.
    pub decoders: Vec<String>,
    /// Files with decoders of one's own, in the form of the shipped ones; asked before these.
    pub decoder_files: Vec<PathBuf>,
    /// Further bases of topics by decoder, as `zigbee2mqtt = ["z2m-b12"]`.
    pub bases: BTreeMap<String, Vec<String>>,
    /// Sensors of the site by what their devices call themselves, `device` or `device/channel`.
    pub devices: BTreeMap<String, String>,
    /// How long a device may be silent before it counts as lost, by kind, seconds; in place of the shipped limits.
    pub silence_s: BTreeMap<String, u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            external: None,
            port: 1883,
            listen: None,
            shared_user: true,
            program: "mosquitto".to_owned(),
            client_id: "maojiawan-sensing".to_owned(),
            keep_alive_s: 20,
            max_payload: 32_768,
            history_days: 7,
            minutes_days: 400,
            rules: Vec::new(),
            decoders: Vec::new(),
            decoder_files: Vec::new(),
            bases: BTreeMap::new(),
            devices: BTreeMap::new(),
            silence_s: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Decoders and names of devices; blocks.
    pub(crate) fn formats(&self) -> Result<Formats, BadDecoder> {
        let read = |file: &PathBuf| {
            let unread = |error: std::io::Error| BadDecoder {
                decoder: file.display().to_string(),
                message: format!("无法读取 cannot be read: {error}"),
            };
            std::fs::read_to_string(file).map_err(unread)
        };
        let own = self.decoder_files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Formats::new(Decoders::with(&own, &self.decoders, &self.bases)?, self.devices.clone()))
    }

    /// Checks what types cannot, except the rules.
    ///
    /// # Errors
    /// The dotted key of the first value that is wrong.
    pub fn check(&self) -> Result<(), SensingError> {
        let bad = |key, message| Err(SensingError::Config { key, message });
        if self.client_id.is_empty() || self.client_id.len() > 64 || self.client_id.contains(char::is_whitespace) {
            return bad("sensing.client_id", "须为 1 到 64 字节且无空白 must be 1 to 64 bytes without blanks");
        }
        if !(5..=600).contains(&self.keep_alive_s) {
            return bad("sensing.keep_alive_s", "须在 5 到 600 之间 must lie between 5 and 600");
        }
        if !(1..=LARGEST).contains(&self.max_payload) {
            return bad("sensing.max_payload", "须在 1 到 65536 之间 must lie between 1 and 65536");
        }
        if self.silence_s.keys().any(|kind| KINDS.iter().all(|(name, _)| name != kind)) {
            return bad("sensing.silence_s", "没有这种传感器 there is no such kind of sensor");
        }
        if self.silence_s.values().any(|s| !(60..=2_592_000).contains(s)) {
            return bad("sensing.silence_s", "须在 60 到 2592000 之间 must lie between 60 and 2592000");
        }
        if let Err(error) = self.formats() {
            return Err(if self.decoders.contains(&error.decoder) {
                SensingError::Config {
                    key: "sensing.decoders", message: "没有这个解码器 there is no such decoder"
                }
            } else {
                error.into()
            });
        }
        let forever = |days: u32| if days == 0 { u32::MAX } else { days };
        if forever(self.minutes_days) < forever(self.history_days) {
            return bad("sensing.minutes_days", "不得少于 history_days must not be fewer than history_days");
        }
        if let Some(listen) = &self.listen {
            listen.check()?;
        }
        let Some(external) = &self.external else {
            let beyond = self.listen.as_ref().is_some_and(|l| !l.address.ip().is_loopback());
            if beyond && self.shared_user {
                return bad(
                    "sensing.shared_user",
                    "监听本机以外的地址时须为 false：每台设备用自己的口令 must be false where the broker listens beyond this machine: each device has a password of its own",
                );
            }
            return Ok(());
        };
        if !self.shared_user {
            return bad(
                "sensing.shared_user",
                "外部代理的用户由该代理自己管理，不能在这里停用 a broker that runs elsewhere has users of its own: it cannot be switched off here",
            );
        }
        if external.host.is_empty() || external.port == 0 {
            let key = if external.host.is_empty() { "sensing.external.host" } else { "sensing.external.port" };
            return bad(key, "不能为空或 0 must not be empty or 0");
        }
        if external.user.is_none() && external.password_file.is_some() {
            return bad("sensing.external.password_file", "有口令须有用户 a password needs a user");
        }
        let open = external.tls.is_none() && !external.plain && !on_this_machine(&external.host);
        if external.password_file.is_some() && open {
            return bad(
                "sensing.external.password_file",
                "口令会不加密地发往另一台机器：请写明 tls，或 plain = true \
                 the password would go to another machine unencrypted: use tls, or say plain = true",
            );
        }
        match &external.tls {
            Some(Tls { cert_file: Some(_), key_file: None, .. }) => {
                bad("sensing.external.tls.cert_file", "有证书须有私钥 a certificate needs its key")
            }
            Some(Tls { cert_file: None, key_file: Some(_), .. }) => {
                bad("sensing.external.tls.key_file", "有私钥须有证书 a key needs its certificate")
            }
            _ => Ok(()),
        }
    }
}

/// `[sensing.listen]`: where devices reach the child broker, besides its port on 127.0.0.1.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// PEM file with the broker's certificate and those that lead to its authority.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// PEM file with its key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

impl Listen {
    /// Whether its files can be used now; blocks.
    pub(crate) fn usable(&self) -> Result<(), SensingError> {
        match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => connection::check_pair(cert, key),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), SensingError> {
        let bad = |key, message| Err(SensingError::Config { key, message });
        if self.address.port() == 0 {
            return bad("sensing.listen.address", "端口不能为 0 the port must not be 0");
        }
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => bad("sensing.listen.cert_file", "有证书须有私钥 a certificate needs its key"),
            (None, Some(_)) => bad("sensing.listen.key_file", "有私钥须有证书 a key needs its certificate"),
            (None, None) if !self.address.ip().is_loopback() => bad(
                "sensing.listen.cert_file",
                "监听本机以外的地址须用 TLS：请给出证书和私钥 an address beyond this machine needs TLS: give cert_file and key_file",
            ),
            _ => Ok(()),
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
    /// The password may go to another machine unencrypted.
    #[serde(default)]
    pub plain: bool,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wrong_values_are_named_by_their_key() {
        Config::default().check().unwrap();
        let whole = "[external]\nhost = \"h\"\nport = 8883\nuser = \"u\"\npassword_file = \"p\"\n\
                     tls = { ca_file = \"ca\", cert_file = \"c\", key_file = \"k\" }\n";
        let check = |text: &str| runtime::config::parse::<Config>("c", text).unwrap().check();
        check(whole).unwrap();
        check("listen = { address = \"127.0.0.1:8883\" }").unwrap();
        check("shared_user = false").unwrap();
        check(&whole.replace("tls = {", "plain = true\n# {")).unwrap();
        check(&whole.replace("\"h\"", "\"[::1]\"").replace("tls = {", "# {")).unwrap();
        check("shared_user = false\nlisten = { address = \"0.0.0.0:8883\", cert_file = \"c\", key_file = \"k\" }")
            .unwrap();
        let external = |from: &str, to: &str| whole.replace(from, to);
        for (text, key) in [
            // Each of these would be a panic of the client or a refusal by the broker.
            ("client_id = \"\"".to_owned(), "client_id"),
            ("client_id = \"a b\"".to_owned(), "client_id"),
            ("keep_alive_s = 4".to_owned(), "keep_alive_s"),
            ("keep_alive_s = 601".to_owned(), "keep_alive_s"),
            ("max_payload = 0".to_owned(), "max_payload"),
            ("max_payload = 65537".to_owned(), "max_payload"),
            ("minutes_days = 6".to_owned(), "minutes_days"),
            ("listen = { address = \"0.0.0.0:8883\" }".to_owned(), "listen.cert_file"),
            ("listen = { address = \"[::]:8883\" }".to_owned(), "listen.cert_file"),
            ("listen = { address = \"127.0.0.1:0\" }".to_owned(), "listen.address"),
            ("listen = { address = \"0.0.0.0:8883\", cert_file = \"c\" }".to_owned(), "listen.cert_file"),
            ("listen = { address = \"127.0.0.1:8883\", key_file = \"k\" }".to_owned(), "listen.key_file"),
            ("listen = { address = \"0.0.0.0:8883\", cert_file = \"c\", key_file = \"k\" }".to_owned(), "shared_user"),
            ("history_days = 0".to_owned(), "minutes_days"),
            (external("[external]", "shared_user = false\n[external]"), "shared_user"),
            (external("\"h\"", "\"\""), "external.host"),
            (external("8883", "0"), "external.port"),
            (external("user = \"u\"", ""), "external.password_file"),
            (external("tls = { ca_file = \"ca\", cert_file = \"c\", key_file = \"k\" }", ""), "external.password_file"),
            (external(", key_file = \"k\"", ""), "external.tls.cert_file"),
            (external(", cert_file = \"c\"", ""), "external.tls.key_file"),
        ] {
            let error = check(&text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("sensing.{key}: ")), "{text}: {error}");
        }
    }
}
