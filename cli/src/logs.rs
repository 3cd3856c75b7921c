//! Logs, on the standard error: text for a person at a terminal, one JSON object a line otherwise.

use std::{env, io, io::IsTerminal as _};

use clap::{Args, ValueEnum};
#[cfg(feature = "opentelemetry")]
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, filter::ParseError, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

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
    /// Traces are asked for, and cannot be sent.
    #[cfg(feature = "opentelemetry")]
    #[error("send traces as OTEL_EXPORTER_OTLP_ENDPOINT says")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What must live as long as there is something to log.
#[derive(Debug)]
pub(crate) struct Started {
    #[cfg(feature = "opentelemetry")]
    _traces: Option<crate::traces::Traces>,
}

/// Starts the logs of this process, and its traces where they are built in and asked for.
pub(crate) fn start(arguments: &Logs) -> Result<Started, Error> {
    let filter = filter(&arguments.log)?;
    let terminal = io::stderr().is_terminal();
    let format = if terminal { Format::Text } else { Format::Json };
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match arguments.log_format.unwrap_or(format) {
        Format::Json => lines.json().flatten_event(true).boxed(),
        // https://no-color.org
        Format::Text => {
            let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines.with_ansi(terminal && !plain).boxed()
        }
    };
    let subscriber = Registry::default().with(lines.with_filter(filter));
    #[cfg(feature = "opentelemetry")]
    {
        let traces = crate::traces::start()?;
        let spans = Targets::new().with_target("gitmoor", tracing::Level::INFO);
        let layer = traces
            .as_ref()
            .map(|traces| traces.layer().with_filter(spans));
        subscriber.with(layer).init();
        Ok(Started { _traces: traces })
    }
    #[cfg(not(feature = "opentelemetry"))]
    {
        subscriber.init();
        if is_collector_named() {
            tracing::warn!(
                "this program was built without traces, so none are sent to the collector: build it with the feature opentelemetry"
            );
        }
        Ok(Started {})
    }
}

/// Whether OpenTelemetry's own variables name a collector.
pub(crate) fn is_collector_named() -> bool {
    [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    .iter()
    .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
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
