//! The form of a configuration: its fields bear the names of the API's, so that what the API says of
//! a body can be said at the field; and the body that it stands for.

mod conflict;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_arm::{
    ConfigurationProperties, FieldError, OperatorParams, OperatorScope, ProtectedChange,
    ProtectedSettings, repository_url, with_flags,
};
use serde_json::{Value, json};

use super::text::shown;
pub(super) use conflict::Conflict;

/// The flags that have a field of their own; the others are written as they are.
const FLAGS: [&str; 4] = [
    "git-branch",
    "git-path",
    "git-poll-interval",
    "sync-garbage-collection",
];

/// The flags that are set by buttons.
const BUTTONS: [&str; 3] = [
    "gitmoor-suspend",
    "gitmoor-requested-at",
    "gitmoor-confirm-prune",
];

/// What is filled in.
#[derive(Default)]
pub(super) struct Form {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) repository: String,
    pub(super) branch: String,
    pub(super) paths: String,
    pub(super) interval: String,
    pub(super) prune: bool,
    pub(super) flags: String,
    pub(super) namespace: String,
    pub(super) namespaced: bool,
    pub(super) known_hosts: String,
    /// `keep`, `none`, `https` or `ssh`.
    pub(super) credentials: String,
    pub(super) user: String,
    key: String,
    private_key: String,
    /// Certificate authorities; empty for those that there are, if any.
    pub(super) authorities: String,
    pub(super) has_authorities: bool,
    /// Whether those that there are go.
    pub(super) without_authorities: bool,
    /// The version that was looked at; none yet of one that is to be created.
    pub(super) etag: String,
    pub(super) errors: Vec<Fault>,
}

/// What is wrong with a field.
pub(super) struct Fault {
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl Form {
    /// An empty one, filled with what is usual.
    pub(super) fn empty(cluster: String) -> Self {
        Self {
            cluster,
            namespaced: true,
            prune: true,
            credentials: "none".to_owned(),
            ..Self::default()
        }
    }

    /// One that says what there is.
    pub(super) fn of(name: &str, properties: &ConfigurationProperties, etag: &str) -> Self {
        let text = properties.operator_params();
        let params = OperatorParams::parse(text).unwrap_or_default();
        let taken: Vec<(&str, Option<&str>)> = FLAGS
            .iter()
            .chain(&BUTTONS)
            .map(|flag| (*flag, None))
            .collect();
        let hosts = properties.ssh_known_hosts_contents().unwrap_or_default();
        let hosts = BASE64_STANDARD
            .decode(hosts.split_ascii_whitespace().collect::<String>())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        Self {
            name: name.to_owned(),
            repository: properties.repository_url.clone().unwrap_or_default(),
            branch: params.branch.unwrap_or_default(),
            paths: params.paths.join(", "),
            interval: params
                .poll_interval
                .map(|every| format!("{}s", every.as_secs_f64()))
                .unwrap_or_default(),
            prune: params.garbage_collection,
            flags: with_flags(text, &taken),
            namespace: properties.operator_namespace().to_owned(),
            namespaced: *properties.operator_scope() == OperatorScope::Namespace,
            known_hosts: hosts.unwrap_or_default(),
            credentials: "keep".to_owned(),
            etag: etag.to_owned(),
            ..Self::default()
        }
    }

    /// What a browser sent.
    pub(super) fn read(sent: &[(String, String)]) -> Self {
        let text = |name: &str| {
            let mut found = sent.iter().filter(|(key, _)| key == name);
            let value = found.next().map(|(_, value)| value.trim().to_owned());
            value.unwrap_or_default()
        };
        // A browser ends each line of a text with two characters.
        let lines = |name: &str| {
            let text = text(name).replace("\r\n", "\n");
            if text.is_empty() { text } else { text + "\n" }
        };
        Self {
            cluster: text("cluster"),
            name: text("name"),
            repository: text("repositoryUrl"),
            branch: text("git-branch"),
            paths: text("git-path"),
            interval: text("git-poll-interval"),
            prune: !text("sync-garbage-collection").is_empty(),
            flags: text("operatorParams"),
            namespace: text("operatorNamespace"),
            namespaced: text("operatorScope") == "namespace",
            known_hosts: lines("sshKnownHostsContents"),
            credentials: text("credentials"),
            user: text("httpsUser"),
            key: text("httpsKey"),
            private_key: lines("sshPrivateKey"),
            authorities: lines("httpsCACert"),
            without_authorities: !text("withoutAuthorities").is_empty(),
            etag: text("etag"),
            ..Self::default()
        }
    }

    /// Whether the repository is reached by SSH, or is meant to be.
    fn is_ssh(&self) -> bool {
        let url = repository_url(&self.repository);
        let http = url.is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        self.has("ssh") || !http
    }

    /// The secrets of the chosen credentials: the field, what was typed, and what is said when that
    /// is nothing.
    fn chosen(&self) -> Vec<(&'static str, &str, &'static str)> {
        match self.credentials.as_str() {
            "https" => vec![
                (
                    ProtectedSettings::HTTPS_USER,
                    &self.user,
                    "a user name is needed",
                ),
                (ProtectedSettings::HTTPS_KEY, &self.key, "a token is needed"),
            ],
            "ssh" => vec![(
                ProtectedSettings::SSH_PRIVATE_KEY,
                &self.private_key,
                "a private key is needed; without one the cluster makes its own deploy key",
            )],
            _ => Vec::new(),
        }
    }

    /// What the chosen credentials need and the form does not have.
    pub(super) fn missing(&self) -> Vec<FieldError> {
        let chosen = self.chosen().into_iter();
        let missing = chosen.filter(|(_, text, _)| text.is_empty());
        missing
            .map(|(field, _, message)| FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            })
            .collect()
    }

    /// What the secrets become, of which the form never shows those that there are.
    pub(super) fn protected(
        &self,
        sent: ProtectedChange,
        there: &ProtectedSettings,
    ) -> ProtectedChange {
        let stays = |name: &str| match name {
            ProtectedSettings::HTTPS_CA_CERT => {
                self.authorities.is_empty() && !self.without_authorities
            }
            _ => self.credentials == "keep",
        };
        let sent = sent.apply(None);
        let kept = there.iter().filter(|(name, _)| stays(name));
        let all = kept.chain(sent.iter());
        ProtectedChange::Replace(all.map(|(name, value)| (name, value.clone())).collect())
    }

    /// Whether not all secrets stay as they are.
    pub(super) fn changes_secrets(&self) -> bool {
        !self.has("keep") || !self.authorities.is_empty() || self.without_authorities
    }

    /// Whether secrets were typed that are not in the page which comes back.
    pub(super) fn asks_again(&self) -> bool {
        !self.key.is_empty() || !self.private_key.is_empty()
    }

    /// The body of the PUT that it stands for. `kept` is what there is: what the form does not show
    /// stays as it is.
    pub(super) fn body(&self, kept: Option<&ConfigurationProperties>) -> Value {
        let mut properties = kept.map_or_else(|| json!({}), |kept| json!(kept));
        if let Some(properties) = properties.as_object_mut() {
            properties.remove("configurationProtectedSettings");
        }
        let params = kept.map(|kept| OperatorParams::parse(kept.operator_params()));
        let params = params.and_then(Result::ok).unwrap_or_default();
        let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let on = |on: bool| on.then(String::new);
        let flags = [
            ("git-branch", given(&self.branch)),
            ("git-path", given(&self.paths)),
            ("git-poll-interval", given(&self.interval)),
            ("sync-garbage-collection", on(self.prune)),
            ("gitmoor-suspend", on(params.suspend)),
            ("gitmoor-requested-at", params.requested_at),
            ("gitmoor-confirm-prune", params.confirm_prune),
        ];
        let flags = flags
            .each_ref()
            .map(|(name, value)| (*name, value.as_deref()));
        properties["repositoryUrl"] = json!(self.repository);
        properties["operatorNamespace"] = json!(self.namespace);
        properties["operatorScope"] = json!(if self.namespaced {
            "namespace"
        } else {
            "cluster"
        });
        properties["operatorParams"] = json!(with_flags(&self.flags, &flags));
        let hosts = if self.is_ssh() {
            &*self.known_hosts
        } else {
            ""
        };
        properties["sshKnownHostsContents"] = json!(BASE64_STANDARD.encode(hosts));
        let chosen = self.chosen().into_iter();
        let mut secrets: Vec<(&str, &str)> = chosen.map(|(name, text, _)| (name, text)).collect();
        if !self.authorities.is_empty() {
            secrets.push((ProtectedSettings::HTTPS_CA_CERT, &self.authorities));
        }
        if self.credentials != "keep" || !secrets.is_empty() {
            let secrets = secrets.into_iter();
            let secrets = secrets.map(|(name, text)| (name, BASE64_STANDARD.encode(text)));
            properties["configurationProtectedSettings"] = secrets.collect();
        }
        json!({"properties": properties})
    }

    /// Says what the API says of the body, each at its field.
    pub(super) fn fail(&mut self, errors: &[FieldError]) {
        for error in errors {
            let name = error.field.rsplit('.').next().unwrap_or_default();
            let flag = error.message.strip_prefix("--").and_then(|rest| {
                let (flag, message) = rest.split_once(": ")?;
                Some((*FLAGS.iter().find(|known| **known == flag)?, message))
            });
            let (field, message) = match flag {
                Some((flag, message)) if name == "operatorParams" => (flag, message),
                _ => (input(name), error.message.as_str()),
            };
            self.errors.push(Fault {
                field,
                message: shown(message),
            });
        }
    }

    /// What is wrong with a field.
    pub(super) fn faults(&self, field: &str) -> Vec<&str> {
        let of_it = self.errors.iter().filter(|fault| fault.field == field);
        of_it.map(|fault| fault.message.as_str()).collect()
    }

    /// Whether these credentials are chosen.
    pub(super) fn has(&self, credentials: &str) -> bool {
        self.credentials == credentials
    }
}

/// The input at which something is said of a field of the API.
fn input(name: &str) -> &'static str {
    const INPUTS: [&str; 10] = [
        "cluster",
        "name",
        "repositoryUrl",
        "operatorNamespace",
        "operatorScope",
        "sshKnownHostsContents",
        "httpsUser",
        "httpsKey",
        "sshPrivateKey",
        "httpsCACert",
    ];
    let found = INPUTS.into_iter().find(|input| *input == name);
    found.unwrap_or("operatorParams")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gitmoor_arm::{ApiVersion, PutRequest};

    fn parsed(form: &Form, kept: Option<&ConfigurationProperties>) -> PutRequest {
        let body = form.body(kept).to_string();
        PutRequest::parse(body.as_bytes(), ApiVersion::NEWEST).unwrap()
    }

    #[test]
    fn known_hosts_are_written_where_the_repository_is_reached_by_ssh() {
        for (url, written) in [
            ("ssh://git@git.example.net/shop.git", true),
            ("git@git.example.net:shop.git", true),
            ("https://git.example.net/shop.git", false),
            ("HTTPS://git.example.net/shop.git", false),
        ] {
            let properties = ConfigurationProperties {
                repository_url: Some(url.to_owned()),
                ..ConfigurationProperties::default()
            };
            let mut form = Form::of("shop", &properties, "e");
            form.known_hosts = "h ssh-ed25519 AAAA\n".to_owned();
            let hosts = &form.body(None)["properties"]["sshKnownHostsContents"];
            assert_eq!(hosts != "", written, "{url}: {hosts}");
        }
    }

    #[test]
    fn what_is_shown_and_not_changed_is_written_as_it_was() {
        let properties = ConfigurationProperties {
            operator_params: Some(
                "--git-readonly --git-path='team blue,b' --git-poll-interval=1m30s --git-user x \
                 --gitmoor-suspend --gitmoor-requested-at=2026-01-01"
                    .to_owned(),
            ),
            operator_namespace: Some("blue".to_owned()),
            operator_instance_name: Some("blue".to_owned()),
            operator_scope: Some(OperatorScope::Namespace),
            repository_url: Some("ssh://git@git.example.net/shop.git".to_owned()),
            ssh_known_hosts_contents: Some(BASE64_STANDARD.encode("h ssh-ed25519 AAAA\n")),
            ..ConfigurationProperties::default()
        };
        let form = Form::of("shop", &properties, "e");
        assert_eq!(form.flags, "--git-readonly --git-user x");
        let request = parsed(&form, Some(&properties));
        assert_eq!(request.protected, gitmoor_arm::ProtectedChange::Keep);
        let read = |properties: &ConfigurationProperties| {
            OperatorParams::parse(properties.operator_params()).unwrap()
        };
        assert_eq!(read(&request.properties), read(&properties));
        let ConfigurationProperties {
            operator_params: _,
            operator_type: _,
            enable_helm_operator: _,
            helm_operator_properties: _,
            ..
        } = &request.properties;
        assert_eq!(
            request.properties.operator_instance_name,
            properties.operator_instance_name
        );
        assert_eq!(
            request.properties.ssh_known_hosts_contents,
            properties.ssh_known_hosts_contents
        );
        assert_eq!(
            request.properties.operator_namespace,
            properties.operator_namespace
        );
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        let mut form = Form::empty(String::new());
        let error = |field: &str, message: &str| FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        form.fail(&[
            error("properties.repositoryUrl", "a"),
            error("properties.operatorParams", "--git-branch: b"),
            error("properties.operatorParams", "--git-user: c"),
            error("properties.configurationProtectedSettings.httpsKey", "d"),
            error("properties.strange", "e\u{202e}"),
        ]);
        assert_eq!(form.faults("repositoryUrl"), ["a"]);
        assert_eq!(form.faults("git-branch"), ["b"]);
        assert_eq!(form.faults("httpsKey"), ["d"]);
        assert_eq!(
            form.faults("operatorParams"),
            ["--git-user: c", "e⟨U+202E⟩"]
        );
    }
}
