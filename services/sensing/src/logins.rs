//! Who may log in to the child broker, and what each may write: the broker's password and access files.
//!
//! Only hashes come here. A device writes what it speaks for and nothing else, and reads nothing; the centre reads all and
//! writes nothing. Each file is replaced whole, so that the broker never reads half of one.

use std::{collections::BTreeSet, fmt, fs, io, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use domain::{
    device::Voice,
    ids::{DeviceId, SensorId},
};

use crate::{SensingError, formats::Formats};

/// A device that may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name that it logs in with.
    pub device: DeviceId,
    /// Whom it speaks for.
    pub voice: Voice,
    /// The sensors behind a gateway that lists them.
    pub behind: Vec<SensorId>,
    /// `$7$rounds$salt$key` of its password.
    pub hash: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({} as {})", self.device, self.voice.name())
    }
}

/// All that may log in; `None` while that is not known.
pub type Logins = Option<Arc<Vec<Login>>>;

/// A user of the centre's own: name, line of the password file, lines of the access file.
#[derive(Clone)]
pub(crate) struct Fixed {
    pub(crate) name: &'static str,
    pub(crate) hash: String,
    pub(crate) access: String,
}

/// What the two files hold besides the devices.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) fixed: Vec<Fixed>,
    /// The centre's session is kept under this name, which no device may have.
    pub(crate) client_id: String,
    /// What devices write.
    pub(crate) formats: Arc<Formats>,
}

impl House {
    fn allowed<'a>(&'a self, logins: &'a [Login]) -> impl Iterator<Item = &'a Login> {
        let taken = |name: &str| name == self.client_id || self.fixed.iter().any(|f| f.name == name);
        logins.iter().filter(move |l| domain::device::is_name(l.device.as_str()) && !taken(l.device.as_str()))
    }

    fn passwords(&self, logins: &[Login]) -> String {
        let fixed = self.fixed.iter().map(|f| format!("{}:{}\n", f.name, f.hash));
        let hashed = self.allowed(logins).filter(|l| domain::device::is_hash(&l.hash));
        fixed.chain(hashed.map(|l| format!("{}:{}\n", l.device, l.hash))).collect()
    }

    fn access(&self, logins: &[Login]) -> String {
        let fixed = self.fixed.iter().map(|f| format!("user {}\n{}\n", f.name, f.access));
        let device = |l: &Login| {
            // A set: the broker walks the list for each message.
            let topics: BTreeSet<_> = self.formats.topics(l.voice, l.device.as_str(), &l.behind).into_iter().collect();
            let topics: String = topics.into_iter().map(|t| format!("topic write {t}\n")).collect();
            format!("user {}\n{topics}\n", l.device)
        };
        fixed.chain(self.allowed(logins).map(device)).collect()
    }

    /// Replaces both files; blocks.
    pub(crate) fn write(&self, dir: &Path, logins: &[Login]) -> Result<(), SensingError> {
        replace(&dir.join("passwd"), &self.passwords(logins))?;
        replace(&dir.join("acl"), &self.access(logins))
    }
}

/// A file that only its owner reads, whole or as it was; blocks.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), SensingError> {
    let write = || {
        let fresh = file.with_extension("new");
        let mut options = fs::OpenOptions::new();
        // One that was left over might have wider rights.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut out, text.as_bytes())?;
        out.sync_all()?;
        fs::rename(fresh, file)
    };
    write().map_err(|source| SensingError::File { file: file.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HASH: &str = "$7$101$c2FsdHNhbHQ=$a2V5a2V5a2V5";

    fn login(device: &str, voice: Voice, behind: &[&str]) -> Login {
        let behind = behind.iter().map(SensorId::new).collect();
        Login { device: device.into(), voice, behind, hash: HASH.to_owned() }
    }

    fn house() -> House {
        let centre = Fixed { name: "centre", hash: HASH.to_owned(), access: "topic read #\n".to_owned() };
        let formats = Arc::new(crate::Config::default().formats().unwrap());
        House { fixed: vec![centre], client_id: "maojiawan-sensing".to_owned(), formats }
    }

    #[test]
    fn each_writes_what_it_speaks_for() {
        let all = [
            login("smoke-1", Voice::Own, &[]),
            login("hub-1", Voice::Mjw, &["a", "b", "a"]),
            login("bridge", Voice::Zigbee2mqtt, &["a"]),
            login("tb", Voice::Thingsboard, &[]),
        ];
        let access = house().access(&all);
        let of = |user: &str| -> Vec<String> {
            let mut users = access.split("user ").filter_map(|part| part.strip_prefix(&format!("{user}\n")));
            let topics = users.next().unwrap().lines().filter_map(|l| l.strip_prefix("topic write "));
            topics.map(str::to_owned).collect()
        };
        assert!(access.starts_with("user centre\ntopic read #\n\n"), "{access}");
        let own = of("smoke-1");
        for topic in
            ["mjw/v1/sensors/smoke-1/reading", "tele/smoke-1/SENSOR", "stat/smoke-1/RESULT", "zigbee2mqtt/smoke-1"]
        {
            assert!(own.iter().any(|t| t == topic), "{topic}: {own:?}");
        }
        assert!(own.iter().all(|t| t.split('/').any(|level| level == "smoke-1")), "under its own name only: {own:?}");
        let hub = ["mjw/v1/gateways/hub-1/status", "mjw/v1/sensors/a/reading", "mjw/v1/sensors/a/status"];
        assert_eq!(of("hub-1"), [&hub[..], &["mjw/v1/sensors/b/reading", "mjw/v1/sensors/b/status"]].concat());
        let bridge =
            ["zigbee2mqtt/a", "zigbee2mqtt/a/action", "zigbee2mqtt/a/availability", "zigbee2mqtt/bridge/state"];
        assert_eq!(of("bridge"), bridge);
        assert_eq!(of("tb"), ["v1/gateway/connect", "v1/gateway/disconnect", "v1/gateway/telemetry"]);
        let passwords = house().passwords(&all);
        assert_eq!(passwords.lines().count(), 5);
        assert!(passwords.contains(&format!("\nsmoke-1:{HASH}\n")));
    }

    #[test]
    fn nothing_slips_into_the_files() {
        let mut forged = login("fine", Voice::Own, &[]);
        forged.hash = format!("{HASH}\nroot:{HASH}");
        let all = [
            forged,
            login("maojiawan-sensing", Voice::Own, &[]),
            login("centre", Voice::Own, &[]),
            login("a\ntopic write #", Voice::Own, &[]),
            login("+", Voice::Own, &[]),
            login("hub", Voice::Mjw, &["x/#", "#", "a\ntopic write #", "good"]),
        ];
        let passwords = house().passwords(&all);
        assert_eq!(passwords, format!("centre:{HASH}\nhub:{HASH}\n"));
        let access = house().access(&all);
        let wild = |line: &&str| line.contains(['+', '#']) && *line != "topic read #";
        let own = |line: &str| {
            line.trim_start_matches("topic write ").split('/').any(|level| level == "fine") && !line.contains('#')
        };
        assert!(access.lines().filter(wild).all(own), "{access}");
        assert_eq!(access.matches("user ").count(), 3, "{access}");
        assert!(access.contains("sensors/good/reading"));
    }

    #[test]
    fn files_are_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("passwd"), "old").unwrap();
        fs::set_permissions(dir.path().join("passwd"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(dir.path().join("passwd.new"), "half").unwrap();
        house().write(dir.path(), &[login("smoke-1", Voice::Own, &[])]).unwrap();
        for name in ["passwd", "acl"] {
            let file = dir.path().join(name);
            assert!(fs::read_to_string(&file).unwrap().contains("smoke-1"));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
        assert!(!format!("{:?}", login("smoke-1", Voice::Own, &[])).contains('$'), "no hash in a log");
    }
}
