//! Where records come from: a file or standard input, compressed or not.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use crate::exit::{Exit, Failure};

const BUFFER_BYTES: usize = 128 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An open input. Gzip is told by its first bytes and decompressed on the way; a byte order mark is
/// passed over.
pub(crate) struct Input {
    name: String,
    reader: Box<dyn BufRead>,
    size_bytes: Option<u64>,
    counts: Counts,
}

/// How much was read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    stored: Rc<Cell<u64>>,
    text: Rc<Cell<u64>>,
}

impl Counts {
    /// Bytes of the file as it is stored.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored.get()
    }

    /// Bytes of text, after decompression.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.text.get()
    }
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Input, Failure> {
        if path == Path::new("-") {
            return Input::new("standard input".to_owned(), io::stdin(), None);
        }
        let name = path.display().to_string();
        let cannot = |e: io::Error| {
            Failure::new(Exit::BadRecord, format!("{name} can't be read: {e}"))
                .next("check the path of the input")
        };
        let file = File::open(path).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        if meta.is_dir() {
            return Err(cannot(io::ErrorKind::IsADirectory.into()));
        }
        Input::new(name.clone(), file, meta.is_file().then_some(meta.len()))
    }

    fn new(name: String, raw: impl Read + 'static, size_bytes: Option<u64>) -> Result<Input, Failure> {
        let counts = Counts::default();
        let build = || -> io::Result<Box<dyn BufRead>> {
            let stored = Counting { inner: raw, count: Rc::clone(&counts.stored) };
            let (magic, stored) = peek(BufReader::with_capacity(BUFFER_BYTES, stored), GZIP_MAGIC.len())?;
            let text: Box<dyn Read> =
                if magic == GZIP_MAGIC { Box::new(MultiGzDecoder::new(stored)) } else { Box::new(stored) };
            let text = Counting { inner: text, count: Rc::clone(&counts.text) };
            let (mark, mut text) = peek(BufReader::with_capacity(BUFFER_BYTES, text), BYTE_ORDER_MARK.len())?;
            if mark == BYTE_ORDER_MARK {
                text.consume(BYTE_ORDER_MARK.len());
            }
            Ok(Box::new(text))
        };
        let reader = build().map_err(|e| Failure::bad_record(format!("{name} can't be read: {e}")))?;
        Ok(Input { name, reader, size_bytes, counts })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The size of the file as it is stored; `None` where it can't be known.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    pub(crate) fn into_reader(self) -> Box<dyn BufRead> {
        self.reader
    }
}

type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The first bytes, up to `len`, and a reader that still gives them: in one piece to `fill_buf`.
fn peek<R: BufRead>(mut reader: R, len: usize) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut first = Vec::with_capacity(len);
    reader.by_ref().take(len as u64).read_to_end(&mut first)?;
    Ok((first.clone(), Cursor::new(first).chain(reader)))
}

struct Counting<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}
