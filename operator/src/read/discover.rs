//! Which files of a commit are read. Links are resolved inside of the tree: nothing is on a disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Bound,
    sync::Arc,
};

use super::ignored::Ignored;
use crate::{
    Problem, Reason,
    snapshot::{BlobId, Blobs, File, FileKind},
};

/// How many links may lead to one file.
const LINKS: usize = 16;

/// How long a link's target may be, in bytes.
const TARGET: usize = 4096;

/// A file that is to be read: under the path by which it was reached.
pub(super) struct Found {
    pub(super) path: Arc<str>,
    pub(super) blob: BlobId,
}

/// The files to read below some paths, in the order of paths, each once.
pub(super) fn discover(
    files: &[File],
    paths: &[String],
    blobs: &dyn Blobs,
) -> (Vec<Found>, Vec<Problem>) {
    let tree: BTreeMap<&str, &File> = files.iter().map(|file| (&*file.path, file)).collect();
    let (ignored, problems) = Ignored::read(files, blobs);
    let mut search = Search {
        tree: &tree,
        blobs,
        charts: charts(files),
        ignored,
        seen: HashSet::new(),
        found: BTreeMap::new(),
        problems,
    };
    for path in paths {
        search.path(path);
    }
    let found = search
        .found
        .into_iter()
        .map(|(path, blob)| Found { path, blob });
    (found.collect(), search.problems)
}

/// Folders that are Helm charts by Flux v1's rule: both files are there.
fn charts(files: &[File]) -> BTreeSet<&str> {
    let with = |name: &str| -> BTreeSet<&str> {
        let paths = files.iter().map(|file| &*file.path);
        paths
            .filter_map(|path| {
                let folder = path.strip_suffix(name)?;
                (folder.is_empty() || folder.ends_with('/')).then(|| folder.trim_end_matches('/'))
            })
            .collect()
    };
    with("Chart.yaml")
        .intersection(&with("values.yaml"))
        .copied()
        .collect()
}

struct Search<'a> {
    tree: &'a BTreeMap<&'a str, &'a File>,
    blobs: &'a dyn Blobs,
    charts: BTreeSet<&'a str>,
    ignored: Ignored,
    /// Files that were reached, by their own path: by two ways each is read once.
    seen: HashSet<Arc<str>>,
    found: BTreeMap<Arc<str>, BlobId>,
    problems: Vec<Problem>,
}

impl Search<'_> {
    fn path(&mut self, path: &str) {
        let trimmed = path.trim_start_matches("./").trim_end_matches('/');
        let wanted = if trimmed == "." { "" } else { trimmed };
        if let Some(file) = self.tree.get(wanted).copied() {
            self.file(file, file.path.to_string(), 0);
            return;
        }
        if !wanted.is_empty() && !self.has_folder(wanted) {
            self.problem(
                path,
                Reason::PathNotFound,
                "the commit has no such folder or file: correct the path in the configuration, or add it".to_owned(),
            );
            return;
        }
        self.folder(wanted, wanted, &mut Vec::new());
    }

    fn has_folder(&self, folder: &str) -> bool {
        self.files_below(folder).next().is_some()
    }

    fn files_below(&self, folder: &str) -> impl Iterator<Item = &File> + use<'_> {
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let below = self.tree.range::<str, _>(from);
        let owned = prefix.clone();
        below
            .take_while(move |(path, _)| path.starts_with(&owned))
            .map(|(_, file)| *file)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Every file of a folder, shown below another path when a link led here.
    fn folder(&mut self, folder: &str, shown: &str, through: &mut Vec<String>) {
        let files: Vec<File> = self.files_below(folder).cloned().collect();
        let mut told = BTreeSet::new();
        for file in files {
            let rest = file.path[folder.len()..].trim_start_matches('/');
            if rest.split('/').any(|part| part.starts_with('.')) {
                continue;
            }
            if self.ignored.has(&file.path) {
                continue;
            }
            if let Some(chart) = self.chart_of(&file.path, folder) {
                if told.insert(chart.clone()) {
                    self.problem(
                        format!("{chart}/Chart.yaml").trim_start_matches('/'),
                        Reason::OtherTool,
                        "the folder is a Helm chart, which does not run here: it is skipped; commit what `helm template` prints".to_owned(),
                    );
                }
                continue;
            }
            let shown = if shown.is_empty() {
                rest.to_owned()
            } else {
                format!("{shown}/{rest}")
            };
            through.push(folder.to_owned());
            self.reach(&file, shown, through);
            through.pop();
        }
    }

    /// The outermost chart that a file below a folder is in.
    fn chart_of(&self, path: &str, folder: &str) -> Option<String> {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let mut folders = std::iter::once("").chain(above);
        folders
            .find(|above| above.len() >= folder.len() && self.charts.contains(above))
            .map(str::to_owned)
    }

    fn reach(&mut self, file: &File, shown: String, through: &mut Vec<String>) {
        match file.kind {
            FileKind::File => self.file(file, shown, 0),
            FileKind::Submodule => self.problem(
                &shown,
                Reason::BadLink,
                "a submodule is not read: put its files into this repository, or follow the other one with a configuration of its own".to_owned(),
            ),
            FileKind::Link => self.link(file, &shown, through),
        }
    }

    fn file(&mut self, file: &File, shown: String, hops: usize) {
        if file.kind == FileKind::Link {
            if hops < LINKS {
                self.link(file, &shown, &mut Vec::new());
            }
            return;
        }
        let is_manifest = [".yaml", ".yml", ".json"]
            .iter()
            .any(|end| shown.ends_with(end));
        if is_manifest && self.seen.insert(Arc::clone(&file.path)) {
            self.found.insert(shown.into(), file.blob);
        }
    }

    fn link(&mut self, link: &File, shown: &str, through: &mut Vec<String>) {
        let mut at = link.path.to_string();
        let mut blob = link.blob;
        for _ in 0..LINKS {
            let target = match self.target(&at, blob) {
                Ok(target) => target,
                Err(what) => return self.problem(shown, Reason::BadLink, what),
            };
            match self.tree.get(target.as_str()).copied() {
                Some(file) if file.kind == FileKind::Link => {
                    at = target;
                    blob = file.blob;
                }
                Some(file) => {
                    let file = file.clone();
                    return self.file(&file, shown.to_owned(), 1);
                }
                None if target.is_empty() || self.has_folder(&target) => {
                    let circle = through.iter().any(|folder| {
                        *folder == target
                            || folder.starts_with(&format!("{target}/"))
                            || target.is_empty()
                    });
                    if circle || through.len() > LINKS {
                        return self.problem(
                            shown,
                            Reason::BadLink,
                            "the link leads in a circle: remove it".to_owned(),
                        );
                    }
                    return self.folder(&target, shown, through);
                }
                None => {
                    return self.problem(
                        shown,
                        Reason::BadLink,
                        "the link leads to nothing in this commit: add what it names, or remove it"
                            .to_owned(),
                    );
                }
            }
        }
        self.problem(
            shown,
            Reason::BadLink,
            "the link leads in a circle: remove it".to_owned(),
        );
    }

    /// Where a link leads, from the root of the repository.
    fn target(&self, path: &str, blob: BlobId) -> Result<String, String> {
        let outside = || "the link leads out of the repository: replace it by the file".to_owned();
        let bytes = self
            .blobs
            .load(blob, TARGET)
            .map_err(|error| format!("the link cannot be read: {error}"))?;
        let target = String::from_utf8(bytes)
            .map_err(|_| "the link's target is no UTF-8 text".to_owned())?;
        if target.starts_with('/') {
            return Err(outside());
        }
        let mut parts: Vec<&str> = path.split('/').collect();
        parts.pop();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(outside)?;
                }
                part => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }

    fn problem(&mut self, path: &str, reason: Reason, message: String) {
        self.problems.push(Problem {
            path: path.to_owned(),
            line: None,
            object: None,
            reason,
            message,
        });
    }
}
