//! Python's `random`: with a seed, the draws are the same as there, so that a choice by host name stays what it was.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};
use sha2::Digest as _;

use super::super::call::fail;
use super::text;

const N: usize = 624;

/// A source of whole numbers.
pub(crate) enum Random {
    /// The Mersenne Twister (MT19937), seeded.
    Seeded { words: Box<[u32; N]>, next: usize },
    /// The system's randomness, stretched by SplitMix64.
    System(u64),
}

impl Random {
    /// From a seed as templates give it; without one, from the system.
    pub(crate) fn new(seed: Option<&Value>) -> Result<Self, Error> {
        use std::hash::{BuildHasher as _, Hasher as _, RandomState};
        let Some(seed) = seed else { return Ok(Self::System(RandomState::new().build_hasher().finish())) };
        let bytes = match (seed.kind(), seed.as_str()) {
            (_, Some(text)) => {
                let mut bytes = text.as_bytes().to_vec();
                bytes.extend(sha2::Sha512::digest(text));
                bytes.reverse();
                bytes
            }
            (ValueKind::Bool, _) => vec![u8::from(seed.is_true())],
            (ValueKind::Number, _) if seed.is_integer() => {
                let number: i128 = seed.clone().try_into()?;
                number.unsigned_abs().to_le_bytes().to_vec()
            }
            _ => {
                return Err(fail(format!("a seed is a text or a whole number, not {}", text::type_name(seed))));
            }
        };
        let mut key: Vec<u32> =
            bytes.chunks(4).map(|c| c.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))).collect();
        while key.len() > 1 && key.last() == Some(&0) {
            key.pop();
        }
        Ok(Self::Seeded { words: by_array(&key), next: N })
    }

    fn word(&mut self) -> u32 {
        match self {
            Self::Seeded { words, next } => {
                if *next == N {
                    twist(words);
                    *next = 0;
                }
                let mut y = words[*next];
                *next += 1;
                y ^= y >> 11;
                y ^= y << 7 & 0x9d2c_5680;
                y ^= y << 15 & 0xefc6_0000;
                y ^ y >> 18
            }
            Self::System(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 32) as u32
            }
        }
    }

    fn bits(&mut self, count: u32) -> u64 {
        if count <= 32 {
            return u64::from(self.word() >> (32 - count));
        }
        let low = u64::from(self.word());
        u64::from(self.word() >> (64 - count)) << 32 | low
    }

    /// A number below `limit`, which is not zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        let count = 64 - limit.leading_zeros();
        loop {
            let drawn = self.bits(count);
            if drawn < limit {
                return usize::try_from(drawn).unwrap_or(0);
            }
        }
    }
}

fn by_array(key: &[u32]) -> Box<[u32; N]> {
    let mut mt = Box::new([0u32; N]);
    mt[0] = 19_650_218;
    for i in 1..N {
        mt[i] = 1_812_433_253u32.wrapping_mul(mt[i - 1] ^ mt[i - 1] >> 30).wrapping_add(i as u32);
    }
    let (mut i, mut j) = (1, 0);
    let step = |mt: &mut [u32; N], i: &mut usize| {
        *i += 1;
        if *i >= N {
            mt[0] = mt[N - 1];
            *i = 1;
        }
    };
    for _ in 0..N.max(key.len()) {
        let mixed = mt[i] ^ (mt[i - 1] ^ mt[i - 1] >> 30).wrapping_mul(1_664_525);
        mt[i] = mixed.wrapping_add(key[j]).wrapping_add(j as u32);
        step(&mut mt, &mut i);
        j = (j + 1) % key.len();
    }
    for _ in 1..N {
        let mixed = mt[i] ^ (mt[i - 1] ^ mt[i - 1] >> 30).wrapping_mul(1_566_083_941);
        mt[i] = mixed.wrapping_sub(i as u32);
        step(&mut mt, &mut i);
    }
    mt[0] = 0x8000_0000;
    mt
}

fn twist(mt: &mut [u32; N]) {
    for i in 0..N {
        let y = mt[i] & 0x8000_0000 | mt[(i + 1) % N] & 0x7fff_ffff;
        mt[i] = mt[(i + 397) % N] ^ y >> 1 ^ if y & 1 == 1 { 0x9908_b0df } else { 0 };
    }
}
