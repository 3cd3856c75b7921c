//! Every example is what it says: the reader takes it without a word, and the API server takes it.
#![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

use std::{collections::HashMap, fs, path::Path};

use gitmoor_cluster::Cluster;
use gitmoor_operator::{
    read::Reader,
    snapshot::{BlobId, Blobs, File, FileKind, LoadError},
};

/// The files of a folder, as those of a commit.
#[derive(Default)]
struct Folder {
    files: Vec<File>,
    content: HashMap<BlobId, Vec<u8>>,
}

impl Blobs for Folder {
    fn load(&self, blob: BlobId, _: usize) -> Result<Vec<u8>, LoadError> {
        Ok(self.content[&blob].clone())
    }
}

impl Folder {
    fn add(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                self.add(&path, &format!("{name}/"));
                continue;
            }
            let blob = BlobId([u8::try_from(self.files.len()).unwrap(); 20]);
            self.content.insert(blob, fs::read(&path).unwrap());
            self.files.push(File {
                path: name.into(),
                blob,
                kind: FileKind::File,
            });
        }
    }
}

/// Asks a real API server, as `kubectl apply` would, without keeping anything.
async fn would_apply(cluster: &Cluster, arguments: &[&str]) -> String {
    let apply = ["apply", "--server-side", "--dry-run=server", "-o", "name"];
    let output = cluster.kubectl([&apply, arguments].concat()).output();
    let output = output.await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn kubectl(cluster: &Cluster, arguments: &[&str]) {
    let output = cluster.kubectl(arguments).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
}

#[test]
fn the_repository_is_read_without_a_problem() {
    let mut folder = Folder::default();
    folder.add(&gitmoor_examples::repository(), "");
    let everything = [".".to_owned()];
    let (manifests, problems) = Reader::default().read(&folder.files, &everything, &folder);
    assert!(problems.is_empty(), "{problems:?}");
    for team in ["shop/", "blog/"] {
        let of_team = manifests.declared.iter();
        let of_team = of_team.filter(|one| one.path.starts_with(team));
        let kinds: Vec<_> = of_team.map(|one| one.key.kind.to_string()).collect();
        for kind in ["ConfigMap", "Deployment", "Service"] {
            assert!(kinds.iter().any(|one| one == kind), "{team}: {kinds:?}");
        }
    }
    let named = manifests.declared.iter();
    assert!(
        named
            .filter_map(|one| one.key.namespace.as_ref())
            .next()
            .is_none(),
        "a team's folder names no namespace"
    );
}

#[tokio::test]
async fn the_api_server_takes_the_repository_and_the_configuration() {
    let cluster = Cluster::shared().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let definition = directory.path().join("definition.yaml");
    fs::write(&definition, gitmoor_crds::definition_yaml()).unwrap();
    let definition = definition.to_str().unwrap();
    kubectl(cluster, &["apply", "--server-side", "-f", definition]).await;
    let name = "crd/sourcecontrolconfigurations.gitmoor.io";
    kubectl(cluster, &["wait", "--for=condition=Established", name]).await;
    for team in ["shop", "blog"] {
        kubectl(cluster, &["create", "namespace", team]).await;
        let folder = gitmoor_examples::repository().join(team);
        let folder = folder.to_str().unwrap();
        let names = would_apply(cluster, &["-n", team, "-f", folder]).await;
        assert_eq!(names.lines().count(), 3, "{names}");
    }
    let file = gitmoor_examples::configuration();
    let names = would_apply(cluster, &["-f", file.to_str().unwrap()]).await;
    assert_eq!(
        names,
        "namespace/shop\nsourcecontrolconfiguration.gitmoor.io/shop\n"
    );
}
