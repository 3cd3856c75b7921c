//! Flux configurations: what is refused, and what they are to an agent.

use gitmoor_arm::{
    FieldError, FluxRequest, OperatorParams, OperatorScope, ProtectedChange, ProtectedSettings,
    check, check_flux, flux_parts, part_name,
};
use serde_json::{Value, json};

const URL: &str = "https://git.example.net/blue/deploy.git";

fn body(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = json!({"properties": {
        "gitRepository": {"url": URL},
        "kustomizations": {"apps": {}},
    }});
    change(&mut body["properties"]);
    body
}

fn read(change: impl FnOnce(&mut Value)) -> FluxRequest {
    let request = FluxRequest::read(&body(change));
    assert_eq!(request.unread, []);
    request
}

/// The fields at fault, in whichever step.
fn at_fault(name: &str, settings: &ProtectedSettings, body: &Value) -> Vec<String> {
    let request = FluxRequest::read(body);
    let wrong = check_flux(name, &request.properties, settings);
    FieldError::join(request.unread, wrong)
        .into_iter()
        .map(|error| error.field.trim_start_matches("properties.").to_owned())
        .collect()
}

#[test]
fn what_is_not_followed_is_refused_by_name_and_all_at_once() {
    let body = body(|properties| {
        *properties = json!({
            "sourceKind": "Bucket",
            "bucket": {"url": "https://s3.example.net"},
            "azureBlob": {"url": "https://blob.example.net"},
            "ociRepository": {"url": "oci://registry.example.net"},
            "waitForReconciliation": true,
            "reconciliationWaitDuration": "PT30M",
            "gitRepository": {
                "url": URL,
                "localAuthRef": "secret",
                "provider": "Azure",
                "repositoryRef": {"tag": "v1", "semver": ">=1", "commit": "0123"},
            },
            "kustomizations": {"apps": {
                "postBuild": {"substitute": {"a": "b"}}, "force": true, "wait": false,
            }},
        });
    });
    let mut wanted = [
        "bucket",
        "azureBlob",
        "ociRepository",
        "reconciliationWaitDuration",
        "waitForReconciliation",
        "sourceKind",
        "gitRepository.localAuthRef",
        "gitRepository.provider",
        "gitRepository.repositoryRef.tag",
        "gitRepository.repositoryRef.semver",
        "gitRepository.repositoryRef.commit",
        "kustomizations.apps.postBuild",
        "kustomizations.apps.force",
        "kustomizations.apps.wait",
    ];
    wanted.sort_unstable();
    let mut found = at_fault("blue", &ProtectedSettings::default(), &body);
    found.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn what_asks_for_nothing_is_taken() {
    // As SDKs write it that fill in defaults.
    let request = read(|properties| {
        *properties = json!({
            "sourceKind": "GitRepository",
            "bucket": null,
            "azureBlob": null,
            "waitForReconciliation": false,
            "reconciliationWaitDuration": null,
            "gitRepository": {
                "url": URL, "timeoutInSeconds": 600, "syncIntervalInSeconds": 600,
                "localAuthRef": null, "provider": "Generic", "repositoryRef": {"tag": null},
            },
            "kustomizations": {"apps": {
                "postBuild": null, "force": false, "wait": true, "retryIntervalInSeconds": null,
            }},
            "statuses": "read-only", "somethingNew": 7,
        });
    });
    let settings = ProtectedSettings::default();
    assert_eq!(check_flux("blue", &request.properties, &settings), []);
    assert_eq!(request.protected, ProtectedChange::Keep);
}

#[test]
fn every_field_that_is_wrong_is_named() {
    let secret = |name: &str, value: &str| [(name, value)].into_iter().collect();
    let none = ProtectedSettings::default;
    let set = |pointer: &'static str, value: Value| {
        body(move |properties| {
            let (at, name) = pointer.rsplit_once('/').unwrap();
            properties.pointer_mut(at).unwrap()[name] = value;
        })
    };
    let table = [
        (set("/gitRepository", json!("x")), none(), "gitRepository"),
        (
            set("/gitRepository/url", json!(7)),
            none(),
            "gitRepository.url",
        ),
        (
            set("/gitRepository/url", json!("nonsense")),
            none(),
            "gitRepository.url",
        ),
        (
            set("/gitRepository/syncIntervalInSeconds", json!(1)),
            none(),
            "gitRepository.syncIntervalInSeconds",
        ),
        (
            set("/gitRepository/syncIntervalInSeconds", json!(0)),
            none(),
            "gitRepository.syncIntervalInSeconds",
        ),
        (
            set("/gitRepository/repositoryRef", json!({"branch": "a b"})),
            none(),
            "gitRepository.repositoryRef.branch",
        ),
        (
            set("/gitRepository/repositoryRef", json!({"branch": "a\0b"})),
            none(),
            "gitRepository.repositoryRef.branch",
        ),
        (
            set("/gitRepository/sshKnownHosts", json!("eA==")),
            none(),
            "gitRepository.sshKnownHosts",
        ),
        (
            set("/gitRepository/httpsUser", json!("bot")),
            none(),
            "configurationProtectedSettings.httpsKey",
        ),
        (
            set("/gitRepository/httpsCACert", json!("eA==")),
            none(),
            "gitRepository.httpsCACert",
        ),
        (set("/scope", json!("galaxy")), none(), "scope"),
        (set("/namespace", json!("Team")), none(), "namespace"),
        (set("/suspend", json!("yes")), none(), "suspend"),
        (
            set("/kustomizations/apps", json!([])),
            none(),
            "kustomizations.apps",
        ),
        (
            set("/kustomizations/Apps", json!({})),
            none(),
            "kustomizations.Apps",
        ),
        (
            set("/kustomizations/a--b", json!({})),
            none(),
            "kustomizations.a--b",
        ),
        (
            set("/kustomizations/apps", json!({"path": "../x"})),
            none(),
            "kustomizations.apps.path",
        ),
        (
            set("/kustomizations/apps", json!({"path": "a,b"})),
            none(),
            "kustomizations.apps.path",
        ),
        (
            set("/kustomizations/apps", json!({"path": "a\0b"})),
            none(),
            "kustomizations.apps.path",
        ),
        (
            set("/kustomizations/apps", json!({"dependsOn": ["infra"]})),
            none(),
            "kustomizations.apps.dependsOn",
        ),
        (
            set("/kustomizations/apps", json!({"dependsOn": ["apps"]})),
            none(),
            "kustomizations.apps.dependsOn",
        ),
        (
            set("/kustomizations/apps", json!({"dependsOn": [{}]})),
            none(),
            "kustomizations.apps.dependsOn",
        ),
        (
            set("/kustomizations/apps", json!({"timeoutInSeconds": 90_000})),
            none(),
            "kustomizations.apps.timeoutInSeconds",
        ),
        (
            body(|_| ()),
            secret("bucketSecretKey", "eA=="),
            "configurationProtectedSettings",
        ),
        (
            body(|_| ()),
            secret("httpsCACert", "eA=="),
            "configurationProtectedSettings.httpsCACert",
        ),
    ];
    for (body, settings, field) in table {
        let found = at_fault("blue", &settings, &body);
        assert!(
            found.iter().any(|found| found == field),
            "{field}: {found:?} of {body}"
        );
    }
    let long = "x".repeat(60);
    for (name, field) in [
        ("Blue", "name"),
        ("a--b", "name"),
        (long.as_str(), "kustomizations.apps"),
    ] {
        assert_eq!(at_fault(name, &none(), &body(|_| ())), [field], "{name}");
    }
}

#[test]
fn each_kustomization_is_a_configuration_that_an_agent_can_follow() {
    let request = read(|properties| {
        *properties = json!({
            "scope": "namespace",
            "namespace": "team-blue",
            "suspend": true,
            "gitRepository": {
                "url": URL,
                "syncIntervalInSeconds": 90,
                "repositoryRef": {"branch": "main"},
                "httpsUser": "bot",
                "httpsCACert": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
            },
            "kustomizations": {
                "infra": {"path": "./infra of all/", "prune": true},
                "apps": {"dependsOn": ["infra"], "timeoutInSeconds": 120},
            },
            "configurationProtectedSettings": {"httpsKey": "czNjcjN0"},
        });
    });
    let ProtectedChange::Replace(settings) = request.protected else {
        panic!("they are given");
    };
    assert_eq!(check_flux("blue", &request.properties, &settings), []);
    let parts = flux_parts("blue", &request.properties, &settings);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["blue--apps", "blue--infra"]);
    for (name, part) in &parts {
        assert_eq!(check(name, part), [], "{name}");
        assert_eq!(part.repository_url.as_deref(), Some(URL));
        assert_eq!(part.operator_namespace(), "team-blue");
        assert_eq!(part.operator_scope(), &OperatorScope::Namespace);
        let secrets = part.configuration_protected_settings.as_ref().unwrap();
        let text = |name| secrets.decode_text(name).unwrap().unwrap();
        assert_eq!(text("httpsUser").expose(), "bot");
        assert_eq!(text("httpsKey").expose(), "s3cr3t");
        assert!(text("httpsCACert").expose().starts_with("-----BEGIN"));
    }
    let params = |index: usize| OperatorParams::parse(parts[index].1.operator_params()).unwrap();
    let (apps, infra) = (params(0), params(1));
    assert_eq!(apps.depends_on, ["blue--infra"]);
    assert_eq!(apps.timeout.unwrap().as_secs(), 120);
    assert!(apps.paths.is_empty() && !apps.garbage_collection);
    assert_eq!(infra.paths, ["infra of all"]);
    assert!(infra.garbage_collection && infra.depends_on.is_empty());
    for params in [apps, infra] {
        assert_eq!(params.branch.as_deref(), Some("main"));
        assert_eq!(params.poll_interval.unwrap().as_secs(), 90);
        assert!(params.suspend);
    }
}

#[test]
fn paths_are_read_as_flux_reads_them() {
    for (path, wanted) in [
        ("", &[][..]),
        (".", &[]),
        ("./", &[]),
        ("/", &[]),
        ("apps", &["apps"]),
        ("./apps/prod/", &["apps/prod"]),
        ("/apps", &["apps"]),
    ] {
        let request = read(|properties| properties["kustomizations"]["apps"]["path"] = path.into());
        let parts = flux_parts("blue", &request.properties, &ProtectedSettings::default());
        let params = OperatorParams::parse(parts[0].1.operator_params()).unwrap();
        assert_eq!(params.paths, wanted, "{path}");
    }
}

#[test]
fn no_two_kustomizations_have_the_same_name() {
    let names = ["a", "b", "a-b", "b-a", "a-b-a"];
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        for own in names {
            assert!(seen.insert(part_name(name, own)), "{name} {own}");
        }
    }
}
