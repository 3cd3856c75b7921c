//! ARM ids: `/subscriptions/…/resourceGroups/…/providers/…`. They are compared, ordered and hashed
//! without regard to case, as ARM does, and keep the case they were written in.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The resource provider of configurations.
const CONFIGURATION_PROVIDER: &str = "Microsoft.KubernetesConfiguration";
const CONFIGURATION_TYPE: &str = "sourceControlConfigurations";
const FLUX_TYPE: &str = "fluxConfigurations";

/// The kinds of cluster that ARM knows, by resource provider and type.
pub const CLUSTER_TYPES: [(&str, &str); 4] = [
    ("Microsoft.Kubernetes", "connectedClusters"),
    ("Microsoft.ContainerService", "managedClusters"),
    ("Microsoft.HybridContainerService", "provisionedClusters"),
    ("Microsoft.ResourceConnector", "appliances"),
];

/// An id longer than this is no id: the parts of the longest that ARM allows stay well below.
const MAX_LENGTH: usize = 1024;

/// ARM's bound for the name of a resource group.
pub const MAX_RESOURCE_GROUP: usize = 90;

/// Why a text is no ARM id, or not one of the kind that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` is no id of a {wanted}: {problem}")]
pub struct IdError {
    id: String,
    wanted: &'static str,
    problem: String,
}

/// The id of any ARM resource: a path of `/key/value` pairs below a subscription.
#[derive(Clone)]
pub struct ArmId(Box<str>);

impl ArmId {
    /// The id in the case it was written in; also its path below ARM's endpoint.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0[1..].split('/')
    }

    fn segment(&self, index: usize) -> &str {
        self.segments()
            .nth(index)
            .expect("the number of segments was checked when the id was parsed")
    }

    fn lower(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }

    fn parse(text: &str, wanted: &'static str) -> Result<Self, IdError> {
        check_path(text)
            .map(|()| Self(text.into()))
            .map_err(|problem| fail(text, wanted, problem))
    }
}

fn fail(text: &str, wanted: &'static str, problem: String) -> IdError {
    IdError {
        id: text.chars().take(MAX_LENGTH).collect(),
        wanted,
        problem,
    }
}

/// What every ARM id must hold, so that it can stand in a URL's path as it is.
fn check_path(text: &str) -> Result<(), String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes"));
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err("it must begin with /subscriptions/".into());
    };
    let segments: Vec<&str> = rest.split('/').collect();
    if let Some(empty) = segments.iter().position(|segment| segment.is_empty()) {
        return Err(format!("part {} of it is empty", empty + 1));
    }
    if let Some(bad) = segments.iter().find(|segment| !valid_segment(segment)) {
        return Err(format!(
            "`{bad}` may only hold letters, digits and the characters - _ . ( )"
        ));
    }
    if !segments[0].eq_ignore_ascii_case("subscriptions") {
        return Err("it must begin with /subscriptions/".into());
    }
    if segments.len() % 2 == 1 {
        return Err("it ends in a type without a name".into());
    }
    if let Some(group) = segments.get(3)
        && segments[2].eq_ignore_ascii_case("resourceGroups")
        && group.len() > MAX_RESOURCE_GROUP
    {
        return Err(format!(
            "the resource group has more than {MAX_RESOURCE_GROUP} characters"
        ));
    }
    Ok(())
}

/// Nothing that a URL's path would have to escape, and no `.` or `..`, which URLs resolve.
fn valid_segment(segment: &str) -> bool {
    segment.bytes().any(|byte| byte != b'.')
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.()".contains(&byte))
}

/// Checks that the segments of `id` at `fixed` places are these words, whatever their case.
fn expect_words(id: &ArmId, fixed: &[(usize, &str)]) -> Result<(), String> {
    for (index, word) in fixed {
        let found = id.segment(*index);
        if !found.eq_ignore_ascii_case(word) {
            return Err(format!("`{found}` stands where `{word}` should"));
        }
    }
    Ok(())
}

fn check_cluster(id: &ArmId) -> Result<(), String> {
    expect_words(id, &[(2, "resourceGroups"), (4, "providers")])?;
    let (provider, kind) = (id.segment(5), id.segment(6));
    let known = CLUSTER_TYPES
        .iter()
        .any(|(p, k)| p.eq_ignore_ascii_case(provider) && k.eq_ignore_ascii_case(kind));
    if known {
        return Ok(());
    }
    let known: Vec<String> = CLUSTER_TYPES.map(|(p, k)| format!("{p}/{k}")).into();
    Err(format!(
        "`{provider}/{kind}` is no type of cluster; known are {}",
        known.join(", ")
    ))
}

/// The id of a cluster, such as
/// `/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Kubernetes/connectedClusters/{name}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(ArmId);

impl ClusterId {
    /// The cluster of that type, such as `connectedClusters`, and name in a resource group.
    ///
    /// # Errors
    /// When there is no such type, or one of the others cannot be part of an id.
    pub fn new(
        subscription: &str,
        resource_group: &str,
        cluster_type: &str,
        name: &str,
    ) -> Result<Self, IdError> {
        let known = CLUSTER_TYPES
            .iter()
            .find(|(_, kind)| kind.eq_ignore_ascii_case(cluster_type));
        // Of an unknown one the provider does not matter.
        let (provider, _) = known.unwrap_or(&CLUSTER_TYPES[0]);
        format!(
            "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/{provider}/{cluster_type}/{name}"
        )
        .parse()
    }

    /// The id of any resource that this is.
    pub fn arm_id(&self) -> &ArmId {
        &self.0
    }

    /// The id in the case it was written in; also its path below ARM's endpoint.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The subscription's id.
    pub fn subscription(&self) -> &str {
        self.0.segment(1)
    }

    /// The resource group's name.
    pub fn resource_group(&self) -> &str {
        self.0.segment(3)
    }

    /// The resource provider, such as `Microsoft.Kubernetes`.
    pub fn provider(&self) -> &str {
        self.0.segment(5)
    }

    /// The type, such as `connectedClusters`.
    pub fn cluster_type(&self) -> &str {
        self.0.segment(6)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.0.segment(7)
    }

    /// The path of the list of this cluster's configurations below ARM's endpoint.
    pub fn configurations_path(&self) -> String {
        format!("{self}/providers/{CONFIGURATION_PROVIDER}/{CONFIGURATION_TYPE}")
    }

    /// The path of the list of this cluster's configurations in the data plane.
    pub fn data_plane_path(&self) -> String {
        format!("{}{self}/configurations", crate::DATA_PLANE_PREFIX)
    }

    /// The path in the data plane to which the status of one configuration is reported.
    pub fn status_path(&self, configuration: &str) -> String {
        format!("{}/{configuration}/status", self.data_plane_path())
    }

    /// The id of this cluster's configuration of that name.
    ///
    /// # Errors
    /// When `name` cannot be part of an id.
    pub fn configuration(&self, name: &str) -> Result<ConfigurationId, IdError> {
        format!("{}/{name}", self.configurations_path()).parse()
    }
}

/// The id of a `sourceControlConfiguration` of a cluster.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigurationId(ArmId);

/// The id of a `fluxConfiguration` of a cluster.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FluxConfigurationId(ArmId);

macro_rules! below_cluster {
    ($($type:ident),*) => {$(
        impl $type {
            /// The id of any resource that this is.
            pub fn arm_id(&self) -> &ArmId {
                &self.0
            }

            /// The id in the case it was written in; also its path below ARM's endpoint.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The cluster that the configuration belongs to.
            pub fn cluster(&self) -> ClusterId {
                let segments: Vec<&str> = self.0.segments().take(8).collect();
                ClusterId(ArmId(format!("/{}", segments.join("/")).into()))
            }

            /// The configuration's name.
            pub fn name(&self) -> &str {
                self.0.segment(11)
            }
        }
    )*};
}

below_cluster!(ConfigurationId, FluxConfigurationId);

impl FromStr for ArmId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text, "resource")
    }
}

impl FromStr for ClusterId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const WANTED: &str = "cluster";
        let id = ArmId::parse(text, WANTED)?;
        if id.segments().count() != 8 {
            let shape = "write /subscriptions/{id}/resourceGroups/{group}/providers/Microsoft.Kubernetes/connectedClusters/{name}";
            return Err(fail(text, WANTED, shape.into()));
        }
        check_cluster(&id).map_err(|problem| fail(text, WANTED, problem))?;
        Ok(Self(id))
    }
}

impl FromStr for ConfigurationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        below_cluster(text, "configuration", CONFIGURATION_TYPE).map(Self)
    }
}

impl FromStr for FluxConfigurationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        below_cluster(text, "Flux configuration", FLUX_TYPE).map(Self)
    }
}

/// The id of a resource of that type of a cluster.
fn below_cluster(text: &str, wanted: &'static str, kind: &str) -> Result<ArmId, IdError> {
    let id = ArmId::parse(text, wanted)?;
    if id.segments().count() != 12 {
        let shape = format!(
            "it must be a cluster's id and /providers/{CONFIGURATION_PROVIDER}/{kind}/{{name}}"
        );
        return Err(fail(text, wanted, shape));
    }
    check_cluster(&id)
        .and_then(|()| {
            let words = [(8, "providers"), (9, CONFIGURATION_PROVIDER), (10, kind)];
            expect_words(&id, &words)
        })
        .map_err(|problem| fail(text, wanted, problem))?;
    Ok(id)
}

impl PartialEq for ArmId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ArmId {}

impl Hash for ArmId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

impl Ord for ArmId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower().cmp(other.lower())
    }
}

impl PartialOrd for ArmId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

macro_rules! as_text {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    )*};
}

as_text!(ArmId, ClusterId, ConfigurationId, FluxConfigurationId);
