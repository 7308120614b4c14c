//! The envelope carries every event unchanged, whatever the publisher put into it.

use bytes::Bytes;
use proptest::prelude::*;
use sluice_wire::envelope::{LiveMessage, encode, parse};

use crate::any;

proptest! {
    #[test]
    fn an_event_arrives_as_it_was(event in any::event()) {
        prop_assert_eq!(parse(encode(&event).into()), Ok(LiveMessage::Event(event)));
    }

    #[test]
    fn no_value_leaves_its_field(event in any::event()) {
        let message = encode(&event);
        let header = message.split(|b| *b == b'\n').next().unwrap();
        prop_assert!(header[1..].iter().all(|b| b.is_ascii_graphic() || *b == b' '));
        let optional = [event.prev.is_some(), event.event_type.is_some(), event.traceparent.is_some()];
        let fields = 2 + optional.into_iter().filter(|there| *there).count();
        prop_assert_eq!(header.split(|b| *b == b' ').count(), fields);
        prop_assert_eq!(&message[header.len() + 1..], event.data.as_bytes());
    }

    #[test]
    fn plain_text_is_taken_as_it_is(text in any::data()) {
        prop_assume!(!text.starts_with('\u{1}'));
        prop_assert_eq!(parse(Bytes::from(text.clone())), Ok(LiveMessage::Plain(text.into())));
    }

    #[test]
    fn a_message_cut_short_is_an_error_or_has_less_data(event in any::event(), at in any::<prop::sample::Index>()) {
        let message = encode(&event);
        let cut = &message[..at.index(message.len())];
        if let Ok(LiveMessage::Event(read)) = parse(Bytes::copy_from_slice(cut)) {
            prop_assert!(event.data.starts_with(&*read.data));
            prop_assert_eq!((read.id, read.prev), (event.id, event.prev));
        }
    }
}
