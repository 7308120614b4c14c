//! Inputs like those of a corpus: some of its bytes changed, moved, doubled, or mixed with another's. No
//! search, as the fuzzer's; the same seed gives the same inputs.

use fastrand::Rng;

/// Bytes that formats give a meaning, and those at the ends of ranges.
const BYTES: &[u8] = b"\0\x01\t\n\r \"%&'*+,-./0129:;<=>?@AZ[\\]_`az{|}~\x7f\x80\xc3\xff";

/// No input is longer: what takes long is the fuzzer's affair.
const LENGTH_MAX: usize = 4_096;

pub(crate) struct Mutator<'a> {
    random: Rng,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(seed: u64, corpus: &'a [Vec<u8>]) -> Self {
        Self { random: Rng::with_seed(seed), corpus }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.any().to_vec();
        for _ in 0..self.random.usize(1..=8) {
            self.mutate(&mut input);
        }
        input.truncate(LENGTH_MAX);
        input
    }

    fn any(&mut self) -> &'a [u8] {
        &self.corpus[self.random.usize(..self.corpus.len())]
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (begin, end) = self.range(input.len());
        let byte = BYTES[self.random.usize(..BYTES.len())];
        match self.random.u8(..7) {
            0 if begin < input.len() => input[begin] ^= 1 << self.random.u8(..8),
            1 if begin < input.len() => input[begin] = byte,
            2 => input.insert(begin, byte),
            3 => drop(input.drain(begin..end)),
            4 => {
                let copied = input[begin..end].to_vec();
                let at = self.random.usize(..=input.len());
                input.splice(at..at, copied);
            }
            5 => {
                let other = self.any();
                let (from, to) = self.range(other.len());
                input.splice(begin..end, other[from..to].iter().copied());
            }
            _ => input.truncate(end),
        }
    }

    fn range(&mut self, length: usize) -> (usize, usize) {
        let begin = self.random.usize(..=length);
        let longest = (length - begin).min(64);
        (begin, begin + self.random.usize(..=longest))
    }
}
