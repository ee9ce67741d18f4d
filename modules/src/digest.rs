//! Checksums of files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::digest::DynDigest;

use crate::preview::hex;

/// How a checksum is computed. `sha1` is what Ansible's `checksum` is; what Trueup itself relies on is `sha256`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// RFC 1321. Broken: for old formats only.
    Md5,
    /// FIPS 180-4. Broken as a signature, good enough to tell whether a file differs.
    #[default]
    Sha1,
    /// FIPS 180-4.
    Sha224,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4.
    Sha384,
    /// FIPS 180-4.
    Sha512,
}

impl Algorithm {
    /// Something to feed.
    pub(crate) fn begin(self) -> Box<dyn DynDigest> {
        match self {
            Self::Md5 => Box::new(md5::Md5::default()),
            Self::Sha1 => Box::new(sha1::Sha1::default()),
            Self::Sha224 => Box::new(sha2::Sha224::default()),
            Self::Sha256 => Box::new(sha2::Sha256::default()),
            Self::Sha384 => Box::new(sha2::Sha384::default()),
            Self::Sha512 => Box::new(sha2::Sha512::default()),
        }
    }

    /// The checksum of some bytes, in lower-case hexadecimal.
    pub fn of(self, bytes: &[u8]) -> String {
        let mut digest = self.begin();
        digest.update(bytes);
        hex(&digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of the standards, for "abc".
    #[test]
    fn checksums() {
        let table = [
            (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ];
        for (algorithm, wanted) in table {
            assert_eq!(algorithm.of(b"abc"), wanted, "{algorithm:?}");
        }
        assert_eq!(Algorithm::Sha384.of(b"abc").len(), 96);
        assert_eq!(Algorithm::Sha512.of(b"abc").len(), 128);
    }
}
