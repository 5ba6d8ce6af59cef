//! Reading bodies: bounded before and after they are unpacked.

use std::io::Read;

use flate2::read::GzDecoder;
use poem::{
    Body, Request,
    error::ReadBodyError,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
};

use super::answers::Refusal;

/// The largest body that is taken, in bytes as sent.
pub const BODY_LIMIT: usize = (8 << 20) + 64 * 1024;

/// The largest body that is taken, in bytes when unpacked: the largest state that an agent reads, and what quoting it adds.
pub const CONTENT_LIMIT: u64 = 90 << 20;

/// Reads a body, and unpacks it if it is packed.
pub async fn read(request: &Request, body: Body) -> Result<Vec<u8>, Refusal> {
    let told = request.header(CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
    if told.is_some_and(|bytes| bytes > BODY_LIMIT) {
        return Err(Refusal::TooLarge);
    }
    let bytes = body.into_bytes_limit(BODY_LIMIT).await.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => Refusal::TooLarge,
        error => Refusal::Bad(format!("the body did not come whole: {error}")),
    })?;
    match request.header(CONTENT_ENCODING) {
        None => Ok(bytes.into()),
        Some("gzip") => match tokio::task::spawn_blocking(move || unpack(&bytes)).await {
            Ok(unpacked) => unpacked,
            Err(_) => Err(Refusal::Bad("the body was not unpacked".to_owned())),
        },
        Some(_) => Err(Refusal::Bad("a body is sent as it is, or as gzip".to_owned())),
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    let read = GzDecoder::new(bytes).take(CONTENT_LIMIT + 1).read_to_end(&mut content);
    match read {
        Ok(_) if content.len() as u64 > CONTENT_LIMIT => Err(Refusal::TooLarge),
        Ok(_) => Ok(content),
        Err(error) => Err(Refusal::Bad(format!("the body is no whole gzip: {}", error.kind()))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_small_body_that_unpacks_to_too_much_is_refused() {
        for content in [CONTENT_LIMIT as usize + 1, 100_000_000] {
            let bomb = packed(&vec![0; content]);
            assert!(bomb.len() < BODY_LIMIT);
            assert!(matches!(unpack(&bomb), Err(Refusal::TooLarge)));
        }
    }

    #[test]
    fn what_was_packed_comes_back_and_a_part_of_it_does_not() {
        let body = packed(b"{\"a\":1}");
        assert_eq!(unpack(&body).unwrap(), b"{\"a\":1}");
        assert!(matches!(unpack(&body[..body.len() - 5]), Err(Refusal::Bad(_))));
    }
}
