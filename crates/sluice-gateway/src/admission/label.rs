//! A principal as one run of bytes: what streams share, and what they count against.
//!
//! One allocation a principal, since there may be as many of them as streams: flags, the network (4 or 16
//! bytes), the topics that are counted (a `u16` and a `u32` each), the subject (a `u32` and its bytes), and the
//! token's id to the end.

use std::net::IpAddr;

const HAS_V4: u8 = 1;
const HAS_V6: u8 = 2;
const HAS_SUBJECT: u8 = 4;
const HAS_TOKEN: u8 = 8;
const HAS_TOPICS: u8 = 16;

/// Whom a stream belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Principal<'a> {
    /// The first address of its network; known only where streams of an address are limited.
    pub network: Option<IpAddr>,
    /// Who it is, by its token.
    pub subject: Option<&'a str>,
    /// The token's own id.
    pub token_id: Option<&'a str>,
}

/// A principal and the numbers of the topics that its streams count against.
pub(super) fn encode(principal: Principal<'_>, topics: &[u32]) -> Vec<u8> {
    let Principal { network, subject, token_id } = principal;
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
pub(super) fn decode(label: &[u8]) -> Option<(Principal<'_>, impl Iterator<Item = u32>)> {
    let (flags, mut rest) = label.split_first()?;
    let mut principal = Principal::default();
    if flags & HAS_V4 != 0 {
        principal.network = Some(IpAddr::from(*rest.split_off(..4)?.as_array::<4>()?));
    } else if flags & HAS_V6 != 0 {
        principal.network = Some(IpAddr::from(*rest.split_off(..16)?.as_array::<16>()?));
    }
    let mut topics: &[u8] = &[];
    if flags & HAS_TOPICS != 0 {
        let count = u16::from_le_bytes(*rest.split_off(..2)?.as_array()?);
        topics = rest.split_off(..usize::from(count) * 4)?;
    }
    if flags & HAS_SUBJECT != 0 {
        let bytes = u32::from_le_bytes(*rest.split_off(..4)?.as_array()?);
        principal.subject = Some(std::str::from_utf8(rest.split_off(..bytes as usize)?).ok()?);
    }
    if flags & HAS_TOKEN != 0 {
        principal.token_id = Some(std::str::from_utf8(rest).ok()?);
    }
    let numbers = topics.chunks_exact(4).filter_map(|number| number.try_into().ok().map(u32::from_le_bytes));
    Some((principal, numbers))
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
            topics in prop::collection::vec(any::<u32>(), 0..70),
        ) {
            let principal = Principal { network, subject: subject.as_deref(), token_id: token_id.as_deref() };
            let label = encode(principal, &topics);
            let (decoded, numbers) = decode(&label).unwrap();
            prop_assert_eq!(decoded, principal);
            prop_assert_eq!(numbers.collect::<Vec<_>>(), topics);
        }

        #[test]
        fn different_principals_have_different_labels(
            one in any::<(Option<String>, Option<String>)>(),
            other in any::<(Option<String>, Option<String>)>(),
        ) {
            let label = |(subject, token): &(Option<String>, Option<String>)| {
                let (subject, token_id) = (subject.as_deref(), token.as_deref());
                encode(Principal { network: None, subject, token_id }, &[])
            };
            prop_assert_eq!(one == other, label(&one) == label(&other));
        }

        #[test]
        fn what_is_no_label_is_nothing(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some((_, numbers)) = decode(&bytes) {
                drop(numbers.collect::<Vec<_>>());
            }
        }
    }
}
