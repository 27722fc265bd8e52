//! The port of an address.

const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// Of `https://host:port/…`, or of `host:port`. None where there is neither a scheme that has one nor a port.
pub fn port(address: &str) -> Option<u16> {
    let (default, rest) = match address.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(HTTPS), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(HTTP), rest),
        // A proxy of another kind.
        Some((_, rest)) => (None, rest),
        None => (Some(HTTP), address),
    };
    let authority = rest.split(['/', '?', '#', ' ', '"', '\'']).next()?;
    let host = authority.rsplit('@').next()?;
    // An address of IPv6 is in brackets.
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    match after.rsplit_once(':') {
        Some((_, port)) => port.parse().ok().filter(|port| *port != 0),
        None => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_port_or_that_of_its_scheme() {
        for (address, expected) in [
            ("https://vault.example:8200", Some(8200)),
            ("https://vault.example", Some(443)),
            ("http://127.0.0.1:5000/path:7", Some(5000)),
            ("http://user:secret@proxy:3128", Some(3128)),
            ("proxy.example:3128", Some(3128)),
            ("https://[::1]:6443/", Some(6443)),
            ("https://[::1]/", Some(443)),
            ("HTTPS://x", Some(443)),
            ("socks5://x", None),
            ("https://x:99999", None),
            ("", Some(80)),
        ] {
            assert_eq!(port(address), expected, "{address}");
        }
    }
}
