//! The api-versions of `sourceControlConfigurations`, and in what their bodies differ. That is
//! little: the first preview knew neither secrets nor who wrote what, and all later ones are alike.

/// The api-versions that carry `sourceControlConfigurations`, oldest first. 2021-09-01,
/// 2022-01-15-preview and 2022-04-02-preview exist and do not.
pub const API_VERSIONS: [&str; 11] = [
    FIRST,
    "2020-07-01-preview",
    "2020-10-01-preview",
    "2021-03-01",
    "2021-05-01-preview",
    "2021-11-01-preview",
    "2022-01-01-preview",
    "2022-03-01",
    "2022-07-01",
    "2022-11-01",
    "2023-05-01",
];

/// The one whose bodies differ.
const FIRST: &str = "2019-11-01-preview";

/// One of [`API_VERSIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion(&'static str);

impl ApiVersion {
    /// The newest.
    pub const NEWEST: Self = Self(API_VERSIONS[API_VERSIONS.len() - 1]);

    /// The version of that name, whatever its case, if it carries the resource.
    pub fn parse(text: &str) -> Option<Self> {
        let same = |known: &&str| known.eq_ignore_ascii_case(text);
        API_VERSIONS.into_iter().find(same).map(Self)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether it knows `configurationProtectedSettings` and `sshKnownHostsContents`.
    pub fn has_credentials(self) -> bool {
        self.0 != FIRST
    }

    /// Whether it knows `systemData`.
    pub fn has_system_data(self) -> bool {
        self.0 != FIRST
    }

    /// Whether `enableHelmOperator` is the text `true` or `false`.
    pub fn writes_switches_as_text(self) -> bool {
        self.0 == FIRST
    }
}
