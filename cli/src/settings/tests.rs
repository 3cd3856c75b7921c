//! The loader, on settings that have every shape there is.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt as _};

use gitmoor_crds::GoDuration;
use serde::Deserialize;

use super::Sources;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Settings {
    poll_interval: GoDuration,
    name: Option<String>,
    protected: Vec<String>,
    engine: Engine,
    arm: Option<Arm>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_interval: "30s".parse().unwrap(),
            name: None,
            protected: Vec::new(),
            engine: Engine::default(),
            arm: None,
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Engine {
    allow_http: bool,
    concurrency: usize,
    mode: Mode,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            allow_http: false,
            concurrency: 32,
            mode: Mode::Slow,
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Slow,
    Fast,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arm {
    resource_group: String,
}

struct Case {
    directory: tempfile::TempDir,
    sources: Sources<Settings>,
}

fn no_sources() -> Sources<Settings> {
    let mut sources = Sources::new(None);
    sources.variables.clear();
    sources
}

fn given(yaml: &str, variables: &[(&str, &str)]) -> Case {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.yaml");
    fs::write(&file, yaml).unwrap();
    let pair = |&(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    let mut sources = Sources::new(Some(file));
    sources.variables = variables.iter().map(pair).collect();
    Case { directory, sources }
}

impl Case {
    fn load(&self) -> Settings {
        self.sources.load().unwrap()
    }

    /// The error, with the directory's name taken out.
    fn error(&self) -> String {
        let error = self.sources.load().unwrap_err();
        let text = crate::failure::line(&error);
        text.replace(self.directory.path().to_str().unwrap(), "/etc")
    }
}

#[test]
fn what_nobody_gives_has_its_default() {
    assert_eq!(given("", &[]).load(), Settings::default());
    assert_eq!(given("# nothing\n---\n", &[]).load(), Settings::default());
    let none = no_sources().load().unwrap();
    assert_eq!(none, Settings::default());
}

#[test]
fn later_wins_of_machine_file_variable_and_flag() {
    let mut case = given("engine: {concurrency: 2, mode: fast}", &[]);
    let concurrency = |case: &Case| case.load().engine.concurrency;
    case.sources = case.sources.default_of("engine.concurrency", 1);
    assert_eq!(concurrency(&case), 2);
    case.sources.variables = vec![("GITMOOR_ENGINE__CONCURRENCY".into(), "3".into())];
    assert_eq!(concurrency(&case), 3);
    let flag = ["--concurrency", "engine.concurrency"];
    case.sources = case.sources.flag(flag[0], flag[1], None::<u8>);
    assert_eq!(concurrency(&case), 3);
    case.sources = case.sources.flag(flag[0], flag[1], Some(4));
    assert_eq!(concurrency(&case), 4);
    // What the later ones do not speak of stays.
    assert_eq!(case.load().engine.mode, Mode::Fast);
    case.sources.file = None;
    case.sources.variables.clear();
    case.sources.flags.clear();
    assert_eq!(concurrency(&case), 1);
}

#[test]
fn settings_that_do_not_go_together_are_rejected() {
    let mut case = given("engine: {concurrency: 0}", &[]);
    case.sources = case
        .sources
        .check(|settings| match settings.engine.concurrency {
            0 => Err("nothing could be done".into()),
            _ => Ok(()),
        });
    assert_eq!(case.error(), "use the settings: nothing could be done");
    case.sources = case
        .sources
        .flag("--concurrency", "engine.concurrency", Some(1));
    assert_eq!(case.load().engine.concurrency, 1);
}

#[test]
fn every_setting_has_a_variable() {
    let settings = given(
        "",
        &[
            ("GITMOOR_POLL_INTERVAL", "1m30s"),
            ("gitmoor_name", "123"),
            ("GITMOOR_PROTECTED", "[kube-system, \"a, b\"]"),
            ("GITMOOR_ENGINE", "{concurrency=7, mode=\"fast\"}"),
            ("GITMOOR_ENGINE__ALLOW_HTTP", "true"),
            ("GITMOOR_ENGINE__CONCURRENCY", "8"),
            ("GITMOOR_ARM__RESOURCE_GROUP", "true"),
            ("OTHER", "1"),
        ],
    );
    let expected = Settings {
        poll_interval: "90s".parse().unwrap(),
        name: Some("123".into()),
        protected: vec!["kube-system".into(), "a, b".into()],
        engine: Engine {
            allow_http: true,
            concurrency: 8,
            mode: Mode::Fast,
        },
        arm: Some(Arm {
            resource_group: "true".into(),
        }),
    };
    assert_eq!(settings.load(), expected);
}

#[test]
fn variables_that_are_no_settings_are_left_alone() {
    let case = given(
        "",
        &[
            ("GITMOOR_CONFIG", "x"),
            ("GITMOOR_LOG", "x"),
            ("GITMOOR_LOG_FORMAT", "x"),
            ("GITMOOR_CLUSTER_CACHE", "x"),
            ("GITMOOR_ANYTHING", ""),
            // A Service `gitmoor-portal` in the namespace of the Pod.
            ("GITMOOR_PORTAL_SERVICE_HOST", "10.0.0.1"),
            ("GITMOOR_PORTAL_SERVICE_PORT", "443"),
            ("GITMOOR_PORTAL_SERVICE_PORT_HTTPS", "443"),
            ("GITMOOR_PORTAL_PORT", "tcp://10.0.0.1:443"),
            ("GITMOOR_PORTAL_PORT_443_TCP", "tcp://10.0.0.1:443"),
            ("GITMOOR_PORTAL_PORT_443_TCP_PROTO", "tcp"),
            ("GITMOOR_PORTAL_PORT_443_TCP_PORT", "443"),
            ("GITMOOR_PORTAL_PORT_443_TCP_ADDR", "10.0.0.1"),
        ],
    );
    assert_eq!(case.load(), Settings::default());
}

#[test]
fn an_error_names_the_setting_and_its_origin() {
    let file = |yaml| given(yaml, &[]).error();
    let variable = |name, value| given("", &[(name, value)]).error();
    let table = [
        (
            file("polInterval: 30s"),
            "there is no setting `polInterval`, given by /etc/settings.yaml; known here: \
             pollInterval, name, protected, engine, arm",
        ),
        (
            file("engine:\n  allowHTTP: true"),
            "there is no setting `engine.allowHTTP`, given by /etc/settings.yaml; known here: \
             allowHttp, concurrency, mode",
        ),
        (
            variable("GITMOOR_POLLINTERVAL", "30s"),
            "there is no setting `pollinterval`, given by the variable GITMOOR_POLLINTERVAL; \
             known here: GITMOOR_POLL_INTERVAL, GITMOOR_NAME, GITMOOR_PROTECTED, GITMOOR_ENGINE, \
             GITMOOR_ARM",
        ),
        (
            variable("GITMOOR_ENGINE__HTTP", "30s"),
            "there is no setting `engine.http`, given by the variable GITMOOR_ENGINE__HTTP; known \
             here: GITMOOR_ENGINE__ALLOW_HTTP, GITMOOR_ENGINE__CONCURRENCY, GITMOOR_ENGINE__MODE",
        ),
        (
            variable("GITMOOR_ÄÖ", "x"),
            "there is no setting `ÄÖ`, given by the variable GITMOOR_ÄÖ; known here: \
             GITMOOR_POLL_INTERVAL, GITMOOR_NAME, GITMOOR_PROTECTED, GITMOOR_ENGINE, GITMOOR_ARM",
        ),
        (
            file("pollInterval: soon"),
            "the setting `pollInterval`, given by /etc/settings.yaml, is wrong: `soon` is no \
             duration: write numbers with the units h, m, s or ms, such as 90s or 1h30m",
        ),
        (
            variable("GITMOOR_ENGINE__CONCURRENCY", "hunter2"),
            "the setting `engine.concurrency`, given by the variable GITMOOR_ENGINE__CONCURRENCY, \
             is wrong: expected usize, found text",
        ),
        (
            file("engine: {mode: hunter2}"),
            "the setting `engine.mode`, given by /etc/settings.yaml, is wrong: choose one of \
             slow, fast",
        ),
        (
            file("protected: [a, [b]]"),
            "the setting `protected.1`, given by /etc/settings.yaml, is wrong: expected a string, \
             found sequence",
        ),
        (
            file("arm: {}"),
            "the setting `arm`, given by /etc/settings.yaml, is wrong: missing field \
             `resourceGroup`",
        ),
        (
            file("- a"),
            "the settings file /etc/settings.yaml must hold `key: value` lines",
        ),
        (
            file("name: a\nname: b"),
            "understand the settings file /etc/settings.yaml as YAML: duplicate entry with key \
             \"name\"",
        ),
        (
            file("name: [a"),
            "understand the settings file /etc/settings.yaml as YAML: did not find expected ',' \
             or ']' at line 2 column 1, while parsing a flow sequence at line 1 column 7",
        ),
    ];
    for (error, expected) in table {
        assert_eq!(error, expected);
    }
}

#[test]
fn an_error_names_the_flag_that_is_wrong() {
    let sources = no_sources().flag("--mode", "engine.mode", Some("quick"));
    assert_eq!(
        sources.load().unwrap_err().to_string(),
        "the setting `engine.mode`, given by --mode, is wrong: choose one of slow, fast"
    );
}

#[test]
fn an_error_names_the_later_origin_of_a_shared_level() {
    let case = given(
        "engine: {concurrency: 1}",
        &[("GITMOOR_ENGINE__MODE", "quick")],
    );
    assert!(
        case.error()
            .contains("given by the variable GITMOOR_ENGINE__MODE")
    );
    let case = given(
        "engine: {concurrency: x}",
        &[("GITMOOR_ENGINE__MODE", "fast")],
    );
    assert!(case.error().contains("given by /etc/settings.yaml"));
}

#[test]
fn a_file_that_is_not_there_or_never_ends_is_an_error() {
    let mut case = given("", &[]);
    case.sources.file = Some(case.directory.path().join("absent"));
    assert_eq!(
        case.error(),
        "read the settings file /etc/absent: No such file or directory (os error 2)"
    );
    case.sources.file = Some("/dev/zero".into());
    assert_eq!(
        case.error(),
        "read the settings file /dev/zero: it has more than 1 MiB"
    );
}

#[test]
fn a_variable_that_is_no_text_is_an_error() {
    let mut case = given("", &[]);
    case.sources.variables = vec![("GITMOOR_NAME".into(), OsString::from_vec(vec![0xff]))];
    assert_eq!(case.error(), "the variable GITMOOR_NAME is no UTF-8 text");
}
