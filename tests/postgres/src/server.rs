//! One server, from `initdb` to its end.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(60);

/// Whom a server started by root runs as: it refuses to be root. Every Linux has this user.
const NOBODY: u32 = 65534;

/// The password of the one user.
const PASSWORD: &str = "a-password";

/// Starts the server, kills all of its processes and starts it again for each line on the standard
/// input, and ends it and takes its folder away when there is no more: the kernel closes the pipe of
/// a process that was killed, too.
const KEEPER: &str = r#"
while :; do
    rm -f "$2/data/postmaster.pid"
    "$1/postgres" -D "$2/data" </dev/null >>"$2/log" 2>&1 &
    server=$!
    echo "$server"
    read -r _ || break
    kill -KILL "$server" $(cat "/proc/$server/task/$server/children")
    wait "$server"
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
"#;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has none.
    #[error("finding PostgreSQL's `{0}`: install Debian's package `postgresql`")]
    Missing(&'static str),
    /// A file or a process.
    #[error("{0}")]
    Io(&'static str, #[source] io::Error),
    /// One of its programs failed.
    #[error("running {program}: {said}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        said: String,
    },
    /// A certificate could not be made.
    #[error("making the server's certificate")]
    Certificate(#[from] rcgen::Error),
    /// It does not answer.
    #[error("waiting for the server: {0}")]
    Silent(String),
}

/// How a server is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether a commit waits for the disk, as on a machine that may lose its power.
    pub durable: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    keeper: Keeper,
    schemas: AtomicU32,
}

/// The shell that looks after the server.
#[derive(Debug)]
struct Keeper {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Keeper {
    /// Waits until a server was started.
    fn started(&mut self) -> io::Result<()> {
        self.said.read_line(&mut String::new()).map(drop)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Postgres {
    /// One server for all tests of a process; it ends with the process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceLock<Result<Postgres, Error>> = OnceLock::new();
        match SHARED.get_or_init(|| Self::start(Options::default())) {
            Ok(server) => Ok(server),
            Err(error) => Err(Error::Silent(error.to_string())),
        }
    }

    /// Starts a server of its own.
    ///
    /// # Errors
    /// When the machine has none, or it does not start.
    pub fn start(options: Options) -> Result<Self, Error> {
        let programs = programs()?;
        let directory = TempDir::with_prefix("gitmoor-postgres-")
            .map_err(|source| Error::Io("making a folder", source))?;
        let directory = directory.keep();
        let io = |what| move |source| Error::Io(what, source);
        let owner = rustix::process::getuid().is_root().then_some(NOBODY);
        certificates(&directory)?;
        fs::write(directory.join("password"), PASSWORD).map_err(io("writing the password"))?;
        if let Some(owner) = owner {
            for path in ["", "server.key", "server.crt", "ca.crt", "password"] {
                std::os::unix::fs::chown(directory.join(path), Some(owner), Some(owner))
                    .map_err(io("giving the folder to its user"))?;
            }
        }
        let mut initdb = as_user(&programs.join("initdb"), owner, &directory);
        initdb
            .arg("-D")
            .arg(directory.join("data"))
            .arg("--pwfile")
            .arg(directory.join("password"))
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C", "--username=gitmoor"]);
        run(&mut initdb)?;
        let port = free_port().map_err(io("taking a port"))?;
        let sync = if options.durable { "on" } else { "off" };
        let folder = directory.display();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n\
             max_connections = 200\nfsync = {sync}\nfull_page_writes = {sync}\n\
             ssl = on\nssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n"
        );
        fs::write(directory.join("data/postgresql.auto.conf"), settings)
            .map_err(io("writing the settings"))?;
        let keeper = keep(&programs, &directory, owner)?;
        let server = Self {
            programs,
            directory,
            port,
            keeper,
            schemas: AtomicU32::new(0),
        };
        server.wait()?;
        Ok(server)
    }

    /// A place in the server's database that nobody else has, as a URL over the loopback.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn fresh(&self) -> Result<String, Error> {
        let number = self.schemas.fetch_add(1, Ordering::Relaxed);
        let schema = format!("fresh_{number}");
        self.sql(&format!("CREATE SCHEMA {schema}"))?;
        Ok(format!(
            "{}?sslmode=disable&options[search_path]={schema}",
            self.url()
        ))
    }

    /// The server's one database, as a URL without options.
    pub fn url(&self) -> String {
        format!(
            "postgres://gitmoor:{PASSWORD}@127.0.0.1:{}/postgres",
            self.port
        )
    }

    /// The authority that the server's certificate is from, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// Runs a statement, as an administrator would, and gives what it says.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn sql(&self, statement: &str) -> Result<String, Error> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ])
        .arg(self.url());
        run(&mut psql).map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// All that the server holds, as `pg_dump` writes it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn dump(&self) -> Result<Vec<u8>, Error> {
        run(Command::new(self.programs.join("pg_dump")).arg(self.url())).map(|output| output.stdout)
    }

    /// Kills all of the server's processes at once, and starts it again on what is left.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn kill_and_restart(&mut self) -> Result<(), Error> {
        let io = |source| Error::Io("killing the server", source);
        let keeper = &mut self.keeper;
        let mut stdin = keeper.child.stdin.as_ref().expect("it was asked for");
        stdin.write_all(b"again\n").map_err(io)?;
        keeper.started().map_err(io)?;
        self.wait()
    }

    fn wait(&self) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            match self.sql("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > START => {
                    let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                    return Err(Error::Silent(format!("{error}; its log: {log}")));
                }
                Err(_) => sleep(Duration::from_millis(50)),
            }
        }
    }
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf, Error> {
    let of_debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = of_debian
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("postgres")
                .exists()
                .then_some((version, programs))
        })
        .collect();
    versions.sort();
    if let Some((_, newest)) = versions.pop() {
        return Ok(newest);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .ok_or(Error::Missing("initdb"))
}

fn as_user(program: &Path, owner: Option<u32>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if let Some(owner) = owner {
        command.uid(owner).gid(owner);
    }
    command
}

fn keep(programs: &Path, directory: &Path, owner: Option<u32>) -> Result<Keeper, Error> {
    let io = |source| Error::Io("starting the server", source);
    let mut child = as_user(Path::new("/bin/sh"), owner, Path::new("/"))
        .args(["-c", KEEPER, "keeper"])
        .arg(programs)
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A Ctrl-C in the terminal is for the tests; the pipe tells the keeper.
        .process_group(0)
        .spawn()
        .map_err(io)?;
    let said = BufReader::new(child.stdout.take().expect("it was asked for"));
    let mut keeper = Keeper { child, said };
    keeper.started().map_err(io)?;
    Ok(keeper)
}

fn run(command: &mut Command) -> Result<Output, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Io("starting a program of PostgreSQL", source))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program, said })
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn certificates(directory: &Path) -> Result<(), Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    for (name, text) in [
        ("ca.crt", authority.pem()),
        ("server.crt", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        write_private(&directory.join(name), text.as_bytes())
            .map_err(|source| Error::Io("writing the certificates", source))?;
    }
    Ok(())
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

    use super::{Options, Postgres};

    #[test]
    fn a_server_holds_what_it_was_given_through_a_kill_and_leaves_nothing_behind() {
        let mut server = Postgres::start(Options::default()).unwrap();
        server.sql("CREATE TABLE t (x INT)").unwrap();
        server.sql("INSERT INTO t VALUES (7)").unwrap();
        server.kill_and_restart().unwrap();
        assert_eq!(server.sql("SELECT x FROM t").unwrap(), "7");
        assert_ne!(server.fresh().unwrap(), server.fresh().unwrap());
        let directory = server.directory.clone();
        drop(server);
        assert!(!directory.exists());
    }
}
