//! The in-cluster API of Gitmoor: the `SourceControlConfiguration` resource and the YAML of its
//! CustomResourceDefinition. How it is acted on is none of this crate's business.
//!
//! A *configuration* says which namespace follows which Git repository. ARM is one writer of it,
//! a person with `kubectl` another.

mod configuration;
mod duration;
mod status;

pub use configuration::{
    Credentials, Heal, Reference, Scope, SourceControlConfiguration, SourceControlConfigurationSpec,
};
pub use duration::{DurationError, GoDuration};
pub use status::{
    Commit, Counts, Drift, MAX_DRIFTS, MAX_OBJECTS, MAX_PROBLEMS, ObjectState, Problem,
    SourceControlConfigurationStatus, conditions, reasons,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The API group of every resource, label and annotation of Gitmoor.
pub const GROUP: &str = "gitmoor.io";

/// The resource's plural name, `sourcecontrolconfigurations`.
pub const PLURAL: &str = "sourcecontrolconfigurations";

/// On each applied object: `<namespace>.<name>` of the configuration it belongs to, or a hash of
/// it past 63 characters.
pub const LABEL_CONFIGURATION: &str = "gitmoor.io/configuration";

/// On each applied object: which object it was applied as, from which path, and the digest of what
/// was applied. A copied label names the wrong object and so claims nothing.
pub const ANNOTATION_ORIGIN: &str = "gitmoor.io/origin";

/// On a configuration: the commit whose deletions someone has confirmed, as at least seven digits of
/// its id. A commit that would delete a great part of what there is waits for it.
pub const ANNOTATION_CONFIRM_PRUNE: &str = "gitmoor.io/confirm-prune";

/// On a configuration: any new value makes the operator ask the repository at once.
pub const ANNOTATION_REQUESTED_AT: &str = "gitmoor.io/requested-at";

/// On a configuration that came from ARM: its resource id.
pub const ANNOTATION_ARM_ID: &str = "gitmoor.io/arm-id";

/// The CustomResourceDefinition.
pub fn definition() -> CustomResourceDefinition {
    let mut definition = SourceControlConfiguration::crd();
    // kube gives a `description` of its own making to the root; the type's is the useful one.
    for version in &mut definition.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            schema.description = Some(
                "A namespace of this cluster follows a Git repository: what the repository says is \
                 applied, kept so, and pruned when it is gone."
                    .to_owned(),
            );
        }
    }
    definition
}

/// The CustomResourceDefinition as the YAML file that ships with a release.
///
/// # Panics
/// Never: the type has no map with a key that is not text.
pub fn definition_yaml() -> String {
    let yaml = serde_yaml::to_string(&definition()).expect("the type is plain data");
    // `kubectl` reads YAML 1.1, in which the bare word is a boolean.
    let yaml = yaml.replace("- off\n", "- 'off'\n");
    format!(
        "# Generated from the types in crds/src by `gitmoor crds`; a test compares. Do not edit.\n{yaml}"
    )
}
