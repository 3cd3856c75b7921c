//! Runs the program, with nothing of this process's environment that could be a setting.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take, on a machine that is compiling something else.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn gitmoor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gitmoor"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GITMOOR_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("NO_COLOR");
    command
}

/// What a command that ends by itself did: exit status, standard output, standard error.
pub(super) fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// Asks again until the answer is yes.
pub(super) fn until(what: &str, mut ask: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ask() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A program that runs, and what it logs. It is killed when this is dropped.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(super) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in log.lines() {
                if sender.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that contains a text.
    pub(super) fn line(&mut self, text: &str) -> String {
        let start = Instant::now();
        let mut before = Vec::new();
        loop {
            let line = match self
                .lines
                .recv_timeout(LIMIT.saturating_sub(start.elapsed()))
            {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => panic!("no `{text}` in time, but {before:#?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("no `{text}`, but {before:#?}"),
            };
            if line.contains(text) {
                return line;
            }
            before.push(line);
        }
    }

    /// The same as JSON.
    pub(super) fn event(&mut self, text: &str) -> Value {
        serde_json::from_str(&self.line(text)).unwrap()
    }

    /// All that is still to come.
    pub(super) fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).unwrap();
    }

    pub(super) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
