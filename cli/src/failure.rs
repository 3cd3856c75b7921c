//! How a failure is told to a person: the chain of what was attempted, and an exit status.

use std::{error::Error, process::ExitCode};

use crate::{logs, settings};

/// What the command could not do.
const FAILURE: u8 = 1;
/// What was asked for is wrong: flags (clap says 2 as well), variables or the settings file.
const USAGE: u8 = 2;

/// Prints the chain of an error and says which exit status it has.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprint!("{}", text(error));
    let usage = error
        .chain()
        .any(|one| one.is::<settings::Error>() || one.is::<logs::Error>());
    ExitCode::from(if usage { USAGE } else { FAILURE })
}

fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for (depth, one) in error.chain().enumerate() {
        text += if depth == 0 {
            "error: "
        } else {
            "  caused by: "
        };
        // What others wrote, a file or a server, must not steer the terminal.
        for character in one.to_string().chars() {
            match character {
                '\n' => text += "\n  ",
                control if control.is_control() => text.extend(control.escape_default()),
                other => text.push(other),
            }
        }
        text.push('\n');
    }
    text
}

/// The chain in one line, for a log.
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    let chain = anyhow::Chain::new(error).map(ToString::to_string);
    chain.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    #[test]
    fn the_chain_is_told_from_the_outside_in_and_cannot_steer_the_terminal() {
        let error = anyhow!("no such \u{1b}[31mfile\nin line 2").context("read the settings");
        assert_eq!(
            super::text(&error),
            "error: read the settings\n  caused by: no such \\u{1b}[31mfile\n  in line 2\n"
        );
    }
}
