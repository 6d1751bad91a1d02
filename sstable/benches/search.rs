//! How else the heads of an index could be searched: what is in the crate beside Eytzinger's layout and interpolation.
//!
//! Heads are the first eight bytes of keys behind their common prefix. Of many tables, so that as a rule none of them is in the
//! processor's caches: that is how an index is met. `cargo bench -p lsmkit-sstable --bench search`.

use std::hint::{black_box, select_unpredictable};

use criterion::{Criterion, criterion_group, criterion_main};

/// As many data blocks as a table of 64 MiB has.
const HEADS: usize = 16_384;
/// One head of so many is in the sample, as in `block/read.rs`.
const SAMPLED: usize = 64;

/// As they lie in a block: the first byte is the most significant.
type Head = [u8; 8];

/// One table's heads, in each layout.
struct Table {
    sorted: Vec<Head>,
    sample: Vec<Head>,
    /// From 1 on: the children of `i` are `2 i` and `2 i + 1`.
    eytzinger: Vec<Head>,
}

impl Table {
    fn new(mut sorted: Vec<Head>) -> Table {
        sorted.sort_unstable();
        let mut eytzinger = vec![[u8::MAX; 8]; sorted.len() + 1];
        let mut next = 0;
        lay_out(&sorted, &mut eytzinger, 1, &mut next);
        Table { sample: sorted.iter().copied().step_by(SAMPLED).collect(), sorted, eytzinger }
    }

    fn binary(&self, head: u64) -> usize {
        lower_bound(&self.sorted, head)
    }

    fn sampled(&self, head: u64) -> usize {
        let start = lower_bound(&self.sample, head).saturating_sub(1) * SAMPLED;
        let end = self.sorted.len().min(start + SAMPLED);
        let among = &self.sorted[start..end];
        // The lines between which the search goes to and fro, all at once.
        lsmkit_base::prefetch::<8>(among.as_flattened());
        start + lower_bound(among, head)
    }

    fn eytzinger(&self, head: u64) -> usize {
        let mut i = 1;
        while i < self.eytzinger.len() {
            // Where the search will be three steps from here, all possible places lie in one line.
            if let Some(ahead) = self.eytzinger.get(8 * i..) {
                lsmkit_base::prefetch::<1>(ahead.as_flattened());
            }
            i = 2 * i + usize::from(number(self.eytzinger[i]) < head);
        }
        i >> (i.trailing_ones() + 1)
    }

    /// Guesses by where the head lies between the first and the last, and looks on from there in growing steps.
    fn interpolated(&self, head: u64) -> usize {
        let (first, last) = (number(self.sorted[0]), number(self.sorted[self.sorted.len() - 1]));
        if head <= first || last < head {
            return if head <= first { 0 } else { self.sorted.len() };
        }
        let share = (head - first) as f64 / (last - first) as f64;
        let guess = ((share * self.sorted.len() as f64) as usize).min(self.sorted.len() - 1);
        let mut step = 8;
        let (mut low, mut high) = (guess, guess);
        while low > 0 && number(self.sorted[low]) >= head {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 8;
        while high < self.sorted.len() && number(self.sorted[high]) < head {
            high = (high + step).min(self.sorted.len());
            step *= 2;
        }
        low + lower_bound(&self.sorted[low..high], head)
    }
}

fn number(head: Head) -> u64 {
    u64::from_be_bytes(head)
}

fn lay_out(sorted: &[Head], out: &mut [Head], i: usize, next: &mut usize) {
    if i < out.len() {
        lay_out(sorted, out, 2 * i, next);
        out[i] = sorted[*next];
        *next += 1;
        lay_out(sorted, out, 2 * i + 1, next);
    }
}

/// How many are before `head`, without a branch on what is found.
fn lower_bound(heads: &[Head], head: u64) -> usize {
    let (mut at, mut count) = (0, heads.len());
    while count > 1 {
        let half = count / 2;
        at = select_unpredictable(number(heads[at + half - 1]) < head, at + half, at);
        count -= half;
    }
    at + usize::from(heads.get(at).is_some_and(|there| number(*there) < head))
}

fn mix(n: u64) -> u64 {
    let z = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Every byte of a number equally likely, as of hashes.
fn even(n: u64) -> u64 {
    mix(n)
}

/// Eight decimal digits, as of numbers written out: bytes from 0x30 to 0x39.
fn digits(n: u64) -> u64 {
    let text = format!("{:08}", mix(n) % 100_000_000);
    u64::from_be_bytes(text.as_bytes().try_into().expect("because it is eight digits"))
}

/// Words of lower-case letters, some far more often than others.
fn words(n: u64) -> u64 {
    let letter = |i: u64| b'a' + ((mix(n + i * 77) % 26) * (mix(n + i * 91) % 26) / 26) as u8;
    u64::from_be_bytes(std::array::from_fn(|i| letter(i as u64)))
}

fn search(c: &mut Criterion) {
    for (name, head) in [("even", even as fn(u64) -> u64), ("digits", digits), ("words", words)] {
        let tables: Vec<Table> = (0..200)
            .map(|t| Table::new((0..HEADS as u64).map(|i| head(t * 1_000_003 + i).to_be_bytes()).collect()))
            .collect();
        let mut group = c.benchmark_group(format!("heads, {name}"));
        let mut bench = |how: &str, find: fn(&Table, u64) -> usize| {
            group.bench_function(how, |b| {
                let mut n = 0;
                b.iter(|| {
                    n += 1;
                    let table = &tables[(mix(n) % 200) as usize];
                    black_box(find(table, head(n)))
                });
            });
        };
        bench("binary", Table::binary);
        bench("binary, after a sample", Table::sampled);
        bench("Eytzinger", Table::eytzinger);
        bench("interpolation", Table::interpolated);
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
