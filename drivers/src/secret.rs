//! Passwords, tokens and keys: used, never shown.

use std::fmt;
use zeroize::Zeroize;

/// A secret text. `Debug` prints nothing of it, it is compared in constant time, and its memory is overwritten.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret; a line end after it, as editors leave it, is not part of it.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        let length = text.trim_end_matches(['\n', '\r']).len();
        text.truncate(length);
        Self(text)
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret as a key of 32 bytes, if it is 64 hexadecimal digits.
    pub fn as_key(&self) -> Option<[u8; 32]> {
        let digits = self.0.as_bytes();
        let mut key = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(key)
    }

    /// Whether somebody said the same, in a time that depends on the length only.
    pub fn is(&self, said: &str) -> bool {
        let (a, b) = (blake3::hash(self.0.as_bytes()), blake3::hash(said.as_bytes()));
        // blake3 compares hashes in constant time.
        a == b
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_and_its_line_end_is_not_part_of_it() {
        let secret = Secret::new("hunter2\n");
        assert!(secret.is("hunter2") && !secret.is("hunter"));
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(Secret::new("00".repeat(32)).as_key(), Some([0; 32]));
        assert_eq!(Secret::new("zz".repeat(32)).as_key(), None);
    }
}
