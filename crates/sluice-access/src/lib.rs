//! Who calls, and what they may do: addresses, identities, grants. Both ways into Sluice, streams and
//! publishing, judge a request by what stands here.

mod address;
mod identity;

pub use address::{AddressPrefixes, ClientAddress};
pub use identity::{Grants, Identity};
