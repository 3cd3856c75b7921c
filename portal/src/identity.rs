//! Who may call, and what they reach. A *principal* is a person, a program or a cluster; it has
//! *assignments*, each a *role* in a *scope*, and proves itself by a *credential*: a secret or a
//! certificate. For that it gets a *token*, a signed JWT of an hour, and what it may do is looked up
//! at each request, so that a change holds at once. Principals are made, listed and deleted on the
//! database itself ([`Store`](crate::Store)), never over the network.

mod assertion;
mod crypto;
mod keys;
mod open_id;
mod principal;
mod roles;
mod token;

pub use assertion::{Certificate, CertificateError};
pub use open_id::{OpenId, OpenIdError};
pub use principal::{ClientSecret, Principal};
pub use roles::{Assignment, Role, RoleError, Scope, ScopeError};
pub use token::Token;

pub(crate) use crypto::install as install_crypto;
pub(crate) use keys::{KeyRow, Keys, next_keys};
pub(crate) use open_id::{Attempt, Provider, SignInError};
pub(crate) use principal::Digest;
pub(crate) use token::{LIFETIME, LONGEST_LIFETIME, issue, issuer, key_id, verify};
