//! The Deployment of an operator. It passes the Pod Security level `restricted`.

use gitmoor_crds::Scope;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction,
            PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext,
            Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::labels;
use crate::{names::operator, pair::Pair, settings::Settings};

/// The user of the image, which is nobody anywhere else.
const USER: i64 = 65532;

/// What the Git stores of one operator may take of a node's disk. They can be lost at any moment,
/// and a pod that needs more is evicted alone.
const STORE_LIMIT: &str = "2Gi";

/// Where an operator serves metrics and probes.
const METRICS_PORT: i32 = 8080;

/// The Deployment, without its name.
pub(super) fn deployment(pair: &Pair, settings: &Settings) -> Deployment {
    let mut labels = labels(pair);
    labels.insert(
        "app.kubernetes.io/name".to_owned(),
        "gitmoor-operator".to_owned(),
    );
    Deployment {
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            revision_history_limit: Some(1),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                match_expressions: None,
            },
            // Two at once would only fence each other off.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(pair, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod(pair: &Pair, settings: &Settings) -> PodSpec {
    PodSpec {
        service_account_name: Some(operator(pair)),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(pair, settings)],
        volumes: Some(vec![Volume {
            name: "store".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(STORE_LIMIT.to_owned())),
                medium: None,
            }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    }
}

fn container(pair: &Pair, settings: &Settings) -> Container {
    Container {
        name: "operator".to_owned(),
        image: Some(settings.operator_image.clone()),
        args: Some(arguments(pair, settings)),
        env: Some(vec![
            variable("GITMOOR_ENGINE", engine(settings)),
            variable("GITMOOR_METRICS_ADDRESS", format!("[::]:{METRICS_PORT}")),
        ]),
        ports: Some(vec![ContainerPort {
            name: Some("metrics".to_owned()),
            container_port: METRICS_PORT,
            ..ContainerPort::default()
        }]),
        liveness_probe: Some(probe("/healthz")),
        readiness_probe: Some(probe("/readyz")),
        resources: Some(settings.operator_resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![VolumeMount {
            name: "store".to_owned(),
            mount_path: settings.operator.directory.display().to_string(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn arguments(pair: &Pair, settings: &Settings) -> Vec<String> {
    let mut arguments = vec![
        "operator".to_owned(),
        format!("--namespace={}", pair.namespace),
        format!("--scope={}", pair.scope),
    ];
    if pair.scope == Scope::Cluster {
        arguments.push(format!("--home={}", settings.namespace));
    }
    arguments
}

/// The engine's settings as one variable, in the notation of figment: JSON but for `=`.
fn engine(settings: &Settings) -> String {
    let settings = serde_json::to_value(&settings.operator).expect("settings are plain data");
    let mut text = String::new();
    figment_value(&settings, &mut text);
    text
}

fn figment_value(value: &serde_json::Value, text: &mut String) {
    match value {
        serde_json::Value::Object(fields) => {
            text.push('{');
            for (place, (name, value)) in fields.iter().filter(|(_, v)| !v.is_null()).enumerate() {
                if place > 0 {
                    text.push_str(", ");
                }
                text.push_str(name);
                text.push('=');
                figment_value(value, text);
            }
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}
