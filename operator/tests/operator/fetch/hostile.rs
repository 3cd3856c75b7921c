//! Repositories that were made to harm.

use gitmoor_operator::snapshot::FileKind;

use super::{Scene, paths};

/// A tree object, written as it is.
fn tree(scene: &Scene, entries: &[(&str, &[u8], &str)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend_from_slice(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(name);
        bytes.push(0);
        let digits: Vec<_> = id.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
        bytes.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    let arguments = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
    scene.repository.git_with_input(&arguments, &bytes).unwrap()
}

fn blob(scene: &Scene, content: &str) -> String {
    let arguments = ["hash-object", "-w", "--stdin"];
    scene
        .repository
        .git_with_input(&arguments, content.as_bytes())
        .unwrap()
}

fn commit(scene: &Scene, tree: &str) {
    let commit = scene
        .repository
        .git(&["commit-tree", tree, "-m", "hostile"])
        .unwrap();
    scene
        .repository
        .git(&["update-ref", "refs/heads/main", &commit])
        .unwrap();
}

#[tokio::test]
async fn names_that_git_never_checks_out_are_left_out() {
    let scene = Scene::new().await;
    let file = blob(&scene, "a");
    let inner = tree(&scene, &[("100644", b"config", &file)]);
    let hostile = tree(
        &scene,
        &[
            ("40000", b"..", &inner),
            ("100644", b".", &file),
            ("40000", b".GIT", &inner),
            ("40000", b".git", &inner),
            ("100644", b"../../escape", &file),
            ("100644", b"/etc/passwd", &file),
            ("100644", b"a/b", &file),
            ("100644", b"good.yaml", &file),
            ("120000", b"link", &file),
            ("160000", b"module", &"1".repeat(40)),
            ("100644", b"not-\xff-utf8", &file),
        ],
    );
    commit(&scene, &hostile);
    let commit = scene.fetch().await.unwrap();
    let snapshot = scene.store.snapshot(commit).unwrap();
    assert_eq!(
        paths(&snapshot),
        ["good.yaml", "link", "module", "not-\u{fffd}-utf8"]
    );
    let kinds: Vec<_> = snapshot.files.iter().map(|file| file.kind).collect();
    assert_eq!(
        kinds,
        [
            FileKind::File,
            FileKind::Link,
            FileKind::Submodule,
            FileKind::File
        ]
    );
}

#[tokio::test]
async fn trees_that_unfold_without_end_are_refused() {
    let names: Vec<_> = (0..10).map(|n: u8| [b'a' + n]).collect();
    // With a file at the end, and with none, so that only folders are counted.
    for end in [true, false] {
        let scene = Scene::new().await;
        let file = blob(&scene, "a");
        let mut last = match end {
            true => tree(&scene, &[("100644", b"f", &file)]),
            false => tree(&scene, &[]),
        };
        for _ in 0..12 {
            let entries: Vec<_> = names.iter().map(|n| ("40000", &n[..], &*last)).collect();
            last = tree(&scene, &entries);
        }
        commit(&scene, &last);
        let commit = scene.fetch().await.unwrap();
        let error = scene.store.snapshot(commit).unwrap_err();
        assert_eq!(error.reason(), "RepositoryTooLarge");
    }
}

#[tokio::test]
async fn trees_without_a_bottom_are_refused() {
    let scene = Scene::new().await;
    let mut last = tree(&scene, &[("100644", b"f", &blob(&scene, "a"))]);
    for _ in 0..200 {
        last = tree(&scene, &[("40000", b"d", &last)]);
    }
    commit(&scene, &last);
    let commit = scene.fetch().await.unwrap();
    let error = scene.store.snapshot(commit).unwrap_err();
    assert_eq!(error.reason(), "RepositoryTooLarge");
}

#[tokio::test]
async fn a_branch_whose_name_is_no_utf8_does_no_harm() {
    let scene = Scene::new().await;
    let id = scene.commit(&[("a.yaml", "a")]);
    // Git takes any bytes for a name.
    let mut update = b"create refs/heads/a-\xff\xff ".to_vec();
    update.extend_from_slice(format!("{id}\n").as_bytes());
    scene
        .repository
        .git_with_input(&["update-ref", "--stdin"], &update)
        .unwrap();
    let fetched = scene.fetch_from(scene.remote(Some("main"))).await.unwrap();
    assert_eq!(fetched.to_string(), id);
}
