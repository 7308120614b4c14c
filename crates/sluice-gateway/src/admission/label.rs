//! A principal as one run of bytes: what streams share, and what they count against.
//!
//! One allocation a principal, since there may be as many of them as streams: flags, the network (4 or 16
//! bytes), the number of its issuer (a `u32`: all share the names of a few), when its token was issued (a `u64`), the topics
//! that are counted (a `u16` and a `u32` each), the subject (a `u32` and its bytes), and the token's id to the end.

use std::net::IpAddr;

use sluice_access::Names;

const HAS_V4: u8 = 1;
const HAS_V6: u8 = 2;
const HAS_SUBJECT: u8 = 4;
const HAS_TOKEN: u8 = 8;
const HAS_TOPICS: u8 = 16;
const HAS_ISSUER: u8 = 32;
const HAS_ISSUED_AT: u8 = 64;

/// Whom a stream belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Principal<'a> {
    /// The first address of its network; known only where streams of an address are limited.
    pub network: Option<IpAddr>,
    /// What it goes by, by its token.
    pub names: Names<'a>,
}

/// What a label says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    /// All but the name of its issuer.
    pub(super) principal: Principal<'a>,
    /// The number of that name.
    pub(super) issuer: Option<u32>,
    topics: &'a [u8],
}

impl<'a> Label<'a> {
    /// The numbers of the topics that its streams count against.
    pub(super) fn topics(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.topics.chunks_exact(4).filter_map(|number| number.try_into().ok().map(u32::from_le_bytes))
    }
}

/// A principal with the number of its issuer's name, and the numbers of the topics that its streams count against.
pub(super) fn encode(principal: Principal<'_>, issuer: Option<u32>, topics: &[u32]) -> Vec<u8> {
    let Principal { network, names: Names { subject, token_id, issuer: _, issued_at_s } } = principal;
    let mut label = vec![0];
    match network {
        Some(IpAddr::V4(network)) => {
            label[0] |= HAS_V4;
            label.extend_from_slice(&network.octets());
        }
        Some(IpAddr::V6(network)) => {
            label[0] |= HAS_V6;
            label.extend_from_slice(&network.octets());
        }
        None => {}
    }
    if let Some(issuer) = issuer {
        label[0] |= HAS_ISSUER;
        label.extend_from_slice(&issuer.to_le_bytes());
    }
    if let Some(issued_at_s) = issued_at_s {
        label[0] |= HAS_ISSUED_AT;
        label.extend_from_slice(&issued_at_s.to_le_bytes());
    }
    if !topics.is_empty() {
        label[0] |= HAS_TOPICS;
        label.extend_from_slice(&u16::try_from(topics.len()).unwrap_or(u16::MAX).to_le_bytes());
        let counted = topics.iter().take(usize::from(u16::MAX));
        label.extend(counted.flat_map(|topic| topic.to_le_bytes()));
    }
    if let Some(subject) = subject {
        label[0] |= HAS_SUBJECT;
        label.extend_from_slice(&u32::try_from(subject.len()).unwrap_or(u32::MAX).to_le_bytes());
        label.extend_from_slice(subject.as_bytes());
    }
    if let Some(token_id) = token_id {
        label[0] |= HAS_TOKEN;
        label.extend_from_slice(token_id.as_bytes());
    }
    label
}

/// What [`encode`] was given; nothing for what it never made.
pub(super) fn decode(label: &[u8]) -> Option<Label<'_>> {
    let (flags, mut rest) = label.split_first()?;
    let mut principal = Principal::default();
    if flags & HAS_V4 != 0 {
        principal.network = Some(IpAddr::from(*rest.split_off(..4)?.as_array::<4>()?));
    } else if flags & HAS_V6 != 0 {
        principal.network = Some(IpAddr::from(*rest.split_off(..16)?.as_array::<16>()?));
    }
    let mut issuer = None;
    if flags & HAS_ISSUER != 0 {
        issuer = Some(u32::from_le_bytes(*rest.split_off(..4)?.as_array()?));
    }
    if flags & HAS_ISSUED_AT != 0 {
        principal.names.issued_at_s = Some(u64::from_le_bytes(*rest.split_off(..8)?.as_array()?));
    }
    let mut topics: &[u8] = &[];
    if flags & HAS_TOPICS != 0 {
        let count = u16::from_le_bytes(*rest.split_off(..2)?.as_array()?);
        topics = rest.split_off(..usize::from(count) * 4)?;
    }
    if flags & HAS_SUBJECT != 0 {
        let bytes = u32::from_le_bytes(*rest.split_off(..4)?.as_array()?);
        principal.names.subject = Some(std::str::from_utf8(rest.split_off(..bytes as usize)?).ok()?);
    }
    if flags & HAS_TOKEN != 0 {
        principal.names.token_id = Some(std::str::from_utf8(rest).ok()?);
    }
    Some(Label { principal, issuer, topics })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_label_says_what_it_was_made_of(
            network in any::<Option<IpAddr>>(),
            subject in any::<Option<String>>(),
            token_id in any::<Option<String>>(),
            issuer in any::<Option<u32>>(),
            issued_at_s in any::<Option<u64>>(),
            topics in prop::collection::vec(any::<u32>(), 0..70),
        ) {
            let (subject, token_id) = (subject.as_deref(), token_id.as_deref());
            let names = Names { subject, token_id, issuer: None, issued_at_s };
            let principal = Principal { network, names };
            let label = encode(principal, issuer, &topics);
            let decoded = decode(&label).unwrap();
            prop_assert_eq!((decoded.principal, decoded.issuer), (principal, issuer));
            prop_assert_eq!(decoded.topics().collect::<Vec<_>>(), topics);
        }

        #[test]
        fn different_principals_have_different_labels(
            one in any::<(Option<String>, Option<String>, Option<u32>)>(),
            other in any::<(Option<String>, Option<String>, Option<u32>)>(),
        ) {
            let label = |(subject, token, issuer): &(Option<String>, Option<String>, Option<u32>)| {
                let (subject, token_id) = (subject.as_deref(), token.as_deref());
                let names = Names { subject, token_id, ..Names::default() };
                encode(Principal { network: None, names }, *issuer, &[])
            };
            prop_assert_eq!(one == other, label(&one) == label(&other));
        }

        #[test]
        fn what_is_no_label_is_nothing(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(label) = decode(&bytes) {
                drop(label.topics().collect::<Vec<_>>());
            }
        }
    }
}
