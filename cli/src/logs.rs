//! Logs, on the standard error: text for a person at a terminal, one JSON object a line otherwise.

use std::{env, io, io::IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt::SubscriberBuilder};

/// What is logged when nothing is asked for.
const DEFAULT_LEVEL: &str = "info";

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// What to log: error, warn, info, debug or trace, or a filter such as
    /// `warn,gitmoor_operator=debug`.
    #[arg(long, global = true, value_name = "FILTER", env = "GITMOOR_LOG", default_value = DEFAULT_LEVEL)]
    log: String,
    /// How to log; by default text on a terminal and JSON elsewhere.
    #[arg(long, global = true, value_name = "FORMAT", env = "GITMOOR_LOG_FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Text,
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The filter of `--log` or `GITMOOR_LOG` is none.
    #[error("read the log filter `{filter}`")]
    Filter { filter: String, source: ParseError },
}

/// Starts the logs of this process.
pub(crate) fn start(arguments: &Logs) -> Result<(), Error> {
    let terminal = io::stderr().is_terminal();
    let builder = SubscriberBuilder::default()
        .with_env_filter(filter(&arguments.log)?)
        .with_writer(io::stderr);
    let format = if terminal { Format::Text } else { Format::Json };
    match arguments.log_format.unwrap_or(format) {
        Format::Json => builder.json().flatten_event(true).init(),
        // https://no-color.org
        Format::Text => {
            let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            builder.with_ansi(terminal && !plain).init();
        }
    }
    Ok(())
}

/// A level alone is meant for this project's own code: the libraries below stay at `warn`.
fn filter(text: &str) -> Result<EnvFilter, Error> {
    let level = text.parse::<tracing::level_filters::LevelFilter>();
    let directives = match level {
        Ok(level) => format!("warn,gitmoor={level}"),
        Err(_) => text.to_owned(),
    };
    EnvFilter::try_new(directives).map_err(|source| Error::Filter {
        filter: text.to_owned(),
        source,
    })
}
