//! The bodies of ARM's API and of the data plane, exactly as they are on the wire. Unknown fields
//! and unknown words of an enumeration are taken as they come; what is right is in `rules`.

mod compliance;
mod configuration;
mod enrolment;
mod error;
mod protected;
mod report;
mod timestamp;
mod words;

pub use compliance::{ComplianceMessage, ComplianceStatus};
pub use configuration::{
    ConfigurationProperties, HelmOperatorProperties, ListPage, SourceControlConfiguration,
    SystemData, WithSecrets,
};
pub use enrolment::{EnrolmentAnswer, EnrolmentRequest};
pub use error::{AdditionalInfo, ErrorDetail, ErrorResponse};
pub use protected::{NotBase64, ProtectedSettings};
pub use report::{
    Commit, Drift, MAX_DRIFTS, MAX_OBJECTS, MAX_PROBLEMS, MAX_STATUS_BYTES, ObjectCounts,
    ObjectState, Problem, StatusReport,
};
pub use timestamp::{NotATimestamp, Timestamp};
pub use words::{
    ComplianceState, IdentityType, MessageLevel, OperatorScope, OperatorType, ProvisioningState,
};
