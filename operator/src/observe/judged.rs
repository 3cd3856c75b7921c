//! An object that is judged while it is read from a watch; no more of it is kept than its metadata.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, api::ApiResource, core::DynamicResourceScope};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use super::Shown;
use crate::{
    health::{Health, Status, health},
    metadata,
};

/// What is left of an object.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    metadata: ObjectMeta,
    unwell: Option<Health>,
}

impl<'de> Deserialize<'de> for Judged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        // One that is nested too deep to be judged is there, at least.
        let unwell = serde_json::from_str(text.get())
            .ok()
            .map(|object| health(&object))
            .filter(|health| health.status != Status::Current);
        let (_, metadata) = metadata::read(text.get().as_bytes()).map_err(D::Error::custom)?;
        Ok(Self { metadata, unwell })
    }
}

impl Shown for Judged {
    fn unwell(self) -> Option<Health> {
        self.unwell
    }
}
impl Resource for Judged {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
