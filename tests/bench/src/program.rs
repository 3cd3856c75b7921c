//! The program under measurement: `gitmoor`, as it is shipped, in a process of its own, and what it
//! uses of the machine.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// How long it may take to end when it is asked to.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// What a process uses at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory in MiB.
    pub(crate) resident: f64,
    /// The part of it that is not of files, in MiB.
    pub(crate) anonymous: f64,
    /// The most that the resident memory has been, in MiB.
    pub(crate) peak: f64,
    /// Processor time since it started; the kernel counts in steps of 10 ms.
    pub(crate) cpu: Duration,
    pub(crate) threads: u64,
}

impl Usage {
    pub(crate) fn note(&self) -> String {
        format!(
            "{:.1} anonymous, peak {:.1} MiB, {:.2} CPU s, {} threads",
            self.anonymous,
            self.peak,
            self.cpu.as_secs_f64(),
            self.threads
        )
    }
}

/// A running `gitmoor`. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Program {
    /// Starts `gitmoor` with these arguments; it logs into a file.
    pub(crate) fn start(arguments: &[&str], log: PathBuf) -> Result<Self> {
        let binary = binary()?;
        let output = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let child = Command::new(&binary)
            .args(arguments)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("GITMOOR_LOG", "info")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let pid = child.id().context("it has just been started")?;
        Ok(Self { child, pid, log })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{}/{file}", self.pid))
                .with_context(|| format!("gitmoor has ended; its log:\n{}", self.log_tail()))
        };
        usage(
            &read("status")?,
            &read("stat")?,
            rustix::param::clock_ticks_per_second(),
        )
        .context("/proc has another form than proc(5) says")
    }

    /// Asks it to end, as a cluster does, and waits.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id is positive")?;
        kill_process(pid, Signal::TERM)?;
        let status = timeout(STOP_WITHIN, self.child.wait()).await;
        let status = status.context("gitmoor does not end")??;
        if !status.success() {
            bail!("gitmoor ended with {status}; its log:\n{}", self.log_tail());
        }
        Ok(())
    }

    /// The last lines that it has logged.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// `gitmoor` beside this program: both are built at once.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let binary = own.with_file_name("gitmoor");
    if !Path::exists(&binary) {
        bail!(
            "{} is missing: build it with `cargo build --release -p gitmoor`",
            binary.display()
        );
    }
    Ok(binary)
}

/// Reads `/proc/<pid>/status` and `/proc/<pid>/stat`: see proc(5).
fn usage(status: &str, stat: &str, ticks_per_second: u64) -> Option<Usage> {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let number: u32 = line.split_whitespace().next()?.parse().ok()?;
        Some(number)
    };
    let mebibytes = |name: &str| field(name).map(|kibibytes| f64::from(kibibytes) / 1024.0);
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Usage {
        resident: mebibytes("VmRSS")?,
        anonymous: mebibytes("RssAnon")?,
        peak: mebibytes("VmHWM")?,
        cpu: Duration::from_millis(ticks * 1000 / ticks_per_second),
        threads: field("Threads")?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn usage_is_read_from_proc() {
        let status = "VmHWM:\t   3072 kB\nVmRSS:\t   2048 kB\nRssAnon:\t 1024 kB\nThreads:\t4\n";
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0";
        let usage = usage(status, stat, 100).unwrap();
        assert_eq!(
            (usage.resident, usage.anonymous, usage.peak),
            (2.0, 1.0, 3.0)
        );
        assert_eq!((usage.cpu.as_millis(), usage.threads), (2000, 4));
    }
}
