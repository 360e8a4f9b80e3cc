//! Where Redis is, who we are there, and every bound.

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::{LedgerError, Result};

/// How to reach Redis. Passwords stand in files, which are read anew for each connection.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encrypt; only the authorities of this file (PEM) are trusted.
    pub ca_file: Option<PathBuf>,
    /// ACL user; without one Redis takes the password for `default`.
    pub user: Option<String>,
    /// File with the password, one line.
    pub password_file: Option<PathBuf>,
    /// Start of the channel's name; the channel is `PREFIX:SITE:events`.
    pub prefix: String,
    /// A publisher sends its head this often.
    pub heartbeat: Duration,
    /// A subscriber that hears nothing for so long reports a loss; several heartbeats.
    pub silence: Duration,
    /// For a connection, and for each answer.
    pub timeout: Duration,
    /// First and longest pause before the next attempt.
    pub backoff: (Duration, Duration),
    /// Messages that wait for the connection at most; the oldest are dropped.
    pub queue: usize,
    /// Bytes that wait for the connection at most.
    pub queue_bytes: usize,
    /// Bytes of one message; of a longer one only the head is sent.
    pub message: usize,
    /// Messages that a subscription may lag by.
    pub lag: usize,
}

impl RedisOptions {
    /// Takes `redis://HOST[:PORT]`, or `rediss://HOST[:PORT]` with the file of trusted authorities. User and password have
    /// no place in an address that is shown and logged: [`LedgerError::Invalid`].
    pub fn at(address: &str, ca_file: Option<PathBuf>) -> Result<Self> {
        let bad = |reason: &str| LedgerError::invalid("redis", reason);
        let url = Url::parse(address).map_err(|_| bad("须为 redis:// 地址 must be a redis:// address"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("地址不得含用户和口令 the address must not hold a user or a password"));
        }
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|h| !h.is_empty() && bare);
        let host = host.ok_or_else(|| bad("须为 redis://主机:端口 must be redis://HOST:PORT"))?;
        match (url.scheme(), &ca_file) {
            ("redis", None) | ("rediss", Some(_)) => {}
            ("rediss", None) => return Err(bad("rediss:// 须有 ca_file: rediss:// needs a ca_file")),
            ("redis", Some(_)) => return Err(bad("ca_file 只用于 rediss:// a ca_file is for rediss:// only")),
            _ => return Err(bad("须为 redis:// 或 rediss:// must be redis:// or rediss://")),
        }
        Ok(Self {
            // An IPv6 address stands in brackets in a URL only.
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(6379),
            ca_file,
            user: None,
            password_file: None,
            prefix: "maojiawan".to_owned(),
            heartbeat: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            timeout: Duration::from_secs(2),
            backoff: (Duration::from_millis(100), Duration::from_secs(5)),
            queue: 8_192,
            queue_bytes: 32 << 20,
            message: 64 << 10,
            lag: 4_096,
        })
    }

    /// Checks what the types do not say.
    pub fn check(&self) -> Result<()> {
        // Of the characters that ACL patterns of Redis give a meaning none may stand in a channel's name.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(plain) {
            return Err(LedgerError::invalid(
                "prefix",
                "须为 1 到 64 个字母、数字或 -_.: must be 1 to 64 of letters, digits, -_.:",
            ));
        }
        if self.user.is_some() && self.password_file.is_none() {
            return Err(LedgerError::invalid("user", "须有 password_file: needs a password_file"));
        }
        Ok(())
    }

    /// The channel of a site.
    pub fn channel(&self, site: &str) -> String {
        format!("{}:{site}:events", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_checked_and_not_repeated() {
        let found = RedisOptions::at("redis://[::1]:7000/", None).unwrap();
        assert_eq!((found.host.as_str(), found.port), ("::1", 7000));
        assert_eq!(RedisOptions::at("rediss://redis.example", Some("ca".into())).unwrap().port, 6379);
        for address in [
            "redis://user:hidden@h/",
            "redis://:hidden@h",
            "redis://h/3?hidden",
            "http://h?hidden",
            "hidden",
            "redis://",
            "rediss://hidden",
        ] {
            let error = RedisOptions::at(address, None).unwrap_err().to_string();
            assert!(!error.contains("hidden"), "{error}");
        }
        assert!(RedisOptions::at("redis://h", Some("ca".into())).is_err(), "nobody believes that it is encrypted");
    }

    #[test]
    fn a_channel_has_no_patterns() {
        let mut options = RedisOptions::at("redis://h", None).unwrap();
        assert_eq!(options.channel("mjw"), "maojiawan:mjw:events");
        options.check().unwrap();
        options.prefix = "a*".to_owned();
        assert!(options.check().is_err());
    }
}
