//! Backup of a running centre, restore, and the move to PostgreSQL, as a person does them.

use std::{
    path::Path,
    process::{Command, Output},
};

use ledger::testing::postgres::PostgresServer;

use crate::{
    centre::Centre,
    support::{PASSWORD, PROGRAM, write_password},
};

fn run(args: &[&str], config: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg(args[0]).arg("--config").arg(config).args(&args[1..]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

/// The account can log in: log, documents, vault and secrets are there.
fn works(centre: &Centre) {
    let log_in = format!(r#"{{"account":"chief","password":"{PASSWORD}"}}"#);
    let head = "POST /api/v1/session HTTP/1.1\r\ncontent-type: application/json";
    let (status, answer) = centre.ask(head, &log_in);
    assert!(status == 200 && answer.contains("值班长"), "{answer}");
}

#[test]
fn a_running_centre_is_saved_and_restored_elsewhere() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_password(here.path());
    let centre = Centre::start(here.path());
    let config = here.path().join("centre.toml");
    let file = here.path().join("a.mjw");
    let to = file.to_str().unwrap();
    let made = run(&["backup", "--to", to], &config);
    let text = said(&made);
    assert!(
        made.status.success() && text.contains("备份完成并已复核") && text.contains("without master.key"),
        "{text}"
    );
    assert!(text.contains("已写 written  events: "), "{text}");
    let again = run(&["backup", "--to", to], &config);
    assert!(!again.status.success() && said(&again).contains("备份未完成"), "{}", said(&again));
    works(&centre);
    let refused = run(&["restore", "--from", to], &config);
    assert!(!refused.status.success() && said(&refused).contains("数据目录正被另一个进程使用"), "{}", said(&refused));
    assert_eq!(centre.end("-TERM").0, Some(0));
    let refused = run(&["restore", "--from", to], &config);
    assert!(!refused.status.success() && said(&refused).contains("目标不为空"), "{}", said(&refused));

    // Its password is in the backup: the file is not there.
    let other = there.path().join("centre.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (from, into) = (here.path().to_str().unwrap(), there.path().to_str().unwrap());
    std::fs::write(&other, text.replace(from, into)).unwrap();
    let refused = run(&["restore", "--from", to], &other);
    assert!(!refused.status.success() && said(&refused).contains("缺少主密钥"), "{}", said(&refused));
    std::fs::copy(here.path().join("centre-data/master.key"), there.path().join("centre-data/master.key")).unwrap();
    let torn = there.path().join("torn.mjw");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&torn, &bytes).unwrap();
    let refused = run(&["restore", "--from", torn.to_str().unwrap()], &other);
    let text = said(&refused);
    assert!(!refused.status.success() && text.contains("备份已损坏或不完整") && text.contains("byte "), "{text}");

    let restored = run(&["restore", "--from", to], &other);
    let text = said(&restored);
    assert!(restored.status.success() && text.contains("恢复完成 restored into SQLite"), "{text}");
    assert!(text.contains("没有找到删除记录"), "{text}");
    works(&Centre::start(there.path()));
}

#[test]
fn the_data_move_to_postgresql_with_proof() {
    let folder = tempfile::tempdir().unwrap();
    write_password(folder.path());
    assert_eq!(Centre::start(folder.path()).end("-TERM").0, Some(0));
    let _ = std::fs::remove_file(folder.path().join("password"));
    let server = PostgresServer::start();
    let config = folder.path().join("centre.toml");
    let url = server.url("postgres");
    let refused = run(&["migrate", "--to", "postgres://u:secret@127.0.0.1/d"], &config);
    assert!(!refused.status.success() && said(&refused).contains("password_file"), "{}", said(&refused));
    assert!(!said(&refused).contains("secret"));
    let moved = run(&["migrate", "--to", &url], &config);
    let text = said(&moved);
    assert!(moved.status.success() && text.contains("迁移完成，逐表一致"), "{text}");
    let proof = text.lines().find(|l| l.starts_with("events ")).unwrap();
    let words: Vec<_> = proof.split_whitespace().collect();
    assert!(words[1] == words[2] && words[1] != "0" && words[3] == words[5] && words[4] == "=", "{proof}");
    let refused = run(&["migrate", "--to", &url], &config);
    assert!(!refused.status.success() && said(&refused).contains("is not empty"), "{}", said(&refused));
    let refused = run(&["migrate"], &config);
    assert!(!refused.status.success() && said(&refused).contains("数据已迁移到"), "{}", said(&refused));
    // Nothing is made of the old data any more: neither another log, nor backups that would be of the past for ever.
    let elsewhere = run(&["migrate", "--to", &server.url("template1")], &config);
    assert!(!elsewhere.status.success() && said(&elsewhere).contains("不能再迁往"), "{}", said(&elsewhere));
    let past = folder.path().join("past.mjw");
    let refused = run(&["backup", "--to", past.to_str().unwrap()], &config);
    assert!(
        !refused.status.success() && said(&refused).contains("数据已迁移到") && !past.exists(),
        "{}",
        said(&refused)
    );
    let centre = Centre::start_with(folder.path(), &format!("[ledger]\nurl = \"{url}\"\n"));
    works(&centre);
    let refused = run(&["migrate", "--to", &url], &config);
    assert!(!refused.status.success() && said(&refused).contains("--from-data"), "{}", said(&refused));
    assert_eq!(centre.end("-TERM").0, Some(0));
}
