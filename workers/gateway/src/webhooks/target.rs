//! Where a webhook may go: an address that a stranger gave must not lead to a machine of ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::Uri;
use shanshui_pipeline::fields::FieldError;

use super::FIELD;

/// What an address may be.
pub(super) const ALLOWED: &str =
    "https://HOST[:PORT][/PATH] with a public address and no user, at most 2,048 characters";
/// Longest address.
const LONGEST: usize = 2048;

/// Private, special and reserved networks of IPv4 (RFC 6890 and what IANA lists after it).
const CLOSED: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The only open network of IPv6, and what in it is none: Teredo and other protocols, documentation,
/// 6to4, which all may hold an address of IPv4.
const OPEN_6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const CLOSED_6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// A receiver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// Name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// `Host` of the request.
    pub(super) authority: String,
    pub(super) path: String,
    /// The operator lets this host be a private one.
    pub(super) trusted: bool,
}

impl Target {
    /// Reads an address; `trusted` are the hosts that may be private.
    pub(super) fn parse(url: &str, trusted: &[String]) -> Result<Self, FieldError> {
        let refused = || FieldError::new(FIELD, shown(url), ALLOWED);
        let plain = url.len() <= LONGEST && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let uri: Uri = url.parse().ok().filter(|_| plain).ok_or_else(refused)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(refused)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => return Err(refused()),
        };
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().ends_with(authority.host()) => usual,
            None => return Err(refused()),
        };
        let place = format!("{}:{port}", authority.host());
        let trusted = trusted.iter().any(|name| name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(&place));
        let tls = usual == 443;
        if !tls && !trusted {
            return Err(refused());
        }
        let literal = host.parse::<IpAddr>().ok();
        let is_broken = authority.host().starts_with('[') && !matches!(literal, Some(IpAddr::V6(_)));
        if host.is_empty() || is_broken || port == 0 || literal.is_some_and(|address| !trusted && !is_public(address)) {
            return Err(refused());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // Names are the same in any case: those of one host count as one.
        let host = host.to_ascii_lowercase();
        Ok(Self { host, port, tls, authority: authority.to_string(), path, trusted })
    }

    /// Those of the addresses of its name that it may have. One of them is then connected to: the name is
    /// not asked for again, because it may lead elsewhere the next time.
    pub(super) fn allowed(&self, found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        found.filter(|address| self.trusted || is_public(address.ip())).collect()
    }
}

/// An address may hold a password: no error repeats more of it than where it leads.
pub(super) fn shown(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
    host.map_or_else(|| "(no such address)".to_owned(), |(scheme, host)| format!("{scheme}://{host}/…"))
}

/// Whether an address is that of a machine on the internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(own) => !CLOSED.iter().any(|(net, bits)| same(own.to_bits(), net.to_bits(), 32 - bits)),
        IpAddr::V6(own) => {
            let within = |(net, bits): &(Ipv6Addr, u32)| own.to_bits() >> (128 - bits) == net.to_bits() >> (128 - bits);
            match own.to_ipv4_mapped() {
                Some(mapped) => is_public(mapped.into()),
                None => within(&OPEN_6) && !CLOSED_6.iter().any(within),
            }
        }
    }
}

fn same(one: u32, other: u32, rest: u32) -> bool {
    one >> rest == other >> rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s11_only_machines_on_the_internet_are_public() {
        let public = ["1.1.1.1", "9.9.9.9", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"];
        let closed = [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fec0::1",
        ];
        assert!(public.iter().all(|text| is_public(text.parse().unwrap())));
        let open: Vec<_> = closed.iter().filter(|text| is_public(text.parse().unwrap())).collect();
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn s11_what_is_no_public_https_address_is_refused() {
        let trusted = ["hooks.local".to_owned(), "10.1.2.3".to_owned()];
        for url in [
            "",
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "http://example.com/",
            "https://",
            "https:///x",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]:8443/x",
            "https://169.254.169.254/latest/meta-data",
            "https://user:pw@example.com/",
            "https://example.com@10.0.0.1/",
            "https://example.com/#x",
            "https://exa mple.com/",
            "https://example.com\r\nX: y/",
            "https://例え.jp/",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://example.com:/",
            "http://10.1.2.4/",
            "https://[fe80::1%25eth0]/",
            "javascript:alert(1)",
            "//example.com/x",
            "/v1/jobs",
        ] {
            assert!(Target::parse(url, &trusted).is_err(), "{url}");
        }
        assert!(Target::parse(&format!("https://example.com/{}", "a".repeat(LONGEST)), &[]).is_err());
        let target = Target::parse("https://example.com?a=b", &trusted).unwrap();
        assert_eq!((target.port, target.tls, target.path.as_str()), (443, true, "/?a=b"));
        assert_eq!(Target::parse("https://EXAMPLE.com/A", &[]).unwrap().host, "example.com");
        for url in ["http://hooks.local:9000/x", "http://HOOKS.local/", "https://10.1.2.3/"] {
            assert!(Target::parse(url, &trusted).is_ok_and(|target| target.trusted), "{url}");
        }
        // One port of a host, and no other.
        let one = ["hooks.local:9000".to_owned(), "[fd00::1]:80".to_owned()];
        for url in ["http://hooks.local:9000/", "https://Hooks.local:9000/", "http://[fd00::1]/"] {
            assert!(Target::parse(url, &one).is_ok_and(|target| target.trusted), "{url}");
        }
        for url in ["http://hooks.local/", "http://hooks.local:6379/", "https://[fd00::1]/"] {
            assert!(!Target::parse(url, &one).is_ok_and(|target| target.trusted), "{url}");
        }
        let said = Target::parse("https://10.0.0.1/token/secret", &[]).unwrap_err().to_string();
        assert!(said.starts_with("webhook: https://10.0.0.1/… is not allowed") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn s11_a_name_that_leads_to_a_private_address_has_no_address() {
        let found = ["127.0.0.1:443", "[::1]:443", "1.1.1.1:443"].map(|text| text.parse().unwrap());
        let allowed =
            |trusted: &[String]| Target::parse("https://a.example/", trusted).unwrap().allowed(found.into_iter());
        assert_eq!(allowed(&[]), found[2..]);
        assert_eq!(allowed(&["a.example".to_owned()]), found);
    }
}
