//! `operatorParams`: the flags of Flux v1's daemon in one free-form text, as typed values.
//!
//! What Gitmoor does is a value of [`OperatorParams`]; what makes no difference to it (it never
//! writes to a repository, looks at no image registry and has no Git or kubectl to run) is taken
//! and has no effect; all else is a problem that names the flag, for to pass over a flag that
//! someone counts on is to do something else than was asked.

mod flags;

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, time::Duration};

use crate::{check_name, duration};
use flags::{Effect, Form};

/// How often a repository may be asked for a new commit.
pub const POLL_INTERVAL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_hours(24);

/// How long an object may take until it is healthy.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// Bounds of what the flags may hold.
const MAX_DEPENDS_ON: usize = 16;
const MAX_PATHS: usize = 64;
const MAX_PATH: usize = 1024;
const MAX_BRANCH: usize = 255;
const MAX_REQUESTED_AT: usize = 64;

/// Gitmoor's own flags, without their hyphens: ARM has no other place for what they say.
const SUSPEND: &str = "gitmoor-suspend";
const REQUESTED_AT: &str = "gitmoor-requested-at";
const TIMEOUT: &str = "gitmoor-timeout";
const DEPENDS_ON: &str = "gitmoor-depends-on";
const CONFIRM_PRUNE: &str = "gitmoor-confirm-prune";

/// The flags of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorParams {
    /// `--git-branch`. Nothing stands for the branch that the repository's `HEAD` names, and not
    /// for Flux v1's own default, `master`: repositories have since been renamed away from it, the
    /// historical quick start no longer works for that reason, and where `master` is still the
    /// main branch, `HEAD` names it.
    pub branch: Option<String>,
    /// `--git-path`, repeated or separated by commas; empty for the whole repository.
    pub paths: Vec<String>,
    /// `--git-poll-interval`; nothing when it is not given (Flux v1: 5 minutes).
    pub poll_interval: Option<Duration>,
    /// `--git-readonly`. Has no effect, since nothing is ever written to a repository.
    pub read_only: bool,
    /// `--sync-garbage-collection`: whether objects that the repository no longer has are deleted.
    /// Flux v1 does so only when told.
    pub garbage_collection: bool,
    /// `--gitmoor-suspend`: nothing is fetched, applied or healed.
    pub suspend: bool,
    /// `--gitmoor-requested-at`: any new value makes the operator ask the repository at once.
    pub requested_at: Option<String>,
    /// `--gitmoor-timeout`: how long an object may take until it is healthy.
    pub timeout: Option<Duration>,
    /// `--gitmoor-depends-on`, separated by commas: configurations of the same namespace that must be
    /// ready first.
    pub depends_on: Vec<String>,
    /// `--gitmoor-confirm-prune`: the commit whose deletions someone has confirmed, as at least seven
    /// digits of its id.
    pub confirm_prune: Option<String>,
    /// The other flags that were given and have no effect, by name.
    pub without_effect: Vec<String>,
}

/// A flag that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// The flag with its hyphens, or the word that is no flag.
    pub flag: String,
    /// Why not, and what to do.
    pub message: String,
}

impl ParamProblem {
    fn new(flag: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            flag: flag.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for ParamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flag, self.message)
    }
}

impl OperatorParams {
    /// Reads the flags: words as a shell splits them, `--flag=value`, `--flag value`, and for
    /// switches `--flag`.
    ///
    /// # Errors
    /// Every flag that cannot be followed.
    pub fn parse(text: &str) -> Result<Self, Vec<ParamProblem>> {
        let (given, mut problems) = read(text);
        let mut params = Self::default();
        for (name, values) in given {
            let flag = format!("--{name}");
            let last = values.last().cloned().unwrap_or_default();
            let result = match flags::effect(&name) {
                Effect::Branch => check_branch(&last).map(|()| params.branch = Some(last)),
                Effect::Paths => read_paths(&values).map(|paths| params.paths = paths),
                Effect::PollInterval => read_duration(&last, POLL_INTERVAL_RANGE)
                    .map(|interval| params.poll_interval = Some(interval)),
                Effect::Timeout => read_duration(&last, TIMEOUT_RANGE)
                    .map(|timeout| params.timeout = Some(timeout)),
                Effect::DependsOn => read_names(&last).map(|names| params.depends_on = names),
                Effect::ReadOnly => read_switch(&last).map(|on| params.read_only = on),
                Effect::GarbageCollection => {
                    read_switch(&last).map(|on| params.garbage_collection = on)
                }
                Effect::Suspend => read_switch(&last).map(|on| params.suspend = on),
                Effect::RequestedAt => {
                    check_requested_at(&last).map(|()| params.requested_at = Some(last))
                }
                Effect::ConfirmPrune => {
                    check_commit(&last).map(|()| params.confirm_prune = Some(last))
                }
                Effect::None => {
                    params.without_effect.push(flag.clone());
                    Ok(())
                }
                Effect::RefusedWhenOn(reason) => read_switch(&last)
                    .and_then(|on| if on { Err(reason.to_owned()) } else { Ok(()) }),
                Effect::RefusedUnless(idle, _) if last == idle => Ok(()),
                Effect::Refused(reason) | Effect::RefusedUnless(_, reason) => {
                    Err(reason.to_owned())
                }
                Effect::Unknown => Err("there is no such flag".to_owned()),
            };
            problems.extend(result.err().map(|message| ParamProblem::new(flag, message)));
        }
        if problems.is_empty() {
            Ok(params)
        } else {
            Err(problems)
        }
    }
}

/// The text in the form in which ARM keeps it: trimmed, and with `--git-readonly` in front when it
/// names neither `--git-user` nor `--git-email` nor that flag itself.
pub fn normalised_operator_params(text: &str) -> String {
    let text = text.trim();
    let (given, _) = read(text);
    let named = ["git-readonly", "git-user", "git-email"]
        .iter()
        .any(|name| given.contains_key(*name));
    match (named, text.is_empty()) {
        (true, _) => text.to_owned(),
        (false, true) => "--git-readonly".to_owned(),
        (false, false) => format!("--git-readonly {text}"),
    }
}

/// The same flags, with these in the place of any of the same names; nothing for a flag takes it
/// away, and an empty text is a switch that is on. A text that cannot be read stays as it is: what is
/// wrong with it is for [`OperatorParams::parse`] to say.
pub fn with_flags(text: &str, changes: &[(&str, Option<&str>)]) -> String {
    let Some(words) = shlex::split(text) else {
        return text.to_owned();
    };
    let mut kept = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let flag = word.strip_prefix("--").unwrap_or_default();
        let (name, inline) = match flag.split_once('=') {
            Some((name, _)) => (name, true),
            None => (flag, false),
        };
        let value = (!inline && flags::form(name) == Form::Value)
            .then(|| words.next_if(|next| !next.starts_with("--")))
            .flatten();
        if !changes.iter().any(|(changed, _)| *changed == name) {
            kept.push(word);
            kept.extend(value);
        }
    }
    for (name, value) in changes {
        match value {
            Some("") => kept.push(format!("--{name}")),
            Some(value) => kept.push(format!("--{name}={value}")),
            None => {}
        }
    }
    // `shlex` would put quotation marks around each `=`.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@+".contains(&byte);
    let words: Result<Vec<_>, _> = kept
        .iter()
        .map(|word| match word.bytes().all(plain) && !word.is_empty() {
            true => Ok(word.into()),
            false => shlex::try_quote(word),
        })
        .collect();
    // A word with a zero byte is refused by the checks.
    words.map_or_else(|_| text.to_owned(), |words| words.join(" "))
}

/// The values of each flag, in the order in which they were given.
type Given = BTreeMap<String, Vec<String>>;

fn read(text: &str) -> (Given, Vec<ParamProblem>) {
    let mut given = Given::new();
    let mut problems = Vec::new();
    let Some(words) = shlex::split(text) else {
        let problem = ParamProblem::new("operatorParams", "a quotation mark is not closed");
        return (given, vec![problem]);
    };
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            problems.push(ParamProblem::new(word, "a flag begins with two hyphens"));
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let value = value.or_else(|| match flags::form(name) {
            Form::Switch => Some("true".to_owned()),
            Form::Value => words.next_if(|next| !next.starts_with("--")),
            // Whether the next word is its value cannot be told; do not complain of that too.
            Form::Unknown => {
                words.next_if(|next| !next.starts_with("--"));
                Some(String::new())
            }
        });
        match value {
            Some(value) => given.entry(name.to_owned()).or_default().push(value),
            None => problems.push(ParamProblem::new(format!("--{name}"), "a value is needed")),
        }
    }
    (given, problems)
}

/// As Go's `strconv.ParseBool`.
fn read_switch(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{value}` is neither true nor false")),
    }
}

fn read_duration(value: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let seconds = range.start().as_secs();
    duration::parse(value)
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| {
            format!(
                "`{value}` is no time between {seconds}s and 24h: write it like 90s, 1m or 1h30m"
            )
        })
}

fn read_names(value: &str) -> Result<Vec<String>, String> {
    let names = value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.len() > MAX_DEPENDS_ON {
        return Err(format!("there may be at most {MAX_DEPENDS_ON} names"));
    }
    match names.iter().find(|name| !check_name(name).is_empty()) {
        Some(name) => Err(format!("`{name}` is no name of a configuration")),
        None => Ok(names),
    }
}

fn read_paths(values: &[String]) -> Result<Vec<String>, String> {
    let paths: Vec<String> = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    if paths.len() > MAX_PATHS {
        return Err(format!("there may be at most {MAX_PATHS} paths"));
    }
    match paths.iter().find(|path| !path_is_right(path)) {
        Some(path) => Err(format!(
            "`{path}` is no path from the root of the repository: no leading /, no .., at most {MAX_PATH} bytes"
        )),
        None => Ok(paths),
    }
}

fn path_is_right(path: &str) -> bool {
    path.len() <= MAX_PATH
        && !path.starts_with('/')
        && !path.contains(char::is_control)
        && path.split('/').all(|part| part != "..")
}

fn check_requested_at(value: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+:.TZ".contains(&byte);
    if value.is_empty() || value.len() > MAX_REQUESTED_AT || !value.bytes().all(plain) {
        return Err(format!(
            "write a date such as 2026-11-23T05:00:00Z, at most {MAX_REQUESTED_AT} characters"
        ));
    }
    Ok(())
}

fn check_commit(value: &str) -> Result<(), String> {
    let digits = value
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !digits || !(7..=40).contains(&value.len()) {
        return Err("write the id of a commit: 7 to 40 of the digits 0-9 and a-f".to_owned());
    }
    Ok(())
}

/// git-check-ref-format(1), as far as it matters for a branch.
fn check_branch(name: &str) -> Result<(), String> {
    let wrong = name.is_empty()
        || name.len() > MAX_BRANCH
        || name.starts_with('-')
        || name.ends_with('.')
        || ["..", "@{"].iter().any(|part| name.contains(part))
        || name.contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c))
        || name
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"));
    if wrong {
        return Err(format!("`{name}` is no name of a Git branch"));
    }
    Ok(())
}
