//! The Go program that holds the control plane: built once, and kept in a cache outside of
//! cargo's target directory, so that `cargo clean` does not cost four minutes.

use std::{
    env,
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File, TryLockError},
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use sha2::{Digest as _, Sha256};

/// What the program is made of. It is compiled in, so that a built test can also run where the
/// checkout is not.
const SOURCES: [(&str, &str); 4] = [
    ("go.mod", include_str!("../go.mod")),
    ("go.sum", include_str!("../go.sum")),
    ("main.go", include_str!("../main.go")),
    ("read.go", include_str!("../read.go")),
];

/// The first Go that fetches the toolchain which a go.mod names.
const OLDEST_GO: (u32, u32) = (1, 21);

/// Programs of other versions that stay in the cache (each 120 MB): enough to switch branches.
const OTHERS_KEPT: usize = 2;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum BuildError {
    #[error(
        "build the test control plane: there is no `go` on the PATH; install Go 1.21 or newer \
         (it fetches the toolchain that tests/cluster/go.mod names), or see https://go.dev/dl"
    )]
    NoGo,
    #[error(
        "build the test control plane: {found} is too old; install Go 1.21 or newer \
         (it fetches the toolchain that tests/cluster/go.mod names)"
    )]
    OldGo { found: String },
    #[error("build the test control plane: `go build` failed ({status}):\n{output}")]
    Failed { status: ExitStatus, output: String },
    #[error("build the test control plane: no cache: set GITMOOR_CLUSTER_CACHE or HOME")]
    NoCache,
    #[error("build the test control plane: {attempted}")]
    Io {
        attempted: String,
        source: io::Error,
    },
}

/// Adds what was attempted to an [`io::Error`].
fn io_error(attempted: &str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let attempted = format!("{attempted} {}", path.display());
    move |source| BuildError::Io { attempted, source }
}

/// The version of Kubernetes that go.mod asks for, such as `v1.36.3`.
pub fn kubernetes_version() -> &'static str {
    SOURCES[0]
        .1
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .expect("go.mod requires k8s.io/kubernetes")
}

/// The path of the program, which is built first if this has not happened yet on this machine.
/// Blocks: a first build takes minutes, and says so on standard error.
///
/// The cache is `$GITMOOR_CLUSTER_CACHE`, `$XDG_CACHE_HOME/gitmoor` or `~/.cache/gitmoor`.
///
/// # Errors
/// When Go is missing or too old, and when the build fails.
pub fn program() -> Result<PathBuf, BuildError> {
    let cache = cache()?;
    let sources = sources_key();
    let Some(go) = go_version(&cache)? else {
        // A cache that was brought along serves without Go.
        return built(&cache, &sources)
            .pop()
            .map(|(_, path)| path)
            .ok_or(BuildError::NoGo);
    };
    let path = cache.join(format!("{PREFIX}{sources}-{go}"));
    if path.exists() {
        return Ok(path);
    }
    let _lock = lock(&cache.join("build.lock"))?;
    if path.exists() {
        return Ok(path);
    }
    build(&cache, &sources, &path)?;
    let mut others = built(&cache, "");
    others.retain(|(_, other)| *other != path);
    for (_, other) in others.iter().rev().skip(OTHERS_KEPT) {
        // Whoever still runs it keeps it; the next one builds it again.
        let _ = fs::remove_file(other);
    }
    Ok(path)
}

const PREFIX: &str = "control-plane-";

/// The directory for what outlives a test.
pub(crate) fn cache() -> Result<PathBuf, BuildError> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("GITMOOR_CLUSTER_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("gitmoor")))
        .or_else(|| Some(set("HOME")?.join(".cache/gitmoor")))
        .ok_or(BuildError::NoCache)?;
    fs::create_dir_all(&cache).map_err(io_error("create", &cache))?;
    Ok(cache)
}

fn sources_key() -> String {
    let mut hash = Sha256::new();
    for (name, text) in SOURCES {
        hash.update(name);
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.update(linker_flags());
    hash.finalize()
        .iter()
        .take(8)
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The programs in the cache whose sources have a key that starts like this, the oldest first.
fn built(cache: &Path, sources: &str) -> Vec<(SystemTime, PathBuf)> {
    let prefix = format!("{PREFIX}{sources}");
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut built: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    built.sort();
    built
}

/// The version of the Go that would build, or none where there is none.
fn go_version(directory: &Path) -> Result<Option<String>, BuildError> {
    let output = match go(directory).args(["env", "GOVERSION"]).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("run", Path::new("go"))(error)),
    };
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || is_too_old(&found) {
        let found = if found.is_empty() {
            "this Go".to_owned()
        } else {
            found
        };
        return Err(BuildError::OldGo { found });
    }
    // A development version is more than one word.
    Ok(Some(found.replace(
        |c: char| !c.is_ascii_alphanumeric() && c != '.',
        "-",
    )))
}

/// `go1.20.3` is; a version that does not read like one is given the benefit of the doubt.
fn is_too_old(version: &str) -> bool {
    let number = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()
    };
    let mut parts = version
        .strip_prefix("go")
        .unwrap_or_default()
        .split('.')
        .map(number);
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST_GO,
        _ => false,
    }
}

fn go(directory: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(directory)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .stdin(Stdio::null());
    go
}

/// What Kubernetes' own build writes into its programs, so that they tell their version.
fn linker_flags() -> String {
    let version = kubernetes_version();
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let mut flags = "-s -w".to_owned();
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        let _ = write!(
            flags,
            " -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
             -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
        );
    }
    flags
}

fn lock(path: &Path) -> Result<File, BuildError> {
    let file = File::create(path).map_err(io_error("create", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("gitmoor-cluster: waiting for another process to build the test control plane");
            file.lock().map_err(io_error("lock", path))?;
        }
        Err(TryLockError::Error(error)) => return Err(io_error("lock", path)(error)),
    }
    Ok(file)
}

fn build(cache: &Path, sources: &str, path: &Path) -> Result<(), BuildError> {
    let directory = cache.join(format!("source-{sources}"));
    fs::create_dir_all(&directory).map_err(io_error("create", &directory))?;
    for (name, text) in SOURCES {
        let file = directory.join(name);
        fs::write(&file, text).map_err(io_error("write", &file))?;
    }
    let output = directory.join("output");
    let log = File::create(&output).map_err(io_error("create", &output))?;
    let unfinished = directory.join("control-plane");
    let mut child = go(&directory)
        .args([
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            &linker_flags(),
            "-o",
        ])
        .args([unfinished.as_os_str(), OsStr::new(".")])
        .stdout(log.try_clone().map_err(io_error("open", &output))?)
        .stderr(log)
        .spawn()
        .map_err(io_error("run", Path::new("go")))?;
    let status = wait(&mut child).map_err(io_error("run", Path::new("go")))?;
    if !status.success() {
        let output = fs::read_to_string(&output).unwrap_or_default();
        return Err(BuildError::Failed { status, output });
    }
    // Whole or not at all, for whoever looks without the lock.
    fs::rename(&unfinished, path).map_err(io_error("rename", &unfinished))?;
    fs::remove_dir_all(&directory).map_err(io_error("remove", &directory))
}

/// Waits, and shows on standard error that something is happening: a line that counts on a
/// terminal, now and then a line of its own elsewhere.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    say(&format!(
        "gitmoor-cluster: building Kubernetes {} for tests, once: it takes about 4 minutes on 2 cores",
        kubernetes_version()
    ));
    let terminal = io::stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 15 });
    let start = Instant::now();
    let mut shown = start;
    loop {
        let status = child.try_wait()?;
        let elapsed = start.elapsed().as_secs();
        if let Some(status) = status {
            let end = if status.success() { "built" } else { "failed" };
            say(&format!(
                "{}gitmoor-cluster: {end} after {elapsed} s",
                if terminal { "\r" } else { "" }
            ));
            return Ok(status);
        }
        if shown.elapsed() >= every {
            shown = Instant::now();
            if terminal {
                let _ = write!(io::stderr(), "\rgitmoor-cluster: {elapsed} s ");
            } else {
                say(&format!(
                    "gitmoor-cluster: still building after {elapsed} s"
                ));
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Not `eprintln!`: the test harness would keep that for itself until the test is over.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::{is_too_old, kubernetes_version, linker_flags};

    #[test]
    fn versions_of_go() {
        for (version, old) in [
            ("go1.20.14", true),
            ("go1.9", true),
            ("go1.21.0", false),
            ("go1.26.8", false),
            ("go1.27rc1", false),
            ("go2.0", false),
            ("devel go1.27-abcdef", false),
        ] {
            assert_eq!(is_too_old(version), old, "{version}");
        }
    }

    #[test]
    fn the_program_is_told_the_version_of_go_mod() {
        let version = kubernetes_version();
        assert!(version.starts_with("v1."), "{version}");
        assert!(linker_flags().contains(&format!("component-base/version.gitVersion={version} ")));
    }
}
