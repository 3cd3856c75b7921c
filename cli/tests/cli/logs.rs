//! What the logs look like.

use std::{fs, path::Path};

use super::program::{Running, gitmoor, until};

fn portal(directory: &Path, arguments: &[&str]) -> Running {
    let data = directory.join("data");
    let mut command = gitmoor(&["portal", "--listen", "127.0.0.1:0", "--data-directory"]);
    Running::start(command.arg(data).args(arguments))
}

#[test]
fn logs_are_json_where_no_person_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let event = portal(directory.path(), &[]).event("the portal is ready");
    assert_eq!(event["level"], "INFO");
    assert_eq!(event["target"], "gitmoor_portal::server");
    assert!(event["address"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn logs_are_text_where_it_is_asked_for_and_without_colour_when_piped() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = portal(directory.path(), &["--log-format", "text"]);
    let line = running.line("the portal is ready");
    assert!(
        line.contains(" INFO gitmoor_portal::server: the portal is ready address="),
        "{line}"
    );
    assert!(!line.contains('\u{1b}'), "{line}");
}

#[test]
fn a_level_is_that_of_this_program_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.yaml");
    fs::write(&file, "").unwrap();
    let path = file.to_str().unwrap();
    let mut running = portal(directory.path(), &["--log", "error", "--config", path]);
    until("it has a database", || {
        directory.path().join("data/portal.db").exists()
    });
    fs::write(&file, "listens: here").unwrap();
    // That it is ready came before, at a lower level.
    assert_eq!(running.event("")["level"], "ERROR");
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.yaml");
    fs::write(&file, "").unwrap();
    let path = file.to_str().unwrap();
    for format in ["json", "text"] {
        let arguments = ["--log-format", format, "--config", path];
        let mut running = portal(directory.path(), &arguments);
        running.line("the portal is ready");
        fs::write(&file, "\"\\e[31mred\\nINFO forged\": 1").unwrap();
        let line = running.line("there is no setting");
        assert!(!line.contains('\u{1b}'), "{line:?}");
        assert!(line.contains("forged"), "the line is broken: {line:?}");
        fs::write(&file, "").unwrap();
    }
}
