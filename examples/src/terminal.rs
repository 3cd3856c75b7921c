//! What the demo prints: headings, the commands that a person would type, what came of them.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// The standard output.
pub struct Terminal {
    colour: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminal {
    /// With colours where it is a terminal and the user does not mind (<https://no-color.org>).
    pub fn new() -> Self {
        let minds = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: io::stdout().is_terminal() && !minds,
        }
    }

    /// What the next step is about.
    pub fn heading(&self, text: &str) {
        self.print("", "");
        self.print(BOLD, &format!("== {text}"));
    }

    /// A sentence.
    pub fn say(&self, text: &str) {
        self.print("", text);
    }

    /// What a person would type.
    pub fn command(&self, text: &str) {
        self.print(CYAN, &format!("$ {text}"));
    }

    /// What a command printed.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.print("", &format!("  {line}"));
        }
    }

    /// Something is as it should be.
    pub fn done(&self, text: &str) {
        self.print(GREEN, &format!("ok: {text}"));
    }

    /// Something is not.
    pub fn failure(&self, text: &str) {
        self.print(RED, &format!("failed: {text}"));
    }

    fn print(&self, colour: &str, text: &str) {
        let mut out = io::stdout().lock();
        // A terminal that is gone is no reason to leave servers behind.
        let _ = match self.colour && !colour.is_empty() {
            true => writeln!(out, "{colour}{text}{PLAIN}"),
            false => writeln!(out, "{text}"),
        };
    }
}
