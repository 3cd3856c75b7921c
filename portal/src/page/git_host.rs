//! Links into Git hosts: to a line of a file in a commit, and to the commit. Only to hosts whose
//! form of such URLs is known, only by https, and only from a repository's address that is one.

use std::collections::BTreeMap;

use gitmoor_arm::repository_url;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::GitHost;

/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A repository on a host that is known.
pub(super) struct Repository {
    form: GitHost,
    base: String,
}

impl Repository {
    /// The repository of that address, if its host is known, or one of these.
    pub(super) fn find(address: &str, hosts: &BTreeMap<String, GitHost>) -> Option<Self> {
        let url = repository_url(address).ok()?;
        // Another port is another server; SSH has its own.
        if url.port().is_some() && url.scheme() != "ssh" {
            return None;
        }
        let host = url.host_str()?.to_ascii_lowercase();
        let host = match host.as_str() {
            "ssh.github.com" => "github.com",
            "altssh.gitlab.com" => "gitlab.com",
            "altssh.bitbucket.org" => "bitbucket.org",
            "ssh.dev.azure.com" | "vs-ssh.visualstudio.com" => "dev.azure.com",
            host => host,
        };
        let form = match host {
            host if hosts.contains_key(host) => hosts[host],
            host if host.ends_with(".visualstudio.com") => GitHost::AzureDevOps,
            "bitbucket.org" => GitHost::Bitbucket,
            "codeberg.org" => GitHost::Gitea,
            "dev.azure.com" => GitHost::AzureDevOps,
            // People name their own servers for what they run.
            _ => match host.split_once('.')?.0 {
                "github" => GitHost::Github,
                "gitlab" => GitHost::Gitlab,
                "gitea" | "forgejo" => GitHost::Gitea,
                _ => return None,
            },
        };
        let path = url.path().trim_matches('/');
        let path = match form {
            // Over SSH it is `v3/organisation/project/repository`.
            GitHost::AzureDevOps if url.scheme() == "ssh" => {
                let parts: Vec<&str> = path.split('/').collect();
                let ["v3", organisation, project, name] = parts[..] else {
                    return None;
                };
                format!("{organisation}/{project}/_git/{name}")
            }
            _ => path.strip_suffix(".git").unwrap_or(path).to_owned(),
        };
        let base = Url::parse(&format!("https://{host}/{path}")).ok()?;
        let safe = base.host_str() == Some(host) && base.username().is_empty();
        let base = base.as_str().trim_end_matches('/').to_owned();
        (safe && path.contains('/')).then_some(Self { form, base })
    }

    /// The link to the repository itself.
    pub(super) fn address(&self) -> &str {
        &self.base
    }

    /// The link to a commit, whose id must be one.
    pub(super) fn commit(&self, commit: &str) -> Option<String> {
        if !is_commit(commit) {
            return None;
        }
        let base = &self.base;
        Some(match self.form {
            GitHost::Github | GitHost::Gitea | GitHost::AzureDevOps => {
                format!("{base}/commit/{commit}")
            }
            GitHost::Gitlab => format!("{base}/-/commit/{commit}"),
            GitHost::Bitbucket => format!("{base}/commits/{commit}"),
        })
    }

    /// The link to a file in a commit, at a line.
    pub(super) fn file(&self, commit: &str, path: &str, line: Option<u32>) -> Option<String> {
        let parts: Vec<&str> = path.split('/').collect();
        let strange = |part: &&str| part.is_empty() || *part == "." || *part == "..";
        if !is_commit(commit) || parts.iter().any(strange) {
            return None;
        }
        let parts = parts
            .iter()
            .map(|part| utf8_percent_encode(part, PLAIN).to_string());
        let path = parts.collect::<Vec<_>>().join("/");
        let base = &self.base;
        let at = |mark: &str| {
            line.map(|line| format!("#{mark}{line}"))
                .unwrap_or_default()
        };
        Some(match self.form {
            GitHost::Github => format!("{base}/blob/{commit}/{path}{}", at("L")),
            GitHost::Gitlab => format!("{base}/-/blob/{commit}/{path}{}", at("L")),
            GitHost::Gitea => format!("{base}/src/commit/{commit}/{path}{}", at("L")),
            GitHost::Bitbucket => format!("{base}/src/{commit}/{path}{}", at("lines-")),
            GitHost::AzureDevOps => {
                let at = line.map(|line| {
                    let next = line.saturating_add(1);
                    format!("&line={line}&lineEnd={next}&lineStartColumn=1&lineEndColumn=1")
                });
                let at = at.unwrap_or_default();
                format!("{base}?path=/{path}&version=GC{commit}{at}")
            }
        })
    }
}

/// A full id, SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "8e1f0c7a9b2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f";

    fn hosts() -> BTreeMap<String, GitHost> {
        BTreeMap::from([("code.example.net".to_owned(), GitHost::Gitlab)])
    }

    #[test]
    fn a_line_is_linked_as_its_host_writes_it() {
        let table = [
            (
                "https://github.com/o/r.git",
                "https://github.com/o/r/blob/C/a%20b/x.yaml#L7",
            ),
            (
                "git@github.com:o/r.git",
                "https://github.com/o/r/blob/C/a%20b/x.yaml#L7",
            ),
            (
                "https://github.example.com/o/r",
                "https://github.example.com/o/r/blob/C/a%20b/x.yaml#L7",
            ),
            (
                "https://gitlab.com/g/s/r.git",
                "https://gitlab.com/g/s/r/-/blob/C/a%20b/x.yaml#L7",
            ),
            (
                "ssh://git@gitlab.example.com:2222/g/r.git",
                "https://gitlab.example.com/g/r/-/blob/C/a%20b/x.yaml#L7",
            ),
            (
                "https://codeberg.org/o/r",
                "https://codeberg.org/o/r/src/commit/C/a%20b/x.yaml#L7",
            ),
            (
                "https://bitbucket.org/o/r.git",
                "https://bitbucket.org/o/r/src/C/a%20b/x.yaml#lines-7",
            ),
            (
                "https://dev.azure.com/o/p/_git/r",
                "https://dev.azure.com/o/p/_git/r?path=/a%20b/x.yaml&version=GCC&line=7&lineEnd=8&lineStartColumn=1&lineEndColumn=1",
            ),
            (
                "https://o.visualstudio.com/p/_git/r",
                "https://o.visualstudio.com/p/_git/r?path=/a%20b/x.yaml&version=GCC&line=7&lineEnd=8&lineStartColumn=1&lineEndColumn=1",
            ),
            (
                "o@vs-ssh.visualstudio.com:v3/o/p/r",
                "https://dev.azure.com/o/p/_git/r?path=/a%20b/x.yaml&version=GCC&line=7&lineEnd=8&lineStartColumn=1&lineEndColumn=1",
            ),
            (
                "git@code.example.net:g/r.git",
                "https://code.example.net/g/r/-/blob/C/a%20b/x.yaml#L7",
            ),
            (
                "git@ssh.dev.azure.com:v3/o/p/r",
                "https://dev.azure.com/o/p/_git/r?path=/a%20b/x.yaml&version=GCC&line=7&lineEnd=8&lineStartColumn=1&lineEndColumn=1",
            ),
        ];
        for (address, wanted) in table {
            let repository =
                Repository::find(address, &hosts()).unwrap_or_else(|| panic!("{address}"));
            let link = repository.file(COMMIT, "a b/x.yaml", Some(7)).unwrap();
            let wanted = wanted.replace("/C/", &format!("/{COMMIT}/"));
            assert_eq!(link, wanted.replace("GCC", &format!("GC{COMMIT}")));
            assert!(repository.commit(COMMIT).unwrap().starts_with("https://"));
        }
    }

    #[test]
    fn what_is_no_repository_of_a_known_host_is_no_link() {
        for address in [
            "javascript:alert(1)//github.com/o/r",
            "data:text/html,x",
            "http://user:pass@github.com/o/r",
            "https://github.com@evil.example/o/r",
            "https://github.com:8443/o/r",
            "https://evil.example/github.com/o/r",
            "https://evilgithub.com/o/r",
            "https://notgitlab.com/o/r",
            "https://github.com/only",
            "https://github.com/o/r?x=1",
            "git://github.com/o/r",
            "git@ssh.dev.azure.com:o/p/r",
            "https://git.example.com/o/r",
            "https://evilcode.example.net/o/r",
            "https://visualstudio.com.evil.example/o/r",
            "",
        ] {
            assert!(Repository::find(address, &hosts()).is_none(), "{address}");
        }
    }

    #[test]
    fn hostile_commits_and_paths_lead_nowhere() {
        let repository = Repository::find("https://github.com/o/r", &hosts()).unwrap();
        for (commit, path) in [
            ("main", "x"),
            ("\"><script>", "x"),
            (COMMIT, ""),
            (COMMIT, "../../x"),
            (COMMIT, "a//b"),
            (&COMMIT[1..], "x"),
        ] {
            assert_eq!(repository.file(commit, path, None), None, "{commit} {path}");
        }
        let link = repository.file(COMMIT, "a\"><script>/b?c#d", None).unwrap();
        assert!(link.ends_with("/a%22%3E%3Cscript%3E/b%3Fc%23d"), "{link}");
        assert_eq!(repository.commit("x"), None);
    }
}
