//! One running server: a child process that ends with this one, its log, and what it uses.
//!
//! The child holds the other end of a pipe as its standard input, and exits when that ends. A
//! parent-death signal would not do: it is tied to the thread that forked, and the threads of a
//! test harness and of tokio come and go.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::options::Component;

/// What a component uses at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: u64,
    /// The most that the resident memory has been since the process started, in bytes.
    pub peak_resident: u64,
    /// Processor time since the process started, in its own code and in the kernel's. The kernel
    /// counts it in steps of (usually) 10 ms.
    pub cpu: Duration,
}

/// A server, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a component whose output is appended to `log`. If this process is killed, the
    /// server removes the directory `to_remove`.
    pub(crate) fn spawn(
        program: &Path,
        component: Component,
        arguments: &[String],
        log: &Path,
        to_remove: Option<&Path>,
    ) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command
            .arg(component.name())
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // An interrupt from the terminal is for us; the servers then end by their pipe.
            .process_group(0);
        if let Some(directory) = to_remove {
            command.env("GITMOOR_CLUSTER_REMOVE", directory);
        }
        Ok(Self {
            child: command.spawn()?,
        })
    }

    pub(crate) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        // Unlike `wait`, this leaves the pipe open: its end would make the server remove the directory.
        self.child.try_wait()
    }

    /// Asks the server to end in its own way.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(io::Error::from)
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let directory = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(directory.join("status"))?;
        let stat = fs::read_to_string(directory.join("stat"))?;
        usage(&status, &stat, rustix::param::clock_ticks_per_second()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "/proc has another form than proc(5) says",
            )
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads `/proc/<pid>/status` and `/proc/<pid>/stat`: see proc(5).
fn usage(status: &str, stat: &str, ticks_per_second: u64) -> Option<Usage> {
    let bytes = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    // The second field is a name in parentheses that may hold spaces; utime and stime are the 14th and 15th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Usage {
        resident: bytes("VmRSS")?,
        peak_resident: bytes("VmHWM")?,
        cpu: Duration::from_millis(ticks * 1000 / ticks_per_second),
    })
}

/// The last lines of a log: what a person needs to see why a server did not start.
pub(crate) fn tail(log: &Path) -> String {
    const BYTES: u64 = 16 * 1024;
    const LINES: usize = 20;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("({} cannot be read: {error})", log.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Usage, usage};

    #[test]
    fn usage_is_read_from_proc() {
        let status = "Name:\tx\nVmPeak:\t 900 kB\nVmHWM:\t   300 kB\nVmRSS:\t   200 kB\n";
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0";
        let expected = Usage {
            resident: 200 * 1024,
            peak_resident: 300 * 1024,
            cpu: Duration::from_secs(2),
        };
        assert_eq!(usage(status, stat, 100), Some(expected));
        assert_eq!(usage("", stat, 100), None);
    }
}
