//! What was measured: figures, each beside its limit and its aim, as a table and as JSON.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    /// What it is of, such as `cold`.
    measurement: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
    /// The most that is good enough.
    limit: Option<f64>,
    /// What is aimed at.
    aim: Option<f64>,
    met: Option<bool>,
    /// What it was made of, or taken beside, in the same run.
    beside: String,
    /// The load average of the machine, over a minute, when it was taken.
    load: f64,
}

impl Figure {
    pub(crate) fn new(
        measurement: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            measurement,
            what: what.into(),
            value,
            unit,
            limit: None,
            aim: None,
            met: None,
            beside: String::new(),
            load: load(),
        }
    }

    /// Beside the most that is good enough.
    pub(crate) fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self.met = Some(self.value <= limit);
        self
    }

    pub(crate) fn aim(mut self, aim: f64) -> Self {
        self.aim = Some(aim);
        self
    }

    pub(crate) fn beside(mut self, beside: impl Into<String>) -> Self {
        self.beside = beside.into();
        self
    }
}

/// All figures of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    kubernetes: &'static str,
    cores: usize,
    optimized: bool,
    scale: f64,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(kubernetes: &'static str, scale: f64) -> Self {
        Self {
            kubernetes,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            optimized: !cfg!(debug_assertions),
            scale,
            figures: Vec::new(),
        }
    }

    /// Takes a figure in, and prints it at once: a run takes a while.
    pub(crate) fn add(&mut self, figure: Figure) {
        println!("{}", line(&figure));
        self.figures.push(figure);
    }

    /// Whether every figure is within its limit.
    pub(crate) fn all_met(&self) -> bool {
        self.figures.iter().all(|figure| figure.met != Some(false))
    }

    pub(crate) fn print(&self) {
        println!(
            "\nKubernetes {}, {} cores, {}, scale {}\n{HEAD}",
            self.kubernetes,
            self.cores,
            if self.optimized {
                "release"
            } else {
                "NOT OPTIMIZED"
            },
            self.scale
        );
        for figure in &self.figures {
            println!("{}", line(figure));
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
    }
}

const HEAD: &str = "    value unit            limit      aim  load  what";

fn line(figure: &Figure) -> String {
    let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number}"));
    let mark = match figure.met {
        Some(true) => "  ",
        Some(false) => "! ",
        None => "  ",
    };
    let mut line = format!(
        "{mark}{:>7} {:<12} {:>8} {:>8} {:>5.1}  {}: {}",
        rounded(figure.value),
        figure.unit,
        number(figure.limit),
        number(figure.aim),
        figure.load,
        figure.measurement,
        figure.what
    );
    if !figure.beside.is_empty() {
        line.push_str(&format!(" ({})", figure.beside));
    }
    line
}

fn rounded(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// The value that a share of all values does not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index within a short list"
    )]
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::{Figure, median, quantile};

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(median(&values), 3.0);
        assert_eq!(quantile(&values, 0.99), 5.0);
        assert_eq!(quantile(&values, 0.2), 1.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_figure_above_its_limit_is_not_met_and_one_without_is_neither() {
        let figure = |value| Figure::new("a", "b", value, "ms");
        assert_eq!(figure(1.5).limit(1.3).met, Some(false));
        assert_eq!(figure(1.3).limit(1.3).met, Some(true));
        assert_eq!(figure(1.3).aim(1.0).met, None);
    }
}
