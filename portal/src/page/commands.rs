//! The same actions as commands for a shell, to copy. No secret is in them, and no text of others
//! can be anything but an argument.

use gitmoor_arm::{
    ApiVersion, ConfigurationId, ConfigurationProperties, OperatorParams, OperatorScope,
    ProtectedSettings,
};
use serde_json::{Value, json};

use super::text::hides;

/// Commands that do one thing.
pub(super) struct Commands {
    /// What they do, and a word for ids.
    pub(super) title: &'static str,
    pub(super) word: &'static str,
    pub(super) az: String,
    pub(super) curl: String,
    pub(super) kubectl: String,
}

/// Where and what they are about.
pub(super) struct Subject<'a> {
    pub(super) base: String,
    pub(super) id: &'a ConfigurationId,
    pub(super) properties: &'a ConfigurationProperties,
    /// The version that they change; nothing of one that is to be made.
    pub(super) etag: Option<&'a str>,
    /// The names of the secrets that it has then.
    pub(super) secrets: Vec<&'a str>,
    /// Whether they take the place of all that there are.
    pub(super) writes_secrets: bool,
}

impl Subject<'_> {
    /// Those of all actions; of the confirmation too, when the deletions of a commit wait for it.
    pub(super) fn all(&self, guarded: Option<&str>) -> Vec<Commands> {
        let params = OperatorParams::parse(self.properties.operator_params());
        let suspended = params.is_ok_and(|params| params.suspend);
        let (title, word) = if suspended {
            ("Resume", "resume")
        } else {
            ("Suspend", "suspend")
        };
        let name = quoted(self.id.name());
        let namespace = quoted(self.properties.operator_namespace());
        let merge = json!({"spec": {"suspend": !suspended}});
        let flag = (!suspended).then_some("");
        let mut all = vec![
            self.put(),
            self.put_with(
                title,
                word,
                &[("gitmoor-suspend", flag)],
                format!(
                    "kubectl -n {namespace} patch scc {name} --type merge -p {}",
                    quoted(&visible(&merge))
                ),
            ),
            self.put_with(
                "Sync now",
                "sync",
                &[("gitmoor-requested-at", Some("NOW"))],
                format!(
                    "kubectl -n {namespace} annotate --overwrite scc {name} \\\n  \
                     gitmoor.io/requested-at=\"$(date -u +%FT%TZ)\""
                ),
            ),
            Commands {
                title: "Delete",
                word: "delete",
                az: format!("az rest --method delete --url {}", self.url()),
                curl: format!(
                    "curl -X DELETE -H \"Authorization: Bearer $TOKEN\" \\\n  {}",
                    self.url()
                ),
                kubectl: format!("kubectl -n {namespace} delete scc {name}"),
            },
        ];
        if let Some(commit) = guarded {
            let confirm = self.put_with(
                "Confirm the deletions",
                "confirm",
                &[("gitmoor-confirm-prune", Some(commit))],
                format!(
                    "kubectl -n {namespace} annotate --overwrite scc {name} \\\n  {}",
                    quoted(&format!("gitmoor.io/confirm-prune={commit}"))
                ),
            );
            all.insert(1, confirm);
        }
        all
    }

    /// Those that make it what it is.
    pub(super) fn put(&self) -> Commands {
        let kubectl = format!("kubectl apply -f - <<'EOF'\n{}EOF", self.manifest());
        self.put_with("Create or change", "put", &[], kubectl)
    }

    fn put_with(
        &self,
        title: &'static str,
        word: &'static str,
        flags: &[(&str, Option<&str>)],
        kubectl: String,
    ) -> Commands {
        let mut properties = json!(self.properties);
        if let Some(properties) = properties.as_object_mut() {
            for read_only in ["configurationProtectedSettings", "provisioningState"] {
                properties.remove(read_only);
            }
        }
        let params = gitmoor_arm::with_flags(self.properties.operator_params(), flags);
        properties["operatorParams"] = json!(params);
        if self.writes_secrets {
            let secrets = self.secrets.iter();
            let secrets = secrets.map(|name| (*name, variable(name)));
            properties["configurationProtectedSettings"] = secrets.collect();
        }
        let body = quoted(&visible(&json!({"properties": properties})));
        // The moment is that of the shell, and so are the secrets.
        let mut body = body.replace("requested-at=NOW", "requested-at='\"$(date -u +%FT%TZ)\"'");
        for name in &self.secrets {
            let variable = variable(name);
            let value = format!("'\"$(printf %s \"${variable}\" | base64 -w0)\"'");
            body = body.replace(
                &format!("\"{name}\":\"{variable}\""),
                &format!("\"{name}\":\"{value}\""),
            );
        }
        let url = self.url();
        // What was changed since is not written over.
        let condition = match self.etag {
            Some(etag) => quoted(&format!("If-Match={etag}")),
            None => quoted("If-None-Match=*"),
        };
        let header = condition.replacen('=', ": ", 1);
        Commands {
            title,
            word,
            az: format!(
                "az rest --method put --url {url} \\\n  --headers 'Content-Type=application/json' \
                 {condition} \\\n  --body {body}"
            ),
            curl: format!(
                "curl -X PUT -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \
                 \\\n  -H {header} \\\n  {url} \\\n  -d {body}"
            ),
            kubectl,
        }
    }

    fn url(&self) -> String {
        quoted(&format!(
            "{}{}?api-version={}",
            self.base,
            self.id,
            ApiVersion::NEWEST.as_str()
        ))
    }

    /// The same as a resource of the cluster's own. Its texts are written as JSON writes them, which
    /// YAML reads.
    fn manifest(&self) -> String {
        let properties = self.properties;
        let params = OperatorParams::parse(properties.operator_params()).unwrap_or_default();
        let url = properties.repository_url.as_deref().unwrap_or_default();
        let url = gitmoor_arm::repository_url(url).map_or_else(|_| url.to_owned(), String::from);
        let mut lines = vec![
            "apiVersion: gitmoor.io/v1alpha1".to_owned(),
            "kind: SourceControlConfiguration".to_owned(),
            "metadata:".to_owned(),
            format!("  name: {}", visible(&json!(self.id.name()))),
            format!(
                "  namespace: {}",
                visible(&json!(properties.operator_namespace()))
            ),
            "spec:".to_owned(),
            format!("  repository: {}", visible(&json!(url))),
            format!("  scope: {}", visible(&json!(properties.operator_scope()))),
            format!("  prune: {}", params.garbage_collection),
        ];
        if let Some(branch) = params.branch {
            lines.push(format!(
                "  reference: {}",
                visible(&json!({"branch": branch}))
            ));
        }
        if !params.paths.is_empty() {
            lines.push(format!("  paths: {}", visible(&json!(params.paths))));
        }
        if let Some(every) = params.poll_interval {
            lines.push(format!("  interval: {}s", every.as_secs_f64()));
        }
        if let Some(timeout) = params.timeout {
            lines.push(format!("  timeout: {}s", timeout.as_secs_f64()));
        }
        if !params.depends_on.is_empty() {
            lines.push(format!(
                "  dependsOn: {}",
                visible(&json!(params.depends_on))
            ));
        }
        let keys = self.keys();
        if !keys.is_empty() {
            let namespace = match properties.operator_scope() {
                OperatorScope::Namespace => "this",
                _ => "the agent's",
            };
            lines.push(format!(
                "  # A Secret in {namespace} namespace, with these keys: {}.",
                keys.join(", ")
            ));
            let secret = format!("{}-repository", self.id.name());
            lines.push(format!(
                "  credentials: {}",
                visible(&json!({"secretName": secret}))
            ));
        }
        if params.suspend {
            lines.push("  suspend: true".to_owned());
        }
        lines.join("\n") + "\n"
    }

    /// The keys of the Secret that holds, in a cluster, by what the repository is read.
    fn keys(&self) -> Vec<&'static str> {
        let keys = [
            (ProtectedSettings::HTTPS_USER, "username"),
            (ProtectedSettings::HTTPS_KEY, "password"),
            (ProtectedSettings::HTTPS_CA_CERT, "ca.crt"),
            (ProtectedSettings::SSH_PRIVATE_KEY, "identity"),
        ];
        let keys = keys
            .into_iter()
            .filter(|(name, _)| self.secrets.contains(name));
        let hosts = self.properties.ssh_known_hosts_contents();
        let hosts = hosts.map(|_| "known_hosts");
        keys.map(|(_, key)| key).chain(hosts).collect()
    }
}

/// The variable of the shell that holds a secret.
fn variable(name: &str) -> &'static str {
    match name {
        ProtectedSettings::HTTPS_USER => "HTTPS_USER",
        ProtectedSettings::HTTPS_KEY => "HTTPS_KEY",
        ProtectedSettings::SSH_PRIVATE_KEY => "SSH_PRIVATE_KEY",
        ProtectedSettings::HTTPS_CA_CERT => "HTTPS_CA_CERT",
        _ => "SECRET",
    }
}

/// JSON in which nothing hides: such characters are written by their numbers, which means the same.
fn visible(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if hides(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// One argument of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/shop";

    #[test]
    fn hostile_text_stays_an_argument_and_is_seen() {
        let properties = ConfigurationProperties {
            repository_url: Some("https://h.example/'; rm -rf /; '\u{202e}".to_owned()),
            operator_namespace: Some("blue".to_owned()),
            operator_params: Some(
                "--git-path='EOF' --gitmoor-timeout=90s --gitmoor-depends-on=base".to_owned(),
            ),
            ssh_known_hosts_contents: Some("YQ==".to_owned()),
            ..ConfigurationProperties::default()
        };
        let id = ID.parse().unwrap();
        let subject = Subject {
            base: "https://portal.example".to_owned(),
            id: &id,
            properties: &properties,
            etag: Some("e'tag"),
            secrets: vec![ProtectedSettings::SSH_PRIVATE_KEY],
            writes_secrets: false,
        };
        for commands in subject.all(Some("8e1f0c7';rm -rf /")) {
            for text in [&commands.az, &commands.curl] {
                let words = shlex::split(text).unwrap();
                let rm = words.iter().filter(|word| word.contains("rm -rf"));
                assert!(
                    rm.clone().all(|word| word.starts_with("{\"properties\"")),
                    "{text}"
                );
                assert!(!text.contains('\u{202e}'));
            }
            if commands.word == "confirm" {
                let words = shlex::split(&commands.kubectl).unwrap();
                let last = words.last().unwrap();
                assert_eq!(last, "gitmoor.io/confirm-prune=8e1f0c7';rm -rf /");
            }
            let ends = commands
                .kubectl
                .lines()
                .filter(|line| *line == "EOF")
                .count();
            assert!(ends <= 1, "{}", commands.kubectl);
            if commands.word == "put" {
                for line in [
                    "  timeout: 90s\n",
                    "  dependsOn: [\"base\"]\n",
                    "  # A Secret in the agent's namespace, with these keys: identity, known_hosts.\n",
                    "  credentials: {\"secretName\":\"shop-repository\"}\n",
                ] {
                    assert!(commands.kubectl.contains(line), "{}", commands.kubectl);
                }
            }
        }
    }

    #[test]
    fn the_moment_of_a_sync_is_that_of_the_shell() {
        let properties = ConfigurationProperties {
            repository_url: Some("https://h.example/x".to_owned()),
            ..ConfigurationProperties::default()
        };
        let id = ID.parse().unwrap();
        let subject = Subject {
            base: "https://portal.example".to_owned(),
            id: &id,
            properties: &properties,
            etag: Some("e'tag"),
            secrets: Vec::new(),
            writes_secrets: false,
        };
        let all = subject.all(None);
        let sync = all.iter().find(|one| one.word == "sync").unwrap();
        assert!(
            sync.az
                .contains("--gitmoor-requested-at='\"$(date -u +%FT%TZ)\"'\""),
            "{}",
            sync.az
        );
        assert!(
            all[0]
                .kubectl
                .contains("repository: \"https://h.example/x\"")
        );
    }
}
