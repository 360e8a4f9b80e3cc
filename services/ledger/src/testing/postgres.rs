//! A PostgreSQL server of its own for tests, in a folder of its own, reached by a Unix socket.
//!
//! A small shell process keeps the server: it starts and stops it by its process id, and when this process ends, in
//! whatever way, it stops the server and removes the folder. `initdb` runs once a machine and version; its result is
//! copied. As root, which the server refuses to be, all of it runs as the user `postgres`.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests, compiled for the feature `testing` only")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions};

use crate::PostgresOptions;

/// Durable as in earnest; small, because each test process has one.
const SETTINGS: &str = "\
listen_addresses = ''
fsync = on
shared_buffers = 32MB
max_connections = 60
autovacuum_naptime = 10s
max_wal_size = 256MB
log_min_messages = warning
";

/// `start`, or a signal for the server; answers each line with one. At the end of its input all is cleaned up.
const KEEPER: &str = r#"
folder=$1; bin=$2; shift 2; pid=
stop() {
  [ -n "$pid" ] || return
  children=$(cat "/proc/$pid/task/$pid/children")
  kill -"$1" "$pid"
  [ "$1" = KILL ] && kill -KILL $children
  wait "$pid"
  pid=
}
while read -r what; do
  case $what in
    start)
      "$@" </dev/null >>"$folder/log" 2>&1 & pid=$!
      tries=100
      until "$bin/pg_isready" -q -h "$folder" -U postgres; do
        sleep 0.02
        kill -0 "$pid" && continue
        # A child that was forked while all were killed still holds the memory, and ends by itself.
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit 1
        wait "$pid"
        "$@" </dev/null >>"$folder/log" 2>&1 & pid=$!
      done ;;
    pause) kill -STOP "$pid" $(cat "/proc/$pid/task/$pid/children") ;;
    go) kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children") ;;
    *) stop "$what" ;;
  esac
  echo done
done
stop QUIT
rm -rf "$folder"
"#;

/// A running server. Dropped, or when the process ends, it is stopped and its folder removed.
pub struct PostgresServer {
    folder: PathBuf,
    keeper: Mutex<(Child, Option<ChildStdin>, BufReader<ChildStdout>)>,
}

impl PostgresServer {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_behind(&[], "")
    }

    /// Starts one by way of another program, such as `ip netns exec NAME`, with more lines of configuration.
    pub fn start_behind(program: &[&str], settings: &str) -> Self {
        let bin = programs();
        let folder = std::env::temp_dir().join(format!("maojiawan-pg-{:016x}", rand::random::<u64>()));
        run(as_user("mkdir").arg("-m").arg("755").arg(&folder));
        let data = folder.join("data");
        run(as_user("cp").arg("-r").arg(template(&bin)).arg(&data));
        fs::write(data.join("postgresql.auto.conf"), format!("{SETTINGS}{settings}")).unwrap();
        run(as_user("chmod").arg("700").arg(&data));
        let server = as_user(bin.join("postgres"));
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .arg(&bin)
            .args(program)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (keeper.stdin.take(), BufReader::new(keeper.stdout.take().unwrap()));
        let server = Self { folder, keeper: Mutex::new((keeper, input, output)) };
        server.tell("start");
        server
    }

    /// `start`, a signal's name (`INT` stops in order, `KILL` kills all of it), `pause` or `go`; returns when done.
    pub fn tell(&self, what: &str) {
        let mut keeper = self.keeper.lock().unwrap();
        writeln!(keeper.1.as_mut().unwrap(), "{what}").unwrap();
        let mut answer = String::new();
        keeper.2.read_line(&mut answer).unwrap();
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert_eq!(answer, "done\n", "{what}: {}", log());
    }

    /// Pid of the running server; its backends are its children.
    pub fn pid(&self) -> u32 {
        let file = self.folder.join("data").join("postmaster.pid");
        fs::read_to_string(file).unwrap().lines().next().unwrap().trim().parse().unwrap()
    }

    /// The address of a database of this server.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{folder}:5432/{database}")
    }

    /// Listens on a loopback address of its own besides, encrypted only, with this key and certificate (PEM); the
    /// address of a database there, without a mode.
    pub async fn encrypt(&self, cert: &str, key: &str, host: &str) -> String {
        let data = self.folder.join("data");
        for (name, text) in [("server.crt", cert), ("server.key", key)] {
            let place = data.join(name);
            fs::write(&place, text).unwrap();
            run(Command::new("chmod").arg("600").arg(&place));
            if is_root() {
                run(Command::new("chown").arg("postgres:postgres").arg(&place));
            }
        }
        for sql in [format!("ALTER SYSTEM SET listen_addresses = '{host}'"), "ALTER SYSTEM SET ssl = on".to_owned()] {
            self.sql(&sql).await;
        }
        self.set_access("local all postgres trust\nhostssl all postgres 127.0.0.0/8 trust\n").await;
        format!("postgres://postgres@{host}:5432/postgres")
    }

    /// A store in a schema of the database `postgres`, its files in `files`.
    pub fn options(&self, schema: &str, files: &Path) -> PostgresOptions {
        let mut options = PostgresOptions::new(&self.url("postgres"), None, files).unwrap();
        schema.clone_into(&mut options.schema);
        options
    }

    /// Runs SQL as the superuser.
    pub async fn sql(&self, sql: &str) {
        let mut conn = self.connect().await;
        conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        conn.close().await.unwrap();
    }

    /// The first column of the rows of a query, as text.
    pub async fn ask(&self, sql: &str) -> Vec<String> {
        let mut conn = self.connect().await;
        let found = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        found
    }

    /// Sets a parameter for all, and returns when the server obeys.
    pub async fn set(&self, name: &str, value: &str) {
        let mut conn = self.connect().await;
        for sql in [format!("ALTER SYSTEM SET {name} = '{value}'"), "SELECT pg_reload_conf()".to_owned()] {
            conn.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        conn.close().await.unwrap();
        // A session without orders of its own shows what others see.
        let mut plain = self.url("postgres").parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
        loop {
            let now: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut plain).await.unwrap();
            if now == value {
                break;
            }
        }
        plain.close().await.unwrap();
    }

    /// Runs SQL in a session that stays.
    pub async fn hold(&self, sql: &str) -> Held {
        let mut conn = self.connect().await;
        conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        Held(conn)
    }

    /// Replaces `pg_hba.conf`.
    pub async fn set_access(&self, rules: &str) {
        fs::write(self.folder.join("data/pg_hba.conf"), rules).unwrap();
        self.tell("INT");
        self.tell("start");
    }

    async fn connect(&self) -> sqlx::PgConnection {
        let options: PgConnectOptions = self.url("postgres").parse().unwrap();
        // Its own orders must pass whatever the tests set.
        options
            .options([("default_transaction_read_only", "off"), ("synchronous_commit", "local")])
            .connect()
            .await
            .unwrap()
    }

    /// All bytes that the tables of a schema keep on disk, values moved out of their rows too.
    pub async fn raw(&self, schema: &str) -> Vec<u8> {
        self.sql("CHECKPOINT").await;
        let sql = format!(
            "SELECT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = '{schema}' AND c.relkind IN ('r', 'i') UNION ALL \
             SELECT pg_relation_filepath(c.reltoastrelid) FROM pg_class c JOIN pg_namespace n \
             ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.reltoastrelid <> 0"
        );
        let files = self.ask(&sql).await;
        files.iter().flat_map(|file| fs::read(self.folder.join("data").join(file)).unwrap()).collect()
    }
}

/// A session that holds what it took.
pub struct Held(sqlx::PgConnection);

impl Held {
    /// Ends it, and returns when the server has let go.
    pub async fn release(mut self) {
        self.0.execute("ROLLBACK").await.unwrap();
        self.0.close().await.unwrap();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The end of its input tells it to clean up.
        keeper.1 = None;
        keeper.0.wait().unwrap();
    }
}

/// The folder of the newest server installed.
fn programs() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok());
    let newest = installed.map(|e| e.path()).filter(|p| version(p) >= Some(15)).max_by_key(version);
    newest.expect("PostgreSQL 15 is missing: deploy/prepare.sh --tests").join("bin")
}

pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn as_user(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let done = command.current_dir("/").output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A fresh data folder, made when this machine has none yet.
fn template(bin: &Path) -> PathBuf {
    let version = bin.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    let owner = fs::metadata("/proc/self").unwrap().uid();
    let name = format!("maojiawan-pg-template-{version}-{owner}");
    let (made, lock) = (std::env::temp_dir().join(&name), std::env::temp_dir().join(format!("{name}.lock")));
    let lock = File::create(lock).unwrap();
    lock.lock().unwrap();
    if !made.exists() {
        let fresh = made.with_extension("new");
        run(Command::new("rm").arg("-rf").arg(&fresh));
        let mut init = as_user(bin.join("initdb"));
        init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--wal-segsize=1", "-D"]).arg(&fresh);
        run(&mut init);
        fs::rename(&fresh, &made).unwrap();
    }
    made
}
