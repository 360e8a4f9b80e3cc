//! Passwords that are made, not chosen, and their hashes as the password file of Mosquitto holds them: PBKDF2 with
//! HMAC-SHA512 as `$7$rounds$salt$key`. Nothing here blocks for more than a fraction of a millisecond.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::Sha512;

use crate::chance;

/// Letters and digits that are not mistaken for each other when somebody types them into a device.
const LETTERS: &[u8; 54] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz";
/// Characters: 138 random bits.
const LENGTH: usize = 24;
/// Nobody guesses a password of so many random bits, so few rounds do; the broker repeats them for every device each time
/// that it reads its files.
const ROUNDS: u32 = 101;

/// A new one.
pub fn generate() -> String {
    let letter = || usize::try_from(chance::lot(0..=53)).ok().and_then(|n| LETTERS.get(n)).copied().map(char::from);
    std::iter::from_fn(letter).take(LENGTH).collect()
}

/// Its hash, with a salt of its own.
pub fn hash(password: &str) -> String {
    // Mosquitto takes salts of just this length.
    let mut salt = [0; 12];
    salt.chunks_mut(8).for_each(|part| part.copy_from_slice(&chance::draw().to_be_bytes()[..part.len()]));
    salted(password, &salt, ROUNDS)
}

fn salted(password: &str, salt: &[u8], rounds: u32) -> String {
    let mut key = [0; 64];
    pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, rounds, &mut key);
    format!("$7${rounds}${}${}", STANDARD.encode(salt), STANDARD.encode(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, other) = (generate(), generate());
        assert_eq!((one.len(), other.len()), (LENGTH, LENGTH));
        assert!(one.bytes().all(|b| LETTERS.contains(&b)));
        assert_ne!(one, other);
        assert_ne!(hash(&one), hash(&one), "each has a salt of its own");
        let length = |part: Option<&str>| part.map(|p| STANDARD.decode(p).map_or(0, |b| b.len()));
        let hash = hash(&one);
        let mut parts = hash.split('$').skip(3);
        assert_eq!((length(parts.next()), length(parts.next()), parts.next()), (Some(12), Some(64), None));
    }

    #[test]
    fn a_hash_is_that_of_the_standard() {
        // Known answers of PBKDF2-HMAC-SHA512 for "password" and "salt".
        let one = "hn9wzxreAs/zdSWZo6U9xK80x6ZpgVrl1RNVThyM8lLALUcKKFoFAbrZmb/pQ8CPBQI119aLHaVeY/c7YKV/zg==";
        let two = "4dnBaqaBcIpF9cfE4hXOtm4BGi6fAEBxPxiu/bhm1Tz3bKsoaKObn3hA7c5P71qCvmczXHemBo4EESdU8nzPTg==";
        for (rounds, key) in [(1, one), (2, two)] {
            assert_eq!(salted("password", b"salt", rounds), format!("$7${rounds}$c2FsdA==${key}"));
        }
    }
}
