//! RocksDB.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, ReadOptions, WaitForCompactOptions, WriteBatch,
    WriteOptions, properties,
};

use crate::inside::{Inside, Level, Stalls, Work};
use crate::settings::{Compression, Durability, Settings};
use crate::store::Store;

/// As many full memtables that wait to be flushed as lsmkit's default allows before writers wait.
const MEMTABLES_MAX: i32 = 3;
/// What RocksDB's guide sets for general use, so that a table is not written to the disk all at once.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// The default column family's name.
const DEFAULT: &str = "default";
/// A record's overhead in a batch, rounded up.
const BATCH_RECORD_BYTES: usize = 16;

/// The default column family, with a log.
pub(crate) struct RocksDb {
    db: DB,
    read: ReadOptions,
    write: WriteOptions,
    /// The most bytes that compactions were once said to have written. They are a difference of two
    /// rounded figures, and so might fall.
    compacted_bytes: AtomicU64,
}

impl RocksDb {
    pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<RocksDb> {
        let mut write = WriteOptions::default();
        write.set_sync(settings.durability == Durability::Synced);
        Ok(RocksDb {
            // By name, since only so there is a handle for reads of many keys at once; with its options, which are not those of
            // the database.
            db: DB::open_cf_with_opts(&options(settings), dir, [(DEFAULT, options(settings))])?,
            read: ReadOptions::default(),
            write,
            compacted_bytes: AtomicU64::new(0),
        })
    }
}

fn options(settings: &Settings) -> Options {
    let mut tables = BlockBasedOptions::default();
    // The cache that RocksDB's authors recommend now; 0 has it find out the size of its entries.
    tables.set_block_cache(&Cache::new_hyper_clock_cache(settings.cache_bytes, 0));
    tables.set_block_size(settings.block_bytes);
    tables.set_bloom_filter(f64::from(settings.filter_bits_per_key), false);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&tables);
    options.set_write_buffer_size(settings.memtable_bytes);
    options.set_max_write_buffer_number(MEMTABLES_MAX);
    // Of two, one flushes and one compacts.
    options.set_max_background_jobs(settings.background_threads as i32);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    // Of all levels, as none is set apart.
    options.set_compression_type(match settings.compression {
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::None => DBCompressionType::None,
    });
    options
}

impl Store for RocksDb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.write)?)
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(self.db.delete_opt(key, &self.write)?)
    }

    fn write(&self, records: &[(&[u8], &[u8])]) -> Result<()> {
        let size_bytes =
            records.iter().map(|(key, value)| BATCH_RECORD_BYTES + key.len() + value.len()).sum();
        let mut batch = WriteBatch::with_capacity_bytes(size_bytes);
        for (key, value) in records {
            batch.put(key, value);
        }
        Ok(self.db.write_opt(batch, &self.write)?)
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.db.get_pinned_opt(key, &self.read)?;
        Ok(value.map(|value| show(&value)).is_some())
    }

    fn get_many(&self, keys: &[&[u8]], show: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let family = self.db.cf_handle(DEFAULT).context("the default column family was not opened")?;
        let values = self.db.batched_multi_get_cf_opt(&family, keys.iter().copied(), false, &self.read);
        let mut found = 0;
        for (place, value) in values.into_iter().enumerate() {
            if let Some(value) = value? {
                show(place, &value);
                found += 1;
            }
        }
        Ok(found)
    }

    fn scan(&self, from: Option<&[u8]>, count_max: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut iterator = self.db.raw_iterator();
        match from {
            Some(from) => iterator.seek(from),
            None => iterator.seek_to_first(),
        }
        let mut left = count_max;
        while left > 0
            && let Some((key, value)) = iterator.item()
        {
            visit(key, value);
            left -= 1;
            // What nobody asked for is not read.
            if left > 0 {
                iterator.next();
            }
        }
        Ok(iterator.status()?)
    }

    fn scan_back(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut iterator = self.db.raw_iterator();
        iterator.seek_to_last();
        while let Some((key, value)) = iterator.item() {
            visit(key, value);
            iterator.prev();
        }
        Ok(iterator.status()?)
    }

    fn settle(&self) -> Result<()> {
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        Ok(self.db.wait_for_compact(&options)?)
    }

    /// From what RocksDB counts anyway: its statistics, which would tell more, cost every operation.
    fn inside(&self) -> Inside {
        let told = |property| self.db.property_value(property).ok().flatten();
        let totals = told(properties::CFSTATS_NO_FILE_HISTOGRAM)
            .zip(told(properties::DBSTATS))
            .and_then(|(family, database)| Totals::parse(&family, &database).ok());
        let mut inside = Inside { levels: self.levels(), ..Inside::default() };
        if let Some(mut totals) = totals {
            let written_bytes = &mut totals.compactions.written_bytes;
            *written_bytes =
                (*written_bytes).max(self.compacted_bytes.fetch_max(*written_bytes, Ordering::Relaxed));
            inside.flushes = Some(totals.flushes);
            inside.compactions = Some(totals.compactions);
            inside.stalls = BTreeMap::from([("delays and stops".to_owned(), totals.stalls)]);
        }
        inside
    }
}

impl RocksDb {
    fn levels(&self) -> Vec<Level> {
        let mut levels = Vec::new();
        for file in self.db.live_files().unwrap_or_default() {
            let number = file.level as usize;
            if levels.len() <= number {
                levels.resize(number + 1, Level::default());
            }
            let level = &mut levels[number];
            level.tables += 1;
            level.size_bytes += file.size as u64;
            // Tables of level 0 overlap; those of any other are one run.
            level.runs = if number == 0 { level.tables } else { 1 };
        }
        levels
    }
}

/// What two of RocksDB's properties tell: `cfstats-no-file-histogram` and `dbstats`, texts for people.
struct Totals {
    /// Bytes to a thousandth of a gibibyte.
    flushes: Work,
    /// Bytes to a hundredth of a gibibyte.
    compactions: Work,
    /// Of all causes. RocksDB counts how often it decided to hold writers up, not how many it held
    /// up, and doesn't know the longest.
    stalls: Stalls,
}

impl Totals {
    fn parse(family: &str, database: &str) -> Result<Totals> {
        let mut flushes = Work::default();
        let mut compactions = Work::default();
        // A table of levels comes first; the second one is of jobs by the priority of their thread.
        let (_, jobs) = family.split_once("Priority ").context("no table of jobs")?;
        let header: Vec<&str> = jobs.lines().next().unwrap_or_default().split_whitespace().collect();
        let from_end =
            |name| header.iter().rev().position(|column| *column == name).context("no such column");
        let (seconds, count) = (from_end("Comp(sec)")?, from_end("Comp(cnt)")?);
        for line in jobs.lines().skip(1) {
            let mut words = line.split_whitespace();
            let work = match words.next() {
                // `User` is what opening the store flushes.
                Some("High" | "User") => &mut flushes,
                Some("Low" | "Bottom") => &mut compactions,
                _ => continue,
            };
            let words: Vec<&str> = words.rev().collect();
            work.seconds += words.get(seconds).context("a short row")?.parse::<f64>()?;
            work.count += words.get(count).context("a short row")?.parse::<u64>()?;
        }

        flushes.written_bytes = gib(after(family, "Flush(GB): cumulative ")?)?;
        let both = after(family, "Cumulative compaction: ")?;
        compactions.written_bytes = gib(both)?.saturating_sub(flushes.written_bytes);
        compactions.read_bytes = gib(after(both, "MB/s write, ")?)?;

        let stalls = Stalls {
            count: number(after(family, "total-delays: ")?)? + number(after(family, "total-stops: ")?)?,
            seconds: clock_seconds(after(database, "Cumulative stall: ")?)?,
            longest_seconds: None,
        };
        Ok(Totals { flushes, compactions, stalls })
    }
}

/// The rest of `text` after the first `label`.
fn after<'a>(text: &'a str, label: &str) -> Result<&'a str> {
    Ok(text.split_once(label).with_context(|| format!("no {label:?}"))?.1)
}

/// The word that `text` begins with, without the comma that may follow it.
fn word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or_default()
}

fn number(text: &str) -> Result<u64> {
    Ok(word(text).parse()?)
}

/// What RocksDB writes GB are gibibytes.
fn gib(text: &str) -> Result<u64> {
    Ok((word(text).parse::<f64>()? * f64::from(1 << 30)).round() as u64)
}

/// Hours, minutes and seconds.
fn clock_seconds(text: &str) -> Result<f64> {
    word(text).split(':').try_fold(0.0, |seconds, part| Ok(seconds * 60.0 + part.parse::<f64>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: &str = "
** Compaction Stats [default] **
Level    Files   Size     Score Read(GB)  Comp(sec) CompMergeCPU(sec) Comp(cnt) Avg(sec) KeyIn KeyDrop Rblob(GB) Wblob(GB)
--------------------------------------------------------------
  L0      2/0   20.51 MB   0.5      0.0      1.50   1.25   7   0.2   0   0   0.0   0.0
 Sum      9/0   81.21 MB   0.0      0.1      4.00   3.50  10   0.4   3M   1K   0.0   0.0
** Compaction Stats [default] **
Priority    Files   Size     Score Read(GB)  Comp(sec) CompMergeCPU(sec) Comp(cnt) Avg(sec) KeyIn KeyDrop Rblob(GB) Wblob(GB)
--------------------------------------------------------------
 Low      0/0    0.00 KB   0.0      0.1      2.50   2.25   3   0.8   3M   1K   0.0   0.0
High      0/0    0.00 KB   0.0      0.0      1.25   1.00   6   0.2   0   0   0.0   0.0
User      0/0    0.00 KB   0.0      0.0      0.25   0.25   1   0.2   0   0   0.0   0.0

Flush(GB): cumulative 0.250, interval 0.125
Cumulative compaction: 1.75 GB write, 12.34 MB/s write, 1.50 GB read, 10.12 MB/s read, 4.0 seconds
Write Stall (count): cf-l0-file-count-limit-delays-with-ongoing-compaction: 1, total-delays: 4, total-stops: 2
";
    const DATABASE: &str = "\n** DB Stats **\nCumulative stall: 01:02:3.500 H:M:S, 1.5 percent\n";

    #[test]
    fn reads_what_rocksdb_tells() {
        let totals = Totals::parse(FAMILY, DATABASE).unwrap();
        let flushes = Work { count: 7, seconds: 1.5, read_bytes: 0, written_bytes: 1 << 28 };
        let compactions = Work { count: 3, seconds: 2.5, read_bytes: 3 << 29, written_bytes: 3 << 29 };
        assert_eq!(totals.flushes, flushes);
        assert_eq!(totals.compactions, compactions);
        assert_eq!(totals.stalls, Stalls { count: 6, seconds: 3723.5, longest_seconds: None });
    }

    #[test]
    fn other_text_is_an_error() {
        assert!(Totals::parse("", DATABASE).is_err());
        assert!(Totals::parse(FAMILY, "").is_err());
        assert!(Totals::parse(&FAMILY.replace("Comp(cnt)", "Jobs"), DATABASE).is_err());
    }
}
