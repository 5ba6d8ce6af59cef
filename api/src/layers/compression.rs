//! Answers are compressed for whoever takes it, but for those that gain nothing: archives, empty ones, and event streams,
//! whose events would wait in the packer.
//!
//! The framework's own layer, which packs every answer, only unpacks requests here: it does not see what the client
//! accepts.

use poem::{
    Endpoint, IntoResponse, Request, Response,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    web::{Compress, CompressionAlgo, CompressionLevel},
};

pub(crate) async fn compression<E>(next: E, mut request: Request) -> poem::Result<Response>
where
    E: Endpoint,
{
    let accepted = accepted(request.headers());
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let mut response = next.call(request).await?.into_response();
    if !gains(&response) {
        return Ok(response);
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    match accepted {
        Some(algorithm) => {
            Ok(Compress::new(response, algorithm).with_quality(CompressionLevel::Fastest).into_response())
        }
        None => Ok(response),
    }
}

/// The best of what a client accepts; of equals, what packs fastest.
fn accepted(headers: &HeaderMap) -> Option<CompressionAlgo> {
    let mut best: Option<(f32, CompressionAlgo)> = None;
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for word in values.flat_map(|value| value.split(',')) {
        let (name, weight) = match word.split_once(";q=") {
            Some((name, weight)) => (name, weight.trim().parse().unwrap_or(0.0)),
            None => (word, 1.0),
        };
        let algorithm = match name.trim().to_ascii_lowercase().as_str() {
            "zstd" => CompressionAlgo::ZSTD,
            "gzip" | "*" => CompressionAlgo::GZIP,
            "br" => CompressionAlgo::BR,
            "deflate" => CompressionAlgo::DEFLATE,
            _ => continue,
        };
        let rank = |algorithm| match algorithm {
            CompressionAlgo::ZSTD => 3,
            CompressionAlgo::GZIP => 2,
            CompressionAlgo::BR => 1,
            CompressionAlgo::DEFLATE => 0,
        };
        let better = best
            .is_none_or(|(most, found)| weight > most || (weight >= most && rank(algorithm) > rank(found)));
        if weight > 0.0 && better {
            best = Some((weight, algorithm));
        }
    }
    best.map(|(_, algorithm)| algorithm)
}

fn gains(response: &Response) -> bool {
    let headers = response.headers();
    let packed = response.content_type().is_some_and(|media_type| {
        ["text/event-stream", "application/gzip", "image/", "font/", "video/"]
            .iter()
            .any(|start| media_type.starts_with(start))
            && !media_type.starts_with("image/svg")
    });
    let whole = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
    );
    whole && !packed && !headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(accept: &str) -> Option<CompressionAlgo> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
        accepted(&headers)
    }

    #[test]
    fn the_clients_wish_decides_and_then_the_speed() {
        assert_eq!(best("gzip, deflate, br, zstd"), Some(CompressionAlgo::ZSTD));
        assert_eq!(best("gzip, deflate, br"), Some(CompressionAlgo::GZIP));
        assert_eq!(best("gzip;q=0.5, br"), Some(CompressionAlgo::BR));
        assert_eq!(best("gzip;q=0"), None);
        assert_eq!(best("identity"), None);
    }

    #[test]
    fn what_gains_nothing_stays_as_it_is() {
        let json =
            |length: usize| Response::builder().content_type("application/json").body(vec![b' '; length]);
        assert!(gains(&json(5_000)));
        for media_type in ["text/event-stream", "application/gzip", "image/png"] {
            assert!(
                !gains(&Response::builder().content_type(media_type).body(vec![0; 5_000])),
                "{media_type}"
            );
        }
        assert!(!gains(&Response::builder().status(StatusCode::NOT_MODIFIED).finish()));
    }
}
