//! The address of a worker, as labels write it.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv6Addr;

/// `KEY@HOST:PORT`: a worker's public key, and where it listens.
///
/// [`Display`] writes it as a label does, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerAddress {
    /// Public key, 64 hexadecimal digits in lower case.
    pub key: String,
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

/// Digits of a public key.
const KEY_DIGITS: usize = 64;

impl WorkerAddress {
    /// The address at the beginning of `KEY@HOST:PORT` or `KEY@HOST:PORT:N`, and what follows its colon, if there is one.
    pub(in crate::device) fn parse(text: &str) -> Option<(Self, Option<&str>)> {
        let (key, rest) = text.split_once('@')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if key.len() != KEY_DIGITS || !key.bytes().all(is_digit) {
            return None;
        }
        let (host, rest) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once("]:")?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, rest)
            }
            None => rest.split_once(':')?,
        };
        let (port, rest) = match rest.split_once(':') {
            Some((port, rest)) => (port, Some(rest)),
            None => (rest, None),
        };
        // `parse` alone would take "+1". Nothing listens on port 0.
        if host.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let port = port.parse().ok().filter(|&port| port > 0)?;
        let address = Self {
            key: key.to_owned(),
            host: host.to_owned(),
            port,
        };
        Some((address, rest))
    }

    /// `HOST:PORT`.
    pub fn socket(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Display for WorkerAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.socket())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(rest: &str) -> Option<(String, u16, Option<String>)> {
        let text = format!("{KEY}@{rest}");
        let (address, rest) = WorkerAddress::parse(&text)?;
        assert_eq!(address.key, KEY);
        Some((address.host, address.port, rest.map(str::to_owned)))
    }

    #[test]
    fn names_and_addresses_of_both_families_are_hosts() {
        for (text, host, port, rest) in [
            ("gpu-box:3000", "gpu-box", 3000, None),
            ("gpu.example.com:1:2", "gpu.example.com", 1, Some("2")),
            ("192.0.2.7:65535:0", "192.0.2.7", 65535, Some("0")),
            ("[::1]:3000", "::1", 3000, None),
            ("[2001:db8::7]:3000:11", "2001:db8::7", 3000, Some("11")),
        ] {
            let expected = (host.to_owned(), port, rest.map(str::to_owned));
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for socket in ["gpu-box:3000", "192.0.2.7:1", "[2001:db8::7]:3000"] {
            let text = format!("{KEY}@{socket}");
            let (address, _) = WorkerAddress::parse(&text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.socket(), socket);
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in [
            "",
            "gpu-box",
            ":3000",
            "gpu-box:",
            "gpu-box:0",
            "gpu-box:+1",
            "gpu-box:65536",
            "gpu-box:http",
            "::1:3000",
            "[::1]",
            "[::1]3000",
            "[gpu-box]:3000",
            "[192.0.2.7]:3000",
            "[::1:3000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for key in [
            "",
            &KEY[1..],
            &format!("{KEY}0"),
            &KEY.replace('a', "g"),
            &KEY.to_uppercase(),
            &KEY.replace("01", "é"),
        ] {
            assert_eq!(
                WorkerAddress::parse(&format!("{key}@gpu-box:3000")),
                None,
                "{key}"
            );
        }
        assert_eq!(WorkerAddress::parse("gpu-box:3000"), None);
    }
}
