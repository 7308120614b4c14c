//! What a stream can hold, borrowed from the decoder's buffers or owned.

/// Something that the stream held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Received),
    /// The time to wait before reconnecting, in milliseconds.
    Retry(u64),
    /// A comment, without its colon and the space behind it.
    Comment(String),
    /// The cursor moved without an event.
    Id(String),
    /// An event was passed over because it exceeds the decoder's limit.
    Overlong,
}

/// An event as a client receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its type; `message` when the stream named none.
    pub event_type: String,
    /// Its lines, joined by LF.
    pub data: String,
    /// The id to resume with; that of an earlier event when this one had none.
    pub last_event_id: String,
}

/// An [`Item`] in the decoder's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemRef<'a> {
    /// See [`Item::Event`].
    Event(ReceivedRef<'a>),
    /// See [`Item::Retry`].
    Retry(u64),
    /// See [`Item::Comment`].
    Comment(&'a str),
    /// See [`Item::Id`].
    Id(&'a str),
    /// See [`Item::Overlong`].
    Overlong,
}

/// A [`Received`] in the decoder's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedRef<'a> {
    /// See [`Received::event_type`].
    pub event_type: &'a str,
    /// See [`Received::data`].
    pub data: &'a str,
    /// See [`Received::last_event_id`].
    pub last_event_id: &'a str,
}

impl From<ItemRef<'_>> for Item {
    fn from(item: ItemRef<'_>) -> Self {
        match item {
            ItemRef::Event(event) => Self::Event(event.into()),
            ItemRef::Retry(ms) => Self::Retry(ms),
            ItemRef::Comment(text) => Self::Comment(text.to_owned()),
            ItemRef::Id(id) => Self::Id(id.to_owned()),
            ItemRef::Overlong => Self::Overlong,
        }
    }
}

impl From<ReceivedRef<'_>> for Received {
    fn from(event: ReceivedRef<'_>) -> Self {
        Self {
            event_type: event.event_type.to_owned(),
            data: event.data.to_owned(),
            last_event_id: event.last_event_id.to_owned(),
        }
    }
}
