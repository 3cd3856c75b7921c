//! Real Git servers and repositories for tests and the demo: `git http-backend` behind an HTTP
//! server on 127.0.0.1, with TLS, a password and faults when they are asked for, and `sshd`. The
//! protocol is Git's own; nothing of it is imitated here.

mod backend;
mod repository;
mod server;
mod ssh;
mod tls;

pub use repository::{GitError, Repository};
pub use server::{Fault, Received, Server, ServerError, ServerOptions};
pub use ssh::{SshFault, SshServer, ssh_key};
