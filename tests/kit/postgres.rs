//! A real PostgreSQL for the tests of one process, when one is installed.
//!
//! It is made by `initdb` in a directory of its own (in memory where possible), listens on a free port of
//! 127.0.0.1, and is shared by all tests of the process; each takes a schema of its own. A shell watches over it:
//! when the test process ends, however it ends, the shell's standard input ends too, and it stops the server and
//! removes the directory.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes, starts, waits, stops, removes. Interrupts are for the test process: the shell goes on until it is gone.
const KEEPER: &str = r#"
trap '' INT TERM HUP
run() { if [ -n "$ACCOUNT" ]; then
    setpriv --reuid="$ACCOUNT" --regid="$(id -g "$ACCOUNT")" --clear-groups -- env HOME="$DATA" "$@"
  else "$@"; fi; }
cd "$DATA"
if [ -n "$ACCOUNT" ]; then chown "$ACCOUNT" "$DATA"; fi
run "$BIN/initdb" -D "$DATA/db" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$DATA/log" 2>&1 &&
run "$BIN/pg_ctl" -D "$DATA/db" -l "$DATA/db/server.log" -w -s -t 60 -o "-p $PORT -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB" \
  start </dev/null >>"$DATA/log" 2>&1 &&
echo ready || { echo failed; cat "$DATA/log" "$DATA/db/server.log" >&2; }
exec 1>&-
cat >/dev/null
run "$BIN/pg_ctl" -D "$DATA/db" -m immediate -s stop >/dev/null 2>&1
cd / && rm -rf "$DATA"
"#;

/// A running server.
pub struct Postgres {
    address: SocketAddr,
    schemas: AtomicU32,
    /// Its standard input keeps the server alive.
    _keeper: Child,
}

/// The server of this process, or `None` (said loudly) when PostgreSQL is not installed: skip the test then.
pub fn postgres() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    let server = SERVER.get_or_init(|| find_binaries().map(|binaries| Postgres::start(&binaries)));
    if server.is_none() {
        eprintln!("SKIPPED: no PostgreSQL (initdb, pg_ctl) in PATH or /usr/lib/postgresql; nothing was tested");
    }
    server.as_ref()
}

impl Postgres {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A schema nobody has used.
    pub fn schema(&self) -> String {
        format!("test_{}", self.schemas.fetch_add(1, Ordering::Relaxed))
    }

    /// The URL of a metastore that nobody has used.
    pub fn url(&self) -> String {
        self.url_at(self.address, &self.schema())
    }

    /// The URL of the metastore in `schema`, reached through `address` (a proxy's, perhaps).
    pub fn url_at(&self, address: SocketAddr, schema: &str) -> String {
        format!("postgres://postgres@{address}/postgres?towpath_schema={schema}")
    }

    /// A plain connection whose statements see `schema`, for looking behind the metastore's back.
    pub async fn connect(&self, schema: &str) -> tokio_postgres::Client {
        let options = format!("-c search_path={schema}");
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.address.port()).user("postgres").dbname("postgres").options(&options);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("the server accepts connections");
        #[allow(clippy::disallowed_methods, reason = "a test drives its own connection")]
        tokio::spawn(connection);
        client
    }

    fn start(binaries: &Path) -> Self {
        // Between choosing the port and listening on it somebody else may take it: try again then.
        for _ in 0..5 {
            let port =
                TcpListener::bind(("127.0.0.1", 0)).and_then(|one| one.local_addr()).expect("a free port").port();
            if let Some(server) = Self::try_start(binaries, port) {
                return server;
            }
        }
        panic!("PostgreSQL is installed in {} but did not start", binaries.display());
    }

    fn try_start(binaries: &Path, port: u16) -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let data = tempfile::Builder::new().prefix("towpath-postgres-").tempdir_in(parent).expect("a directory").keep();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .env("DATA", &data)
            .env("BIN", binaries)
            .env("PORT", port.to_string())
            .env("ACCOUNT", unprivileged_account().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut answer = String::new();
        BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut answer).expect("the shell answers");
        if answer.trim() != "ready" {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
            return None;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Self { address, schemas: AtomicU32::new(0), _keeper: keeper })
    }
}

/// Where `initdb`, `pg_ctl` and `postgres` lie: the newest version wins.
fn find_binaries() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut packaged: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.filter_map(Result::ok).map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    packaged.sort();
    let candidates = packaged.into_iter().rev().chain(in_path.into_iter().flatten());
    let complete = |bin: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| bin.join(name).is_file());
    candidates.into_iter().find(complete)
}

/// PostgreSQL refuses to run as root: the account to run it as, when we are root.
fn unprivileged_account() -> Option<String> {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if output("id", &["-u"])? != "0" {
        return None;
    }
    ["postgres", "nobody"].into_iter().find(|account| output("id", &["-u", account]).is_some()).map(str::to_owned)
}
