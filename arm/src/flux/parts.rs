//! What a Flux configuration is to an agent: a configuration for each of its kustomizations. And what
//! is wrong with it, in the words of this API.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{FluxProperties, Kustomization, PART_SEPARATOR};
use crate::{
    ConfigurationProperties, FieldError, HelmOperatorProperties, MAX_NAME, OperatorParams,
    OperatorType, ProtectedSettings, Secret, check, check_name, with_flags,
};

/// How many kustomizations there may be.
pub const MAX_KUSTOMIZATIONS: usize = 64;

/// The name of the agent's configuration for a kustomization.
pub fn part_name(name: &str, kustomization: &str) -> String {
    format!("{name}{PART_SEPARATOR}{kustomization}")
}

/// The configurations that an agent has for it, with their names and with the secrets that each needs.
pub fn flux_parts(
    name: &str,
    properties: &FluxProperties,
    settings: &ProtectedSettings,
) -> Vec<(String, ConfigurationProperties)> {
    let kustomizations = properties.kustomizations.iter();
    kustomizations
        .map(|(own, kustomization)| {
            (
                part_name(name, own),
                part(name, properties, kustomization, settings),
            )
        })
        .collect()
}

fn part(
    name: &str,
    properties: &FluxProperties,
    kustomization: &Kustomization,
    settings: &ProtectedSettings,
) -> ConfigurationProperties {
    let repository = &properties.git_repository;
    let branch = repository
        .repository_ref
        .as_ref()
        .and_then(|one| one.branch.as_deref());
    let path = plain_path(&kustomization.path);
    let interval = format!("{}s", repository.sync_interval_in_seconds);
    let timeout = format!("{}s", kustomization.timeout_in_seconds);
    let others = kustomization
        .depends_on
        .iter()
        .map(|other| part_name(name, other));
    let others = others.collect::<Vec<_>>().join(",");
    let on = |is_on: bool| is_on.then_some("");
    let params = with_flags(
        "--git-readonly",
        &[
            ("git-branch", branch),
            ("git-path", Some(path).filter(|path| !path.is_empty())),
            ("git-poll-interval", Some(&interval)),
            ("sync-garbage-collection", on(kustomization.prune)),
            ("gitmoor-suspend", on(properties.suspend)),
            ("gitmoor-timeout", Some(&timeout)),
            (
                "gitmoor-depends-on",
                Some(others.as_str()).filter(|others| !others.is_empty()),
            ),
        ],
    );
    ConfigurationProperties {
        repository_url: Some(repository.url.clone()),
        operator_namespace: Some(properties.namespace.clone()),
        operator_type: Some(OperatorType::Flux),
        operator_params: Some(params),
        operator_scope: Some(properties.scope.clone()),
        ssh_known_hosts_contents: Some(repository.ssh_known_hosts.clone().unwrap_or_default()),
        enable_helm_operator: Some(false),
        helm_operator_properties: Some(HelmOperatorProperties {
            chart_version: Some(String::new()),
            chart_values: Some(String::new()),
        }),
        configuration_protected_settings: Some(secrets(properties, settings)),
        ..ConfigurationProperties::default()
    }
}

/// As Flux takes it: from the root of the repository, however it is written.
fn plain_path(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let path = path
        .strip_prefix("./")
        .unwrap_or(path)
        .trim_start_matches('/');
    if path == "." { "" } else { path }
}

/// The protected settings, and what this API has in clear.
fn secrets(properties: &FluxProperties, settings: &ProtectedSettings) -> ProtectedSettings {
    let repository = &properties.git_repository;
    let user = repository
        .https_user
        .as_ref()
        .map(|user| BASE64_STANDARD.encode(user));
    let clear = [
        (ProtectedSettings::HTTPS_USER, user),
        (
            ProtectedSettings::HTTPS_CA_CERT,
            repository.https_ca_cert.clone(),
        ),
    ];
    let clear = clear
        .into_iter()
        .filter_map(|(name, value)| Some((name, Secret::from(value?))));
    let given = settings.iter().map(|(name, value)| (name, value.clone()));
    given.chain(clear).collect()
}

/// Checks the name and all that is desired, with the protected settings. Empty when everything is
/// right.
pub fn check_flux(
    name: &str,
    properties: &FluxProperties,
    settings: &ProtectedSettings,
) -> Vec<FieldError> {
    let mut errors = check_name(name);
    if name.contains(PART_SEPARATOR) {
        errors.push(FieldError {
            field: "name".into(),
            message: "the name may not hold two hyphens in a row".into(),
        });
    }
    check_settings(settings, &mut errors);
    check_source(properties, settings, &mut errors);
    check_kustomizations(name, properties, &mut errors);
    errors
}

/// What of the protected settings stands elsewhere here.
fn check_settings(settings: &ProtectedSettings, errors: &mut Vec<FieldError>) {
    for (name, place) in [
        (ProtectedSettings::HTTPS_USER, "httpsUser"),
        (ProtectedSettings::HTTPS_CA_CERT, "httpsCACert"),
    ] {
        if settings.names().any(|given| given == name) {
            let field = format!("configurationProtectedSettings.{name}");
            errors.push(FieldError::property(
                &field,
                format!("write gitRepository.{place}"),
            ));
        }
    }
}

/// All that does not depend on a kustomization, in the words of the other API.
fn check_source(
    properties: &FluxProperties,
    settings: &ProtectedSettings,
    errors: &mut Vec<FieldError>,
) {
    let repository = &properties.git_repository;
    let probe = ConfigurationProperties {
        operator_params: None,
        ..part("probe", properties, &Kustomization::default(), settings)
    };
    for error in check("probe", &probe) {
        let field = match error.field.trim_start_matches("properties.") {
            "repositoryUrl" => "gitRepository.url",
            "operatorNamespace" => "namespace",
            "operatorScope" => "scope",
            "sshKnownHostsContents" => "gitRepository.sshKnownHosts",
            "configurationProtectedSettings.httpsUser" => "gitRepository.httpsUser",
            "configurationProtectedSettings.httpsCACert" => "gitRepository.httpsCACert",
            other => other,
        };
        errors.push(FieldError::property(field, error.message));
    }
    let branch = repository
        .repository_ref
        .as_ref()
        .and_then(|one| one.branch.as_deref());
    let interval = format!("{}s", repository.sync_interval_in_seconds);
    for (field, flag, value) in [
        ("gitRepository.repositoryRef.branch", "git-branch", branch),
        (
            "gitRepository.syncIntervalInSeconds",
            "git-poll-interval",
            Some(interval.as_str()),
        ),
    ] {
        check_flag(field, flag, value, errors);
    }
}

fn check_kustomizations(name: &str, properties: &FluxProperties, errors: &mut Vec<FieldError>) {
    let kustomizations = &properties.kustomizations;
    if kustomizations.len() > MAX_KUSTOMIZATIONS {
        let message = format!("there may be at most {MAX_KUSTOMIZATIONS}");
        errors.push(FieldError::property("kustomizations", message));
    }
    for (own, kustomization) in kustomizations {
        let place = format!(
            "kustomizations.{}",
            own.chars().take(MAX_NAME).collect::<String>()
        );
        let mut wrong = |field: &str, message: String| {
            errors.push(FieldError::property(&format!("{place}{field}"), message));
        };
        for error in check_name(own) {
            wrong("", error.message);
        }
        if own.contains(PART_SEPARATOR) {
            wrong("", "the name may not hold two hyphens in a row".into());
        }
        if part_name(name, own).len() > MAX_NAME {
            let most = MAX_NAME - PART_SEPARATOR.len();
            wrong(
                "",
                format!(
                    "this name and that of the configuration may have at most {most} characters together"
                ),
            );
        }
        for other in &kustomization.depends_on {
            if other == own {
                wrong(".dependsOn", "it cannot depend on itself".into());
            } else if !kustomizations.contains_key(other) {
                let other: String = other.chars().take(MAX_NAME).collect();
                wrong(".dependsOn", format!("there is no kustomization `{other}`"));
            }
        }
        let path = plain_path(&kustomization.path);
        if path.contains(',') {
            wrong(".path", "a path may not hold a comma".into());
        }
        let timeout = format!("{}s", kustomization.timeout_in_seconds);
        let others = kustomization.depends_on.join(",");
        for (field, flag, value) in [
            ("path", "git-path", path),
            ("timeoutInSeconds", "gitmoor-timeout", timeout.as_str()),
            ("dependsOn", "gitmoor-depends-on", others.as_str()),
        ] {
            let field = format!("{place}.{field}");
            check_flag(
                &field,
                flag,
                Some(value).filter(|value| !value.is_empty()),
                errors,
            );
        }
    }
}

/// What the agent's flag says of a value.
fn check_flag(field: &str, flag: &str, value: Option<&str>, errors: &mut Vec<FieldError>) {
    let Some(value) = value else { return };
    if value.contains(char::is_control) {
        errors.push(FieldError::property(
            field,
            "it may hold no control characters",
        ));
        return;
    }
    let problems = OperatorParams::parse(&with_flags("", &[(flag, Some(value))])).err();
    for problem in problems.into_iter().flatten() {
        errors.push(FieldError::property(field, problem.message));
    }
}
