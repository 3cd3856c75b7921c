//! Trees of manifests that tests make up, and the objects that a namespace has of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context as _, Result};
use gitmoor_git::Repository;
use kube::{ResourceExt as _, api::ListParams};
use rand::{Rng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::World;

/// A kind of which trees are made: each carries a value of ours elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The value is in its data.
    ConfigMap,
    /// The value is in its `stringData`.
    Secret,
    /// The value is in an annotation.
    ServiceAccount,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ConfigMap, Self::Secret, Self::ServiceAccount];

    /// The plural name in URLs.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::ServiceAccount => "serviceaccounts",
        }
    }

    fn manifest(self, name: &str, value: &str) -> Value {
        let mut object = json!({
            "apiVersion": "v1", "kind": self.to_string(), "metadata": {"name": name},
        });
        match self {
            Self::ConfigMap => object["data"] = json!({"value": value}),
            Self::Secret => object["stringData"] = json!({"value": value}),
            Self::ServiceAccount => {
                object["metadata"]["annotations"] = json!({"example.org/value": value});
            }
        }
        object
    }

    /// A merge patch that gives an object another value.
    pub fn edit(self, value: &str) -> Value {
        let mut edit = self.manifest("", value);
        if let Value::Object(edit) = &mut edit {
            edit.retain(|field, _| !matches!(field.as_str(), "apiVersion" | "kind"));
        }
        if let Some(Value::Object(metadata)) = edit.get_mut("metadata") {
            metadata.remove("name");
        }
        edit
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An object by kind and name.
pub type Id = (Kind, String);

/// What a commit declares: which file has an object, and the object's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<Id, (String, String)>);

impl Tree {
    /// Declares an object, or declares it otherwise.
    pub fn declare(&mut self, kind: Kind, name: &str, path: &str, value: &str) {
        self.0
            .insert((kind, name.to_owned()), (path.to_owned(), value.to_owned()));
    }

    /// The value of each object.
    pub fn values(&self) -> BTreeMap<Id, String> {
        let values = self.0.iter();
        values
            .map(|(id, (_, value))| (id.clone(), value.clone()))
            .collect()
    }

    /// Changes one thing at random: an object comes, goes, changes its value, moves to another file
    /// or becomes one of another kind. One object is in every tree.
    pub fn change(&mut self, rng: &mut StdRng) {
        self.declare(Kind::ConfigMap, "stays", "stays.yaml", "for ever");
        let name = format!("n{}", rng.random_range(0..8));
        let kind = Kind::ALL[rng.random_range(0..Kind::ALL.len())];
        let path = format!("{}.yaml", rng.random_range(0..5));
        let value = format!("value {}", rng.random_range(0..1000));
        match (
            rng.random_range(0..4),
            self.0.get_mut(&(kind, name.clone())),
        ) {
            (0, Some(_)) => {
                self.0.remove(&(kind, name));
            }
            (1, Some((place, _))) => *place = path,
            (2, Some(_)) => {
                self.0.remove(&(kind, name.clone()));
                let kind = Kind::ALL[rng.random_range(0..Kind::ALL.len())];
                self.declare(kind, &name, &path, &value);
            }
            _ => self.declare(kind, &name, &path, &value),
        }
    }

    fn files(&self) -> BTreeMap<&str, String> {
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        for ((kind, name), (path, value)) in &self.0 {
            let file = files.entry(path).or_default();
            file.push_str(&format!("---\n{}\n", kind.manifest(name, value)));
        }
        files
    }

    /// Commits the tree in place of what the repository has, and gives the commit's id.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn commit(&self, repository: &Repository, message: &str) -> Result<String> {
        let files = self.files();
        let before = repository.git(&["ls-files"])?;
        let before: BTreeSet<&str> = before.lines().collect();
        let removed: Vec<_> = before
            .into_iter()
            .filter(|path| !files.contains_key(path))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        Ok(repository.commit(&files, &removed, message)?)
    }
}

/// An object as a namespace has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its uid: another one is another object.
    pub uid: String,
    /// Its resource version: another one is another state.
    pub version: String,
    /// The value.
    pub value: String,
    /// All of it, but for what differs between two namespaces or two moments.
    pub rest: Value,
}

/// The objects of a namespace that some configuration has applied.
///
/// # Errors
/// When the API server refuses.
pub async fn applied(world: &World, namespace: &str) -> Result<BTreeMap<Id, Object>> {
    let mut all = BTreeMap::new();
    for kind in Kind::ALL {
        let api = world.objects("v1", &kind.to_string(), kind.plural(), namespace);
        let labelled = ListParams::default().labels("gitmoor.io/configuration");
        for object in api.list(&labelled).await? {
            let (name, uid) = (object.name_any(), object.uid().context("a uid")?);
            let version = object.resource_version().context("a resource version")?;
            let whole = serde_json::to_value(object)?;
            let object = Object {
                uid,
                version,
                value: value(kind, &whole)?,
                rest: rest(whole, namespace)?,
            };
            all.insert((kind, name), object);
        }
    }
    Ok(all)
}

fn value(kind: Kind, object: &Value) -> Result<String> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let pointer = match kind {
        Kind::ConfigMap | Kind::Secret => "/data/value",
        Kind::ServiceAccount => "/metadata/annotations/example.org~1value",
    };
    let text = object.pointer(pointer).and_then(Value::as_str);
    let text = text.unwrap_or_default();
    Ok(match kind {
        Kind::Secret => String::from_utf8(BASE64_STANDARD.decode(text)?)?,
        Kind::ConfigMap | Kind::ServiceAccount => text.to_owned(),
    })
}

fn rest(mut object: Value, namespace: &str) -> Result<Value> {
    let metadata = object["metadata"].as_object_mut().context("metadata")?;
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    let entries = metadata.get_mut("managedFields");
    for entry in entries
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        entry.remove("time");
    }
    let text = object.to_string().replace(namespace, "<namespace>");
    Ok(serde_json::from_str(&text)?)
}
