//! SSH below libgit2's Git protocol.
//!
//! libgit2's own SSH would bring OpenSSL, and like its HTTP it is bounded by nothing. So the
//! connection is made here, within the bounds of the [`Exchange`]: the server's key must be a known
//! one before anything of ours is shown, one key proves who we are, and one command is run. No
//! agent, no files of a home and no settings have a say.

mod address;
mod key;
mod known_hosts;
mod line;

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use russh::{
    Channel, ChannelMsg,
    client::{self, AuthResult},
    keys::{Algorithm, HashAlg, PublicKeyOrCertificate},
};
use tokio::{net::TcpStream, time::Instant};
use tokio_util::sync::DropGuard;

use super::{Error, exchange::Exchange};
use line::Line;

pub use address::is_ssh;
pub use key::Key;
pub use known_hosts::KnownHosts;

pub(super) use address::Address;

/// How much of what a server says beside its answer is kept, in bytes.
const SAID: usize = 512;

/// What libgit2 calls.
pub(super) struct Transport(pub(super) Arc<Exchange>);

impl SmartSubtransport for Transport {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        // For objects it goes on with the stream that has listed the references.
        let Service::UploadPackLs = service else {
            return Err(git2::Error::from_str("nothing is ever pushed"));
        };
        Ok(Box::new(Stream {
            until: Some(self.0.silent_until()),
            exchange: Arc::clone(&self.0),
            session: None,
            rest: Bytes::new(),
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// The command and its answer.
struct Stream {
    exchange: Arc<Exchange>,
    /// When the list of references must be whole; a pack may take until the deadline while it comes.
    until: Option<Instant>,
    session: Option<Session>,
    rest: Bytes,
}

impl Stream {
    /// Does something with the session, which is opened first.
    fn with<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Session, &Exchange) -> Result<T, Error>,
    ) -> io::Result<T> {
        let exchange = &self.exchange;
        let until = self.until.unwrap_or_else(|| exchange.silent_until());
        exchange.wait(until, async {
            let session = match &mut self.session {
                Some(session) => session,
                None => self.session.insert(Session::open(exchange).await?),
            };
            act(session, exchange).await
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.with(async |session, exchange| session.chunk(exchange).await)? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // What is written first is which objects are wanted: the list is whole.
        self.until = None;
        let bytes = Bytes::copy_from_slice(buffer);
        self.with(async |session, exchange| session.send(exchange, bytes).await)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection on which the command runs.
struct Session {
    channel: Channel<client::Msg>,
    /// Whether the command has answered anything.
    has_answered: bool,
    /// What the server says beside the answer.
    said: Vec<u8>,
    /// Ends the connection when this is dropped.
    _end: DropGuard,
}

impl Session {
    async fn open(exchange: &Arc<Exchange>) -> Result<Self, Error> {
        let remote = exchange.remote();
        let (Some(address), Some(key)) = (remote.ssh(), remote.credentials().key()) else {
            let what = "there is no key for a repository over SSH";
            return Err(Error::Internal(what.to_owned()));
        };
        let lost = |error: russh::Error| exchange.unreachable(error.to_string());
        let end = exchange.stop().child_token();
        let stopped = end.clone().cancelled_owned();
        let end = end.drop_guard();
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await;
        let socket = socket.map_err(|error| exchange.unreachable(error.to_string()))?;
        let line = Line::new(socket, Arc::clone(exchange), stopped);
        let server = Server(Arc::clone(exchange));
        let config = Arc::new(config(remote.credentials().known_hosts(), address));
        let connected = client::connect_stream(config, line, server).await;
        let mut handle = connected.map_err(|fault| match fault {
            Fault::Ours(error) => error,
            Fault::Line(error) => lost(error),
        })?;
        let hash = match key.algorithm() {
            Algorithm::Rsa { .. } => {
                let best = handle.best_supported_rsa_hash().await.map_err(lost)?;
                best.flatten().or(Some(HashAlg::Sha256))
            }
            _ => None,
        };
        let accepted = handle
            .authenticate_publickey_with(&address.user, key.public_key(), hash, &mut key.signer())
            .await
            .map_err(|error| exchange.unreachable(error.to_string()))?;
        if let AuthResult::Failure {
            remaining_methods, ..
        } = accepted
        {
            exchange.check()?;
            // Who refuses says what else would do.
            if remaining_methods.is_empty() {
                let what = "the connection was lost while the server looked at the key";
                return Err(exchange.unreachable(what.to_owned()));
            }
            return Err(Error::AuthenticationFailed {
                url: remote.url().to_owned(),
                what: format!(
                    "add the public key to the repository as a deploy key, with the right to read: {}",
                    key.public()
                ),
            });
        }
        let channel = handle.channel_open_session().await.map_err(lost)?;
        channel.exec(true, address.command()).await.map_err(lost)?;
        Ok(Self {
            channel,
            has_answered: false,
            said: Vec::new(),
            _end: end,
        })
    }

    async fn chunk(&mut self, exchange: &Exchange) -> Result<Option<Bytes>, Error> {
        loop {
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    self.has_answered = true;
                    return Ok(Some(data));
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = SAID.saturating_sub(self.said.len()).min(data.len());
                    self.said.extend_from_slice(&data[..room]);
                }
                // The command has ended.
                Some(ChannelMsg::Failure | ChannelMsg::Close) => break,
                Some(_) => {}
                // The connection has: what came may not be all.
                None if self.has_answered || self.said.is_empty() => {
                    exchange.check()?;
                    return Err(exchange.unreachable("the connection was lost".to_owned()));
                }
                None => break,
            }
        }
        if self.has_answered {
            return Ok(None);
        }
        exchange.check()?;
        let remote = exchange.remote();
        Err(Error::RepositoryRefused {
            url: remote.url().to_owned(),
            said: said(&self.said),
            key: remote.credentials().public_key().unwrap_or_default(),
        })
    }

    async fn send(&mut self, exchange: &Exchange, bytes: Bytes) -> Result<(), Error> {
        let sent = self.channel.data_bytes(bytes).await;
        sent.map_err(|error| exchange.unreachable(error.to_string()))
    }
}

/// What a server said, on one line.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = text.split(|one: char| one.is_control() || one.is_whitespace());
    let words: Vec<&str> = plain.filter(|word| !word.is_empty()).collect();
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(" "),
    }
}

fn config(known_hosts: &KnownHosts, address: &Address) -> client::Config {
    let mut config = client::Config {
        // What is on its way and not read yet is at most this, in bytes.
        window_size: 1 << 20,
        channel_buffer_size: 32,
        nodelay: true,
        ..client::Config::default()
    };
    config.preferred.key = known_hosts.preferred(address).into();
    config
}

/// What the server must prove.
struct Server(Arc<Exchange>);

/// Why there is no connection.
#[derive(Debug)]
enum Fault {
    Ours(Error),
    Line(russh::Error),
}

impl From<russh::Error> for Fault {
    fn from(error: russh::Error) -> Self {
        Self::Line(error)
    }
}

impl client::Handler for Server {
    type Error = Fault;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Fault> {
        let remote = self.0.remote();
        let address = remote.ssh().expect("only such remotes come here");
        let known = remote.credentials().known_hosts();
        match known.check(address, &shown.public_key()) {
            Ok(()) => Ok(true),
            Err(what) => Err(Fault::Ours(Error::HostKeyUntrusted(what))),
        }
    }
}
