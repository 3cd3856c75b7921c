//! What happens to the store on the disk.

use std::{fs, path::Path};

use gitmoor_operator::{
    fetch::Store,
    snapshot::{Blobs as _, LoadError},
};

use super::{Scene, content};

fn packs(directory: &Path) -> Vec<fs::DirEntry> {
    let packs = fs::read_dir(directory.join("store/objects/pack")).unwrap();
    packs
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "pack"))
        .collect()
}

#[tokio::test]
async fn another_process_finds_what_was_fetched() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let commit = scene.fetch().await.unwrap();
    let before = scene.server.requests();
    let store = Store::new(scene.directory.path().join("store"));
    let snapshot = store.snapshot(commit).unwrap();
    assert_eq!(content(&store, &snapshot, "a.yaml").as_deref(), Some("a"));
    store
        .fetch(scene.remote(None), Default::default())
        .await
        .unwrap();
    assert_eq!(scene.server.requests(), before + 1);
}

#[tokio::test]
async fn a_damaged_store_is_fetched_anew() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let commit = scene.fetch().await.unwrap();
    let store = scene.directory.path().join("store");
    let pack = || packs(scene.directory.path())[0].path();
    let write = |path: &Path, content: &[u8]| {
        // libgit2 makes packs read-only.
        fs::remove_file(path).unwrap();
        fs::write(path, content).unwrap();
    };
    let damages: [(&str, &dyn Fn()); 6] = [
        ("no config", &|| {
            fs::remove_file(store.join("config")).unwrap()
        }),
        ("no HEAD", &|| fs::remove_file(store.join("HEAD")).unwrap()),
        ("no packs", &|| {
            fs::remove_dir_all(store.join("objects/pack")).unwrap()
        }),
        ("half a pack", &|| {
            let whole = fs::read(pack()).unwrap();
            write(&pack(), &whole[..whole.len() / 2]);
        }),
        ("an empty index", &|| {
            write(&pack().with_extension("idx"), b"")
        }),
        ("nonsense for a reference", &|| {
            write(&store.join("refs/gitmoor/tip"), b"nonsense");
        }),
    ];
    for (what, damage) in damages {
        damage();
        // As after a restart.
        let store = Store::new(store.clone());
        let fetch = || store.fetch(scene.remote(None), Default::default());
        // Once to see it, at most.
        let mut found = fetch().await;
        if found.is_err() || store.snapshot(commit).is_err() {
            found = fetch().await;
        }
        assert_eq!(found.unwrap(), commit, "{what}");
        let snapshot = store.snapshot(commit).unwrap();
        assert_eq!(
            content(&store, &snapshot, "a.yaml").as_deref(),
            Some("a"),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_had_again_with_the_next_fetch() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "some content")]);
    let commit = scene.fetch().await.unwrap();
    let file = scene.store.snapshot(commit).unwrap().files.remove(0);
    // libgit2 shares open packs within a process; this closes the one that was read.
    scene.fetch().await.unwrap();
    // The bytes of the objects, between the header and the checksum at the end.
    let pack = packs(scene.directory.path())[0].path();
    let mut bytes = fs::read(&pack).unwrap();
    let end = bytes.len() - 20;
    bytes[12..end].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let store = Store::new(scene.directory.path().join("store"));
    let broken = store.load(file.blob, 100);
    assert!(
        matches!(broken, Err(LoadError::Unreadable(_))),
        "{broken:?}"
    );
    store
        .fetch(scene.remote(None), Default::default())
        .await
        .unwrap();
    assert_eq!(store.load(file.blob, 100).unwrap(), b"some content");
}

#[tokio::test]
async fn old_commits_do_not_pile_up() {
    let scene = Scene::new().await;
    scene.commit(&[("same.yaml", "same"), ("a.yaml", "first")]);
    let mut last = scene.fetch().await.unwrap();
    let mut most = 0;
    for n in 0..70 {
        scene.commit(&[("a.yaml", &n.to_string())]);
        let commit = scene.fetch().await.unwrap();
        most = most.max(packs(scene.directory.path()).len());
        assert_eq!(scene.content(commit, "a.yaml"), Some(n.to_string()));
        assert_eq!(scene.content(commit, "same.yaml").as_deref(), Some("same"));
        // What may still be in the middle of being applied.
        assert!(scene.content(last, "a.yaml").is_some());
        last = commit;
    }
    assert!(most <= 33, "{most} packs");
    let shallow = fs::read_to_string(scene.directory.path().join("store/shallow")).unwrap();
    assert!(shallow.lines().count() <= 35, "{}", shallow.lines().count());
}

#[tokio::test]
async fn a_file_above_the_limit_is_not_read() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "12345")]);
    let commit = scene.fetch().await.unwrap();
    let file = scene.store.snapshot(commit).unwrap().files.remove(0);
    let error = scene.store.load(file.blob, 4).unwrap_err();
    assert_eq!(error, LoadError::TooLarge { size: 5, limit: 4 });
    assert_eq!(scene.store.load(file.blob, 5).unwrap(), b"12345");
}

#[tokio::test]
async fn a_removed_store_leaves_nothing() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let commit = scene.fetch().await.unwrap();
    scene.store.snapshot(commit).unwrap();
    scene.store.remove().await;
    assert!(!scene.directory.path().join("store").exists());
    assert!(scene.store.snapshot(commit).is_err());
    scene.fetch().await.unwrap();
    assert_eq!(scene.store.snapshot(commit).unwrap().files.len(), 1);
}
