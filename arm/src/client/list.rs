//! Listing: all pages, or an error. An agent deletes what the list does not have, so half a list
//! must never look like a whole one.

use std::{collections::HashSet, time::Duration};

use ::http::{HeaderValue, Method, StatusCode};
use url::Url;

use super::{Asked, Client, http::origin, refusal};
use crate::{ConfigurationId, Error, ListPage, SealingError, SourceControlConfiguration, place_of};

/// More pages than this are a server that leads in circles.
const MAX_PAGES: usize = 200;

/// All pages together, so that a list cannot fill the memory of an agent.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Which version of a list an answer had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub(super) HeaderValue);

/// The configurations of a cluster, all of them.
#[derive(Debug)]
pub struct Listed {
    /// Nothing when they are as they were.
    pub configurations: Option<Vec<SourceControlConfiguration>>,
    /// By which to ask for another list than this; ARM has none.
    pub version: Option<Version>,
    /// Whether the server answers when there is news: asked again, it is the server that waits.
    pub waited: bool,
}

/// What an answer says beside its page.
struct Answered {
    bytes: usize,
    version: Option<Version>,
    waited: bool,
}

impl Client {
    /// All configurations of the cluster: from the data plane, with their secrets, where the
    /// settings name one, else from ARM, without.
    ///
    /// # Errors
    /// When any page is not there, whole and well-formed. Never a part of the list.
    pub async fn list(&self) -> Result<Vec<SourceControlConfiguration>, Error> {
        let listed = self.pages(&Asked::Nothing).await?;
        Ok(listed.configurations.unwrap_or_default())
    }

    /// The same, when it is of another version than this one, or after so long a time; at once when
    /// none is known.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_since(
        &self,
        since: Option<&Version>,
        wait: Duration,
    ) -> Result<Listed, Error> {
        let asked = since.map_or(Asked::Nothing, |since| Asked::News { since, wait });
        self.pages(&asked).await
    }

    async fn pages(&self, asked: &Asked<'_>) -> Result<Listed, Error> {
        let mut url = if self.has_data_plane {
            self.url(&self.cluster_id.data_plane_path())
        } else {
            let mut url = self.url(&self.cluster_id.configurations_path());
            url.query_pairs_mut()
                .append_pair("api-version", &self.api_version);
            url
        };
        let mut seen = HashSet::from([url.clone()]);
        let mut bytes = 0;
        let mut all = Vec::new();
        let mut first: Option<Answered> = None;
        loop {
            let asked = if first.is_none() {
                asked
            } else {
                &Asked::Nothing
            };
            let (mut page, answered) = self.page(&url, asked).await?;
            bytes += answered.bytes;
            let first = first.get_or_insert(answered);
            let Some(page) = &mut page else {
                return Ok(Listed {
                    configurations: None,
                    version: first.version.clone(),
                    waited: first.waited,
                });
            };
            for configuration in &mut page.value {
                self.check_belongs(&url, configuration)?;
                self.open_secrets(&url, configuration)?;
            }
            all.append(&mut page.value);
            let Some(link) = page.next_link.take().filter(|link| !link.is_empty()) else {
                return Ok(Listed {
                    configurations: Some(all),
                    version: first.version.clone(),
                    waited: first.waited,
                });
            };
            let next = self.next(&url, &link)?;
            let problem = if !seen.insert(next.clone()) {
                Some("a page leads back to one that was read".to_owned())
            } else if seen.len() > MAX_PAGES {
                Some(format!("it has more than {MAX_PAGES} pages"))
            } else if bytes > MAX_BYTES {
                Some(format!("it is larger than {MAX_BYTES} bytes"))
            } else {
                None
            };
            if let Some(problem) = problem {
                return Err(Error::Paging {
                    server: origin(&url),
                    problem,
                });
            }
            url = next;
        }
    }

    /// A page; nothing when all is as it was.
    async fn page(
        &self,
        url: &Url,
        asked: &Asked<'_>,
    ) -> Result<(Option<ListPage<SourceControlConfiguration>>, Answered), Error> {
        let answer = self.send(Method::GET, url, asked).await?;
        let answered = Answered {
            bytes: answer.body.len(),
            version: answer
                .etag
                .clone()
                .filter(|_| self.has_data_plane)
                .map(Version),
            waited: answer.preference_applied,
        };
        let is_news = matches!(asked, Asked::News { .. });
        if is_news && answer.status == StatusCode::NOT_MODIFIED {
            return Ok((None, answered));
        }
        // No other success than 200: 202, 204 and 206 are no list.
        if answer.status != StatusCode::OK {
            return Err(refusal(url, &answer));
        }
        let page = serde_json::from_slice(&answer.body).map_err(|error| Error::Malformed {
            server: origin(url),
            // serde_json's messages may quote the text, and there are secrets in it.
            problem: format!(
                "it is no page of configurations: line {}, column {}",
                error.line(),
                error.column()
            ),
        })?;
        Ok((Some(page), answered))
    }

    /// Where the next page is. The token goes with the request, so it must be the same server.
    fn next(&self, url: &Url, link: &str) -> Result<Url, Error> {
        url.join(link)
            .ok()
            .filter(|next| next.origin() == self.base.origin())
            .filter(|next| next.username().is_empty() && next.password().is_none())
            .ok_or_else(|| Error::Paging {
                server: origin(url),
                problem: "the next page is on another server; it is not asked, since the token is \
                          not for it"
                    .into(),
            })
    }

    /// Opens the secrets that are sealed to this agent.
    fn open_secrets(
        &self,
        url: &Url,
        configuration: &mut SourceControlConfiguration,
    ) -> Result<(), Error> {
        let Some(key) = &self.key else { return Ok(()) };
        let id = configuration.id.clone().unwrap_or_default();
        let properties = &mut configuration.properties;
        let Some(settings) = properties.configuration_protected_settings.take() else {
            return Ok(());
        };
        let opened: Result<_, SealingError> = settings
            .iter()
            .map(|(name, value)| Ok((name, key.open(&place_of(&id, name), value.expose())?)))
            .collect();
        let opened = opened.map_err(|error| Error::Malformed {
            server: origin(url),
            problem: format!("the protected settings of `{id}`: {error}"),
        })?;
        properties.configuration_protected_settings = Some(opened);
        Ok(())
    }

    /// A page of another cluster, from a proxy gone wrong, would delete all of this one's.
    fn check_belongs(
        &self,
        url: &Url,
        configuration: &SourceControlConfiguration,
    ) -> Result<(), Error> {
        let id = configuration.id.as_deref().unwrap_or_default();
        let problem = match id.parse::<ConfigurationId>() {
            Err(error) => error.to_string(),
            Ok(id) if id.cluster() != self.cluster_id => {
                format!("`{id}` is no configuration of this cluster")
            }
            Ok(id) => match configuration.name.as_deref() {
                Some(name) if name.eq_ignore_ascii_case(id.name()) => return Ok(()),
                _ => format!("the name of `{id}` is another than its id says"),
            },
        };
        Err(Error::Malformed {
            server: origin(url),
            problem,
        })
    }
}
