//! Codecs of blocks.

use crate::block::SLACK_BYTES;
use crate::damage::Damage;

/// How the blocks of a table are compressed, each by itself.
///
/// A block that would shrink by less than an eighth is stored as it is.
///
/// Every codec can be named in every build. One that was not compiled in (features `snappy`, `lz4`,
/// `zstd`) is refused as [unsupported](lsmkit_base::FaultKind::Unsupported) when a table is begun or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Snappy: quick, light.
    Snappy,
    /// LZ4: the quickest to read.
    Lz4,
    /// Zstandard: the smallest, several times slower.
    Zstd {
        /// From 1 (quickest) to 22 (smallest); 3 is common. Negative levels are quicker still.
        level: i32,
    },
}

/// The codec's number in a stored block. Part of the format.
const NONE: u8 = 0;
const SNAPPY: u8 = 1;
const LZ4: u8 = 2;
const ZSTD: u8 = 3;

impl Compression {
    /// Whether the codec is compiled into this build.
    pub const fn is_available(self) -> bool {
        match self {
            Compression::None => true,
            Compression::Snappy => cfg!(feature = "snappy"),
            Compression::Lz4 => cfg!(feature = "lz4"),
            Compression::Zstd { .. } => cfg!(feature = "zstd"),
        }
    }

    /// The codec's name, without its level.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd { .. } => "zstd",
        }
    }
}

/// Compresses block after block with one codec.
pub(crate) struct Compressor {
    codec: Codec,
    out: Vec<u8>,
}

enum Codec {
    None,
    #[cfg(feature = "snappy")]
    Snappy(Box<snap::raw::Encoder>),
    #[cfg(feature = "lz4")]
    Lz4(Box<lz4_flex::block::CompressTable>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Compressor {
    /// A compressor, unless the codec is not compiled in or refuses its level.
    pub(crate) fn new(compression: Compression) -> Result<Compressor, Damage> {
        let codec = match compression {
            Compression::None => Codec::None,
            #[cfg(feature = "snappy")]
            Compression::Snappy => Codec::Snappy(Box::new(snap::raw::Encoder::new())),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => Codec::Lz4(Box::default()),
            #[cfg(feature = "zstd")]
            Compression::Zstd { level } => {
                Codec::Zstd(Box::new(zstd::bulk::Compressor::new(level).map_err(|e| {
                    Damage::unsupported(format!("compression by zstd at level {level}: {e}"))
                })?))
            }
            #[allow(unreachable_patterns, reason = "reachable only where a codec is left out")]
            other => return Err(not_compiled_in(other.name())),
        };
        Ok(Compressor { codec, out: Vec::new() })
    }

    /// `raw` as it should be stored, and the number of the codec it is stored with.
    pub(crate) fn compress<'a>(&'a mut self, raw: &'a [u8]) -> (&'a [u8], u8) {
        let compressed = match &mut self.codec {
            Codec::None => None,
            #[cfg(feature = "snappy")]
            Codec::Snappy(encoder) => {
                let out = room(&mut self.out, snap::raw::max_compress_len(raw.len()));
                encoder.compress(raw, out).ok().map(|len| (len, SNAPPY))
            }
            #[cfg(feature = "lz4")]
            Codec::Lz4(table) => {
                let out = room(&mut self.out, lz4_flex::block::get_maximum_output_size(raw.len()));
                lz4_flex::block::compress_into_with_table(raw, out, table).ok().map(|len| (len, LZ4))
            }
            #[cfg(feature = "zstd")]
            Codec::Zstd(encoder) => {
                let out = room(&mut self.out, zstd::zstd_safe::compress_bound(raw.len()));
                encoder.compress_to_buffer(raw, out).ok().map(|len| (len, ZSTD))
            }
        };
        match compressed {
            Some((len, codec)) if len <= raw.len() - raw.len() / 8 => (&self.out[..len], codec),
            _ => (raw, NONE),
        }
    }
}

/// `out` with at least `len` bytes.
#[cfg(any(feature = "snappy", feature = "lz4", feature = "zstd"))]
fn room(out: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if out.len() < len {
        out.resize(len, 0);
    }
    out
}

/// Whether blocks stored with codec number `codec` are stored as they are.
pub(crate) fn is_raw(codec: u8) -> bool {
    codec == NONE
}

/// Fills `raw`, as long as the block is said to be, from what was stored with codec number `codec`.
pub(crate) fn decompress(
    codec: u8,
    stored: &[u8],
    raw_bytes: usize,
    raw: &mut Vec<u8>,
) -> Result<(), Damage> {
    // No stored byte of these codecs stands for more (LZ4: a length byte for 255; Snappy: three bytes
    // for 64; Zstandard: four for a run of 128 KiB), so a length that is made up costs no memory.
    let growth_max = match codec {
        SNAPPY => 64,
        LZ4 => 255,
        ZSTD => 128 << 10,
        _ => 1,
    };
    if raw_bytes as u64 > (stored.len() as u64 + 16).saturating_mul(growth_max) {
        return Err(Damage::corrupt("a block is said to be longer than what is stored can hold"));
    }
    // Room for the slack of a block, so that it need not move for that.
    raw.reserve((raw_bytes + SLACK_BYTES).saturating_sub(raw.len()));
    raw.resize(raw_bytes, 0);
    if decode(codec, stored, raw)? == Some(raw_bytes) {
        Ok(())
    } else {
        Err(Damage::corrupt("a block does not decompress to its length"))
    }
}

/// How many bytes of `raw` were filled; `None` where the codec refuses what is stored.
#[cfg_attr(
    not(any(feature = "snappy", feature = "lz4", feature = "zstd")),
    allow(unused_variables, reason = "without codecs there is nothing to decode")
)]
fn decode(codec: u8, stored: &[u8], raw: &mut [u8]) -> Result<Option<usize>, Damage> {
    match codec {
        #[cfg(feature = "snappy")]
        SNAPPY => Ok(snap::raw::Decoder::new().decompress(stored, raw).ok()),
        #[cfg(feature = "lz4")]
        LZ4 => Ok(lz4_flex::block::decompress_into(stored, raw).ok()),
        #[cfg(feature = "zstd")]
        ZSTD => Ok(zstd_decompress(stored, raw)),
        #[cfg(not(feature = "snappy"))]
        SNAPPY => Err(not_compiled_in("snappy")),
        #[cfg(not(feature = "lz4"))]
        LZ4 => Err(not_compiled_in("lz4")),
        #[cfg(not(feature = "zstd"))]
        ZSTD => Err(not_compiled_in("zstd")),
        other => Err(Damage::unsupported(format!("blocks compressed with codec {other}"))),
    }
}

/// A decoder of Zstandard is dear to make, so each thread keeps one.
#[cfg(feature = "zstd")]
fn zstd_decompress(stored: &[u8], raw: &mut [u8]) -> Option<usize> {
    use std::cell::RefCell;
    thread_local! {
        static DECODER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECODER.with_borrow_mut(|decoder| {
        if decoder.is_none() {
            *decoder = zstd::bulk::Decompressor::new().ok();
        }
        decoder.as_mut()?.decompress_to_buffer(stored, raw).ok()
    })
}

fn not_compiled_in(name: &str) -> Damage {
    Damage::unsupported(format!("compression by {name}, which is not compiled in"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd { level: 3 },
        Compression::Zstd { level: -5 },
    ];

    #[test]
    fn blocks_return_from_every_codec() {
        let mut noise = 1u64;
        let incompressible: Vec<u8> = (0..5000)
            .map(|_| {
                noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (noise >> 56) as u8
            })
            .collect();
        for compression in ALL.into_iter().filter(|c| c.is_available()) {
            let mut compressor = Compressor::new(compression).unwrap();
            for raw in
                [&b"x".repeat(100_000)[..], b"abcabcabcabcabcabcabcabcabcabc", b"", b"a", &incompressible]
            {
                let (stored, codec) = compressor.compress(raw);
                assert!(stored.len() <= raw.len());
                assert_eq!(
                    is_raw(codec),
                    compression == Compression::None || raw.len() < 20 || raw == incompressible
                );
                if !is_raw(codec) {
                    let mut back = Vec::new();
                    decompress(codec, stored, raw.len(), &mut back).unwrap();
                    assert_eq!(back, raw);
                    for wrong in [raw.len() - 1, raw.len() + 1] {
                        assert!(decompress(codec, stored, wrong, &mut back).is_err(), "{compression:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_length_made_up_allocates_nothing() {
        for codec in [SNAPPY, LZ4] {
            let mut raw = Vec::new();
            assert!(matches!(decompress(codec, &[0; 16], 1 << 30, &mut raw), Err(Damage::Corrupt(_))));
            assert_eq!(raw.capacity(), 0);
        }
    }

    #[test]
    fn a_codec_left_out_is_named() {
        for compression in ALL.into_iter().filter(|c| !c.is_available()) {
            let damage = Compressor::new(compression).err().expect("because it is not available");
            assert!(matches!(&damage, Damage::Unsupported(what) if what.contains(compression.name())));
        }
        let unknown = decompress(200, &[1, 2, 3], 3, &mut Vec::new());
        assert_eq!(unknown, Err(Damage::unsupported("blocks compressed with codec 200")));
    }
}
