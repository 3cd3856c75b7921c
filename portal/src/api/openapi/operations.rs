//! What can be called: by path and method, in which api-versions, with what body and what answers.

mod clusters;
mod roles;
mod surroundings;

use serde_json::{Map, Value, json};

use super::{answers::refusal, component, parameters};

const SUBSCRIPTION: &str = "/subscriptions/{subscriptionId}";
const GROUP: &str = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";
/// A cluster of any kind.
const CLUSTER: &str = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/{clusterRp}/{clusterResourceName}/{clusterName}";

/// What every call with a token may be answered.
const ALWAYS: [u16; 8] = [400, 401, 403, 404, 408, 429, 500, 503];

/// One method of a path.
pub(super) struct Operation {
    pub(super) path: String,
    pub(super) method: &'static str,
    /// As ARM's own documents call it, which is what clients call it too.
    pub(super) id: String,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    open: bool,
}

fn operation(
    method: &'static str,
    path: impl Into<String>,
    id: impl Into<String>,
    summary: &'static str,
) -> Operation {
    let path = path.into();
    let places = path.split('/').filter_map(|part| part.strip_prefix('{'));
    let parameters = places
        .map(|name| parameter(name.trim_end_matches('}')))
        .collect();
    Operation {
        path,
        method,
        id: id.into(),
        summary,
        parameters,
        body: None,
        answers: ALWAYS
            .iter()
            .map(|status| (status.to_string(), refusal(*status)))
            .collect(),
        open: false,
    }
}

fn parameter(name: &str) -> Value {
    component("parameters", name)
}

impl Operation {
    pub(super) fn view(&self) -> Value {
        let mut view = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": self.parameters,
            "responses": self.answers,
        });
        if let Some(body) = &self.body {
            view["requestBody"] = json!({"required": true, "content": body});
        }
        if self.open {
            view["security"] = json!([]);
        }
        view
    }

    /// Of a resource type, in these versions.
    fn of(mut self, versions: &[&str]) -> Self {
        let version = json!({"type": "string", "enum": versions});
        self.parameters.push(parameters::version(&version));
        self
    }

    /// Of ARM itself.
    fn of_arm(mut self) -> Self {
        self.parameters.push(parameter("anyVersion"));
        self
    }

    fn with(mut self, names: &[&str]) -> Self {
        self.parameters
            .extend(names.iter().map(|name| parameter(name)));
        self
    }

    /// A resource that is made has a stricter name than one that may be there.
    fn named(mut self, old: &str, new: &str) -> Self {
        self.parameters.retain(|one| *one != parameter(old));
        self.with(&[new])
    }

    fn body(mut self, schema: &str) -> Self {
        self.body = Some(json!({"application/json": {"schema": component("schemas", schema)}}));
        self.or(413)
    }

    fn conditional(self) -> Self {
        self.with(&["ifMatch", "ifNoneMatch"]).or(412)
    }

    fn or(mut self, status: u16) -> Self {
        self.answers.insert(status.to_string(), refusal(status));
        self
    }

    fn json(self, status: u16, description: &str, schema: &str) -> Self {
        let content = json!({"application/json": {"schema": component("schemas", schema)}});
        self.answer(
            status,
            json!({"description": description, "content": content}),
        )
    }

    /// The same, with the resource's version in a header.
    fn versioned(mut self, status: u16, description: &str, schema: &str) -> Self {
        self = self.json(status, description, schema);
        self.answers[&status.to_string()]["headers"] = json!({
            "ETag": {"required": true, "schema": {"type": "string", "pattern": "^\".+\"$"}},
        });
        self
    }

    fn empty(self, status: u16, description: &str) -> Self {
        self.answer(status, json!({"description": description}))
    }

    fn answer(mut self, status: u16, answer: Value) -> Self {
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// For anyone: answered by these alone.
    fn open(mut self, refusals: &[u16]) -> Self {
        self.open = true;
        self.answers = refusals
            .iter()
            .map(|status| (status.to_string(), refusal(*status)))
            .collect();
        self
    }
}

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    [
        surroundings::open(),
        surroundings::arm(),
        clusters::clusters(),
        clusters::configurations(),
        clusters::flux(),
        roles::roles(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
