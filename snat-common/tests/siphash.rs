//! The hash behind the port choice is the one of its inventors.

use std::hash::Hasher as _;

use proptest::prelude::*;
use siphasher::sip::SipHasher13;
use snat_common::siphash;

proptest! {
    #[test]
    fn equals_siphash_1_3_of_sixteen_bytes(key: [u64; 2], first: u64, second: u64) {
        let mut reference = SipHasher13::new_with_keys(key[0], key[1]);
        reference.write(&first.to_le_bytes());
        reference.write(&second.to_le_bytes());
        prop_assert_eq!(siphash::hash(&key, first, second), reference.finish());
    }
}
