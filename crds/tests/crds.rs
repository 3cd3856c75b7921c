//! The resource, on a real API server: what it takes, what it refuses, and what it shows.

#[cfg(test)]
mod crds {
    mod definition;
    mod spec;
    mod status;

    use std::process::{Output, Stdio};

    use gitmoor_cluster::Cluster;
    use gitmoor_crds::definition_yaml;
    use tokio::{io::AsyncWriteExt as _, sync::OnceCell};

    /// `kubectl` with an input.
    async fn kubectl(cluster: &Cluster, arguments: &[&str], input: &str) -> Output {
        let mut command = cluster.kubectl(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    /// What `kubectl` printed, if it succeeded; else what it complained of.
    fn printed(output: &Output) -> Result<String, String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// The cluster of these tests, with the definition in force.
    async fn cluster() -> &'static Cluster {
        static INSTALLED: OnceCell<&Cluster> = OnceCell::const_new();
        let install = async || {
            let cluster = Cluster::shared().await.unwrap();
            let output = kubectl(cluster, &["apply", "-f", "-"], &definition_yaml()).await;
            printed(&output).unwrap();
            // No test is about a warning that it does not see.
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
            let crd = ["crd", "sourcecontrolconfigurations.gitmoor.io"];
            printed(&kubectl(cluster, &[&wait[..], &crd].concat(), "").await).unwrap();
            cluster
        };
        INSTALLED.get_or_init(install).await
    }
}
