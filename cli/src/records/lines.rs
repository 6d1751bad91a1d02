//! Lines of any bytes, with their numbers.

use std::io::{BufRead, Read};

use super::ReadError;

/// A longer line is refused: an input without line ends must not fill the memory.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 30;

/// Reads line by line into one buffer.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    line_bytes_max: usize,
}

impl Lines {
    pub(crate) fn new(reader: Box<dyn BufRead>) -> Lines {
        Lines { reader, line: Vec::new(), number: 0, line_bytes_max: LINE_BYTES_MAX }
    }

    /// The next line that is not empty, without its end, and its number from one.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &[u8])>, ReadError> {
        loop {
            self.line.clear();
            self.number += 1;
            let line = self.number;
            let stopped = |e: std::io::Error| ReadError::Stopped { line, what: e.to_string() };
            let limit = self.line_bytes_max as u64 + 1;
            let taken =
                self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line).map_err(stopped)?;
            if taken == 0 {
                return Ok(None);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if taken as u64 == limit {
                self.line.clear();
                self.reader.skip_until(b'\n').map_err(stopped)?;
                let what = format!("a line of more than {} bytes", self.line_bytes_max);
                return Err(ReadError::Bad { line, what });
            }
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            if !self.line.is_empty() {
                return Ok(Some((line, &self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_numbers_and_a_greatest_length() {
        let mut lines = Lines::new(Box::new(&b"one\r\n\n12345678\n123456789\nlast"[..]));
        lines.line_bytes_max = 8;
        assert_eq!(lines.next(), Ok(Some((1, &b"one"[..]))));
        assert_eq!(lines.next(), Ok(Some((3, &b"12345678"[..]))));
        assert_eq!(
            lines.next(),
            Err(ReadError::Bad { line: 4, what: "a line of more than 8 bytes".to_owned() })
        );
        assert_eq!(lines.next(), Ok(Some((5, &b"last"[..]))));
        assert_eq!(lines.next(), Ok(None));
    }
}
