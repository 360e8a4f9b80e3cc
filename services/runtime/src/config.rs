//! Reads one TOML file into documented structs. Unknown keys and bad values are refused with file, line and key.

use std::{net::IpAddr, path::Path};

use serde::de::DeserializeOwned;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: 无法读取配置文件 cannot read the configuration file")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key or a value is wrong.
    #[error("{file}:{line}: {key}: {message}")]
    Value {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key as written on that line.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads and checks `path`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { file: file.clone(), source })?;
    parse(&file, &text)
}

/// Checks `text`; `file` only names it in errors.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |s| s.start);
        value_error(file, text, at, error.message().to_owned())
    })
}

/// An error at the first line that sets `key` (its last dotted part) inside `[table]`, for checks after parsing.
pub fn refuse(file: &str, text: &str, table: &str, key: &str, message: impl Into<String>) -> ConfigError {
    refuse_after(file, text, &format!("[{table}]"), table, key, message)
}

/// The same after the first `mark` of the text: the id of one among many tables of the same name.
pub fn refuse_after(
    file: &str,
    text: &str,
    mark: &str,
    table: &str,
    key: &str,
    message: impl Into<String>,
) -> ConfigError {
    // The line of the mark counts too.
    let start =
        text.find(mark).and_then(|at| text.get(..at)).map_or(0, |before| before.rfind('\n').map_or(0, |n| n + 1));
    let at = text
        .get(start..)
        .and_then(|rest| {
            rest.lines()
                .scan(0, |offset, line| {
                    let here = *offset;
                    *offset += line.len() + 1;
                    Some((here, line))
                })
                .find(|(_, line)| line.trim_start().split(['=', ' ']).next() == Some(key))
                .map(|(offset, _)| start + offset)
        })
        .unwrap_or(start);
    let mut error = value_error(file, text, at, message.into());
    if let ConfigError::Value { key: k, .. } = &mut error {
        *k = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    }
    error
}

fn value_error(file: &str, text: &str, at: usize, message: String) -> ConfigError {
    let at = at.min(text.len());
    let before = text.get(..at).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let written = text.lines().nth(line - 1).unwrap_or("");
    let key = written.split('=').next().unwrap_or("").trim().to_owned();
    ConfigError::Value { file: file.to_owned(), line, key, message }
}

/// Whether a host of a configuration is this machine, so that what is sent there does not leave it: `localhost`, or an address of
/// loopback, in brackets or not.
pub fn on_this_machine(host: &str) -> bool {
    let address = || host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        port: u16,
    }

    #[test]
    fn names_file_line_and_key_of_an_unknown_key() {
        let error = parse::<Sample>("a.toml", "port = 1\nprot = 2\n").unwrap_err().to_string();
        assert!(error.starts_with("a.toml:2: prot: unknown field"), "{error}");
    }

    #[test]
    fn names_file_line_and_key_of_a_bad_value() {
        let error = parse::<Sample>("a.toml", "\nport = 'x'\n").unwrap_err().to_string();
        assert!(error.starts_with("a.toml:2: port: invalid type"), "{error}");
    }

    #[test]
    fn refuses_at_the_line_of_a_table() {
        let text = "[a]\nx = 1\n[b]\nx = 2\n";
        let error = refuse("a.toml", text, "b", "x", "too large").to_string();
        assert_eq!(error, "a.toml:4: b.x: too large");
        let text = "[[c]]\nid = \"one\"\nx = 1\n[[c]]\nid = \"two\"\nx = 2\n";
        let error = refuse_after("a.toml", text, "\"two\"", "c.two", "x", "too large").to_string();
        assert_eq!(error, "a.toml:6: c.two.x: too large");
        let error = refuse_after("a.toml", text, "\"two\"", "c.two", "id", "twice").to_string();
        assert_eq!(error, "a.toml:5: c.two.id: twice");
    }
}
