//! Network namespaces with wires between them, which can be cut.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests, compiled for the feature `testing` only")]

use std::process::Command;

/// What the rest of a command's words is told.
type Done = Result<(), String>;

fn ip(words: &str) -> Done {
    let done = Command::new("ip").args(words.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("ip {words}: {said}")) }
}

/// Networks of one test.
pub struct Networks {
    id: String,
    /// Those made here; they are removed when this is dropped.
    made: Vec<String>,
}

impl Networks {
    /// Makes networks; `id` tells those of one test from others'.
    ///
    /// # Errors
    /// What the kernel or `ip` has against it.
    pub fn make(id: &str, names: &[&str]) -> Result<Self, String> {
        let mut networks = Self::of(id);
        for name in names {
            let full = networks.name(name);
            ip(&format!("netns add {full}"))?;
            networks.made.push(full.clone());
            ip(&format!("-n {full} link set lo up"))?;
        }
        Ok(networks)
    }

    /// Networks that another process has made.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_owned(), made: Vec::new() }
    }

    /// The full name of one, for `ip netns exec NAME`.
    pub fn name(&self, name: &str) -> String {
        format!("mjw-{}-{name}", self.id)
    }

    /// The words that run a program in it.
    pub fn inside(&self, name: &str) -> [String; 4] {
        ["ip".to_owned(), "netns".to_owned(), "exec".to_owned(), self.name(name)]
    }

    /// Lays a wire with the name `wire` between two networks, each with its address and the bits of its network.
    ///
    /// # Errors
    /// As [`Networks::make`].
    pub fn lay(&self, wire: &str, ends: [(&str, &str); 2]) -> Done {
        let ends = ends.map(|(network, address)| (self.name(network), address));
        let [(near, _), (far, _)] = &ends;
        ip(&format!("-n {near} link add {wire} type veth peer name {wire} netns {far}"))?;
        for (network, address) in ends {
            ip(&format!("-n {network} addr add {address} dev {wire}"))?;
            ip(&format!("-n {network} link set {wire} up"))?;
        }
        Ok(())
    }

    /// Cuts the wire at the end in `network`: nothing passes, and nobody is told.
    pub fn cut(&self, network: &str, wire: &str) {
        ip(&format!("-n {} link set {wire} down", self.name(network))).unwrap();
    }

    /// Mends it.
    pub fn mend(&self, network: &str, wire: &str) {
        ip(&format!("-n {} link set {wire} up", self.name(network))).unwrap();
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.made {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
