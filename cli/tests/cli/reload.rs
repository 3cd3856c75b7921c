//! Settings that change while the program runs, shown with the portal: it needs nothing else.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::program::{Running, gitmoor};

struct Case {
    directory: TempDir,
    running: Running,
}

/// Settings that are told apart by their folder of data.
fn settings(directory: &Path, data: &str) -> String {
    let data = directory.join(data);
    format!("listen: 127.0.0.1:0\ndataDirectory: {}\n", data.display())
}

fn start(settings_file: impl Fn(&Path) -> PathBuf) -> Case {
    let directory = tempfile::tempdir().unwrap();
    let file = settings_file(directory.path());
    let running = Running::start(gitmoor(&["portal"]).arg("--config").arg(file));
    Case { directory, running }
}

fn plain(directory: &Path) -> PathBuf {
    let file = directory.join("settings.yaml");
    fs::write(&file, settings(directory, "one")).unwrap();
    file
}

/// The files as Kubernetes mounts a ConfigMap: links to links, of which one is swapped.
fn mounted(directory: &Path) -> PathBuf {
    version(directory, "..1", "one");
    symlink("..1", directory.join("..data")).unwrap();
    symlink("..data/settings.yaml", directory.join("settings.yaml")).unwrap();
    directory.join("settings.yaml")
}

fn version(directory: &Path, name: &str, data: &str) {
    fs::create_dir(directory.join(name)).unwrap();
    let file = directory.join(name).join("settings.yaml");
    fs::write(file, settings(directory, data)).unwrap();
}

impl Case {
    fn ready(&mut self) -> String {
        let event = self.running.event("the portal is ready");
        event["address"].as_str().unwrap().to_owned()
    }

    fn has(&self, data: &str) -> bool {
        self.directory.path().join(data).join("portal.db").exists()
    }

    fn write(&self, text: &str) {
        fs::write(self.directory.path().join("settings.yaml"), text).unwrap();
    }
}

#[test]
fn a_changed_file_starts_the_work_anew() {
    let mut case = start(plain);
    let first = case.ready();
    assert!(case.has("one") && !case.has("two"));
    case.write(&settings(case.directory.path(), "two"));
    case.running.line("the settings changed");
    case.running.line("the portal has ended");
    case.ready();
    assert!(case.has("two"));
    // The old one is gone, and not beside the new one.
    assert!(TcpStream::connect(first).is_err());
}

#[test]
fn a_file_that_an_editor_replaces_is_followed() {
    let mut case = start(plain);
    case.ready();
    for data in ["two", "three"] {
        let new = case.directory.path().join("settings.yaml.new");
        fs::write(&new, settings(case.directory.path(), data)).unwrap();
        fs::rename(new, case.directory.path().join("settings.yaml")).unwrap();
        case.ready();
        assert!(case.has(data));
    }
}

#[test]
fn a_mounted_config_map_is_followed_through_its_swaps() {
    let mut case = start(mounted);
    case.ready();
    let directory = case.directory.path().to_owned();
    for (number, data) in [("..2", "two"), ("..3", "three")] {
        version(&directory, number, data);
        symlink(number, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        case.ready();
        assert!(case.has(data));
    }
}

#[test]
fn wrong_settings_change_nothing_but_the_log() {
    let mut case = start(plain);
    let address = case.ready();
    for (wrong, problem) in [
        ("listens: here", "there is no setting `listens`"),
        ("listen: [", "as YAML"),
        ("listen: here", "the setting `listen`"),
    ] {
        case.write(wrong);
        let event = case.running.event("the last good ones stay");
        assert_eq!(event["level"], "ERROR");
        let error = event["error"].as_str().unwrap();
        assert!(error.contains(problem), "{error}");
    }
    let file = case.directory.path().join("settings.yaml");
    fs::remove_file(&file).unwrap();
    let event = case.running.event("the last good ones stay");
    assert!(
        event["error"]
            .as_str()
            .unwrap()
            .contains("read the settings file"),
        "{event}"
    );
    TcpStream::connect(address).unwrap();
    case.write(&settings(case.directory.path(), "two"));
    case.ready();
    assert!(case.has("two"));
}

#[test]
fn a_write_of_the_same_content_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = plain(directory.path());
    let mut command = gitmoor(&["portal", "--log", "debug", "--config"]);
    let mut running = Running::start(command.arg(&file));
    running.line("the portal is ready");
    fs::write(&file, settings(directory.path(), "one")).unwrap();
    running.line("they say the same");
    running.signal(Signal::TERM);
    assert!(running.ended().success());
    let after = running.rest();
    assert!(
        !after
            .iter()
            .any(|line| line.contains("the settings changed")),
        "{after:#?}"
    );
}
