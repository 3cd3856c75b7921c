//! What the API server's refusals mean for the person who wrote the manifest.

use super::{Failure, Owner};
use crate::{
    ObjectKey, Problem, Reason,
    plan::Work,
    requests::{Error, Refusal},
};

/// How much of the server's words is passed on, in bytes: a webhook may say anything.
const WORDS: usize = 1024;

/// The API server's word for a field that the schema does not have, or of the wrong type.
const NO_TYPED_PATCH: &str = "failed to create typed patch object";

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

/// The problem of an object that `configuration` could not apply.
pub(super) fn explain(work: &Work, configuration: &str, failure: &Failure) -> Problem {
    let (reason, message) = match failure {
        Failure::Request(error) => reason(&work.key, error),
        Failure::Unreadable(what) => (
            Reason::Unreadable,
            format!("read the file from the Git store: {what}"),
        ),
        Failure::Owned(owners) => (Reason::Conflict, belongs(configuration, owners)),
        Failure::NotReplaceable { immutable, refused } => {
            let (_, refused) = reason(&work.key, refused);
            let message = format!(
                "{}; the object is not replaced, since the new one would be refused: {refused}",
                words(&work.key, immutable)
            );
            (Reason::Immutable, message)
        }
        Failure::Lingers(finalizers) => (Reason::Immutable, replacing(finalizers)),
    };
    work.problem(reason, message)
}

fn belongs(configuration: &str, owners: &[Owner]) -> String {
    let names: Vec<_> = owners.iter().map(ToString::to_string).collect();
    let foreign = owners
        .iter()
        .any(|owner| matches!(owner, Owner::Configuration(_)));
    let cure = if foreign {
        "declare it in one of them only"
    } else {
        "remove it there, or here, or set adopt: true on the configuration to take it over"
    };
    format!(
        "the object belongs to {}, and the configuration {configuration} declares it too; it is left as it is: {cure}",
        names.join(" and ")
    )
}

fn replacing(finalizers: &[String]) -> String {
    format!(
        "the object is being replaced, and the old one is still there: {}",
        waits_for(finalizers)
    )
}

/// What an object that is being deleted waits for.
pub(super) fn waits_for(finalizers: &[String]) -> String {
    match finalizers {
        [] => "it has not ended yet".to_owned(),
        finalizers => format!(
            "whoever set its finalizers ({}) has not removed them yet",
            finalizers.join(", ")
        ),
    }
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
        404 if refusal.message.starts_with("namespaces \"") => (
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
        // Whoever changes it just now is done in a moment.
        409 => (Reason::Conflict, words),
        400 | 413 | 415 => (Reason::Invalid, words),
        422 if is_immutable(refusal) => (
            Reason::Immutable,
            format!(
                "{words}; the field cannot be changed on a live object: undo the change, or have the object deleted and created anew with the annotation gitmoor.io/replace: allowed"
            ),
        ),
        422 => (Reason::Invalid, words),
        500 if refusal.message.starts_with(NO_TYPED_PATCH) => (Reason::Invalid, words),
        500 if refusal.message.contains("failed calling webhook")
            || refusal.message.contains("failed to call webhook") =>
        {
            (
                Reason::Unanswered,
                format!(
                    "a webhook that must be asked about the object does not answer; it is tried again by itself: {words}"
                ),
            )
        }
        503 if !is_built_in(&key.group) => (
            Reason::Unanswered,
            format!(
                "the server that provides {} does not answer; it is tried again by itself: {words}",
                key.group
            ),
        ),
        code => (Reason::Unavailable, format!("{words} (status {code})")),
    }
}

/// Whether the API server itself provides a group, and not one behind it. `metrics.k8s.io` and its
/// like are taken for built in: nobody applies objects of theirs.
fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// Whether the refusal is for a field that cannot be changed on a live object. The API has no code
/// for it; these are the words of the built-in kinds, and of the rules that definitions mostly have.
pub(super) fn is_immutable(refusal: &Refusal) -> bool {
    let message = &refusal.message;
    let has = |words: &str| message.contains(words);
    refusal.code == 422
        && (has("immutable")
            || has("may not change")
            || has("may not be changed")
            || has("cannot change")
            || has("cannot be changed")
            || (has("updates to") && has("forbidden")))
}

/// The server's words. Of a Secret only which fields are at fault: validation, webhooks and policies
/// quote values.
fn words(key: &ObjectKey, refusal: &Refusal) -> String {
    if &*key.kind == "Secret" && key.group.is_empty() && !is_about_no_value(refusal) {
        let fields = fields(refusal);
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

/// Whether a refusal has nothing to do with what an object holds.
fn is_about_no_value(refusal: &Refusal) -> bool {
    match refusal.code {
        401 | 404 | 409 | 429 | 503 | 504 => true,
        403 => {
            refusal.message.contains(" is forbidden: User \"")
                || refusal.message.contains(" is forbidden: exceeded quota: ")
        }
        _ => false,
    }
}

/// The fields that a refusal names.
fn fields(refusal: &Refusal) -> Vec<&str> {
    let causes = refusal.causes.iter().map(|cause| cause.field.as_str());
    let mut fields: Vec<_> = causes.filter(|field| !field.is_empty()).collect();
    if fields.is_empty() && refusal.message.starts_with(NO_TYPED_PATCH) {
        // `…, Kind=Secret): .data.key: expected string, got …`, or one such in each line.
        fields.extend(refusal.message.lines().filter_map(|line| {
            let mut parts = line.split(": ").map(str::trim);
            parts.find(|part| part.starts_with('.'))
        }));
    }
    fields
}

fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
