//! Azure Resource Manager's `sourceControlConfigurations` and `fluxConfigurations`: the wire types, the rules that ARM's
//! command line keeps and ARM itself does not document, and a client. It knows HTTP, ARM ids and
//! tokens; what a configuration does in a cluster is none of its business.
//!
//! The words are ARM's: a *configuration* belongs to a *cluster*, both are named by an *ARM id*
//! that is compared without regard to case.
//!
//! # The data plane
//! ARM gives agents no secrets and takes no status from them. A portal does both, over paths of its
//! own below [`DATA_PLANE_PREFIX`] and the cluster's ARM id, with the same tokens and errors:
//!
//! The protected settings of an agent that was enrolled are sealed to its key, each for its own place.
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET {prefix}{clusterId}/configurations` | | a [`ListPage`] of configurations with their protected settings ([`WithSecrets`]) and an `etag`, further pages by `nextLink` |
//! | `POST {prefix}/enrolments` | a one-time token and the agent's [`SealingKey`], by anyone who has such a token | the id and the secret that the agent calls with from then on, sealed to the key |
//! | `PUT {prefix}{clusterId}/configurations/{name}/status` | [`StatusReport`] | 204; 412 when its `observedEtag` is not the configuration's `etag`; 404 when there is no such configuration |

mod client;
mod duration;
mod error;
mod flux;
mod id;
mod params;
mod rules;
mod sealing;
mod secret;
mod settings;
mod version;
mod wire;

pub use client::{
    Client, ClusterFacts, Identity, KUBERNETES_VERSION_HEADER, Listed, NODES_HEADER, Service,
    TransportError, Version, jittered,
};
pub use error::{Error, FileError, Retry, TokenError};
pub use flux::{
    FLUX_API_VERSIONS, FLUX_RESOURCE_TYPE, FluxProperties, FluxRequest, GIT_REPOSITORY,
    GitRepository, Kustomization, MAX_KUSTOMIZATIONS, PART_SEPARATOR, RepositoryRef, check_flux,
    flux_parts, part_name,
};
pub use id::{
    ArmId, CLUSTER_TYPES, ClusterId, ConfigurationId, FluxConfigurationId, IdError,
    MAX_RESOURCE_GROUP,
};
pub use params::{
    OperatorParams, POLL_INTERVAL_RANGE, ParamProblem, normalised_operator_params, with_flags,
};
pub use rules::{
    FieldError, MAX_KNOWN_HOSTS, MAX_NAME, MAX_NAMESPACE, MAX_OPERATOR_NAME, MAX_REPOSITORY_URL,
    MAX_SECRET, MAX_TEXT, MAX_WITH_HELM, ProtectedChange, PutRequest, RepositoryError, check,
    check_kept, check_name, repository_url, unsupported,
};
pub use sealing::{OpeningKey, SealingError, SealingKey, place_of};
pub use secret::Secret;
pub use settings::{
    Credential, Enrolment, ManagedIdentity, ServicePrincipal, Settings, SettingsError,
    WorkloadIdentity,
};
pub use version::{API_VERSIONS, ApiVersion};
pub use wire::{
    AdditionalInfo, Commit, ComplianceMessage, ComplianceState, ComplianceStatus,
    ConfigurationProperties, Drift, EnrolmentAnswer, EnrolmentRequest, ErrorDetail, ErrorResponse,
    HelmOperatorProperties, IdentityType, ListPage, MAX_DRIFTS, MAX_OBJECTS, MAX_PROBLEMS,
    MAX_STATUS_BYTES, MessageLevel, NotATimestamp, NotBase64, ObjectCounts, ObjectState,
    OperatorScope, OperatorType, Problem, ProtectedSettings, ProvisioningState,
    SourceControlConfiguration, StatusReport, SystemData, Timestamp, WithSecrets,
};

/// The resource type in every configuration's `type`.
pub const RESOURCE_TYPE: &str = "Microsoft.KubernetesConfiguration/sourceControlConfigurations";

/// The path in the data plane at which a one-time token becomes a credential.
pub const ENROLMENT_PATH: &str = "/dataplane/v1/enrolments";

/// The place that the credential in the answer is sealed for.
pub const ENROLMENT_PLACE: &str = "enrolment";

/// What the path of the agents' data plane begins with; the cluster's ARM id follows.
pub const DATA_PLANE_PREFIX: &str = "/dataplane/v1";
