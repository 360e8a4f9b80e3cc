//! Backup of a running centre, restore, and the move to PostgreSQL, as a person does them.

use std::{
    path::Path,
    process::{Command, Output},
};

use domain::{ids::IncidentId, text::Subject};
use ledger::{Batch, Log as _, SqliteOptions, SqliteStore, testing::postgres::PostgresServer};
use serde_json::Value;

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

/// The steps that a person who waits is told, one after another.
fn tells(text: &str, steps: &[&str]) {
    let places: Vec<_> = steps.iter().map(|step| text.lines().position(|l| l.starts_with(step))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{steps:?} are {places:?} of {text}");
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
    assert!(text.contains("没有找到删除记录") && text.contains("重做删除 erased again: 0；"), "{text}");
    tells(&text, &["正在复核 checking  ", "正在比对 comparing  meta", "正在比对 comparing  counters"]);
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
    let written = "已写 written  events: ";
    tells(&text, &["已写 written  meta: 1", written, "正在比对 comparing  meta", "正在比对 comparing  events"]);
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

/// Destroys the key of a subject in the data of a centre that does not run.
fn erase(data: &Path, subject: &Subject) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = SqliteStore::open(&SqliteOptions::in_folder(data)).await.unwrap();
        let head = store.open_writer().await.unwrap();
        store.append(&Batch { erase: vec![subject.to_string()], ..Batch::new(head) }).await.unwrap();
        store.close().await;
    });
}

#[test]
fn what_was_erased_after_a_backup_stays_erased_in_what_is_restored() {
    let here = tempfile::tempdir().unwrap();
    write_password(here.path());
    let (centre, config, data) =
        (Centre::start(here.path()), here.path().join("centre.toml"), here.path().join("centre-data"));
    let cookie = centre.log_in("chief", PASSWORD);
    let incident = centre.report(&cookie, "the-lamp", "灯不亮").1["refs"]["incident"].as_u64().unwrap();
    let file = here.path().join("a.mjw");
    assert!(run(&["backup", "--to", file.to_str().unwrap()], &config).status.success());
    assert_eq!(centre.end("-TERM").0, Some(0));
    erase(&data, &Subject::Incident(IncidentId(incident)));

    for named in [true, false] {
        let there = tempfile::tempdir().unwrap();
        let (other, into) = (there.path().join("centre.toml"), there.path().join("centre-data"));
        std::fs::create_dir(&into).unwrap();
        std::fs::copy(data.join("master.key"), into.join("master.key")).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&other, text.replace(here.path().to_str().unwrap(), there.path().to_str().unwrap())).unwrap();
        let (journal, own) = (data.join("erasures.log"), into.join("erasures.log"));
        let mut args = vec!["restore", "--from", file.to_str().unwrap()];
        if named {
            args.extend(["--erasures", journal.to_str().unwrap()]);
        } else {
            std::fs::copy(&journal, &own).unwrap();
        }
        let restored = run(&args, &other);
        let text = said(&restored);
        let read = format!("已核对删除记录 erasures read from: {}\n", if named { &journal } else { &own }.display());
        assert!(restored.status.success() && text.contains(&read) && !text.contains("警告"), "{text}");
        assert!(text.contains("重做删除 erased again: 1；登录须重新进行 logins to be made anew: 1\n"), "{text}");
        let centre = Centre::start(there.path());
        let cookie = centre.log_in("chief", PASSWORD);
        let (_, shown) = centre.ask(&format!("GET /api/v1/incidents HTTP/1.1\r\ncookie: {cookie}"), "");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["items"][0]["id"], incident);
        assert!(shown["items"][0]["text"]["erased"] == true && !shown.to_string().contains("灯不亮"), "{shown}");
    }
}
