//! Which files of a commit are read, and what they declare.

use std::{cell::RefCell, collections::HashMap};

use gitmoor_operator::{
    Problem, Reason,
    read::{Manifests, Reader, Sync},
    snapshot::{BlobId, Blobs, File, FileKind, LoadError},
};

/// A commit in memory, that counts what is loaded of it.
#[derive(Default)]
struct Commit {
    files: Vec<File>,
    content: HashMap<BlobId, Vec<u8>>,
    loaded: RefCell<usize>,
}

impl Blobs for Commit {
    fn load(&self, blob: BlobId, limit: usize) -> Result<Vec<u8>, LoadError> {
        *self.loaded.borrow_mut() += 1;
        let content = self
            .content
            .get(&blob)
            .ok_or_else(|| LoadError::Unreadable("lost".to_owned()))?;
        if content.len() > limit {
            return Err(LoadError::TooLarge {
                size: content.len() as u64,
                limit,
            });
        }
        Ok(content.clone())
    }
}

fn blob(content: &[u8]) -> BlobId {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let mut id = [0; 20];
    id[..8].copy_from_slice(&hasher.finish().to_be_bytes());
    BlobId(id)
}

impl Commit {
    fn of(files: &[(&str, &str)]) -> Self {
        let mut commit = Self::default();
        for (path, content) in files {
            commit.add(path, content, FileKind::File);
        }
        commit
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.add(path, target, FileKind::Link);
        self
    }

    fn add(&mut self, path: &str, content: &str, kind: FileKind) {
        let id = blob(content.as_bytes());
        self.content.insert(id, content.as_bytes().to_vec());
        self.files.push(File {
            path: path.into(),
            blob: id,
            kind,
        });
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
    }

    fn read(&self, paths: &[&str]) -> (Manifests, Vec<Problem>) {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        Reader::default().read(&self.files, &paths, self)
    }
}

fn map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn paths(manifests: &Manifests) -> Vec<&str> {
    manifests.declared.iter().map(|one| &*one.path).collect()
}

fn reasons(problems: &[Problem]) -> Vec<(&str, Reason)> {
    problems
        .iter()
        .map(|one| (one.path.as_str(), one.reason))
        .collect()
}

#[test]
fn what_ignore_files_name_is_not_read() {
    let commit = Commit::of(&[
        (
            ".gitmoorignore",
            "# a remark\n/drafts/\n*.test.yaml\n!keep.test.yaml\n",
        ),
        ("a.yaml", &map("a")),
        ("a.test.yaml", &map("b")),
        ("deep/keep.test.yaml", &map("c")),
        ("drafts/d.yaml", &map("d")),
        ("deep/drafts/e.yaml", &map("e")),
        ("deep/.gitmoorignore", "f.yaml\n[z-a]\n"),
        ("deep/f.yaml", &map("f")),
        ("f.yaml", &map("g")),
    ]);
    let (manifests, problems) = commit.read(&["."]);
    assert_eq!(
        paths(&manifests),
        [
            "a.yaml",
            "deep/drafts/e.yaml",
            "deep/keep.test.yaml",
            "f.yaml"
        ]
    );
    let [problem] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert_eq!(
        (problem.path.as_str(), problem.line),
        ("deep/.gitmoorignore", Some(2))
    );
    assert_eq!(problem.reason, Reason::BadIgnore);
    let (manifests, _) = commit.read(&["deep"]);
    assert_eq!(
        paths(&manifests),
        ["deep/drafts/e.yaml", "deep/keep.test.yaml"]
    );
}

#[test]
fn manifests_below_the_paths_are_read_and_nothing_else() {
    let (a, b, c) = (map("a"), map("b"), map("c"));
    let commit = Commit::of(&[
        ("README.md", "text"),
        ("apps/a.yaml", &a),
        ("apps/deep/b.yml", &b),
        ("apps/.hidden/x.yaml", &map("x")),
        ("apps/.y.yaml", &map("y")),
        ("apps/notes.txt", "kind: ConfigMap"),
        (
            "other/c.json",
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}",
        ),
        ("apps2/d.yaml", &c),
    ]);
    let (manifests, problems) = commit.read(&["apps", "./other/"]);
    assert_eq!(
        paths(&manifests),
        ["apps/a.yaml", "apps/deep/b.yml", "other/c.json"]
    );
    assert!(problems.is_empty(), "{problems:?}");
    let (manifests, _) = commit.read(&["."]);
    assert_eq!(manifests.declared.len(), 4);
    let (manifests, _) = commit.read(&["apps/a.yaml", "apps"]);
    assert_eq!(
        manifests.declared.len(),
        2,
        "a file that two paths reach is read once"
    );
}

#[test]
fn a_path_that_is_not_in_the_commit_hides_objects() {
    let (_, problems) = Commit::of(&[("a.yaml", &map("a"))]).read(&["nowhere"]);
    assert_eq!(reasons(&problems), [("nowhere", Reason::PathNotFound)]);
    assert!(problems[0].reason.hides_objects());
}

#[test]
fn only_new_content_is_loaded() {
    let mut commit = Commit::of(&[("a.yaml", &map("a")), ("b.yaml", &map("b"))]);
    let mut reader = Reader::default();
    let all = [".".to_owned()];
    let first = reader.read(&commit.files, &all, &commit);
    assert_eq!(*commit.loaded.borrow(), 2);
    let second = reader.read(&commit.files, &all, &commit);
    assert_eq!((*commit.loaded.borrow(), second), (2, first));
    commit.add("c.yaml", &map("c"), FileKind::File);
    reader.read(&commit.files, &all, &commit);
    assert_eq!(*commit.loaded.borrow(), 3);
}

#[test]
fn links_stay_inside_of_the_commit() {
    let commit = Commit::of(&[("base/a.yaml", &map("a")), ("team/b.yaml", &map("b"))])
        .link("team/base", "../base")
        .link("team/one.yaml", "../base/a.yaml")
        .link("team/out.yaml", "../../etc/passwd")
        .link("team/root.yaml", "/etc/passwd")
        .link("team/lost.yaml", "nothing.yaml")
        .link("team/self", "self")
        .link("team/up", "..");
    let (manifests, problems) = commit.read(&["team"]);
    assert_eq!(paths(&manifests), ["team/b.yaml", "team/base/a.yaml"]);
    let mut bad = reasons(&problems);
    bad.sort();
    assert_eq!(
        bad,
        ["lost.yaml", "out.yaml", "root.yaml", "self", "up"]
            .map(|name| (format!("team/{name}"), Reason::BadLink))
            .iter()
            .map(|(path, reason)| (path.as_str(), *reason))
            .collect::<Vec<_>>()
    );
    let words = format!("{problems:?}");
    assert!(!words.contains("passwd"), "{words}");
}

#[test]
fn other_tools_are_recognised() {
    let commit = Commit::of(&[
        ("a.yaml", &map("a")),
        (
            "kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
        ),
        ("chart/Chart.yaml", "name: x\n"),
        ("chart/values.yaml", "a: b\n"),
        ("chart/templates/t.yaml", "{{ if }}\n"),
        ("settings.yaml", "colour: blue\n"),
        (
            "secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nsops: {mac: x}\n",
        ),
    ]);
    let (manifests, problems) = commit.read(&["."]);
    assert_eq!(paths(&manifests), ["a.yaml"]);
    let mut found = reasons(&problems);
    found.sort();
    assert_eq!(
        found,
        [
            ("chart/Chart.yaml", Reason::OtherTool),
            ("kustomization.yaml", Reason::OtherTool),
            ("secret.yaml", Reason::Encrypted),
            ("settings.yaml", Reason::NoKind),
        ]
    );
}

#[test]
fn what_is_half_an_object_is_a_problem() {
    let table = [
        (
            "kind: ConfigMap\nmetadata: {name: a}\n",
            Reason::NotAnObject,
        ),
        ("apiVersion: v1\nmetadata: {name: a}\n", Reason::NotAnObject),
        ("apiVersion: v1\nkind: ConfigMap\n", Reason::NotAnObject),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}\n",
            Reason::NotAnObject,
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n",
            Reason::GeneratedName,
        ),
        ("- a\n- b\n", Reason::NoKind),
    ];
    for (text, reason) in table {
        let (manifests, problems) = Commit::of(&[("a.yaml", text)]).read(&["."]);
        assert!(manifests.declared.is_empty());
        assert_eq!(reasons(&problems), [("a.yaml", reason)], "{text}");
    }
}

#[test]
fn annotations_are_options_and_a_wrong_one_holds_the_object() {
    let with = |annotation: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {{{annotation}}}\n"
        )
    };
    let sync = |annotation: &str| {
        let (manifests, problems) = Commit::of(&[("a.yaml", &with(annotation))]).read(&["."]);
        (
            manifests.declared.first().map(|one| one.options),
            manifests.held.len(),
            problems.len(),
        )
    };
    assert_eq!(
        sync("gitmoor.io/sync: create-only").0.unwrap().sync,
        Sync::CreateOnly
    );
    assert_eq!(
        sync("fluxcd.io/ignore: \"true\"").0.unwrap().sync,
        Sync::Ignore
    );
    assert!(sync("gitmoor.io/prune: never").0.unwrap().keep);
    assert_eq!(sync("gitmoor.io/sync: sometimes"), (None, 1, 1));
}

#[test]
fn what_only_the_server_sets_is_left_out_with_a_remark() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, uid: x, creationTimestamp: null}\nstatus: {loadBalancer: {}}\n";
    let (manifests, problems) = Commit::of(&[("a.yaml", text)]).read(&["."]);
    assert_eq!(manifests.declared.len(), 1);
    assert_eq!(reasons(&problems), [("a.yaml", Reason::ServerField)]);
    assert!(problems[0].message.contains("status") && problems[0].message.contains("metadata.uid"));
    let clean = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
    let (other, _) = Commit::of(&[("a.yaml", clean)]).read(&["."]);
    assert_eq!(manifests.declared[0].digest, other.declared[0].digest);
}

#[test]
fn a_lost_or_great_file_is_a_problem_that_hides_objects() {
    let mut commit = Commit::of(&[("a.yaml", &map("a")), ("b.yaml", &"#".repeat(17 << 20))]);
    commit.content.remove(&blob(map("a").as_bytes()));
    let (_, problems) = commit.read(&["."]);
    assert_eq!(
        reasons(&problems),
        [("a.yaml", Reason::Unreadable), ("b.yaml", Reason::TooLarge)]
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem.reason.hides_objects())
    );
}
