//! A real `sshd` on 127.0.0.1: one process for each connection, as the user of the test, with keys of
//! its own.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    process::Child,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{GitError, Repository, ServerError};

/// Off the PATH on Debian; it wants to be called by a whole path.
const SSHD: &str = "/usr/sbin/sshd";

/// How an SSH server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshFault {
    /// It accepts and never answers.
    Silence,
    /// The true answer, a byte every 50 ms.
    Drip,
    /// The same after this many bytes.
    DripAfter(usize),
    /// The connection is lost after this many bytes of the true answer.
    CutAfter(usize),
}

/// An SSH server with Git repositories. It ends when it is dropped.
pub struct SshServer {
    address: SocketAddr,
    user: String,
    host_key: String,
    shared: Arc<Shared>,
}

struct Shared {
    directory: TempDir,
    fault: Mutex<Option<SshFault>>,
    cancel: CancellationToken,
}

impl SshServer {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When there is no port, folder or key to be had.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts a server on a port.
    ///
    /// # Errors
    /// When the port, a folder or a key is not to be had.
    pub async fn start_at(address: SocketAddr) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let directory = tempfile::tempdir()?;
        let root = directory.path();
        let user = Command::new("id").arg("-un").output()?.stdout;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        // It asks for this folder when it runs as root, whether it needs it or not.
        if user == "root" {
            fs::create_dir_all("/run/sshd")?;
        }
        ssh_keygen(&root.join("host"), &["-t", "ed25519"])?;
        let host_key = fs::read_to_string(root.join("host.pub"))?;
        fs::write(root.join("authorized_keys"), "")?;
        fs::write(root.join("log"), "")?;
        let config = format!(
            "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel DEBUG1\n",
            root.display()
        );
        fs::write(root.join("config"), config)?;
        let shared = Arc::new(Shared {
            directory,
            fault: Mutex::new(None),
            cancel: CancellationToken::new(),
        });
        let this = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = this.cancel.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { continue };
                let this = Arc::clone(&this);
                tokio::spawn(async move {
                    let cancel = this.cancel.clone();
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        _ = this.serve(stream) => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            user,
            // Without the comment.
            host_key: words(&host_key, 2),
            shared,
        })
    }

    /// The address of a repository.
    pub fn url(&self, name: &str) -> String {
        format!(
            "ssh://{}@{}{}",
            self.user,
            self.address,
            self.path(name).display()
        )
    }

    /// The address of a repository as `scp` writes it, which has no port.
    pub fn scp_form(&self, name: &str) -> String {
        format!(
            "{}@{}:{}",
            self.user,
            self.address.ip(),
            self.path(name).display()
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.shared.directory.path().join(name)
    }

    /// A new, empty repository on the server.
    ///
    /// # Errors
    /// When `git` fails.
    pub fn create(&self, name: &str) -> Result<Repository, GitError> {
        Repository::create(&self.path(name))
    }

    /// Lets whoever has the private half of a key in from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn authorize(&self, public_key: &str) -> io::Result<()> {
        let path = self.path("authorized_keys");
        let keys = fs::read_to_string(&path)?;
        fs::write(&path, format!("{keys}{public_key}\n"))
    }

    /// The host key, as type and base64.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// The line of a file `known_hosts` that names the host key.
    pub fn known_hosts(&self) -> String {
        format!(
            "[{}]:{} {}\n",
            self.address.ip(),
            self.address.port(),
            self.host_key
        )
    }

    /// Whether anyone has said who they are.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn was_shown_a_key(&self) -> io::Result<bool> {
        Ok(fs::read_to_string(self.path("log"))?.contains("userauth-request"))
    }

    /// Misbehave from now on, or no longer.
    pub fn fault(&self, fault: Option<SshFault>) {
        let current = self.shared.fault.lock();
        *current.unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let cuts = matches!(fault, Some(SshFault::CutAfter(_)));
        let mut quick = match fault {
            None => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                self.sshd(stream.into())?.wait().await?;
                return Ok(());
            }
            Some(SshFault::Silence) => return std::future::pending().await,
            Some(SshFault::Drip) => 0,
            Some(SshFault::DripAfter(bytes) | SshFault::CutAfter(bytes)) => bytes,
        };
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        let _sshd = self.sshd(theirs.into())?;
        let (mut from_client, mut to_client) = stream.into_split();
        let (mut from_server, mut to_server) = ours.into_split();
        let there = tokio::io::copy(&mut from_client, &mut to_server);
        let back = async {
            let mut buffer = vec![0; 4096];
            loop {
                let length = match quick {
                    0 if cuts => return Ok(()),
                    0 => 1,
                    left => left.min(buffer.len()),
                };
                let length = from_server.read(&mut buffer[..length]).await?;
                if length == 0 {
                    return io::Result::Ok(());
                }
                to_client.write_all(&buffer[..length]).await?;
                quick = quick.saturating_sub(length);
                if quick == 0 {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        };
        tokio::select! {
            _ = there => Ok(()),
            done = back => done,
        }
    }

    fn sshd(&self, socket: OwnedFd) -> io::Result<Child> {
        let root = self.directory.path();
        tokio::process::Command::new(SSHD)
            .arg("-i")
            .arg("-f")
            .arg(root.join("config"))
            .arg("-E")
            .arg(root.join("log"))
            .stdin(Stdio::from(socket.try_clone()?))
            .stdout(Stdio::from(socket))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Makes a private key with `ssh-keygen` and gives its text and the public half, as type and base64.
///
/// # Errors
/// When `ssh-keygen` fails.
pub fn ssh_key(arguments: &[&str]) -> Result<(String, String), ServerError> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("key");
    ssh_keygen(&path, arguments)?;
    let public = fs::read_to_string(path.with_extension("pub"))?;
    Ok((fs::read_to_string(&path)?, words(&public, 2)))
}

fn ssh_keygen(path: &Path, arguments: &[&str]) -> Result<(), ServerError> {
    let mut command = Command::new("ssh-keygen");
    if !arguments.contains(&"-N") {
        command.args(["-N", ""]);
    }
    let output = command.arg("-q").arg("-f").arg(path).args(arguments);
    let output = output.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(ServerError::Key(said))
}

fn words(line: &str, count: usize) -> String {
    let words: Vec<&str> = line.split_whitespace().take(count).collect();
    words.join(" ")
}
