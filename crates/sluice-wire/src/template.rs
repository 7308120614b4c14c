//! Topic patterns that differ from subject to subject.

use std::fmt;
use std::str::FromStr;

use crate::{Topic, TopicPattern, TopicPatternError};

/// What stands for the subject.
const SUBJECT: &str = "{sub}";

/// A topic pattern in which the segment `{sub}` stands for the subject.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicTemplate(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// The same for everybody.
    Fixed(TopicPattern),
    /// With `{sub}` in some of its segments.
    OfSubject(Box<str>),
}

/// Why a text is not a [`TopicTemplate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicTemplateError {
    /// `{sub}` stands beside other text.
    #[error("{{sub}} must be a segment of its own, as in user/{{sub}}/**")]
    Beside,
    /// It is no pattern.
    #[error(transparent)]
    Pattern(#[from] TopicPatternError),
}

impl TopicTemplate {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// See [`TopicTemplateError`].
    pub fn parse(text: &str) -> Result<Self, TopicTemplateError> {
        if !text.contains(SUBJECT) {
            return Ok(Self(Form::Fixed(TopicPattern::parse(text)?)));
        }
        if text.split('/').any(|segment| segment != SUBJECT && segment.contains(SUBJECT)) {
            return Err(TopicTemplateError::Beside);
        }
        TopicPattern::parse(&text.replace(SUBJECT, "x"))?;
        Ok(Self(Form::OfSubject(text.into())))
    }

    /// The pattern for `subject`; `None` when there is none, or when it is no plain segment of a topic, so that a
    /// subject such as `*`, `a/b` or `..` opens nothing.
    #[must_use]
    pub fn for_subject(&self, subject: Option<&str>) -> Option<TopicPattern> {
        let text = match &self.0 {
            Form::Fixed(pattern) => return Some(pattern.clone()),
            Form::OfSubject(text) => text,
        };
        let subject = subject.filter(|subject| is_plain_segment(subject))?;
        let segments = text.split('/').map(|segment| if segment == SUBJECT { subject } else { segment });
        TopicPattern::parse(&segments.collect::<Vec<_>>().join("/")).ok()
    }
}

fn is_plain_segment(subject: &str) -> bool {
    !subject.contains('/') && !matches!(subject, "." | "..") && Topic::parse(subject).is_ok()
}

impl FromStr for TopicTemplate {
    type Err = TopicTemplateError;

    fn from_str(text: &str) -> Result<Self, TopicTemplateError> {
        Self::parse(text)
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Form::Fixed(pattern) => pattern.as_str(),
            Form::OfSubject(text) => text,
        })
    }
}

impl fmt::Debug for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(template: &str, subject: &str) -> Option<String> {
        let template = TopicTemplate::parse(template).unwrap();
        template.for_subject(Some(subject)).map(|pattern| pattern.as_str().to_owned())
    }

    #[test]
    fn a_subject_fills_its_segments_and_nothing_else() {
        assert_eq!(pattern("user/{sub}/**", "7").as_deref(), Some("user/7/**"));
        assert_eq!(pattern("{sub}/{sub}", "u@x.y").as_deref(), Some("u@x.y/u@x.y"));
        assert_eq!(pattern("public/*", "*").as_deref(), Some("public/*"));
        for hostile in ["*", "**", "a/b", "a/../b", "", ".", "..", "{sub}", "a b", "é", &"x".repeat(201)] {
            assert_eq!(pattern("user/{sub}", hostile), None, "{hostile}");
        }
        assert_eq!(TopicTemplate::parse("user/{sub}").unwrap().for_subject(None), None);
        assert_eq!(TopicTemplate::parse("user-{sub}"), Err(TopicTemplateError::Beside));
        assert!(TopicTemplate::parse("{sub}/a*").is_err() && TopicTemplate::parse("{other}").is_err());
    }

    proptest! {
        /// Whatever somebody is called, a template of theirs opens no topic of somebody else.
        #[test]
        fn no_subject_opens_anothers_topic(subject in ".{0,12}|[a-z*/{}.]{0,8}", other in "[a-z0-9]{1,8}") {
            prop_assume!(subject != other);
            let template = TopicTemplate::parse("user/{sub}").unwrap();
            let topic = Topic::parse(&format!("user/{other}")).unwrap();
            prop_assert!(template.for_subject(Some(&subject)).is_none_or(|pattern| !pattern.matches(&topic)));
        }
    }
}
