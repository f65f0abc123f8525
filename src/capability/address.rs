//! Which addresses a guest may reach: public ones, and those of networks that were named. A request that a guest makes
//! comes from within the server's network, where much is trusted for coming from there.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug)]
pub struct Addresses {
    /// Not public, and allowed all the same.
    named: Vec<IpNet>,
}

impl Addresses {
    pub fn new(named: Vec<IpNet>) -> Self {
        Self { named }
    }

    pub fn allow(&self, address: IpAddr) -> bool {
        self.names(address)
            || match address {
                IpAddr::V4(address) => is_public(address),
                IpAddr::V6(address) => match behind_nat64(address) {
                    // What a translator makes of it is what is reached.
                    Some(address) => self.allow(IpAddr::V4(address)),
                    None => is_public_v6(address),
                },
            }
    }

    fn names(&self, address: IpAddr) -> bool {
        self.named.iter().any(|network| network.contains(&address))
    }
}

/// Special addresses of IPv4 (IANA's registry, RFC 6890), and one that a cloud keeps for its own services.
const SPECIAL: [Ipv4Net; 17] = [
    net(0, 0, 0, 0, 8),
    net(10, 0, 0, 0, 8),
    net(100, 64, 0, 0, 10),
    net(127, 0, 0, 0, 8),
    // Azure's host, which answers every machine there.
    net(168, 63, 129, 16, 32),
    net(169, 254, 0, 0, 16),
    net(172, 16, 0, 0, 12),
    net(192, 0, 0, 0, 24),
    net(192, 0, 2, 0, 24),
    net(192, 31, 196, 0, 24),
    net(192, 88, 99, 0, 24),
    net(192, 168, 0, 0, 16),
    net(198, 18, 0, 0, 15),
    net(198, 51, 100, 0, 24),
    net(203, 0, 113, 0, 24),
    // Multicast, and all that is reserved, broadcast included.
    net(224, 0, 0, 0, 4),
    net(240, 0, 0, 0, 4),
];

/// Of IPv6, where only 2000::/3 is handed out (RFC 4291, RFC 6890). Outside of it are loopback, link-local, site-local,
/// unique local and multicast addresses, and those that stand for one of IPv4, mapped or compatible.
const GLOBAL: Ipv6Net = net6([0x2000, 0, 0, 0], 3);
const SPECIAL_V6: [Ipv6Net; 4] = [
    // Protocols; Teredo, benchmarks and ORCHID are among them.
    net6([0x2001, 0, 0, 0], 23),
    net6([0x2001, 0xdb8, 0, 0], 32),
    // 6to4 has an address of IPv4 in it.
    net6([0x2002, 0, 0, 0], 16),
    net6([0x3fff, 0, 0, 0], 20),
];

const fn net(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn net6(first: [u16; 4], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first[0], first[1], first[2], first[3], 0, 0, 0, 0), length)
}

fn is_public(address: Ipv4Addr) -> bool {
    !SPECIAL.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    GLOBAL.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address))
}

/// The address of IPv4 that 64:ff9b::/96 (RFC 6052) stands for.
fn behind_nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(named: &[&str], address: &str) -> bool {
        let named = named.iter().map(|network| network.parse().unwrap()).collect();
        Addresses::new(named).allow(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
        ] {
            assert!(allowed(&[], address), "{address}");
        }
    }

    #[test]
    fn others_are_not() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
        ] {
            assert!(!allowed(&[], address), "{address}");
        }
    }

    #[test]
    fn networks_that_were_named_are_allowed_and_no_others() {
        assert!(allowed(&["10.1.0.0/16"], "10.1.2.3") && !allowed(&["10.1.0.0/16"], "10.2.2.3"));
        assert!(allowed(&["::1/128"], "::1") && !allowed(&["::1/128"], "127.0.0.1"));
        assert!(allowed(&["fd00::/8"], "fd12::1") && !allowed(&["fd00::/8"], "fc00::1"));
        assert!(allowed(&["127.0.0.1/32"], "127.0.0.1") && !allowed(&["127.0.0.1/32"], "127.0.0.2"));
        assert!(!allowed(&["127.0.0.0/8"], "::ffff:127.0.0.1"), "another address, whatever it stands for");
        assert!(allowed(&["10.0.0.0/8"], "64:ff9b::a00:1"), "a translator makes 10.0.0.1 of it");
        assert!(allowed(&["10.0.0.0/8"], "8.8.8.8"), "public ones need no name");
    }
}
