//! Where a server listens.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// A place to listen at: an IP address and port, or `localhost` and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// None is `localhost`: both loopback addresses.
    address: Option<IpAddr>,
    /// The port; 0 lets the system choose one.
    pub port: u16,
}

impl Listen {
    /// The addresses to bind. For `localhost` these are 127.0.0.1 and ::1; on a machine without IPv6 the second cannot
    /// be bound, which is no error.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let hosts = match self.address {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        hosts.into_iter().map(|host| SocketAddr::new(host, self.port)).collect()
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.address.is_none_or(|address| address.is_loopback())
    }

    /// The URL to show to a person on this machine.
    pub fn url(&self) -> String {
        match self.address {
            None => format!("http://localhost:{}", self.port),
            Some(address) if address.is_unspecified() => format!("http://localhost:{}", self.port),
            Some(_) => format!("http://{self}"),
        }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| "the port must be a number up to 65535")?;
            return Ok(Self { address: None, port });
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "must be localhost:<port>, or an IP address and port such as 0.0.0.0:8080")?;
        Ok(Self { address: Some(address.ip()), port: address.port() })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "localhost:{}", self.port),
            Some(address) => SocketAddr::new(address, self.port).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap()
    }

    #[test]
    fn localhost_is_both_loopback_addresses() {
        let addresses: Vec<String> =
            listen("localhost:8080").addresses().iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1:8080", "[::1]:8080"]);
        assert!(listen("localhost:8080").is_loopback());
        assert_eq!(listen("localhost:8080").url(), "http://localhost:8080");
    }

    #[test]
    fn addresses_are_taken_as_they_are() {
        assert!(listen("127.0.0.1:0").is_loopback() && listen("[::1]:80").is_loopback());
        assert!(!listen("0.0.0.0:8080").is_loopback() && !listen("[::]:8080").is_loopback());
        assert_eq!(listen("0.0.0.0:8080").url(), "http://localhost:8080");
        for text in ["10.1.2.3:80", "[::1]:80", "localhost:1"] {
            assert_eq!(listen(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "8080", ":8080", "localhost", "localhost:", "localhost:70000", "example.com:80", "::1:80"]
        {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
