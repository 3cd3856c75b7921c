//! Flags, help, exit statuses, and the settings of the real commands.

use std::fs;

use serde_json::Value;

use super::program::{gitmoor, outcome};

#[test]
fn every_command_has_help_with_an_example() {
    let commands: [&[&str]; 8] = [
        &[],
        &["agent"],
        &["operator"],
        &["portal"],
        &["check"],
        &["health"],
        &["install"],
        &["crds"],
    ];
    for command in commands {
        let (code, help, _) = outcome(&mut gitmoor(&[command, &["-h"]].concat()));
        assert_eq!(code, 0);
        let example = ["gitmoor", command.first().unwrap_or(&"install")].join(" ");
        let examples = help.split_once("Example").expect(&help).1;
        assert!(examples.contains(&example), "{help}");
    }
    let (_, help, _) = outcome(&mut gitmoor(&["--help"]));
    assert!(
        help.contains("GITMOOR_OPERATOR__ALLOW_HTTP is operator.allowHttp"),
        "{help}"
    );
    for command in [
        "agent", "operator", "portal", "check", "health", "install", "crds",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
    }
}

#[test]
fn version_is_that_of_the_package() {
    let (code, text, _) = outcome(&mut gitmoor(&["--version"]));
    assert_eq!(
        (code, text),
        (0, format!("gitmoor {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn crds_prints_what_ships() {
    let (code, yaml, log) = outcome(&mut gitmoor(&["crds"]));
    assert_eq!((code, log.as_str()), (0, ""));
    assert_eq!(yaml, gitmoor_crds::definition_yaml());
}

#[test]
fn what_is_asked_for_wrongly_is_told_with_status_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.yaml");
    let path = file.to_str().unwrap();
    // Arguments, the settings file, variables, and what is said.
    type Case<'a> = (&'a [&'a str], &'a str, &'a [(&'a str, &'a str)], &'a str);
    let table: [Case; 8] = [
        (&["nothing"], "", &[], "unrecognized subcommand 'nothing'"),
        (
            &["agent", "--runtime", "x"],
            "",
            &[],
            "[possible values: deployment, in-process]",
        ),
        (
            &["agent", "--log", "=,="],
            "",
            &[],
            "error: read the log filter `=,=`\n  caused by: ",
        ),
        (
            &["agent"],
            "runtimes: x",
            &[],
            "error: there is no setting `runtimes`, given by FILE; known here: namespace, runtime",
        ),
        (
            &["agent"],
            "",
            &[("GITMOOR_RUN_TIME", "x")],
            "error: there is no setting `runTime`, given by the variable GITMOOR_RUN_TIME; known \
             here: GITMOOR_NAMESPACE, GITMOOR_RUNTIME",
        ),
        (
            &["operator", "--namespace", "a"],
            "engine: {concurency: 1}",
            &[],
            "error: there is no setting `engine.concurency`, given by FILE; known here: allowHttp",
        ),
        (
            &["operator"],
            "",
            &[],
            "error: use the settings\n  caused by: the settings name no",
        ),
        (
            &["portal"],
            "listen: everywhere",
            &[],
            "error: the setting `listen`, given by FILE, is wrong: ",
        ),
    ];
    for (arguments, yaml, variables, expected) in table {
        fs::write(&file, yaml).unwrap();
        let mut command = gitmoor(arguments);
        command
            .envs(variables.iter().copied())
            .env("GITMOOR_CONFIG", path);
        let (code, output, error) = outcome(&mut command);
        let error = error.replace(path, "FILE");
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_failure_is_told_as_a_chain_with_status_1() {
    let mut command = gitmoor(&["operator", "--namespace", "a", "--kubeconfig", "/absent"]);
    let (code, _, error) = outcome(&mut command);
    assert_eq!(code, 1);
    assert!(
        error.starts_with("error: read the kubeconfig /absent\n  caused by: "),
        "{error}"
    );
}

#[test]
fn a_value_that_is_wrong_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.yaml");
    for yaml in ["hunter2", "tls: hunter2", "- hunter2", "limits: [hunter2]"] {
        fs::write(&file, yaml).unwrap();
        let mut command = gitmoor(&["portal", "--config", file.to_str().unwrap()]);
        let (code, output, error) = outcome(&mut command);
        assert_eq!(code, 2, "{yaml}");
        assert!(
            !output.contains("hunter2") && !error.contains("hunter2"),
            "{yaml}: {error}"
        );
    }
}

#[test]
fn principals_are_made_listed_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let portal = |arguments: &[&str]| {
        let data = data.to_str().unwrap();
        outcome(gitmoor(&["portal", "--data-directory", data]).args(arguments))
    };
    let principal = |arguments: &[&str]| portal(&[&["principal"], arguments].concat());
    let (scope, cluster) = (
        "/subscriptions/s1",
        "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Kubernetes/connectedClusters/c1",
    );
    let alice = ["--name", "alice", "--scope", scope, "--role", "reader"];
    let (code, text, log) = principal(&[&["create"], &alice[..]].concat());
    assert_eq!((code, log.contains("ERROR")), (0, false), "{log}");
    let made: Value = serde_json::from_str(&text).unwrap();
    let (id, secret) = (&made["clientId"], made["clientSecret"].as_str().unwrap());
    let id = id.as_str().unwrap();
    assert!(made["tenantId"].is_string() && secret.starts_with("gitmoor."));
    assert_eq!(principal(&["create", "--cluster", cluster]).0, 0);
    let (_, list, _) = principal(&["list"]);
    assert!(
        list.contains(&format!("  alice  reader of {scope}\n")),
        "{list}"
    );
    assert!(
        list.contains(&format!("  c1  agent of {cluster}\n")),
        "{list}"
    );
    assert!(!list.contains(secret));
    let more = [id, "--scope", cluster, "--role", "contributor"];
    assert_eq!(principal(&[&["assign"], &more[..]].concat()).0, 0);
    let (_, list, _) = principal(&["list"]);
    let both = format!("  alice  contributor of {cluster}, reader of {scope}\n");
    assert!(list.contains(&both), "{list}");
    assert_eq!(principal(&[&["withdraw"], &more[..]].concat()).0, 0);
    assert_eq!(principal(&[&["withdraw"], &more[..]].concat()).0, 1);

    let (code, token, _) = portal(&["token", id]);
    assert_eq!((code, token.matches('.').count()), (0, 2), "{token}");
    assert_eq!(portal(&["token", id, "--minutes", "1441"]).0, 2);

    let (code, link, _) = portal(&["link", id]);
    assert_eq!(code, 0);
    assert!(
        link.starts_with("https://localhost:8443/sign-in/link?code="),
        "{link}"
    );
    assert_eq!(portal(&["link", &id.replace(&id[..8], "00000000")]).0, 1);
    assert_eq!(principal(&["delete", id]).0, 0);
    assert_eq!(principal(&["list"]).1.lines().count(), 1);
    for arguments in [
        &["principal", "delete", id][..],
        &["principal", "secret", "list", id],
        &["token", id],
    ] {
        let (code, _, error) = portal(arguments);
        assert_eq!(code, 1);
        assert!(
            error.contains(&format!("there is no principal {id}")),
            "{error}"
        );
    }
    assert_eq!(principal(&["create", "--name", "alice"]).0, 2);
    assert_eq!(
        principal(&["create", "--name", "alice", "--cluster", cluster]).0,
        2
    );
}

#[test]
fn every_command_that_writes_is_in_the_audit_log() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let backup = directory.path().join("backup");
    let (data, backup) = (data.to_str().unwrap(), backup.to_str().unwrap());
    let portal = |arguments: &[&str]| {
        let (code, text, log) =
            outcome(gitmoor(&["portal", "--data-directory", data]).args(arguments));
        assert_eq!(code, 0, "{arguments:?}: {log}");
        (text, log)
    };
    let actions = || -> Vec<String> {
        let (log, _) = portal(&["audit", "--output", "json"]);
        let entries = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let action = |entry: Value| entry["action"].as_str().unwrap().to_owned();
        entries.map(action).collect()
    };
    let (scope, cluster) = (
        "/subscriptions/s1",
        "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Kubernetes/connectedClusters/c1",
    );
    let alice = ["--name", "alice", "--scope", scope, "--role", "reader"];
    let (made, _) = portal(&[&["principal", "create"], &alice[..]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["clientId"].as_str().unwrap();
    let (added, _) = portal(&["principal", "secret", "add", id, "--days", "30"]);
    let added: Value = serde_json::from_str(&added).unwrap();
    let secret = added["secretId"].as_str().unwrap();
    let (list, _) = portal(&["principal", "secret", "list", id]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains(&format!("{secret}  secret  ")), "{list}");
    assert!(!list.contains(added["clientSecret"].as_str().unwrap()));
    let role = [id, "--scope", cluster, "--role", "owner"];
    let url = ["--url", "https://portal.example.net", "--ca", backup];
    std::fs::write(backup, "no CA").unwrap();
    let roles = "Microsoft.Authorization/roleAssignments";
    let table = [
        (
            vec!["principal", "secret", "remove", id, secret],
            "Gitmoor.Portal/credentials/delete",
        ),
        (
            [&["principal", "assign"], &role[..]].concat(),
            &format!("{roles}/write"),
        ),
        (
            [&["principal", "withdraw"], &role[..]].concat(),
            &format!("{roles}/delete"),
        ),
        (vec!["token", id], "Gitmoor.Portal/tokens/write"),
        (vec!["link", id], "Gitmoor.Portal/signInLinks/write"),
        (
            vec!["principal", "sign-out", id],
            "Gitmoor.Portal/sessions/delete",
        ),
        (
            [&["enrol", cluster], &url[..]].concat(),
            "Gitmoor.Portal/enrolments/write",
        ),
        (
            vec!["principal", "create", "--cluster", cluster],
            "Gitmoor.Portal/principals/write",
        ),
        (vec!["keys", "rotate"], "Gitmoor.Portal/signingKeys/write"),
        (
            vec!["principal", "delete", id],
            "Gitmoor.Portal/principals/delete",
        ),
    ];
    for (arguments, action) in table {
        let before = actions().len();
        portal(&arguments);
        let after = actions();
        assert!(after.len() > before, "{arguments:?}");
        assert_eq!(after[0], action, "{arguments:?}");
    }
    portal(&["backup", backup]);
    let other = directory.path().join("other");
    let restore = [
        "portal",
        "--data-directory",
        other.to_str().unwrap(),
        "restore",
        backup,
    ];
    let (code, _, log) = outcome(&mut gitmoor(&restore));
    assert_eq!(code, 0, "{log}");
    assert!(
        log.contains("are as they were when the backup was made"),
        "{log}"
    );
    std::fs::copy(
        std::path::Path::new(data).join("encryption.key"),
        other.join("encryption.key"),
    )
    .unwrap();
    let audit = [
        "portal",
        "--data-directory",
        other.to_str().unwrap(),
        "audit",
    ];
    let (_, log, _) = outcome(&mut gitmoor(&audit));
    assert!(
        log.lines()
            .next()
            .unwrap()
            .contains("Gitmoor.Portal/restores/write"),
        "{log}"
    );
}
