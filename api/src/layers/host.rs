//! Which names the server answers to.
//!
//! A server that listens on this machine alone is meant for the people at it. A page of the internet can still reach it:
//! its name is first that of its own server, and a moment later that of 127.0.0.1, so that the browser sends to us what is
//! "of the same origin" (DNS rebinding). Such a request says the page's name as its `Host`: it is refused. Answered are the
//! names of this machine, and the hosts of the origins that the configuration lists, for a proxy that passes them on.
//! Programs that say no host at all come from no page.

use std::net::IpAddr;

use poem::{
    Endpoint, IntoResponse, Request, Response,
    http::{Uri, header},
};

use crate::{context::Settings, problem::Problem};

pub(crate) async fn host<E>(settings: &Settings, next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    if settings.loopback_only && !is_ours(settings, &request) {
        let reason = "this server answers to localhost, 127.0.0.1 and [::1] alone; to reach it by another name, list its \
                      origin in server.cors_origins, or listen on another address (OLAKE_LISTEN)";
        return Ok(Problem::bad_request("Host", reason).into_response());
    }
    next.call(request).await
}

fn is_ours(settings: &Settings, request: &Request) -> bool {
    let header = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let of_header = header.is_none_or(|host| is_name_of_ours(settings, without_port(host)));
    // HTTP/2 and requests to a proxy name the host in their address.
    let of_address = request.original_uri().host().is_none_or(|host| is_name_of_ours(settings, host));
    of_header && of_address
}

fn is_name_of_ours(settings: &Settings, name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || settings.cors_origins.iter().any(|origin| is_host_of(origin, name))
}

fn is_host_of(origin: &str, name: &str) -> bool {
    origin
        .parse::<Uri>()
        .is_ok_and(|origin| origin.host().is_some_and(|host| host.eq_ignore_ascii_case(name)))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(host: &str) -> bool {
        let settings = Settings {
            loopback_only: true,
            cors_origins: vec!["https://olake.example.com:8443".into(), "http://localhost:8000".into()],
            ..Settings::default()
        };
        is_ours(&settings, &Request::builder().header("Host", host).finish())
    }

    #[test]
    fn the_names_of_this_machine_and_of_listed_origins_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "LocalHost:1",
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "[::1]",
            "olake.example.com",
        ] {
            assert!(answers(host), "{host}");
        }
        assert!(is_ours(&Settings { loopback_only: true, ..Settings::default() }, &Request::default()));
    }

    #[test]
    fn names_of_pages_are_not() {
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "10.0.0.1",
            "[::2]:8080",
            "",
            "localhost:x",
            "a@localhost",
        ] {
            assert!(!answers(host), "{host}");
        }
    }
}
