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
    for command in ["up", "serve", "check-config", "migrate", "backup", "restore", "site", "simulate", "decode"] {
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
}

#[test]
fn a_configuration_is_checked_as_a_start_would() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("c.toml"), folder.path().join("data"));
    let (path, data_path) = (file.to_str().unwrap(), data.to_str().unwrap());
    std::fs::write(folder.path().join("short"), "too-short").unwrap();
    std::fs::write(folder.path().join("token"), "a-token-of-these-nodes").unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (absent, short, token) = (at("absent"), at("short"), at("token"));
    let ledger = "[ledger]\nurl = \"postgres://u@127.0.0.1:1/d\"\n";
    let near = format!("{ledger}[link]\nlisten = \"127.0.0.1:1\"\ncore = \"http://127.0.0.1:1\"\ntoken_file = ");
    let far = format!(
        "{ledger}[link]\nlisten = \"192.0.2.1:1\"\ncore = \"https://192.0.2.1:1\"\ntoken_file = \"{token}\"\n\
         cert_file = \"{absent}\"\nkey_file = \"{absent}\"\nca_file = \"{absent}\"\n"
    );
    let camera = "[[video.cameras]]\nid = \"c001\"\nsub = \"rtsp://h/sub\"\npassword_file = ";
    let (no_secret, no_certificate) =
        (format!("{absent}: 无法读取口令文件 cannot read"), format!("{absent}: 没有可用的证书或私钥 no usable"));
    for (text, role, why) in [
        (
            "[[exchange.departments]]\nunit = \"fire\"\nsecret = \"change-change-change\"\n".to_owned(),
            None,
            "exchange.departments.fire.secret: 仍是示例中的密钥",
        ),
        (format!("{camera}\"{absent}\"\n"), None, &*no_secret),
        (format!("{ledger}password_file = \"{absent}\"\n"), None, &no_secret),
        (
            "[ledger]\nurl = \"postgres://u@db/d?sslmode=verify\"\n".to_owned(),
            None,
            "ledger.url: 不是可用的 PostgreSQL 地址",
        ),
        (format!("[exchange]\nca_file = \"{absent}\"\n"), None, &format!("{absent}: 不是可用的证书")),
        (String::new(), Some("core"), "SQLite 只能由一个进程使用"),
        (ledger.to_owned(), Some("core"), "link.listen: 缺少"),
        (ledger.to_owned(), Some("gateway"), "link.core: 缺少"),
        (format!("{near}\"{absent}\"\n"), Some("core"), &no_secret),
        (format!("{near}\"{short}\"\n"), Some("core"), "link.token_file: 令牌须为 16 到 128 个"),
        (format!("{near}\"{short}\"\n"), Some("gateway"), "link.token_file: 令牌须为 16 到 128 个"),
        (far.clone(), Some("core"), &no_certificate),
        (far, Some("gateway"), &no_certificate),
    ] {
        std::fs::write(&file, &text).unwrap();
        let role = role.map(|role| ["--role", role]).into_iter().flatten();
        let command = if role.clone().count() > 0 { "serve" } else { "up" };
        let started = [command, "--config", path, "--listen", "127.0.0.1:0", "--data", data_path];
        let started = run(&started.into_iter().chain(role.clone()).collect::<Vec<_>>());
        let checked = run(&["check-config", path].into_iter().chain(role).collect::<Vec<_>>());
        assert_eq!((started.status.code(), checked.status.code()), (Some(1), Some(1)), "{text}");
        assert!(err(&started).starts_with(why), "{text}{}", err(&started));
        assert_eq!(err(&checked), err(&started), "{text}");
        assert!(!data.exists(), "nothing was begun");
    }
    let example = run(&["check-config", concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/maojiawan.toml")]);
    assert!(example.status.code() == Some(1) && err(&example).contains("仍是示例中的密钥"), "{}", err(&example));

    // What keeps nothing from starting is told beside.
    let text = format!(
        "[bus]\nredis = \"redis://127.0.0.1\"\npassword_file = \"{absent}\"\n[link]\nlisten = \"127.0.0.1:1\"\n\
         token_file = \"{token}\"\n[sensing.listen]\naddress = \"127.0.0.1:8883\"\ncert_file = \"{absent}\"\n\
         key_file = \"{token}\"\n[[accounts]]\nid = \"chief\"\nrole = \"shift_chief\"\nname = \"值班长\"\n\
         password_file = \"{absent}\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let right = run(&["check-config", path]);
    let said = out(&right);
    assert!(right.status.success() && said.lines().last().unwrap().contains("配置正确"), "{said}{}", err(&right));
    let notes: Vec<_> = said.lines().filter_map(|l| l.strip_prefix("提示 note: ")).collect();
    for (note, start) in notes.iter().zip([
        "serve --role core 会拒绝 would refuse: SQLite 只能由一个进程使用",
        "bus.password_file: ",
        "sensing.listen.cert_file: ",
        "accounts.chief.password_file: ",
    ]) {
        assert!(note.starts_with(start), "{said}");
    }
    assert_eq!(notes.len(), 4, "{said}");
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
