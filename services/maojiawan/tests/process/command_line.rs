//! What the command line says and refuses.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use crate::support::PROGRAM;

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_is_chinese_and_english() {
    let help = out(&run(&["--help"]));
    for both in [
        "用法 Usage: ",
        "命令 Commands:",
        "选项 Options:",
        "显示帮助 prints help",
        "启动整个中心 runs the whole centre",
    ] {
        assert!(help.contains(both), "{both} in:\n{help}");
    }
    for command in ["up", "serve", "check-config", "migrate", "backup", "restore", "simulate", "decode"] {
        let output = run(&[command, "--help"]);
        let help = out(&output);
        assert!(output.status.success() && help.contains("用法 Usage: maojiawan"), "{help}");
        // Every line that explains something does so in Chinese too.
        let explained = help.lines().filter(|l| l.trim_start().starts_with('-') && l.contains("  "));
        assert!(explained.clone().count() > 0, "{help}");
        let han = |l: &str| l.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(explained.clone().all(han), "{help}");
    }
    assert_eq!(out(&run(&["--version"])).trim(), concat!("maojiawan ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_configuration_is_told_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:0\"\n\n[exchange]\nmessage_patrol_s = 1\n").unwrap();
    let path = file.to_str().unwrap();
    for command in [vec!["check-config", path], vec!["up", "--config", path]] {
        let output = run(&command);
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).starts_with(&format!("{path}:5: exchange.message_patrol_s: ")), "{}", err(&output));
    }
    let output = run(&["check-config", concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/maojiawan.toml")]);
    assert!(output.status.success() && out(&output).contains("配置正确"), "{}", err(&output));
}

#[test]
fn a_busy_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (folder, address) = (tempfile::tempdir().unwrap(), taken.local_addr().unwrap().to_string());
    let output = run(&["up", "--listen", &address, "--data", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(said.starts_with(&format!("{address}: 地址无法监听，可能已被占用 cannot listen")), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn the_secrets_of_the_example_open_nothing() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/maojiawan.toml");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let output = run(&["up", "--config", example, "--listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("secret: 仍是示例中的密钥"), "{}", err(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn the_demo_is_for_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let output = run(&["up", "--demo", "--listen", address, "--data", folder.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{address}");
        assert!(err(&output).contains("演示只能监听本机回环地址"), "{}", err(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn the_demo_needs_the_user_that_its_devices_share() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    std::fs::write(&config, "[server]\nlisten = \"127.0.0.1:0\"\n[sensing]\nshared_user = false\n").unwrap();
    let data = folder.path().join("data");
    let output = run(&["up", "--demo", "--config", config.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("sensing.shared_user: 演示中的模拟设备共用一个用户"), "{}", err(&output));
    assert!(!data.exists(), "nothing was begun");
}
