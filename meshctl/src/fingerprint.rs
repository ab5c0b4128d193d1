//! Short names for long things: equal input, equal name.

use sha2::{Digest, Sha256};

/// The first 64 bits of the SHA-256 of `input`, as 16 hex digits.
pub(crate) fn of(input: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(input);
    let first = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    format!("{first:016x}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_start_of_the_known_sha_256() {
        assert_eq!(super::of("abc"), "ba7816bf8f01cfea");
    }
}
