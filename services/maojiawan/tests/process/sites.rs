//! `maojiawan site`: from files to the ledger and back, while the centre runs and while it does not.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::{
    centre::Centre,
    support::{PASSWORD, PROGRAM, free_port, write_password},
};

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("site").args(args).output().unwrap()
}

/// What it says when all is well.
fn said(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it refuses.
fn refused(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    fs::write(file, text.replace(from, to)).unwrap();
}

struct Place {
    folder: tempfile::TempDir,
    exports: u32,
}

impl Place {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The site that the centre holds.
    fn held(&mut self) -> domain::site::Site {
        self.exports += 1;
        let to = self.path(&format!("export-{}", self.exports));
        said(&["export", "--config", &self.path("centre.toml"), "--to", &to]);
        site::read(to.as_ref()).unwrap()
    }
}

#[test]
fn a_site_goes_out_as_files_and_comes_in_again_only_whole_and_on_purpose() {
    let mut place = Place { folder: tempfile::tempdir().unwrap(), exports: 0 };
    write_password(place.folder.path());
    let files = place.path("files");
    said(&["export", "--built-in", "--to", &files]);
    assert_eq!(site::read(files.as_ref()).unwrap(), *site::built_in());
    assert!(refused(&["export", "--built-in", "--to", &files]).contains("目录不为空"));
    assert!(
        said(&["check", &files]).contains("36 个网格 grids，76 栋楼 buildings，9100 户 households，39106 人 people")
    );

    // A centre with a link is asked and told while it runs.
    let token = place.path("token");
    fs::write(&token, "a-token-of-these-nodes\n").unwrap();
    let link = format!("[link]\nlisten = \"127.0.0.1:{}\"\ntoken_file = \"{token}\"\n", free_port());
    let centre = Centre::start_with(place.folder.path(), &link);
    assert_eq!(place.held(), *site::built_in());
    let config = place.path("centre.toml");
    let import = ["import", files.as_str(), "--config", config.as_str()];
    let apply = ["import", files.as_str(), "--config", config.as_str(), "--apply"];
    assert!(said(&apply).contains("无需改动"));
    let cameras = Path::new(&files).join("cameras.csv");
    edit(&cameras, "12栋6层走廊", "12栋六层走廊");
    let preview = said(&import);
    assert!(preview.contains("摄像头 cameras：修改 changed 1（") && preview.contains("未作任何改动"), "{preview}");
    assert_eq!(place.held(), *site::built_in(), "a preview changes nothing");
    assert!(said(&apply).contains("现为第 2 版"));
    let changed = place.held();
    assert_eq!(changed.version, 2);
    assert!(changed.cameras.iter().any(|c| c.name.zh == "12栋六层走廊"));
    assert_eq!(site::changes(&changed, &site::read(files.as_ref()).unwrap()), []);
    assert!(said(&apply).contains("无需改动"), "the same again is no change");
    let cookie = centre.log_in("chief", PASSWORD);
    let shown = || centre.ask(&format!("GET /api/v1/site HTTP/1.1\r\ncookie: {cookie}"), "").1;
    while !shown().contains("12栋六层走廊") {
        std::thread::yield_now();
    }
    let (code, _, log) = centre.end("-TERM");
    assert_eq!(code, Some(0), "{log}");

    // What is wrong is told and nothing of it is taken.
    edit(&cameras, "c002,2,", "c002,二,");
    for args in [&["check", files.as_str()][..], &import, &apply] {
        let told = refused(args);
        assert!(told.contains("cameras.csv:3: number: ") && !told.contains("panicked"), "{told}");
    }
    assert_eq!(place.held(), changed);
    edit(&cameras, "c002,二,", "c002,2,");
    edit(&Path::new(&files).join("site.toml"), "id = \"maojiawan\"", "id = \"elsewhere\"");
    assert!(refused(&apply).contains("未作任何改动"));
    edit(&Path::new(&files).join("site.toml"), "id = \"elsewhere\"", "id = \"maojiawan\"");

    // A stopped centre takes it too, and keeps it over the built-in one when it starts.
    edit(&Path::new(&files).join("buildings.csv"), "老支书那栋", "老支书那栋|村口那栋");
    assert!(said(&apply).contains("楼栋 buildings：修改 changed 1（b1）"));
    assert_eq!(place.held().buildings[0].aliases, ["老支书那栋", "村口那栋"]);
    let centre = Centre::start_with(place.folder.path(), &link);
    let cookie = centre.log_in("chief", PASSWORD);
    let (_, shown) = centre.ask(&format!("GET /api/v1/site HTTP/1.1\r\ncookie: {cookie}"), "");
    assert!(shown.contains("村口那栋") && shown.contains("12栋六层走廊"));
    drop(centre);
    assert_eq!(place.held().version, 3);

    // Without a link a running centre is left alone.
    let centre = Centre::start(place.folder.path());
    assert!(refused(&import).contains("中心正在运行"));
    drop(centre);

    // A folder of the configuration is taken at the start: another text of a version that is not smaller.
    edit(&Path::new(&files).join("site.toml"), "version = 1", "version = 3");
    edit(&Path::new(&files).join("buildings.csv"), "|村口那栋", "|桥头那栋");
    drop(Centre::start_with(place.folder.path(), &format!("[site]\nfolder = \"{files}\"\n")));
    assert_eq!(place.held(), site::read(files.as_ref()).unwrap());
    let nothing = tempfile::tempdir().unwrap();
    fs::write(&config, format!("[data]\nfolder = \"{}/none\"\n", nothing.path().display())).unwrap();
    assert!(refused(&["export", "--config", &config, "--to", &place.path("x")]).contains("不是中心的数据目录"));
    fs::write(&config, format!("[site]\nfolder = \"{}\"\n", nothing.path().display())).unwrap();
    assert!(refused(&import).contains("site.folder: ") && !nothing.path().join("none").exists());
}
