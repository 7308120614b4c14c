//! A share of a whole.

use std::fmt;
use std::str::FromStr;

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

/// Never NaN.
impl Eq for Ratio {}

impl Ratio {
    /// Nothing of it.
    pub const NONE: Self = Self(0.0);
    /// The whole.
    pub const ALL: Self = Self(1.0);

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(String::new())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Debug` keeps the point, so that TOML takes it for a float.
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_within_the_whole() {
        for (text, shown) in [("0", "0.0"), ("0.01", "0.01"), ("1", "1.0")] {
            assert_eq!(text.parse::<Ratio>().unwrap().to_string(), shown);
        }
        for text in ["-0.1", "1.1", "NaN", "inf", "", "half"] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }
}
