//! What the API server's refusals mean for the person who wrote the manifest.

use crate::{
    ObjectKey, Problem, Reason,
    plan::Work,
    requests::{Error, Refusal},
};

/// How much of the server's words is passed on, in bytes: a webhook may say anything.
const WORDS: usize = 1024;

/// The field managers that an answer names as owners of what we wanted to apply.
pub(super) fn other_owners(refusal: &Refusal) -> Vec<&str> {
    let causes = refusal.causes.iter();
    let mut owners: Vec<&str> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        // `conflict with "kubectl-create" using v1: .data.k`
        .filter_map(|cause| cause.message.split('"').nth(1))
        .collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// Whether an object is left to no one by taking it over: its fields belong to people and their
/// tools, not to another configuration or engine.
pub(super) fn may_take_over(refusal: &Refusal) -> bool {
    let owners = other_owners(refusal);
    !owners.is_empty() && owners.iter().all(|owner| engine(owner).is_none())
}

/// What a field manager is, if it is one that will not give an object up.
fn engine(manager: &str) -> Option<String> {
    if let Some(configuration) = manager.strip_prefix("gitmoor:") {
        return Some(format!(
            "the configuration {}",
            configuration.replace(':', "/")
        ));
    }
    let name = match manager {
        "kustomize-controller" | "helm-controller" | "flux" => "Flux",
        "argocd-controller" | "argocd-application-controller" | "argocd" => "Argo CD",
        "configsync" | "configmanagement.gke.io" => "Config Sync",
        "kapp-controller" | "kapp-server" => "kapp",
        "fleetagent" | "fleet-agent" => "Fleet",
        "helm" | "Helm" => "Helm",
        _ => return None,
    };
    Some(format!("{name} (field manager {manager})"))
}

/// The problem of an object that could not be applied.
pub(super) fn explain(work: &Work, error: &Error) -> Problem {
    let (reason, message) = reason(&work.key, error);
    work.problem(reason, message)
}

/// The problem of an object that could not be deleted.
pub(super) fn explain_deletion(key: &ObjectKey, error: &Error) -> Problem {
    let (_, message) = reason(key, error);
    Problem {
        path: String::new(),
        line: None,
        object: Some(key.clone()),
        reason: Reason::NotPruned,
        message: format!("no longer declared, and could not be deleted: {message}"),
    }
}

fn reason(key: &ObjectKey, error: &Error) -> (Reason, String) {
    let refusal = match error {
        Error::Refused(refusal) => refusal,
        Error::Unreachable(source) => {
            return (Reason::Unavailable, format!("{error}: {}", root(source)));
        }
        Error::Illegible(_) => return (Reason::Unavailable, error.to_string()),
    };
    let words = words(key, refusal);
    let in_namespace = || key.namespace.as_deref().unwrap_or_default();
    match refusal.code {
        403 if refusal.message.contains("because it is being terminated") => (
            Reason::NamespaceNotFound,
            format!("the namespace {} is being deleted", in_namespace()),
        ),
        403 => (Reason::Forbidden, format!("not allowed: {words}")),
        404 if refusal.message.starts_with("namespaces ") => (
            Reason::NamespaceNotFound,
            format!(
                "the namespace {} does not exist: declare it, or ask for it",
                in_namespace()
            ),
        ),
        404 => (
            Reason::UnknownKind,
            format!("this cluster no longer serves the kind: {words}"),
        ),
        409 => {
            let owners = other_owners(refusal);
            let names: Vec<_> = owners
                .iter()
                .map(|owner| engine(owner).unwrap_or_else(|| (*owner).to_owned()))
                .collect();
            let message = if names.is_empty() {
                words
            } else {
                format!(
                    "the object belongs to {}: remove it there, or here ({} fields are claimed)",
                    names.join(" and "),
                    refusal.causes.len()
                )
            };
            (Reason::Conflict, message)
        }
        400 | 413 | 415 => (Reason::Invalid, words),
        422 if is_immutable(refusal) => (
            Reason::Immutable,
            format!(
                "{words}; the field cannot be changed on a live object: delete the object once, or undo the change"
            ),
        ),
        422 => (Reason::Invalid, words),
        // The API server's word for a field that the schema does not have, or of the wrong type.
        500 if refusal
            .message
            .starts_with("failed to create typed patch object") =>
        {
            (Reason::Invalid, words)
        }
        code => (Reason::Unavailable, format!("{words} (status {code})")),
    }
}

fn is_immutable(refusal: &Refusal) -> bool {
    [
        "field is immutable",
        "may not change",
        "are forbidden",
        "cannot be changed",
    ]
    .iter()
    .any(|words| refusal.message.contains(words))
}

/// The server's words. Of a Secret only which fields are at fault: validation quotes values.
fn words(key: &ObjectKey, refusal: &Refusal) -> String {
    if &*key.kind == "Secret" && matches!(refusal.code, 400 | 422) {
        let fields: Vec<_> = refusal
            .causes
            .iter()
            .map(|cause| cause.field.as_str())
            .filter(|field| !field.is_empty())
            .collect();
        return if fields.is_empty() {
            "the API server refused the Secret; its words may quote values and are withheld: try `kubectl apply --dry-run=server`".to_owned()
        } else {
            format!(
                "the API server refused the Secret for: {}",
                fields.join(", ")
            )
        };
    }
    let mut end = refusal.message.len().min(WORDS);
    while !refusal.message.is_char_boundary(end) {
        end -= 1;
    }
    let text: String = refusal.message[..end]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if end < refusal.message.len() {
        text + "…"
    } else {
        text
    }
}

fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
