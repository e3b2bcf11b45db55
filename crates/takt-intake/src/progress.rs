//! How far an import has come, and how much one element may take.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts bytes of the input (of a gzip: the compressed ones); a cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes consumed so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A reader that counts, and fails beyond a limit that its owner resets.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) progress: Progress,
    pub(crate) limit: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.bytes() > self.limit {
            let text = format!("one element is longer than `{}` bytes", self.limit);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let count = self.inner.read(buffer)?;
        self.progress.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The longest element of an import, so that memory stays bounded.
pub(crate) const ELEMENT: u64 = 4 << 20;

/// The input unpacked, if its first bytes say that it is a gzip; with the counter of packed bytes
/// and the guard that the owner resets at each element.
pub(crate) fn unpacked<R: Read + Send + 'static>(
    mut input: R,
) -> io::Result<(Counted<Box<dyn Read + Send>>, Progress)> {
    let mut magic = Vec::with_capacity(2);
    Read::by_ref(&mut input).take(2).read_to_end(&mut magic)?;
    let packed = magic == [0x1f, 0x8b];
    let progress = Progress::default();
    let whole = Counted {
        inner: io::Cursor::new(magic).chain(input),
        progress: progress.clone(),
        limit: u64::MAX,
    };
    let inner: Box<dyn Read + Send> = if packed {
        Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(whole)))
    } else {
        Box::new(whole)
    };
    Ok((Counted { inner, progress: Progress::default(), limit: ELEMENT }, progress))
}
