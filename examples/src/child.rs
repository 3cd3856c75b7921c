//! A program that runs beside the demo and ends with it, however that ends: it is asked to, or the
//! kernel kills it. (What asks the kernel for that is the demo's own program, on its way to become
//! the other one.)

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// How long a program may take to end by itself.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A running program. Dropping it ends it.
pub(crate) struct Child {
    child: std::process::Child,
    name: &'static str,
    log: PathBuf,
}

impl Child {
    /// Starts a program whose output goes to a file. To be called on the main thread: the kernel
    /// takes the end of the thread that starts a program for the end of its parent.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: &'static str,
        program: &Path,
        arguments: &[A],
        log: PathBuf,
    ) -> Result<Self> {
        let output = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(env::current_exe().context("find the demo's own program")?);
        command
            .arg("child")
            .arg(std::process::id().to_string())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("open a log twice")?)
            .stderr(output)
            // Ctrl-C is for the demo, which ends the others.
            .process_group(0);
        without_settings(&mut command);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { child, name, log })
    }

    /// Fails when it has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait();
        if let Some(status) = ended.with_context(|| format!("look after {}", self.name))? {
            bail!("{} ended ({status}):\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// All that it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines that it has printed.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < END_WITHIN {
            thread::sleep(Duration::from_millis(10));
        }
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes away what would set something in Gitmoor's programs, or send them through a proxy: all that
/// they talk to is on this machine.
pub(crate) fn without_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        if upper.starts_with("GITMOOR_") || upper.ends_with("_PROXY") || upper == "KUBECONFIG" {
            command.env_remove(name);
        }
    }
}

/// What the demo's program does as `demo child PARENT PROGRAM ARGUMENT...`: asks the kernel to be
/// killed with its parent, and becomes that program. It comes back only when it cannot.
pub fn become_program(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = arguments.next().unwrap_or_default();
    let Some(program) = arguments.next() else {
        eprintln!("usage: demo child PARENT PROGRAM [ARGUMENT...]");
        return ExitCode::from(2);
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("ask to end with the demo: {error}");
        return ExitCode::FAILURE;
    }
    // It may have ended before we asked.
    let now = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if now.is_none_or(|now| *parent != *now) {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("run {}: {error}", program.display());
    ExitCode::FAILURE
}
