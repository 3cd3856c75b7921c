//! Where a repository is over SSH: `ssh://user@host:port/path`, or `user@host:path` as `scp` writes
//! it.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Whether an address is one over SSH, as far as its form says it.
pub fn is_ssh(address: &str) -> bool {
    match address.split_once("://") {
        Some((scheme, _)) => scheme.eq_ignore_ascii_case("ssh"),
        None => address.contains('@'),
    }
}

/// A server, a user there, and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::fetch) struct Address {
    pub(in crate::fetch) host: String,
    pub(in crate::fetch) port: u16,
    pub(in crate::fetch) user: String,
    path: String,
}

impl Address {
    /// Reads a URL, with the path beside it where the address has the form of `scp`.
    ///
    /// # Errors
    /// When it could be read in two ways, in words.
    pub(in crate::fetch) fn new(url: &Url, path: Option<&str>) -> Result<Self, &'static str> {
        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8().ok();
            decoded.map(|text| text.into_owned())
        };
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string().to_ascii_lowercase(),
            None => String::new(),
        };
        let plain = |one: char| one.is_ascii_alphanumeric() || "-._:".contains(one);
        if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
            return Err("the repository's address names no host that can be asked");
        }
        if url.password().is_some() {
            return Err(
                "the repository's address holds a password: over SSH a key is used, which belongs into a Secret",
            );
        }
        // `%20` is a space in a URL alone.
        let path = path.map(str::to_owned).or_else(|| decode(url.path()));
        let (Some(user), Some(path)) = (decode(url.username()), path) else {
            return Err("the repository's address is no UTF-8 text");
        };
        let user = if user.is_empty() { "git".into() } else { user };
        // As Git does it: `/~user/path` is of a home there.
        let path = match path.strip_prefix('/') {
            Some(of_home) if of_home.starts_with('~') => of_home.to_owned(),
            _ => path,
        };
        let is_odd = |text: &str| text.starts_with('-') || text.chars().any(char::is_control);
        if is_odd(&user) || is_odd(&path) || path.trim_start_matches('/').is_empty() {
            return Err(
                "the repository's address has no path that can be asked for: none, or one with a line break or a hyphen in front",
            );
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(22),
            user,
            path,
        })
    }

    /// The one command that is ever run: quoted as Git does it, for whichever shell is there.
    pub(super) fn command(&self) -> String {
        let quoted = self.path.replace('\'', r"'\''").replace('!', r"'\!'");
        format!("git-upload-pack '{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

    use super::*;

    #[test]
    fn the_command_is_one_word_to_a_shell_whatever_the_path() {
        for (path, command) in [
            ("/a/b.git", "git-upload-pack '/a/b.git'"),
            ("/~team/a", "git-upload-pack '~team/a'"),
            ("/a%20b", "git-upload-pack '/a b'"),
            ("/a'b", r"git-upload-pack '/a'\''b'"),
            ("/a%27;id;%27", r"git-upload-pack '/a'\'';id;'\'''"),
            ("/$(id)`id`!", r"git-upload-pack '/$(id)`id`'\!''"),
            (r"/a\", r"git-upload-pack '/a\'"),
        ] {
            let url = Url::parse(&format!("ssh://git@example.org{path}")).unwrap();
            assert_eq!(Address::new(&url, None).unwrap().command(), command);
        }
    }

    #[test]
    fn the_form_of_scp_is_taken_as_it_is() {
        let url = Url::parse("ssh://git@example.org/").unwrap();
        for (path, command) in [
            ("a/b.git", "git-upload-pack 'a/b.git'"),
            ("/srv/a", "git-upload-pack '/srv/a'"),
            ("a%20b", "git-upload-pack 'a%20b'"),
        ] {
            let address = Address::new(&url, Some(path)).unwrap();
            assert_eq!(address.command(), command);
        }
    }

    #[test]
    fn user_and_port_have_their_usual_values() {
        let url = Url::parse("ssh://Example.org/a").unwrap();
        let address = Address::new(&url, None).unwrap();
        assert_eq!(
            (&*address.host, address.port, &*address.user),
            ("example.org", 22, "git")
        );
        let url = Url::parse("ssh://me@[::1]:2222/a").unwrap();
        let address = Address::new(&url, None).unwrap();
        assert_eq!(
            (&*address.host, address.port, &*address.user),
            ("::1", 2222, "me")
        );
    }
}
