//! What counts as one client.

use std::net::{IpAddr, Ipv6Addr};

/// Whom `address` stands for where requests are counted by client: the IPv4 address itself, also where it is mapped into
/// IPv6, or the network of an IPv6 address, since a client has a whole /64 to itself.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_ipv4_address_or_a_network_of_ipv6() {
        let cases = [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
            ("::1", "::"),
        ];
        for (given, counted) in cases {
            assert_eq!(network(given.parse().unwrap()), counted.parse::<IpAddr>().unwrap(), "{given}");
        }
    }
}
