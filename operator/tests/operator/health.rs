//! How objects fare: a table for each kind, and what is no object at all.

use gitmoor_operator::{
    health::{Health, Status, health},
    manifest,
};
use serde_json::{Value, json};

use Status::{Current, Failed, InProgress, Terminating, Unknown};

/// The only document of a text.
fn object(yaml: &str) -> Value {
    let mut parsed = manifest::parse(yaml.as_bytes());
    assert_eq!(parsed.faults, [], "{yaml}");
    assert_eq!(parsed.documents.len(), 1, "{yaml}");
    parsed.documents.remove(0).value
}

/// Each row: what follows the kind and a name, the status, and the message.
fn table(api_version: &str, kind: &str, rows: &[(&str, Status, &str)]) {
    for (rest, status, message) in rows {
        let yaml = format!(
            "apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: one, generation: 2}}\n{rest}"
        );
        let expected = Health {
            status: *status,
            message: (*message).to_owned(),
        };
        assert_eq!(health(&object(&yaml)), expected, "{yaml}");
    }
}

#[test]
fn the_words_are_those_of_kstatus() {
    let names = [
        InProgress,
        Failed,
        Current,
        Terminating,
        Status::NotFound,
        Unknown,
    ];
    assert_eq!(
        names.map(Status::name),
        [
            "InProgress",
            "Failed",
            "Current",
            "Terminating",
            "NotFound",
            "Unknown"
        ]
    );
}

#[test]
fn a_deployment_is_current_when_all_its_replicas_are_new_and_available() {
    table(
        "apps/v1",
        "Deployment",
        &[
            ("", InProgress, "0 of 1 replica is made"),
            (
                "spec: {replicas: 3, progressDeadlineSeconds: 600}\nstatus: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}",
                Current,
                "3 of 3 replicas are available",
            ),
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3}",
                InProgress,
                "its controller has seen generation 1, and it is at 2",
            ),
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3}",
                InProgress,
                "1 of 3 replicas are of its newest template",
            ),
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 2, replicas: 4, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3}",
                InProgress,
                "1 replica too many has still to end",
            ),
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2}",
                InProgress,
                "2 of 3 replicas are available",
            ),
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 3}",
                InProgress,
                "2 of 3 replicas are ready",
            ),
            (
                "spec: {progressDeadlineSeconds: 600}\nstatus: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: ReplicaSetUpdated}]}",
                InProgress,
                "its rollout has not ended",
            ),
            // Without a deadline the controller does not report progress.
            (
                "spec: {progressDeadlineSeconds: 2147483647}\nstatus: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}]}",
                Current,
                "1 of 1 replica is available",
            ),
            (
                "status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'False'}]}",
                InProgress,
                "it is not reported as available",
            ),
        ],
    );
}

#[test]
fn a_deployment_past_its_deadline_failed_and_says_what_the_quota_said() {
    table(
        "apps/v1",
        "Deployment",
        &[
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3, conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: ReplicaSet \"one-5\" has timed out progressing.}]}",
                Failed,
                "ProgressDeadlineExceeded: ReplicaSet \"one-5\" has timed out progressing.; 3 of 3 replicas are available",
            ),
            (
                "spec: {replicas: 3}\nstatus: {observedGeneration: 2, replicas: 1, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'pods \"one-5-x\" is forbidden: exceeded quota: small'}]}",
                InProgress,
                "1 of 3 replicas are made; FailedCreate: pods \"one-5-x\" is forbidden: exceeded quota: small",
            ),
        ],
    );
}

#[test]
fn a_paused_deployment_and_one_of_no_replicas_wait_for_nothing() {
    let conditions = "conditions: [{type: Progressing, status: Unknown, reason: DeploymentPaused}]";
    let half = format!(
        "spec: {{replicas: 3, paused: true, progressDeadlineSeconds: 600}}\nstatus: {{observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 4, availableReplicas: 4, {conditions}}}"
    );
    let broken = format!(
        "spec: {{replicas: 3, paused: true, progressDeadlineSeconds: 600}}\nstatus: {{observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 1, availableReplicas: 1, {conditions}}}"
    );
    table(
        "apps/v1",
        "Deployment",
        &[
            (
                &half,
                Current,
                "it is paused; 1 of 3 replicas are of its newest template",
            ),
            (
                &broken,
                InProgress,
                "it is paused, and 1 of 3 replicas are available",
            ),
            (
                "spec: {replicas: 3, paused: true}\nstatus: {observedGeneration: 2}",
                Current,
                "it is paused and has no pods",
            ),
            (
                "spec: {replicas: 0, progressDeadlineSeconds: 600}\nstatus: {observedGeneration: 2}",
                Current,
                "it is scaled to zero",
            ),
            (
                "spec: {replicas: 0}\nstatus: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2}",
                InProgress,
                "2 replicas too many have still to end",
            ),
            (
                "spec: {replicas: 0}",
                InProgress,
                "it is not reported as available",
            ),
        ],
    );
}

#[test]
fn a_stateful_set_rolls_out_as_far_as_its_partition_says() {
    table(
        "apps/v1",
        "StatefulSet",
        &[
            (
                "spec: {replicas: 3}",
                InProgress,
                "0 of 3 replicas are made",
            ),
            (
                "spec: {replicas: 3}\nstatus: {replicas: 3, readyReplicas: 2}",
                InProgress,
                "2 of 3 replicas are ready",
            ),
            (
                "spec: {replicas: 3}\nstatus: {replicas: 5, readyReplicas: 5}",
                InProgress,
                "2 replicas too many have still to end",
            ),
            (
                "spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}}\nstatus: {observedGeneration: 2, replicas: 3, readyReplicas: 3, updatedReplicas: 1}",
                InProgress,
                "1 of 3 replicas are of its newest template",
            ),
            (
                "spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 0}}}\nstatus: {replicas: 3, readyReplicas: 3, updatedReplicas: 3}",
                Current,
                "3 of 3 replicas are ready",
            ),
            (
                "spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 1}}}\nstatus: {replicas: 3, readyReplicas: 3, updatedReplicas: 1}",
                InProgress,
                "1 of 2 replicas are of its newest template, by its partition",
            ),
            (
                "spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 2}}}\nstatus: {replicas: 3, readyReplicas: 3, updatedReplicas: 1}",
                Current,
                "3 of 3 replicas are ready; 1 are of its newest template, as its partition says",
            ),
            (
                "spec: {replicas: 3}\nstatus: {replicas: 3, readyReplicas: 3, currentReplicas: 2}",
                InProgress,
                "2 of 3 replicas are of its current template",
            ),
            (
                "spec: {replicas: 2}\nstatus: {replicas: 2, readyReplicas: 2, currentReplicas: 2, updatedReplicas: 0, currentRevision: one-1, updateRevision: one-2}",
                InProgress,
                "0 of 2 replicas are of its newest template",
            ),
            (
                "spec: {replicas: 2}\nstatus: {replicas: 2, readyReplicas: 2, currentReplicas: 2, currentRevision: one-1, updateRevision: one-1}",
                Current,
                "2 of 2 replicas are ready",
            ),
            (
                "spec: {replicas: 2, updateStrategy: {type: OnDelete}}\nstatus: {replicas: 2, readyReplicas: 2, updatedReplicas: 0}",
                Current,
                "its pods are replaced when somebody deletes them (OnDelete); 2 of 2 replicas are ready",
            ),
            ("spec: {replicas: 0}", Current, "it is scaled to zero"),
        ],
    );
}

#[test]
fn a_daemon_set_is_current_when_every_node_has_its_newest_pod() {
    let of = |spec: &str, [current, updated, available, ready]: [u8; 4]| {
        format!(
            "spec: {spec}\nstatus: {{observedGeneration: 2, desiredNumberScheduled: 4, currentNumberScheduled: {current}, updatedNumberScheduled: {updated}, numberAvailable: {available}, numberReady: {ready}}}"
        )
    };
    let on_delete = "{updateStrategy: {type: OnDelete}}";
    table(
        "apps/v1",
        "DaemonSet",
        &[
            ("", InProgress, "its controller has not seen it yet"),
            (
                "status: {observedGeneration: 2}",
                InProgress,
                "its controller has not seen it yet",
            ),
            (
                &of("{}", [3, 3, 3, 3]),
                InProgress,
                "its pods are made on 3 of 4 nodes",
            ),
            (
                &of("{}", [4, 3, 4, 4]),
                InProgress,
                "its pods are of its newest template on 3 of 4 nodes",
            ),
            (
                &of("{}", [4, 4, 2, 4]),
                InProgress,
                "its pods are available on 2 of 4 nodes",
            ),
            (
                &of("{}", [4, 4, 4, 1]),
                InProgress,
                "its pods are ready on 1 of 4 nodes",
            ),
            (
                &of("{}", [4, 4, 4, 4]),
                Current,
                "its pods are ready on 4 of 4 nodes",
            ),
            (
                &of(on_delete, [4, 0, 4, 4]),
                Current,
                "its pods are ready on 4 of 4 nodes",
            ),
            (
                &of(on_delete, [4, 0, 4, 3]),
                InProgress,
                "its pods are ready on 3 of 4 nodes",
            ),
            (
                "status: {observedGeneration: 2, desiredNumberScheduled: 0}",
                Current,
                "no node is to run its pods",
            ),
        ],
    );
}

#[test]
fn replica_sets_and_replication_controllers_count_what_is_available() {
    for (api_version, kind) in [("apps/v1", "ReplicaSet"), ("v1", "ReplicationController")] {
        table(
            api_version,
            kind,
            &[
                ("", InProgress, "0 of 1 replica is made with all labels"),
                (
                    "spec: {replicas: 4}\nstatus: {replicas: 4, fullyLabeledReplicas: 4, readyReplicas: 4, availableReplicas: 2}",
                    InProgress,
                    "2 of 4 replicas are available",
                ),
                (
                    "spec: {replicas: 4}\nstatus: {replicas: 4, fullyLabeledReplicas: 4, readyReplicas: 3, availableReplicas: 4}",
                    InProgress,
                    "3 of 4 replicas are ready",
                ),
                (
                    "spec: {replicas: 1}\nstatus: {replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 2}",
                    InProgress,
                    "1 replica too many has still to end",
                ),
                (
                    "spec: {replicas: 2}\nstatus: {replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [{type: ReplicaFailure, status: 'False'}]}",
                    Current,
                    "2 of 2 replicas are available",
                ),
                (
                    "spec: {replicas: 2}\nstatus: {conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: exceeded quota}]}",
                    InProgress,
                    "0 of 2 replicas are made; FailedCreate: exceeded quota",
                ),
                (
                    "spec: {replicas: 0}\nstatus: {replicas: 0}",
                    Current,
                    "it is scaled to zero",
                ),
            ],
        );
    }
}

#[test]
fn a_pod_tells_what_holds_it_up_in_its_own_words() {
    table(
        "v1",
        "Pod",
        &[
            ("", InProgress, "nothing has looked at it yet"),
            (
                "status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}",
                Current,
                "it is ready",
            ),
            (
                "status: {phase: Running, conditions: [{type: Ready, status: 'False', reason: ContainersNotReady, message: 'containers with unready status: [app]'}]}",
                InProgress,
                "ContainersNotReady: containers with unready status: [app]",
            ),
            (
                "status: {phase: Running}",
                InProgress,
                "it runs and is not ready",
            ),
            (
                "status: {phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}",
                InProgress,
                "it is being started",
            ),
            (
                "status: {phase: Pending, containerStatuses: [{name: app, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image \"example.com/none:1\"'}}}]}",
                InProgress,
                "container app: ImagePullBackOff: Back-off pulling image \"example.com/none:1\"",
            ),
            (
                "status: {phase: Running, conditions: [{type: Ready, status: 'False'}], containerStatuses: [{name: app, restartCount: 7, lastState: {terminated: {exitCode: 137, reason: OOMKilled, message: password=hunter2}}, state: {waiting: {reason: CrashLoopBackOff, message: back-off 5m0s restarting failed container=app}}}, {name: side, state: {running: {}}}]}",
                Failed,
                "container app: CrashLoopBackOff: back-off 5m0s restarting failed container=app; before, it exited with 137 (OOMKilled), restarted 7 times",
            ),
            (
                "status: {phase: Pending, initContainerStatuses: [{name: prepare, restartCount: 1, lastState: {terminated: {exitCode: 1, reason: Error}}, state: {waiting: {reason: CrashLoopBackOff}}}], containerStatuses: [{name: app, state: {waiting: {reason: PodInitializing}}}]}",
                Failed,
                "container prepare: CrashLoopBackOff; before, it exited with 1, restarted once",
            ),
            (
                "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes are available: 3 Insufficient cpu.'}]}",
                Failed,
                "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.",
            ),
            (
                "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated, message: Scheduling is blocked}]}",
                InProgress,
                "SchedulingGated: Scheduling is blocked",
            ),
            (
                "status: {phase: Succeeded, conditions: [{type: Ready, status: 'False', reason: PodCompleted}]}",
                Current,
                "it ended well",
            ),
            (
                "status: {phase: Failed, containerStatuses: [{name: app, state: {terminated: {exitCode: 3, reason: Error}}}, {name: side, state: {terminated: {exitCode: 0, reason: Completed}}}]}",
                Current,
                "it ended without success; container app exited with 3",
            ),
            (
                "status: {phase: Failed, reason: Evicted, message: The node was low on memory.}",
                Current,
                "it ended without success: Evicted: The node was low on memory.",
            ),
            ("status: {phase: Unknown}", Unknown, "its phase is Unknown"),
        ],
    );
}

#[test]
fn a_job_is_current_while_it_runs_and_when_it_is_suspended() {
    table(
        "batch/v1",
        "Job",
        &[
            ("", InProgress, "it has not started"),
            (
                "spec: {completions: 10, parallelism: 2}\nstatus: {startTime: '2026-01-05T01:17:13Z', succeeded: 3, failed: 1, active: 2}",
                Current,
                "it runs: 3 of 10 pods succeeded, 1 failed, 2 active",
            ),
            (
                "status: {startTime: '2026-01-05T01:17:13Z', succeeded: 1, conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}",
                Current,
                "it is complete: 1 of 1 pods succeeded, 0 failed",
            ),
            (
                "spec: {parallelism: 4}\nstatus: {startTime: '2026-01-05T01:17:13Z', failed: 7, conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: Job has reached the specified backoff limit}]}",
                Failed,
                "BackoffLimitExceeded: Job has reached the specified backoff limit; 0 of 4 pods succeeded, 7 failed",
            ),
            (
                "status: {conditions: [{type: Suspended, status: 'True'}]}",
                Current,
                "it is suspended: 0 of 1 pods succeeded, 0 failed",
            ),
            (
                "spec: {suspend: true}",
                Current,
                "it is suspended: 0 of 1 pods succeeded, 0 failed",
            ),
        ],
    );
    table(
        "batch/v1",
        "CronJob",
        &[
            ("", Current, "it has not been due yet"),
            (
                "spec: {suspend: true}\nstatus: {}",
                Current,
                "it is suspended",
            ),
            (
                "status: {lastScheduleTime: '2026-01-05T01:00:00Z'}",
                Current,
                "it was last due at 2026-01-05T01:00:00Z",
            ),
            (
                "status: {lastScheduleTime: '2026-01-05T01:00:00Z', active: [{name: one-1}]}",
                Current,
                "it was last due at 2026-01-05T01:00:00Z, 1 active",
            ),
        ],
    );
}

#[test]
fn storage_waits_until_it_is_bound() {
    table(
        "v1",
        "PersistentVolumeClaim",
        &[
            ("", InProgress, "nothing has looked at it yet"),
            (
                "status: {phase: Pending}",
                InProgress,
                "it is not bound: no volume was found or made for it, or no pod that uses it has a node yet",
            ),
            (
                "spec: {volumeName: v7}\nstatus: {phase: Bound}",
                Current,
                "it is bound to the volume v7",
            ),
            ("status: {phase: Bound}", Current, "it is bound"),
            (
                "spec: {volumeName: v7}\nstatus: {phase: Lost}",
                InProgress,
                "it lost its volume v7",
            ),
        ],
    );
    table(
        "v1",
        "PersistentVolume",
        &[
            ("", InProgress, "it is not available yet"),
            (
                "status: {phase: Available}",
                Current,
                "its phase is Available",
            ),
            (
                "status: {phase: Failed, message: no plugin deletes it}",
                Failed,
                "no plugin deletes it",
            ),
        ],
    );
}

#[test]
fn services_and_ingresses_do_not_fail_for_want_of_somebody_who_gives_addresses() {
    table(
        "v1",
        "Service",
        &[
            ("", Current, "it needs nothing else"),
            ("spec: {type: NodePort}", Current, "it needs nothing else"),
            (
                "spec: {type: LoadBalancer}",
                InProgress,
                "it has no cluster address yet",
            ),
            (
                "spec: {type: LoadBalancer, clusterIP: 10.0.0.9}\nstatus: {loadBalancer: {}}",
                Current,
                "no load balancer has given it an address",
            ),
            (
                "spec: {type: LoadBalancer, clusterIP: 10.0.0.9}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {hostname: lb.example.com}]}}",
                Current,
                "its address is 192.0.2.1, lb.example.com",
            ),
        ],
    );
    table(
        "networking.k8s.io/v1",
        "Ingress",
        &[
            ("", Current, "no ingress controller has given it an address"),
            (
                "status: {loadBalancer: {ingress: [{hostname: in.example.com}]}}",
                Current,
                "its address is in.example.com",
            ),
        ],
    );
}

#[test]
fn budgets_and_autoscalers_at_their_limit_are_current() {
    table(
        "policy/v1",
        "PodDisruptionBudget",
        &[
            (
                "status: {observedGeneration: 1}",
                InProgress,
                "its controller has seen generation 1, and it is at 2",
            ),
            (
                "status: {observedGeneration: 2, currentHealthy: 2, desiredHealthy: 2, disruptionsAllowed: 0, conditions: [{type: DisruptionAllowed, status: 'False', reason: InsufficientPods}]}",
                Current,
                "2 pods are healthy, 2 are needed, 0 may be disrupted",
            ),
            (
                "status: {observedGeneration: 2, conditions: [{type: DisruptionAllowed, status: 'False', reason: SyncFailed, message: found no controllers for pod}]}",
                InProgress,
                "SyncFailed: found no controllers for pod",
            ),
            ("", Current, "it exists and has no status"),
        ],
    );
    table(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        &[
            ("", Current, "it exists and has no status"),
            (
                "status: {currentReplicas: 9, desiredReplicas: 9, conditions: [{type: AbleToScale, status: 'True'}, {type: ScalingActive, status: 'True'}, {type: ScalingLimited, status: 'True', reason: TooManyReplicas}]}",
                Current,
                "its target has 9 replicas, 9 are desired",
            ),
            (
                "status: {conditions: [{type: AbleToScale, status: 'True'}, {type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: no metrics returned}]}",
                InProgress,
                "FailedGetResourceMetric: no metrics returned",
            ),
            (
                "status: {currentReplicas: 0, desiredReplicas: 0, conditions: [{type: ScalingActive, status: 'False', reason: ScalingDisabled}]}",
                Current,
                "its target has 0 replicas, 0 are desired",
            ),
        ],
    );
}

#[test]
fn definitions_and_api_services_are_current_when_their_kinds_are_served() {
    table(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &[
            ("", InProgress, "its kind is not served yet"),
            (
                "status: {conditions: [{type: NamesAccepted, status: 'True'}, {type: Established, status: 'False', reason: Installing}]}",
                InProgress,
                "its kind is not served yet",
            ),
            (
                "status: {conditions: [{type: NamesAccepted, status: 'False', reason: PluralConflict, message: '\"ones\" is already in use'}]}",
                Failed,
                "PluralConflict: \"ones\" is already in use",
            ),
            (
                "status: {conditions: [{type: Established, status: 'False', reason: NotAccepted, message: not all names are accepted}]}",
                Failed,
                "NotAccepted: not all names are accepted",
            ),
            (
                "status: {conditions: [{type: NamesAccepted, status: 'True'}, {type: Established, status: 'True'}]}",
                Current,
                "its kind is served",
            ),
        ],
    );
    table(
        "apiregistration.k8s.io/v1",
        "APIService",
        &[
            ("", InProgress, "nothing has looked at it yet"),
            (
                "status: {conditions: [{type: Available, status: 'True', reason: Passed, message: all checks passed}]}",
                Current,
                "Passed: all checks passed",
            ),
            (
                "status: {conditions: [{type: Available, status: 'False', reason: MissingEndpoints, message: endpoints for service/one have no addresses}]}",
                InProgress,
                "MissingEndpoints: endpoints for service/one have no addresses",
            ),
        ],
    );
}

#[test]
fn what_has_no_status_exists_and_that_is_all() {
    for (api_version, kind, rest) in [
        ("v1", "ConfigMap", "data: {a: b}"),
        ("v1", "Secret", "stringData: {a: b}"),
        ("v1", "Namespace", ""),
        ("v1", "ServiceAccount", ""),
        ("rbac.authorization.k8s.io/v1", "Role", "rules: []"),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            "webhooks: [{name: a.example.com, clientConfig: {service: {namespace: a, name: b}}}]",
        ),
        (
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
            "status: null",
        ),
    ] {
        table(
            api_version,
            kind,
            &[(rest, Current, "it exists and has no status")],
        );
    }
    table(
        "v1",
        "Namespace",
        &[(
            "status: {phase: Active}",
            Current,
            "its status has nothing against it",
        )],
    );
}

#[test]
fn custom_resources_are_judged_by_their_conditions() {
    table(
        "shop.example.com/v1",
        "Stall",
        &[
            ("", Current, "it exists and has no status"),
            (
                "status: {conditions: [{type: Other, status: 'False'}]}",
                Current,
                "its status has nothing against it",
            ),
            (
                "status: {conditions: [{type: Ready, status: 'True', reason: AllOk, message: all is well}]}",
                Current,
                "AllOk: all is well",
            ),
            (
                "status: {conditions: [{type: Ready, status: 'True'}]}",
                Current,
                "it is ready",
            ),
            (
                "status: {conditions: [{type: Ready, status: 'False', reason: NotYet}]}",
                InProgress,
                "NotYet",
            ),
            (
                "status: {conditions: [{type: Ready, status: Unknown}]}",
                InProgress,
                "it is not known to be ready",
            ),
            (
                "status: {conditions: [{type: Ready, status: 'False'}, {type: Stalled, status: 'True', reason: BadUrl, message: no such host}]}",
                Failed,
                "BadUrl: no such host",
            ),
            (
                "status: {conditions: [{type: Ready, status: 'True'}, {type: Reconciling, status: 'True', message: working}]}",
                InProgress,
                "working",
            ),
            (
                "status: {conditions: [{type: Stalled, status: 'False'}, {type: Reconciling, status: 'False'}]}",
                Current,
                "its status has nothing against it",
            ),
            (
                "status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True'}]}",
                InProgress,
                "its controller has seen generation 1, and it is at 2",
            ),
            (
                "status: {conditions: [{type: Ready, status: 'True', observedGeneration: 1}]}",
                InProgress,
                "its condition Ready is of generation 1, and it is at 2",
            ),
        ],
    );
    // A kind of the same name in another group has no rule of its own.
    table(
        "example.com/v1",
        "Deployment",
        &[("", Current, "it exists and has no status")],
    );
}

#[test]
fn what_is_being_deleted_says_what_it_waits_for() {
    let mut deleted = object("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
    deleted["metadata"]["deletionTimestamp"] = "2026-01-05T01:17:13Z".into();
    assert_eq!(health(&deleted).status, Terminating);
    assert_eq!(health(&deleted).message, "it is being deleted");
    deleted["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    assert_eq!(
        health(&deleted).message,
        "it is being deleted; it waits for its finalizers example.com/a, example.com/b"
    );
    let namespace = object(
        "{apiVersion: v1, kind: Namespace, metadata: {name: a, deletionTimestamp: '2026-01-05T01:17:13Z'}, status: {phase: Terminating, conditions: [{type: NamespaceDeletionDiscoveryFailure, status: 'False'}, {type: NamespaceContentRemaining, status: 'True', reason: SomeResourcesRemain, message: 'Some resources are remaining: stalls.shop.example.com has 1'}]}}",
    );
    assert_eq!(
        health(&namespace),
        Health {
            status: Terminating,
            message: "it is being deleted; SomeResourcesRemain: Some resources are remaining: stalls.shop.example.com has 1".to_owned(),
        }
    );
}

#[test]
fn what_is_no_object_is_unknown_and_says_where() {
    for (value, message) in [
        (json!(null), "the document is not an object"),
        (json!([1]), "the document is not an object"),
        (json!({}), "it has no kind"),
        (json!({"kind": "Pod"}), "it has no apiVersion"),
        (json!({"kind": 1, "apiVersion": "v1"}), "kind is not a text"),
        (
            json!({"kind": "A", "apiVersion": "b/v1", "metadata": "x"}),
            "metadata is not an object",
        ),
        (
            json!({"kind": "A", "apiVersion": "b/v1", "metadata": {"generation": "1"}}),
            "metadata.generation is not a whole number",
        ),
        (
            json!({"kind": "A", "apiVersion": "b/v1", "status": {"conditions": {}}}),
            "status.conditions is not a list",
        ),
        (
            json!({"kind": "A", "apiVersion": "b/v1", "status": {"conditions": [{}, 1]}}),
            "status.conditions[1] is not an object",
        ),
        (
            json!({"kind": "A", "apiVersion": "b/v1", "status": {"conditions": [{"status": true}]}}),
            "status.conditions[0].status is not a text",
        ),
        (
            json!({"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": 1.5}}),
            "spec.replicas is not a whole number",
        ),
        (
            json!({"kind": "Pod", "apiVersion": "v1", "status": {"phase": "Running", "containerStatuses": [7]}}),
            "status.containerStatuses[0] is not an object",
        ),
    ] {
        assert_eq!(
            health(&value),
            Health {
                status: Unknown,
                message: format!("it cannot be judged: {message}"),
            },
            "{value}"
        );
    }
}

#[test]
fn garbage_in_any_place_and_numbers_at_their_ends_never_panic() {
    let kinds = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("v1", "Pod"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "Service"),
        ("v1", "PersistentVolumeClaim"),
        ("policy/v1", "PodDisruptionBudget"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("a/b/c", "Stall"),
    ];
    let fields = [
        "/metadata",
        "/metadata/generation",
        "/metadata/deletionTimestamp",
        "/spec",
        "/spec/replicas",
        "/spec/updateStrategy",
        "/spec/updateStrategy/rollingUpdate",
        "/spec/updateStrategy/rollingUpdate/partition",
        "/status",
        "/status/replicas",
        "/status/readyReplicas",
        "/status/conditions",
        "/status/conditions/0",
        "/status/conditions/0/status",
        "/status/containerStatuses",
        "/status/active",
    ];
    let garbage = [
        json!(null),
        json!(true),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(-0.5),
        json!(""),
        json!("\u{1b}[31m"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"": null}),
    ];
    for (api_version, kind) in kinds {
        let whole = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"generation": 1, "deletionTimestamp": null},
            "spec": {"replicas": 1, "updateStrategy": {"rollingUpdate": {"partition": 0}}},
            "status": {
                "replicas": 1, "readyReplicas": 1, "phase": "Running", "active": null,
                "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [],
            },
        });
        let judged = health(&whole).status;
        assert_ne!(judged, Unknown, "{kind}");
        for field in fields {
            for value in &garbage {
                let mut object = whole.clone();
                *object.pointer_mut(field).unwrap() = value.clone();
                assert_ne!(health(&object).message, "", "{kind} {field} {value}");
            }
        }
    }
}
