//! The hot paths of the codecs.

fn main() {}
