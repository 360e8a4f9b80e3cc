//! What the tests of the binary have in common: where it is, whom it knows, and servers of their own.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use ledger::testing::postgres::PostgresServer;

/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_maojiawan");
/// Of the account `chief`.
pub(crate) const PASSWORD: &str = "铜钟 9 号楼";

pub(crate) fn write_password(folder: &Path) {
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
}

/// A free port that no outgoing connection takes while its server is down: those have ports from 32768 on.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(12_000..32_000)).find(free).unwrap()
}

/// What a core and its gateways have in common; the token is written to `folder`.
pub(crate) fn nodes_config(folder: &Path, postgres: &PostgresServer, redis: u16, link: u16) -> String {
    std::fs::write(folder.join("token"), "a-token-of-these-nodes\n").unwrap();
    format!(
        "[ledger]\nurl = \"{}\"\n[bus]\nredis = \"redis://127.0.0.1:{redis}\"\n[link]\ntoken_file = \"{}/token\"\n\
         listen = \"127.0.0.1:{link}\"\ncore = \"http://127.0.0.1:{link}\"\n",
        postgres.url("postgres"),
        folder.display(),
    )
}

/// Another program's server. It ends with the test, also when the test is killed.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Runs a program until `mark` stands in what it says.
    pub(crate) fn start(command: &mut Command, mark: &str) -> Self {
        let mut below = Command::new("setpriv");
        below.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            below.current_dir(folder);
        }
        let mut child = below.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(mark)), "{command:?} ended before it was ready");
        // So that it never waits for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    /// `redis-server`, empty.
    pub(crate) fn redis(port: u16, folder: &Path) -> Self {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        Self::start(command.current_dir(folder), "Ready to accept connections")
    }

    /// A signal, and the end of it awaited; whether it ended in order.
    pub(crate) fn end(mut self, signal: &str) -> bool {
        let told = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status().unwrap();
        told.success() && self.0.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
