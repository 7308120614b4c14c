//! The table of a part's topics: every name has an index, and events carry the index. The tool and its
//! generators build the same table from the same part.

use super::{Group, Part};

/// Stands in a topic for the number of the stream in its group.
pub(super) const STREAM: &str = "{stream}";

/// All topics of a part.
#[derive(Debug)]
pub(crate) struct Topics {
    entries: Vec<Entry>,
}

/// A topic as it is written in the scenario, and the indexes of what it stands for.
#[derive(Debug)]
struct Entry {
    text: String,
    first: u32,
    count: u32,
}

impl Topics {
    /// The topics that the part's streams ask for.
    pub(crate) fn of(part: &Part) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut first = 0;
        for (group, text) in
            part.streams.iter().flat_map(|group| group.topics.iter().map(move |text| (group, text)))
        {
            if entries.iter().any(|entry| entry.text == *text) {
                continue;
            }
            let count = if text.contains(STREAM) { group.count } else { 1 };
            entries.push(Entry { text: text.clone(), first, count });
            first += count;
        }
        Self { entries }
    }

    /// The indexes that a topic of the scenario stands for.
    pub(crate) fn indexes(&self, text: &str) -> Option<std::ops::Range<u32>> {
        self.entries
            .iter()
            .find(|entry| entry.text == text)
            .map(|entry| entry.first..entry.first + entry.count)
    }

    /// Whether a topic of the scenario is the same for all streams.
    pub(crate) fn is_shared(&self, text: &str) -> bool {
        !text.contains(STREAM)
    }

    /// The name of the topic with this index.
    pub(crate) fn name(&self, index: u32) -> Option<String> {
        let entry =
            self.entries.iter().find(|entry| (entry.first..entry.first + entry.count).contains(&index))?;
        Some(entry.text.replace(STREAM, &(index - entry.first).to_string()))
    }

    /// The topics of the group's stream `number`: index and the text that the scenario has for it.
    pub(crate) fn of_stream<'a>(
        &'a self,
        group: &'a Group,
        number: u32,
    ) -> impl Iterator<Item = (u32, &'a str)> {
        group.topics.iter().filter_map(move |text| {
            let indexes = self.indexes(text)?;
            Some((if text.contains(STREAM) { indexes.start + number } else { indexes.start }, text.as_str()))
        })
    }
}
