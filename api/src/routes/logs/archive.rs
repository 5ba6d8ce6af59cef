//! A `.tar.gz` that is made while it is sent: each piece is packed when the client has taken the one before.
//!
//! A tar file wants the length of each entry before its bytes, so a log is taken as it stands when the archive begins. If
//! less of it is left (retention took some) the archive breaks off: the client sees a failed download, not a short log.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder, write::GzEncoder};

/// The first byte of every gzip file.
pub const FIRST_BYTE: u8 = 0x1f;

const BLOCK: usize = 512;

/// Packs entries one after the other.
pub struct Archive {
    gzip: GzEncoder<Vec<u8>>,
    time: i64,
    /// The bytes of the entry that is open, and how many of them are still to come.
    length: u64,
    left: u64,
}

impl Archive {
    /// An archive whose entries have this time, in seconds since 1970.
    pub fn new(time: i64) -> Self {
        let gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
        Self { gzip, time, length: 0, left: 0 }
    }

    /// Begins an entry of this length.
    ///
    /// # Errors
    /// When the entry before is not complete, or the name is longer than a tar header holds.
    pub fn begin(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.close_entry()?;
        self.gzip.write_all(&header(name, length, self.time)?)?;
        (self.length, self.left) = (length, length);
        Ok(())
    }

    /// Adds to the open entry.
    ///
    /// # Errors
    /// When it would be longer than it was said to be.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left =
            self.left.checked_sub(bytes.len() as u64).ok_or_else(|| broken("an entry is too long"))?;
        self.gzip.write_all(bytes)
    }

    /// What is packed so far. With `flush` all of it, at some cost in size.
    ///
    /// # Errors
    /// None that is known: it writes to memory.
    pub fn take(&mut self, flush: bool) -> io::Result<Vec<u8>> {
        if flush {
            self.gzip.flush()?;
        }
        Ok(std::mem::take(self.gzip.get_mut()))
    }

    /// Ends the archive, and gives the last of it.
    ///
    /// # Errors
    /// When the last entry is not complete.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.close_entry()?;
        self.gzip.write_all(&[0; 2 * BLOCK])?;
        self.gzip.finish()
    }

    fn close_entry(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Err(broken("an entry is too short"));
        }
        let over = usize::try_from(self.length % BLOCK as u64).unwrap_or_default();
        if over > 0 {
            self.gzip.write_all(&[0; BLOCK][over..])?;
        }
        self.length = 0;
        Ok(())
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

/// The header of a plain file, in the ustar form.
fn header(name: &str, length: u64, time: i64) -> io::Result<[u8; BLOCK]> {
    let mut header = [0_u8; BLOCK];
    if name.len() >= 100 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of an entry is too long"));
    }
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    if length < 1 << 33 {
        put(&mut header, 124, format!("{length:011o}\0").as_bytes());
    } else {
        // Eleven octal digits end at 8 GiB; beyond, the field is binary and its first bit says so.
        header[124] = 0x80;
        put(&mut header, 128, &length.to_be_bytes());
    }
    put(&mut header, 136, format!("{:011o}\0", time.clamp(0, (1 << 33) - 1)).as_bytes());
    put(&mut header, 148, b"        ");
    header[156] = b'0';
    put(&mut header, 257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

fn put(header: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut tar = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut tar).unwrap();
        tar
    }

    #[test]
    fn entries_are_padded_to_blocks_and_followed_by_two_empty_ones() {
        let mut archive = Archive::new(1_700_000_000);
        archive.begin("a.txt", 3).unwrap();
        archive.add(b"ab").unwrap();
        let mut packed = archive.take(true).unwrap();
        assert_eq!(packed[0], FIRST_BYTE);
        archive.add(b"c").unwrap();
        archive.begin("b.txt", 512).unwrap();
        archive.add(&[b'x'; 512]).unwrap();
        packed.extend(archive.take(false).unwrap());
        packed.extend(archive.finish().unwrap());
        let tar = unpacked(&packed);
        assert_eq!(tar.len(), 512 * 6);
        assert_eq!(
            (&tar[..5], &tar[124..135], &tar[512..516]),
            (&b"a.txt"[..], &b"00000000003"[..], &b"abc\0"[..])
        );
        assert_eq!((&tar[1024..1029], &tar[1536..1540]), (&b"b.txt"[..], &b"xxxx"[..]));
        assert!(tar[2048..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn an_entry_that_is_not_as_long_as_said_breaks_the_archive() {
        let mut archive = Archive::new(0);
        archive.begin("a", 2).unwrap();
        assert!(archive.add(b"abc").is_err());
        let mut archive = Archive::new(0);
        archive.begin("a", 2).unwrap();
        assert!(archive.begin("b", 0).is_err());
        assert!(archive.finish().is_err());
    }

    #[test]
    fn a_length_beyond_eight_gigabytes_is_binary() {
        let header = header("a", 1 << 33, 0).unwrap();
        assert_eq!(&header[124..136], &[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
