//! Starting and ending what runs until it is told to end.

use std::{path::Path, process::Command};

use gitmoor_cluster::Cluster;
use rustix::process::Signal;

use super::program::{Running, gitmoor, outcome};

#[test]
fn the_first_signal_ends_it_well() {
    for signal in [Signal::INT, Signal::TERM] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = gitmoor(&["portal", "--listen", "127.0.0.1:0", "--data-directory"]);
        let mut running = Running::start(command.arg(directory.path().join("data")));
        running.line("the portal is ready");
        running.signal(signal);
        running.line("a second signal ends at once");
        running.line("the portal has ended");
        assert_eq!(running.ended().code(), Some(0));
    }
}

#[test]
fn a_portal_opens_as_many_files_as_it_may_and_says_when_they_are_too_few() {
    let directory = tempfile::tempdir().unwrap();
    let limits = "ulimit -Sn 256; ulimit -Hn 300; exec \"$0\" \"$@\"";
    let program = gitmoor(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", limits]).arg(program);
    command.args(["portal", "--listen", "127.0.0.1:0", "--data-directory"]);
    let mut running = Running::start(command.arg(directory.path().join("data")));
    running.line("may open 300 files, too few for 16384 connections");
    running.line("the portal is ready");
    running.signal(Signal::TERM);
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn a_portal_is_backed_up_and_restored_by_one_command_each() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (first, second, backup) = (path("first"), path("second"), path("backup.jsonl"));
    let portal = |data: &str, arguments: &[&str]| {
        let mut command = gitmoor(&["portal", "--data-directory", data]);
        outcome(command.args(arguments))
    };
    let create = ["principal", "create", "--name", "ann", "--role", "reader"];
    let create = [&create[..], &["--scope", "/subscriptions/s"]].concat();
    assert_eq!(portal(&first, &create).0, 0);
    let (code, _, log) = portal(&first, &["backup", &backup]);
    assert_eq!(code, 0, "{log}");
    // Who may what was changed, and by whom.
    let (code, audit, log) = portal(&first, &["audit"]);
    assert_eq!(code, 0, "{log}");
    assert!(audit.contains("Gitmoor.Portal/principals/write"), "{audit}");
    assert!(audit.contains("role: \"reader\""), "{audit}");
    let (_, audit, _) = portal(&first, &["audit", "--output", "json"]);
    let entries: Vec<serde_json::Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ann = |entry: &serde_json::Value| entry["after"]["name"] == "ann";
    assert!(entries.iter().any(ann), "{audit}");
    let mode = std::fs::metadata(&backup).unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
    assert_eq!(portal(&second, &["restore", &backup]).0, 0);
    // It is sealed, and so is what was restored; no other key is made for it.
    let (code, _, log) = portal(&second, &["principal", "list"]);
    let key_of_second = Path::new(&second).join("encryption.key");
    assert!(
        code == 1 && log.contains("encryption.key is not there"),
        "{log}"
    );
    assert!(!key_of_second.exists());
    let key = Path::new(&first).join("encryption.key");
    std::fs::copy(key, key_of_second).unwrap();
    let (list, restored) = (
        portal(&first, &["principal", "list"]),
        portal(&second, &["principal", "list"]),
    );
    assert!(list.1.contains("ann"), "{list:?}");
    assert_eq!(restored.1, list.1);
    let (code, _, log) = portal(&second, &["restore", &backup]);
    assert!(code == 1 && log.contains("is not empty"), "{log}");
}

#[test]
fn a_backup_of_nothing_fails_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let backup = directory.path().join("backup.jsonl");
    let mut command = gitmoor(&["portal", "--data-directory", path, "backup"]);
    let (code, _, log) = outcome(command.arg(backup));
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("there is no database of a portal at"), "{log}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_key_of_an_environment_variable_seals_and_opens_the_database_and_no_file_does() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let settings = directory.path().join("settings.yaml");
    std::fs::write(&settings, "encryption: {key: \"env:PORTAL_KEY\"}\n").unwrap();
    let (key, other) = (
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
    );
    let principal = |key: &str, arguments: &[&str]| {
        let mut command = gitmoor(&["portal", "--config"]);
        command.arg(&settings).arg("--data-directory").arg(&data);
        command.arg("principal").args(arguments);
        outcome(command.env("PORTAL_KEY", key))
    };
    let create = ["create", "--name", "ann", "--role", "reader"];
    let create = [&create[..], &["--scope", "/subscriptions/s"]].concat();
    let (code, _, log) = principal(key, &create);
    assert_eq!(code, 0, "{log}");
    let (code, list, log) = principal(key, &["list"]);
    assert!(code == 0 && list.contains("ann"), "{log}");
    let (code, list, log) = principal(other, &["list"]);
    assert!(code == 1 && list.is_empty(), "{list}");
    assert!(log.contains("the database is sealed with the key"), "{log}");
    assert!(!log.contains(key) && !log.contains(other), "{log}");
    assert!(!data.join("encryption.key").exists());
}

#[test]
fn enrolling_a_cluster_prints_all_that_its_agent_needs() {
    const CLUSTER: &str =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c";
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let enrol = |arguments: &[&str]| {
        let mut command = gitmoor(&["portal", "enrol", CLUSTER, "--data-directory"]);
        outcome(command.arg(&data).args(arguments))
    };
    let (code, _, log) = enrol(&[]);
    assert!(code == 1 && log.contains("give --url"), "{log}");
    let url = ["--url", "https://portal.example.net:8443"];
    let (code, _, log) = enrol(&url);
    assert!(code == 1 && log.contains("or give --ca"), "{log}");
    let ca = directory.path().join("ca.crt");
    std::fs::write(&ca, "the CA").unwrap();
    let (code, secret, log) = enrol(&[&url[..], &["--ca", ca.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{log}");
    let secret: serde_json::Value = serde_yaml::from_str(&secret).unwrap();
    assert_eq!(secret["kind"], "Secret");
    assert_eq!(secret["metadata"]["namespace"], "gitmoor-system");
    let files = &secret["stringData"];
    assert_eq!(files["ca.crt"], "the CA");
    let token = files["enrolment-token"].as_str().unwrap();
    assert!(token.starts_with("gitmoor-enrolment.") && !log.contains(token));
    let settings = files["settings.yaml"].as_str().unwrap();
    let settings: serde_json::Value = serde_yaml::from_str(settings).unwrap();
    let settings: gitmoor_agent::Settings = serde_json::from_value(settings).unwrap();
    let arm = settings.arm.unwrap();
    arm.check().unwrap();
    assert_eq!(arm.cluster_id.to_string(), CLUSTER);
    // What it names is where the installation mounts it.
    assert!(gitmoor_agent::INSTALLATION.contains("secretName: gitmoor-agent-settings"));
    assert!(gitmoor_agent::INSTALLATION.contains("mountPath: /etc/gitmoor\n"));
}

#[tokio::test]
async fn agent_and_operator_run_on_a_cluster_of_a_kubeconfig_and_end_well() {
    let cluster = Cluster::shared().await.unwrap();
    let crds = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(crds.path(), gitmoor_crds::definition_yaml()).unwrap();
    let mut apply = cluster.kubectl([
        "apply",
        "--server-side",
        "-f",
        crds.path().to_str().unwrap(),
    ]);
    assert!(apply.status().await.unwrap().success());
    let start = |arguments: &[&str], cache: &Path| {
        let mut command = gitmoor(arguments);
        command
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig())
            .env("XDG_CACHE_HOME", cache);
        Running::start(&mut command)
    };
    let cache = tempfile::tempdir().unwrap();
    for arguments in [
        ["agent", "--runtime=in-process"],
        ["operator", "--namespace=default"],
    ] {
        let before = cluster.audit().mark().unwrap();
        let mut running = start(&arguments, cache.path());
        let start = std::time::Instant::now();
        let asked = async || {
            let requests = cluster.audit().since(before).await.unwrap();
            let own = requests
                .into_iter()
                .filter(|request| request.user == "admin");
            own.filter(|request| request.target().contains("sourcecontrolconfigurations"))
                .count()
        };
        while asked().await == 0 {
            assert!(start.elapsed().as_secs() < 60, "{arguments:?} asks nothing");
        }
        running.signal(Signal::TERM);
        assert_eq!(running.ended().code(), Some(0), "{arguments:?}");
    }
}
