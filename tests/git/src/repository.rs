//! A repository on the disk, made and changed by the `git` program.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// Why a repository is not as asked for.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `git` failed.
    #[error("git {command}: {message}")]
    Git {
        /// Its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// The disk, or the start of `git`.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
}

/// A repository with a worktree.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
}

impl Repository {
    /// Makes a repository in a folder; its branch is `main`.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn create(path: &Path) -> Result<Self, GitError> {
        fs::create_dir_all(path).map_err(|source| io_error("make a folder", source))?;
        let this = Self {
            path: path.to_owned(),
        };
        this.git(&["init", "--quiet", "--initial-branch=main"])?;
        for (key, value) in [
            ("user.name", "Gitmoor"),
            ("user.email", "gitmoor@example.org"),
            ("commit.gpgsign", "false"),
            ("gc.auto", "0"),
            // What the server needs to serve it.
            ("http.receivepack", "false"),
            ("uploadpack.allowAnySHA1InWant", "true"),
        ] {
            this.git(&["config", key, value])?;
        }
        fs::write(path.join(".git/git-daemon-export-ok"), "")
            .map_err(|source| io_error("mark a repository as public", source))?;
        Ok(this)
    }

    /// The folder with the worktree.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes and removes files, commits, and gives the commit's id.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn commit(
        &self,
        files: &[(&str, &str)],
        removed: &[&str],
        message: &str,
    ) -> Result<String, GitError> {
        for (path, content) in files {
            let path = self.path.join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|source| io_error("make a folder", source))?;
            }
            fs::write(&path, content).map_err(|source| io_error("write a file", source))?;
        }
        for path in removed {
            fs::remove_file(self.path.join(path))
                .map_err(|source| io_error("remove a file", source))?;
        }
        self.commit_all(message)
    }

    /// Copies a folder in and commits it.
    ///
    /// # Errors
    /// When `git` fails or the folder cannot be read.
    pub fn commit_directory(&self, folder: &Path, message: &str) -> Result<String, GitError> {
        copy(folder, &self.path).map_err(|source| io_error("copy a folder", source))?;
        self.commit_all(message)
    }

    /// Commits whatever has changed in the worktree.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn commit_all(&self, message: &str) -> Result<String, GitError> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    /// The id of the newest commit.
    ///
    /// # Errors
    /// When there is none.
    pub fn head(&self) -> Result<String, GitError> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a branch at the newest commit.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn branch(&self, name: &str) -> Result<(), GitError> {
        self.git(&["branch", name]).map(|_| ())
    }

    /// Gives the repository another name on its server.
    ///
    /// # Errors
    /// When the folder cannot be renamed.
    pub fn rename(&self, name: &str) -> Result<Self, GitError> {
        let path = self.path.with_file_name(name);
        fs::rename(&self.path, &path).map_err(|source| io_error("rename a repository", source))?;
        Ok(Self { path })
    }

    /// Runs `git` in the repository and gives what it prints, trimmed.
    ///
    /// # Errors
    /// When it fails.
    pub fn git(&self, arguments: &[&str]) -> Result<String, GitError> {
        self.git_with_input(arguments, b"")
    }

    /// Runs `git` in the repository with an input and gives what it prints, trimmed.
    ///
    /// # Errors
    /// When it fails.
    pub fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String, GitError> {
        let mut child = Command::new("git")
            .arg("-C")
            .arg(&self.path)
            .args(arguments)
            // Whatever this machine's user has set is no part of a test.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| io_error("start git", source))?;
        let mut stdin = child.stdin.take().expect("it was piped");
        let output = thread::scope(|scope| {
            // A git that fails early does not read its input; its exit status tells.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output()
        })
        .map_err(|source| io_error("run git", source))?;
        if !output.status.success() {
            return Err(GitError::Git {
                command: arguments.join(" "),
                message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn io_error(what: &str, source: io::Error) -> GitError {
    GitError::Io {
        what: what.to_owned(),
        source,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
