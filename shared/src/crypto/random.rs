//! Randomness: the operating system's, and no other.

/// `N` bytes of the operating system's random source, fit for keys.
///
/// # Panics
/// When the system has no random source, on which no server can run.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random_bytes::<32>(), random_bytes::<32>());
    }
}
