//! Puts other addresses in the place of addresses: of the same kind, and in the same network where two were.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Networks whose addresses stay in them, with the bits that tell the network.
const KEPT_V4: &[([u8; 4], u32)] = &[
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([100, 64, 0, 0], 10),
    // The same in every mesh: nowhere, loopback, link-local, multicast, and what Istio allocates by itself.
    ([0, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// How many of the former change within their network.
const CHANGING_V4: usize = 4;

/// The network that an address stays in, by its place in the list.
fn network(address: u32) -> Option<(usize, u32)> {
    let within = |(network, bits): &([u8; 4], u32)| (address ^ u32::from_be_bytes(*network)) >> (32 - bits) == 0;
    KEPT_V4.iter().position(within).and_then(|at| Some((at, KEPT_V4.get(at)?.1)))
}

/// The address that stands for another.
pub(super) fn v4(address: Ipv4Addr, key: [u64; 2]) -> Ipv4Addr {
    let address = u32::from(address);
    let (kept, is_public) = match network(address) {
        Some((at, _)) if CHANGING_V4 <= at => return address.into(),
        Some((_, bits)) => (bits, false),
        None => (0, true),
    };
    let mut other = address;
    loop {
        let bits = changed(u128::from(other) << 96, kept, 32, key) >> 96;
        other = u32::try_from(bits).unwrap_or(address);
        // A public one stays public: what falls elsewhere goes on, so that no two meet.
        if !is_public || network(other).is_none() {
            return other.into();
        }
    }
}

/// The address that stands for another.
pub(super) fn v6(address: Ipv6Addr, key: [u64; 2]) -> Ipv6Addr {
    if let Some(inside) = address.to_ipv4_mapped() {
        return v4(inside, key).to_ipv6_mapped();
    }
    let first = address.segments();
    let kept = match first {
        // Nowhere, loopback, link-local, multicast.
        [0, 0, 0, 0, 0, 0, 0, _] => return address,
        [0xfe80..=0xfebf | 0xff00..=0xffff, ..] => return address,
        // What Istio allocates by itself (`istio/istio: pilot/pkg/networking/serviceentry`).
        [0x2001, 2, ..] => return address,
        [0xfc00..=0xfdff, ..] => 8,
        // Documentation.
        [0x2001, 0xdb8, ..] => 32,
        _ => 3,
    };
    Ipv6Addr::from(changed(u128::from(address), kept, 128, key))
}

/// Bits of which each but the first `kept` changes or not, as those before it and the key decide: what began alike still
/// does (as Crypto-PAn, Xu et al. 2002).
fn changed(bits: u128, kept: u32, all: u32, key: [u64; 2]) -> u128 {
    (kept..all).fold(bits, |changed, at| {
        let before = bits.checked_shr(128 - at).unwrap_or(0);
        let mut hasher = DefaultHasher::new();
        (key, all, at, before).hash(&mut hasher);
        changed ^ (u128::from(hasher.finish() & 1) << (127 - at))
    })
}

/// The first bits of an address, and nothing behind them.
pub(super) fn masked_v4(address: Ipv4Addr, bits: u32) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
    (u32::from(address) & mask).into()
}

/// The first bits of an address, and nothing behind them.
pub(super) fn masked_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
    (u128::from(address) & mask).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u64; 2] = [7, 11];

    #[test]
    fn an_address_stays_of_its_kind_and_in_its_network() {
        let other = |text: &str| v4(text.parse().expect(text), KEY);
        for same in ["0.0.0.0", "127.0.0.6", "169.254.7.127", "224.0.0.1", "240.240.0.7", "255.255.255.255"] {
            assert_eq!(other(same).to_string(), same);
        }
        for private in ["10.1.2.3", "172.20.1.2", "192.168.3.4", "100.80.1.2"] {
            let (before, after) = (private.parse::<Ipv4Addr>().expect(private), other(private));
            assert_eq!(network(before.into()), network(after.into()), "{private} becomes {after}");
        }
        let public: std::collections::BTreeSet<_> =
            (0..64).map(|at| v4(Ipv4Addr::new(35, 3 * at, at, 9), KEY)).collect();
        assert_eq!(public.len(), 64, "others become others");
        assert!(public.iter().all(|address| network((*address).into()).is_none()));
        assert_eq!(other("10.1.2.3").octets()[..3], other("10.1.2.200").octets()[..3]);
        assert_ne!(other("10.1.2.3"), v4(Ipv4Addr::new(10, 1, 2, 3), [8, 11]), "the key decides");
        assert_eq!(masked_v4(other("10.1.2.3"), 16), masked_v4(other("10.1.0.0"), 16));
    }

    #[test]
    fn an_address_of_version_6_stays_of_its_kind() {
        let other = |text: &str| v6(text.parse().expect(text), KEY);
        for same in ["::", "::1", "fe80::1", "ff02::1", "2001:2::7"] {
            assert_eq!(other(same).to_string(), same);
        }
        assert_eq!(other("fd12:3456::1").segments()[0] >> 8, 0xfd);
        assert_eq!(other("::ffff:10.1.2.3").to_ipv4_mapped(), Some(v4(Ipv4Addr::new(10, 1, 2, 3), KEY)));
        assert_eq!(other("2a00:1450::1").segments()[0] >> 13, 1);
        assert_eq!(other("2a00:1450::1").segments()[..7], other("2a00:1450::2").segments()[..7]);
    }
}
