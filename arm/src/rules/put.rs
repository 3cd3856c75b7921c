//! The body of PUT: what a client may write, read so that every field at fault is named, and
//! brought into the form in which ARM keeps it.

use serde_json::{Map, Value};

use super::FieldError;
use crate::{
    ApiVersion, ConfigurationProperties, HelmOperatorProperties, OperatorScope, OperatorType,
    ProtectedSettings, Secret, normalised_operator_params,
};

/// What a PUT does to the protected settings. ARM gives `{}` for them, and takes `{}` as an order to
/// clear them: a client that writes back what it has read takes them away, as `az resource update`
/// does. One that leaves them out keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtectedChange {
    /// The field is absent: they stay as they are.
    Keep,
    /// `{}` or `null` takes them away, anything else takes their place.
    Replace(ProtectedSettings),
}

impl ProtectedChange {
    /// What they are after it.
    pub fn apply(self, stored: Option<ProtectedSettings>) -> ProtectedSettings {
        match self {
            Self::Keep => stored.unwrap_or_default(),
            Self::Replace(settings) => settings,
        }
    }
}

/// A body of PUT. Read-only and unknown fields are ignored, whatever they hold.
#[derive(Clone, Debug, PartialEq)]
pub struct PutRequest {
    /// What is desired, in the form in which ARM keeps it: `operatorType` `Flux`, `operatorParams`
    /// trimmed and with `--git-readonly`, defaults filled in; no protected settings. To be
    /// [`check`](crate::check)ed with them. `sshKnownHostsContents` is absent where the api-version
    /// knows none: they stay as they are.
    pub properties: ConfigurationProperties,
    /// What happens to the protected settings.
    pub protected: ProtectedChange,
    /// Every field that could not be read; nothing is to be written then.
    pub unread: Vec<FieldError>,
}

impl PutRequest {
    /// Reads a body of that api-version, of which every field can be read.
    ///
    /// # Errors
    /// Every field that has the wrong type.
    pub fn parse(body: &[u8], version: ApiVersion) -> Result<Self, Vec<FieldError>> {
        let request = Self::read(body, version);
        if request.unread.is_empty() {
            Ok(request)
        } else {
            Err(request.unread)
        }
    }

    /// Reads a body of that api-version, as far as it can be read.
    pub fn read(body: &[u8], version: ApiVersion) -> Self {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, message: String| {
            errors.push(FieldError {
                field: field.to_owned(),
                message,
            });
        };
        let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| {
            // serde_json's messages may quote the text, and that may be a secret.
            let (line, column) = (error.line(), error.column());
            wrong(
                "body",
                format!("this is no JSON: line {line}, column {column}"),
            );
            Value::Object(Map::new())
        });
        if !body.is_object() {
            wrong("body", "an object is needed".to_owned());
        }
        let none = Map::new();
        let properties = &body["properties"];
        if !properties.is_object() {
            wrong("properties", "an object is needed".to_owned());
        }
        // Of a body that is none, nothing else is said.
        errors.truncate(1);
        let mut fields = Fields {
            prefix: "properties",
            version,
            object: properties.as_object().unwrap_or(&none),
            errors,
        };
        Self {
            properties: fields.properties(),
            protected: fields.protected(),
            unread: fields.errors,
        }
    }
}

/// The fields of an object, and what was wrong with those that were read.
struct Fields<'a> {
    prefix: &'static str,
    version: ApiVersion,
    object: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    fn properties(&mut self) -> ConfigurationProperties {
        let known_hosts = self
            .version
            .has_credentials()
            .then(|| self.text("sshKnownHostsContents").unwrap_or_default());
        ConfigurationProperties {
            repository_url: self.text("repositoryUrl").map(|url| url.trim().to_owned()),
            operator_namespace: Some(self.text("operatorNamespace").unwrap_or("default".into())),
            operator_instance_name: self.text("operatorInstanceName"),
            operator_type: Some(
                self.text("operatorType")
                    .map_or(OperatorType::Flux, |text| text.as_str().into()),
            ),
            operator_params: Some(normalised_operator_params(
                &self.text("operatorParams").unwrap_or_default(),
            )),
            operator_scope: Some(
                self.text("operatorScope")
                    .map_or(OperatorScope::Cluster, |text| text.as_str().into()),
            ),
            ssh_known_hosts_contents: known_hosts,
            enable_helm_operator: Some(self.boolean("enableHelmOperator").unwrap_or(false)),
            helm_operator_properties: Some(self.helm()),
            ..ConfigurationProperties::default()
        }
    }

    fn helm(&mut self) -> HelmOperatorProperties {
        let none = Map::new();
        let mut helm = Fields {
            prefix: "properties.helmOperatorProperties",
            version: self.version,
            object: match self.object.get("helmOperatorProperties") {
                Some(Value::Object(object)) => object,
                Some(Value::Null) | None => &none,
                Some(_) => {
                    self.wrong("helmOperatorProperties", "an object is needed");
                    &none
                }
            },
            errors: Vec::new(),
        };
        let trimmed = |text: Option<String>| Some(text.unwrap_or_default().trim().to_owned());
        let properties = HelmOperatorProperties {
            chart_version: trimmed(helm.text("chartVersion")),
            chart_values: trimmed(helm.text("chartValues")),
        };
        self.errors.append(&mut helm.errors);
        properties
    }

    fn protected(&mut self) -> ProtectedChange {
        const FIELD: &str = "configurationProtectedSettings";
        if !self.version.has_credentials() {
            return ProtectedChange::Keep;
        }
        let settings = match self.object.get(FIELD) {
            None => return ProtectedChange::Keep,
            Some(Value::Null) => return ProtectedChange::Replace(ProtectedSettings::default()),
            Some(Value::Object(settings)) => settings,
            Some(_) => {
                self.wrong(FIELD, "an object is needed");
                return ProtectedChange::Keep;
            }
        };
        let mut read = Vec::new();
        for (name, value) in settings {
            match value {
                Value::String(text) => read.push((name, Secret::from(text.as_str()))),
                Value::Null => {}
                _ => self.wrong(&format!("{FIELD}.{name}"), "a text is needed"),
            }
        }
        ProtectedChange::Replace(read.into_iter().collect())
    }

    /// A text; an absent, null or empty one is none, as ARM's own answers write it.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.object.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Null => None,
            _ => {
                self.wrong(name, "a text is needed");
                None
            }
        }
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.object.get(name)? {
            Value::Bool(value) => Some(*value),
            Value::Null => None,
            Value::String(text) if self.version.writes_switches_as_text() => match text.as_str() {
                "" => None,
                text if text.eq_ignore_ascii_case("true") => Some(true),
                text if text.eq_ignore_ascii_case("false") => Some(false),
                _ => {
                    self.wrong(name, "true or false is needed");
                    None
                }
            },
            _ => {
                self.wrong(name, "true or false is needed");
                None
            }
        }
    }

    fn wrong(&mut self, name: &str, message: &str) {
        self.errors.push(FieldError {
            field: format!("{}.{name}", self.prefix),
            message: message.into(),
        });
    }
}
