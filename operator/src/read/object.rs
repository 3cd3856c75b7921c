//! What a document says about itself: which object, with which options, and what of it is sent.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Content, digest::Digest};
use crate::{
    ObjectKey, Reason,
    manifest::{Document, Fault},
};

/// How an object is kept in step with the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// It is made what the repository says, and kept so.
    #[default]
    Enforce,
    /// It is created when it is missing, and otherwise left as it is.
    CreateOnly,
    /// It is left alone.
    Ignore,
}

/// What an object's annotations ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `gitmoor.io/sync`.
    pub sync: Sync,
    /// `gitmoor.io/prune: never`.
    pub keep: bool,
    /// `gitmoor.io/replace: allowed`.
    pub replace: bool,
}

/// An object of a file's content.
pub(super) struct Object {
    pub(super) key: ObjectKey,
    pub(super) version: Arc<str>,
    pub(super) line: u32,
    pub(super) index: u32,
    pub(super) digest: Digest,
    pub(super) options: Options,
}

/// Adds what a document declares, or what is wrong with it.
pub(super) fn read(
    document: Document,
    index: u32,
    word: &mut dyn FnMut(&str) -> Arc<str>,
    content: &mut Content,
) {
    let Document { line, mut value } = document;
    let fault = |reason, message: String| Fault {
        line,
        reason,
        message,
    };
    let text = |pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    if value.pointer("/sops/mac").is_some() {
        content.faults.push((None, fault(Reason::Encrypted, "the file is encrypted by SOPS, which is not supported: commit what is no secret, and bring secrets into the cluster another way".to_owned())));
        return;
    }
    let (Some(api_version), Some(kind)) = (text("/apiVersion"), text("/kind")) else {
        let has = |field: &str| value.get(field).is_some();
        let (reason, message) = if has("apiVersion") || has("kind") {
            let missing = if text("/kind").is_none() {
                "kind"
            } else {
                "apiVersion"
            };
            (
                Reason::NotAnObject,
                format!(
                    "{missing} is missing or is no text: every object needs apiVersion, kind and metadata.name"
                ),
            )
        } else {
            (
                Reason::NoKind,
                "this is no Kubernetes object (it has neither apiVersion nor kind) and is skipped"
                    .to_owned(),
            )
        };
        content.faults.push((None, fault(reason, message)));
        return;
    };
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    if is_of_another_tool(group, kind) {
        content
            .faults
            .push((None, fault(Reason::OtherTool, KUSTOMIZE.to_owned())));
        return;
    }
    let Some(name) = text("/metadata/name") else {
        let (reason, message) = if text("/metadata/generateName").is_some() {
            (
                Reason::GeneratedName,
                "generateName would make another object at each sync: write metadata.name",
            )
        } else {
            (
                Reason::NotAnObject,
                "metadata.name is missing or is no text",
            )
        };
        content
            .faults
            .push((None, fault(reason, message.to_owned())));
        return;
    };
    let key = ObjectKey {
        group: word(group),
        kind: word(kind),
        namespace: text("/metadata/namespace").map(&mut *word),
        name: name.into(),
    };
    let version = word(version);
    let options = match options(&value) {
        Ok(options) => options,
        Err(message) => {
            content.held.push(key.clone());
            content
                .faults
                .push((Some(key), fault(Reason::BadAnnotation, message)));
            return;
        }
    };
    let removed = clean(&mut value);
    if !removed.is_empty() {
        let message = format!(
            "only the server may set {}: left out; remove it here",
            removed.join(", ")
        );
        content
            .faults
            .push((Some(key.clone()), fault(Reason::ServerField, message)));
    }
    content.objects.push(Object {
        key,
        version,
        line,
        index,
        digest: Digest::of(&value),
        options,
    });
}

const KUSTOMIZE: &str = "this is a file of Kustomize, which does not run here: it is skipped, and the files beside it are applied as they are; commit what `kustomize build` prints";

/// A fault in a file of this name: Kustomize's own need not say what they are.
pub(super) fn in_file(fault: &Fault, path: &str) -> Fault {
    let name = path.rsplit('/').next().unwrap_or(path);
    if fault.reason == Reason::NoKind && matches!(name, "kustomization.yaml" | "kustomization.yml")
    {
        return Fault {
            line: fault.line,
            reason: Reason::OtherTool,
            message: KUSTOMIZE.to_owned(),
        };
    }
    fault.clone()
}

fn is_of_another_tool(group: &str, kind: &str) -> bool {
    group == "kustomize.config.k8s.io" && matches!(kind, "Kustomization" | "Component")
}

fn options(object: &Value) -> Result<Options, String> {
    let mut options = Options::default();
    let annotation = |name: &str| object.pointer("/metadata/annotations")?.get(name)?.as_str();
    match annotation("gitmoor.io/sync") {
        None => {}
        Some("ignore") => options.sync = Sync::Ignore,
        Some("create-only") => options.sync = Sync::CreateOnly,
        Some(other) => {
            return Err(format!(
                "gitmoor.io/sync is ignore or create-only, and not {other:?}; the object is left as it is"
            ));
        }
    }
    match annotation("gitmoor.io/prune") {
        None => {}
        Some("never") => options.keep = true,
        Some(other) => {
            return Err(format!(
                "gitmoor.io/prune is never, and not {other:?}; the object is left as it is"
            ));
        }
    }
    match annotation("gitmoor.io/replace") {
        None => {}
        Some("allowed") => options.replace = true,
        Some(other) => {
            return Err(format!(
                "gitmoor.io/replace is allowed, and not {other:?}; the object is left as it is"
            ));
        }
    }
    // What it means in Flux v1.
    match annotation("fluxcd.io/ignore") {
        Some("true") => options.sync = Sync::Ignore,
        Some("sync_only") => options.keep = true,
        _ => {}
    }
    Ok(options)
}

/// Takes out of an object what only the server may set, and says what of it held a value; brings a
/// Secret's `stringData` into the form in which its owner can be told.
pub(super) fn clean(object: &mut Value) -> Vec<&'static str> {
    let mut removed = Vec::new();
    let Value::Object(fields) = object else {
        return removed;
    };
    let mut remove = |fields: &mut Map<String, Value>, field: &str, name: &'static str| {
        if let Some(value) = fields.remove(field)
            && !value.is_null()
            && value.as_object().is_none_or(|map| !map.is_empty())
        {
            removed.push(name);
        }
    };
    remove(fields, "status", "status");
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        for (field, name) in [
            ("creationTimestamp", "metadata.creationTimestamp"),
            ("uid", "metadata.uid"),
            ("resourceVersion", "metadata.resourceVersion"),
            ("generation", "metadata.generation"),
            ("managedFields", "metadata.managedFields"),
            ("selfLink", "metadata.selfLink"),
        ] {
            remove(metadata, field, name);
        }
    }
    let is_secret = fields.get("kind").is_some_and(|kind| kind == "Secret")
        && fields
            .get("apiVersion")
            .is_some_and(|version| version == "v1");
    if is_secret {
        encode_string_data(fields);
    }
    removed
}

/// Ownership of the write-only `stringData` says nothing about `data`, so that a change of `data`
/// would not be seen. What is no text is left for the server to refuse.
fn encode_string_data(secret: &mut Map<String, Value>) {
    let all_text = |map: &Map<String, Value>| map.values().all(Value::is_string);
    let Some(Value::Object(texts)) = secret.get("stringData") else {
        return;
    };
    let data_is_map = secret
        .get("data")
        .is_none_or(|data| data.is_object() || data.is_null());
    if !all_text(texts) || !data_is_map {
        return;
    }
    let Some(Value::Object(texts)) = secret.remove("stringData") else {
        return;
    };
    let data = secret.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    if let Value::Object(data) = data {
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            data.insert(key, Value::String(STANDARD.encode(text)));
        }
    }
}
