//! What is known of each flag of Flux v1's daemon (fluxcd/flux 1.25, `cmd/fluxd/main.go`), and of the
//! few that are Gitmoor's own.

/// Whether a flag takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Switch,
    Value,
    Unknown,
}

/// What comes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Branch,
    Paths,
    PollInterval,
    ReadOnly,
    GarbageCollection,
    Suspend,
    RequestedAt,
    Timeout,
    DependsOn,
    ConfirmPrune,
    /// It makes no difference.
    None,
    /// Something that Gitmoor does not do and whose absence would change what is applied.
    Refused(&'static str),
    /// The same, but for one value that asks for nothing.
    RefusedUnless(&'static str, &'static str),
    /// The same for a switch; switched off it is fine.
    RefusedWhenOn(&'static str),
    Unknown,
}

const SIGNATURES: &str =
    "signatures of commits are not verified; remove the flag to follow the branch unverified";

/// Switches that make no difference: image automation, write-backs and logs.
const IDLE_SWITCHES: &[&str] = &[
    "git-ci-skip",
    "git-set-author",
    "k8s-in-cluster",
    "registry-disable-scanning",
    "registry-trace",
    "version",
];

/// Flags with a value that make no difference.
const IDLE_VALUES: &[&str] = &[
    "automation-interval",
    "docker-config",
    "git-ci-skip-message",
    "git-email",
    "git-gpg-key-import",
    "git-label",
    "git-notes-ref",
    "git-signing-key",
    "git-sync-tag",
    "git-timeout",
    "git-user",
    "k8s-secret-data-key",
    "k8s-secret-name",
    "k8s-secret-volume-mount-path",
    "k8s-unsafe-exclude-resource",
    "k8s-verbosity",
    "kube-config",
    "kubernetes-kubectl",
    "listen",
    "listen-metrics",
    "log-format",
    "memcached-hostname",
    "memcached-port",
    "memcached-service",
    "memcached-timeout",
    "registry-burst",
    "registry-cache-expiry",
    "registry-ecr-exclude-id",
    "registry-ecr-include-id",
    "registry-ecr-region",
    "registry-exclude-image",
    "registry-include-image",
    "registry-insecure-host",
    "registry-poll-interval",
    "registry-require",
    "registry-rps",
    "registry-use-labels",
    "rpc-timeout",
    "ssh-keygen-bits",
    "ssh-keygen-dir",
    "ssh-keygen-type",
    "sync-interval",
    "sync-state",
    "sync-timeout",
];

pub(super) fn form(name: &str) -> Form {
    match effect(name) {
        Effect::ReadOnly
        | Effect::GarbageCollection
        | Effect::Suspend
        | Effect::RefusedWhenOn(_) => Form::Switch,
        Effect::None if IDLE_SWITCHES.contains(&name) => Form::Switch,
        Effect::Unknown => Form::Unknown,
        _ => Form::Value,
    }
}

pub(super) fn effect(name: &str) -> Effect {
    match name {
        "git-branch" => Effect::Branch,
        "git-path" => Effect::Paths,
        "git-poll-interval" => Effect::PollInterval,
        "git-readonly" => Effect::ReadOnly,
        "sync-garbage-collection" => Effect::GarbageCollection,
        super::SUSPEND => Effect::Suspend,
        super::REQUESTED_AT => Effect::RequestedAt,
        super::TIMEOUT => Effect::Timeout,
        super::DEPENDS_ON => Effect::DependsOn,
        super::CONFIRM_PRUNE => Effect::ConfirmPrune,
        "git-url" => Effect::Refused("the repository is named by repositoryUrl alone"),
        "k8s-allow-namespace" | "k8s-namespace-whitelist" => {
            Effect::Refused("namespaces are bounded by operatorScope: use the scope namespace")
        }
        "k8s-default-namespace" => {
            Effect::Refused("objects without a namespace go to operatorNamespace")
        }
        "git-verify-signatures-mode" => Effect::RefusedUnless("none", SIGNATURES),
        "connect" | "token" => Effect::Refused("there is no Weave Cloud to connect to"),
        "manifest-generation" => Effect::RefusedWhenOn(
            ".flux.yaml is not followed: commit the generated manifests and remove the flag",
        ),
        "git-secret" | "sops" => Effect::RefusedWhenOn(
            "files are not decrypted: keep secrets out of the repository and remove the flag",
        ),
        "git-verify-signatures" => Effect::RefusedWhenOn(SIGNATURES),
        "sync-garbage-collection-dry" => Effect::RefusedWhenOn(
            "there is no dry run of deletes: leave out --sync-garbage-collection to delete nothing",
        ),
        _ if IDLE_SWITCHES.contains(&name) || IDLE_VALUES.contains(&name) => Effect::None,
        _ => Effect::Unknown,
    }
}
