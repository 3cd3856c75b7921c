//! What makes a configuration right: the rules of ARM's command line, which ARM itself hardly
//! checks. Every check gives all the fields at fault, not the first one.

mod known_hosts;
mod private_key;
mod put;
mod repository;

pub use put::{ProtectedChange, PutRequest};
pub use repository::{MAX_LENGTH as MAX_REPOSITORY_URL, RepositoryError, repository_url};

use std::fmt;

use crate::{
    ConfigurationProperties, ErrorDetail, ErrorResponse, OperatorParams, OperatorScope,
    OperatorType, ProtectedSettings, Secret,
};
use repository::Transport;

/// The longest name of a configuration.
pub const MAX_NAME: usize = 63;

/// The longest `operatorInstanceName`.
pub const MAX_OPERATOR_NAME: usize = 23;

/// The longest `operatorNamespace`: Kubernetes has no longer ones. ARM takes 253 characters, its
/// command line 23.
pub const MAX_NAMESPACE: usize = 63;

/// The longest `operatorInstanceName` and `operatorNamespace` together with the Helm Operator: its
/// release is called `<instance>-helm-<namespace>`, and Helm takes 53 characters.
pub const MAX_WITH_HELM: usize = 47;

/// The longest text that no rule of its own bounds, in bytes.
pub const MAX_TEXT: usize = 4096;

/// The longest `sshKnownHostsContents`, in bytes.
pub const MAX_KNOWN_HOSTS: usize = 256 * 1024;

/// The longest protected setting, in bytes of base64.
pub const MAX_SECRET: usize = 64 * 1024;

/// A field that is wrong, by its path in the body, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Such as `properties.repositoryUrl`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl FieldError {
    /// The field of that name below `properties` is wrong.
    pub(crate) fn property(name: &str, message: impl Into<String>) -> Self {
        Self {
            field: format!("properties.{name}"),
            message: message.into(),
        }
    }

    fn protected(name: &str, message: impl Into<String>) -> Self {
        Self::property(&format!("configurationProtectedSettings.{name}"), message)
    }

    /// What could not be read of a body, and what is wrong with the rest: of a field that could not
    /// be read nothing else is said, nor of what is below it.
    pub fn join(mut unread: Vec<Self>, mut wrong: Vec<Self>) -> Vec<Self> {
        wrong.retain(|error| {
            !unread.iter().any(|unread| {
                let below = error.field.strip_prefix(&unread.field);
                below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
                    || unread.field == "body"
            })
        });
        unread.append(&mut wrong);
        unread
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl ErrorResponse {
    /// ARM's answer to a body that is wrong: each field at fault is one of the details.
    pub fn invalid(errors: &[FieldError]) -> Self {
        let messages: Vec<String> = errors.iter().map(FieldError::to_string).collect();
        let mut response = Self::new(
            "InvalidRequestContent",
            format!("The request content is not valid: {}", messages.join("; ")),
        );
        response.error.details = errors
            .iter()
            .map(|error| {
                ErrorDetail::new("InvalidParameter", &error.message).with_target(&error.field)
            })
            .collect();
        response
    }
}

/// Checks the name and all that a configuration desires; read-only fields are not looked at.
/// Empty when everything is right.
///
/// The credentials are checked as far as they are there: a list of ARM's has none, one of the data
/// plane has them all.
pub fn check(name: &str, properties: &ConfigurationProperties) -> Vec<FieldError> {
    let mut errors = check_name(name);
    check_operator(name, properties, &mut errors);
    check_texts(properties, &mut errors);
    if let Err(problems) = OperatorParams::parse(properties.operator_params()) {
        errors.extend(
            problems
                .into_iter()
                .map(|problem| FieldError::property("operatorParams", problem.to_string())),
        );
    }
    let transport = check_repository(properties, &mut errors);
    check_credentials(properties, transport, &mut errors);
    errors
}

/// Checks that a key which is kept stays with the server that it was given for: whoever may change
/// the URL could otherwise have it sent to a server of theirs, and read it there.
pub fn check_kept(kept: &ProtectedSettings, from: &str, to: &str) -> Option<FieldError> {
    if kept.decode(ProtectedSettings::HTTPS_KEY) == Ok(None) {
        return None;
    }
    let (from, to) = (repository_url(from).ok()?, repository_url(to).ok()?);
    (from.origin() != to.origin()).then(|| {
        let server = from.host_str().unwrap_or_default();
        let message = format!(
            "the key that is kept was given for {server}: give credentials for the new server, or none"
        );
        FieldError::property("repositoryUrl", message)
    })
}

/// Checks the name of a configuration.
pub fn check_name(name: &str) -> Vec<FieldError> {
    name_problem(name, MAX_NAME)
        .map(|message| FieldError {
            field: "name".into(),
            message,
        })
        .into_iter()
        .collect()
}

/// What is right by the rules and yet nothing that Gitmoor does.
pub fn unsupported(properties: &ConfigurationProperties) -> Vec<FieldError> {
    properties
        .enable_helm_operator
        .filter(|enabled| *enabled)
        .map(|_| {
            FieldError::property(
                "enableHelmOperator",
                "there is no Helm Operator; commit the rendered manifests and set this to false",
            )
        })
        .into_iter()
        .collect()
}

/// `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, and no longer than `max`.
fn name_problem(name: &str, max: usize) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() {
        Some(format!("a name of 1 to {max} characters is needed"))
    } else if name.len() > max {
        Some(format!("the name may have at most {max} characters"))
    } else if !name.bytes().all(|byte| word(byte) || byte == b'-') {
        Some("the name may only hold lower-case letters, digits and hyphens".into())
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("the name must begin and end with a letter or a digit".into())
    } else {
        None
    }
}

fn check_operator(name: &str, properties: &ConfigurationProperties, errors: &mut Vec<FieldError>) {
    let instance = properties.operator_instance_name.as_deref();
    let instance = instance.filter(|name| !name.is_empty());
    let namespace = properties.operator_namespace();
    let names = [
        ("operatorInstanceName", instance, MAX_OPERATOR_NAME),
        ("operatorNamespace", Some(namespace), MAX_NAMESPACE),
    ];
    for (field, name, max) in names {
        let problem = name.and_then(|name| name_problem(name, max));
        errors.extend(problem.map(|message| FieldError::property(field, message)));
    }
    // Without a name of its own it is called as the configuration.
    let together = instance.unwrap_or(name).len() + namespace.len();
    if properties.enable_helm_operator == Some(true) && together > MAX_WITH_HELM {
        errors.push(FieldError::property(
            "operatorInstanceName",
            format!("with the Helm Operator, operatorInstanceName and operatorNamespace may have at most {MAX_WITH_HELM} characters together"),
        ));
    }
    if let OperatorScope::Other(scope) = properties.operator_scope() {
        let message = format!("`{scope}` is no scope: write cluster or namespace");
        errors.push(FieldError::property("operatorScope", message));
    }
    if let Some(OperatorType::Other(kind)) = &properties.operator_type {
        let message = format!("`{kind}` is no type of operator: write Flux");
        errors.push(FieldError::property("operatorType", message));
    }
}

/// Bounds what no other rule bounds, so that one configuration cannot fill a store or a list.
fn check_texts(properties: &ConfigurationProperties, errors: &mut Vec<FieldError>) {
    let helm = properties.helm_operator_properties.as_ref();
    let texts = [
        ("operatorParams", properties.operator_params.as_deref()),
        (
            "helmOperatorProperties.chartVersion",
            helm.and_then(|helm| helm.chart_version.as_deref()),
        ),
        (
            "helmOperatorProperties.chartValues",
            helm.and_then(|helm| helm.chart_values.as_deref()),
        ),
    ];
    for (field, text) in texts {
        if text.is_some_and(|text| text.len() > MAX_TEXT) {
            let message = format!("the text may have at most {MAX_TEXT} bytes");
            errors.push(FieldError::property(field, message));
        }
    }
}

fn check_repository(
    properties: &ConfigurationProperties,
    errors: &mut Vec<FieldError>,
) -> Option<Transport> {
    let url = properties.repository_url.as_deref().unwrap_or_default();
    match repository::read(url) {
        Ok((_, transport)) => Some(transport),
        Err(error) => {
            errors.push(FieldError::property("repositoryUrl", error.to_string()));
            repository::transport(url)
        }
    }
}

fn check_credentials(
    properties: &ConfigurationProperties,
    transport: Option<Transport>,
    errors: &mut Vec<FieldError>,
) {
    let known_hosts = properties.ssh_known_hosts_contents();
    if let Some(contents) = known_hosts {
        let problem = if contents.len() > MAX_KNOWN_HOSTS {
            Some(format!("the text may have at most {MAX_KNOWN_HOSTS} bytes"))
        } else {
            known_hosts::problem(contents)
        };
        errors
            .extend(problem.map(|message| FieldError::property("sshKnownHostsContents", message)));
    }
    if known_hosts.is_some() && transport == Some(Transport::Http) {
        errors.push(FieldError::property(
            "sshKnownHostsContents",
            "known hosts cannot be used with an http(s) URL",
        ));
    }
    let Some(settings) = &properties.configuration_protected_settings else {
        return;
    };
    check_protected_names(settings, errors);
    let read = |name: &'static str, errors: &mut Vec<FieldError>| {
        settings.decode_text(name).unwrap_or_else(|error| {
            errors.push(FieldError::protected(name, error.to_string()));
            // It is there, and that is what the other rules ask.
            Some(Secret::from(""))
        })
    };
    let key = read(ProtectedSettings::SSH_PRIVATE_KEY, errors);
    let user = read(ProtectedSettings::HTTPS_USER, errors);
    let password = read(ProtectedSettings::HTTPS_KEY, errors);
    let authorities = read(ProtectedSettings::HTTPS_CA_CERT, errors);

    if let Some(key) = key.as_ref().filter(|key| !key.expose().is_empty())
        && let Some(message) = private_key::problem(key)
    {
        errors.push(FieldError::protected(
            ProtectedSettings::SSH_PRIVATE_KEY,
            message,
        ));
    }
    if key.is_some() && transport == Some(Transport::Http) {
        errors.push(FieldError::protected(
            ProtectedSettings::SSH_PRIVATE_KEY,
            "an SSH private key cannot be used with an http(s) URL",
        ));
    }
    if let Some(authorities) = authorities {
        let is_pem = authorities.expose().contains("-----BEGIN CERTIFICATE-----");
        let message = match transport {
            Some(Transport::Other) => {
                Some("certificate authorities cannot be used with a URL that is not http(s)")
            }
            _ if !is_pem && !authorities.expose().is_empty() => {
                Some("certificates in PEM are needed, and then base64 of that")
            }
            _ => None,
        };
        let name = ProtectedSettings::HTTPS_CA_CERT;
        errors.extend(message.map(|message| FieldError::protected(name, message)));
    }
    let https = [
        (ProtectedSettings::HTTPS_USER, user.is_some()),
        (ProtectedSettings::HTTPS_KEY, password.is_some()),
    ];
    for (name, given) in https {
        if given && transport == Some(Transport::Other) {
            let message = "a user and key for HTTPS cannot be used with a URL that is not http(s)";
            errors.push(FieldError::protected(name, message));
        }
        if !given && https.iter().any(|(_, given)| *given) {
            let message = "httpsUser and httpsKey cannot be used without each other";
            errors.push(FieldError::protected(name, message));
        }
    }
}

fn check_protected_names(settings: &ProtectedSettings, errors: &mut Vec<FieldError>) {
    let known = [
        ProtectedSettings::SSH_PRIVATE_KEY,
        ProtectedSettings::HTTPS_USER,
        ProtectedSettings::HTTPS_KEY,
        ProtectedSettings::HTTPS_CA_CERT,
    ];
    for (name, value) in settings.iter() {
        if !known.contains(&name) {
            // Cut: a secret may have been put where its name belongs.
            let name: String = name.chars().take(32).collect();
            errors.push(FieldError::property(
                "configurationProtectedSettings",
                format!(
                    "`{name}` is no protected setting; known are {}",
                    known.join(", ")
                ),
            ));
        } else if value.expose().len() > MAX_SECRET {
            let message = format!("the value may have at most {MAX_SECRET} bytes");
            errors.push(FieldError::protected(name, message));
        }
    }
}
