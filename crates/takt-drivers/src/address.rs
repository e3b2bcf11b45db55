//! Which addresses may be connected to: what the operator wrote down is meant, what a name turns out
//! to be is not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// An address, written as such.
    Literal(IpAddr),
    /// This machine.
    Localhost,
    /// A name that is resolved anew for each connection.
    Name(String),
}

/// Why no address of a host may be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// An address that is never meant.
    #[error("{0} is a link-local, metadata, multicast or unspecified address")]
    Never(IpAddr),
    /// A name of somewhere inside.
    #[error(
        "the name resolves to {0}, which is no public address; write the address itself if it is meant"
    )]
    Inside(IpAddr),
    /// The name has no address.
    #[error("the name has no address")]
    Nowhere,
}

impl Host {
    /// From the host of a URL, as it stands there.
    pub(crate) fn of(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(literal) = bare.parse() {
            Self::Literal(literal)
        } else if text.eq_ignore_ascii_case("localhost") {
            Self::Localhost
        } else {
            Self::Name(text.to_owned())
        }
    }

    /// The addresses that may be connected to, out of those that were found.
    ///
    /// # Errors
    /// When one of them may not: a name that points to the inside as well is not trusted at all.
    pub(crate) fn admit(&self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        if found.is_empty() {
            return Err(Refused::Nowhere);
        }
        for address in found.iter().map(|it| plain(it.ip())) {
            if is_never(address) {
                return Err(Refused::Never(address));
            }
            let is_meant = match self {
                Self::Literal(_) => true,
                Self::Localhost => address.is_loopback(),
                Self::Name(_) => is_public(address),
            };
            if !is_meant {
                return Err(Refused::Inside(address));
            }
        }
        Ok(found)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Localhost => f.write_str("localhost"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An IPv4 address that is written as an IPv6 one, as what it is.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let [a, b, c, d, e, f, g, h] = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        // Mapped (::ffff:0:0/96), translated (64:ff9b::/96) and tunnelled (2002::/16).
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => four(g, h),
        (0x2002, high, low, ..) => four(high, low),
        _ => address,
    }
}

/// Addresses that nobody means, even where they are written down.
fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            four.is_link_local()
                || four.is_multicast()
                || four.is_unspecified()
                || four.is_broadcast()
                || four.octets()[0] == 0
                // The metadata service of one provider is not link-local.
                || four == Ipv4Addr::new(100, 100, 100, 200)
        }
        IpAddr::V6(six) => {
            six.is_unicast_link_local()
                || six.is_multicast()
                || six.is_unspecified()
                || six == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// Whether an address is one that everybody means by it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_special = (a == 192 && b == 0 && c == 0) || (a == 198 && (b == 18 || b == 19));
            !four.is_private()
                && !four.is_loopback()
                && !four.is_documentation()
                && !is_shared
                && !is_special
                && a < 240
        }
        IpAddr::V6(six) => {
            let first = six.segments()[0];
            let is_documentation = first == 0x2001 && six.segments()[1] == 0xdb8;
            // Only 2000::/3 is given out to the world.
            first & 0xe000 == 0x2000 && !is_documentation
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(host: &str, found: &[&str]) -> Result<usize, Refused> {
        let found = found.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 80)).collect();
        Host::of(host).admit(found).map(|found| found.len())
    }

    #[test]
    fn an_inner_address_is_connected_to_only_where_it_is_written_down() {
        for inner in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1"]
        {
            assert_eq!(admits(inner, &[inner]), Ok(1), "{inner}");
            let address = inner.parse().unwrap();
            assert_eq!(admits("hook.test", &[inner]), Err(Refused::Inside(address)), "{inner}");
        }
        assert_eq!(admits("[::1]", &["::1"]), Ok(1));
        assert_eq!(admits("LocalHost", &["::1", "127.0.0.1"]), Ok(2));
        let elsewhere = "93.184.216.34".parse().unwrap();
        assert_eq!(admits("localhost", &["93.184.216.34"]), Err(Refused::Inside(elsewhere)));
    }

    #[test]
    fn link_local_and_metadata_addresses_are_never_connected_to() {
        for never in [
            "169.254.169.254",
            "169.254.1.1",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "100.100.100.200",
            "fd00:ec2::254",
            "0.1.2.3",
        ] {
            let address = never.parse().unwrap();
            assert_eq!(admits(never, &[never]), Err(Refused::Never(address)), "{never}");
            assert_eq!(admits("hook.test", &[never]), Err(Refused::Never(address)), "{never}");
        }
    }

    #[test]
    fn an_inner_address_in_the_clothes_of_another_is_seen() {
        for (dressed, inner) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("64:ff9b::a00:1", "10.0.0.1"),
            ("2002:c0a8:101::1", "192.168.1.1"),
        ] {
            let address = inner.parse().unwrap();
            assert_eq!(admits("hook.test", &[dressed]), Err(Refused::Inside(address)));
        }
        let metadata = "169.254.169.254".parse().unwrap();
        let dressed = "::ffff:169.254.169.254";
        assert_eq!(admits(dressed, &[dressed]), Err(Refused::Never(metadata)));
        // What only looks like an address to a resolver is a name.
        for odd in ["0x7f.1", "2130706433", "127.1", "127.0.0.1."] {
            let loopback = "127.0.0.1".parse().unwrap();
            assert_eq!(admits(odd, &["127.0.0.1"]), Err(Refused::Inside(loopback)), "{odd}");
        }
    }

    #[test]
    fn a_name_must_be_public_in_all_its_addresses() {
        assert_eq!(admits("hook.test", &["93.184.216.34", "2606:2800:220:1::1"]), Ok(2));
        let inner = "10.0.0.1".parse().unwrap();
        let mixed = admits("hook.test", &["93.184.216.34", "10.0.0.1"]);
        assert_eq!(mixed, Err(Refused::Inside(inner)));
        assert_eq!(admits("hook.test", &[]), Err(Refused::Nowhere));
    }
}
