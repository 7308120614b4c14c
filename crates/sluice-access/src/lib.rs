//! Who calls, and what they may do: addresses, credentials, identities, grants, revocations. Both ways into
//! Sluice, streams and publishing, judge a request by what stands here, and say no in the same words.
//!
//! [`Access`] is the whole of it. Nothing here opens a socket or a log: JSON Web Key Sets come through a
//! [`Fetch`] that is handed in, revocations through [`Access::revoke`], the time is an argument.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod access;
mod address;
mod api_key;
mod cache;
mod credential;
mod denial;
mod grants;
mod identity;
mod issuer;
mod jwks;
mod keys;
mod measure;
mod pressure;
mod rate;
mod refused;
mod revocation;
mod settings;
mod token;

pub use access::Access;
pub use address::{AddressPrefixes, ClientAddress};
pub use api_key::{ApiKeyHash, ApiKeyHashError, NewApiKey};
pub use credential::{Request, forget_credentials};
pub use denial::Denial;
pub use grants::is_reserved;
pub use identity::{Action, Grants, Identity, Names};
pub use jwks::Fetch;
pub use keys::KeyError;
pub use pressure::Pressure;
pub use rate::{Bucket, Rate, Rates};
pub use refused::RefusedRequest;
pub use revocation::{About, REVOCATIONS_TOPIC, Revocation, Revoked, Whom};
pub use settings::{
    AccessSettings, Algorithm, ApiKeySettings, IssuerSettings, JwksSettings, KeySource, SecretText,
};
