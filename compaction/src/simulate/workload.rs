//! What is written: how many keys, how large, how popular, and in which order.

/// How the data is there before it is overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Load {
    /// It is not: overwrites come to an empty store.
    Nothing,
    /// Each key is written once, in random order.
    AtRandom,
    /// Each key is written once, in the order of the keys: a time series, a bulk load through the front door.
    InOrder,
    /// All of it is in one run of this level from the start, and nobody wrote it: what a store looks like that was
    /// loaded long ago. The deepest level of the strategy is the one to name, 6 unless that was set.
    Standing(u32),
}

/// Which keys overwrites go to.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Popularity {
    /// All keys alike.
    Uniform,
    /// The key that is `r`th in popularity in proportion to `r` to the power of minus this. 0.99 is that of YCSB (Cooper et
    /// al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010). Popular keys are scattered among the others.
    Zipf(f64),
}

/// What is written to the simulated store: first the load, then overwrites that warm it up, then overwrites
/// that count.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Workload {
    /// How many keys there are.
    pub keys: u64,
    /// The bytes of a user key.
    pub key_bytes: u64,
    /// The bytes of a value.
    pub value_bytes: u64,
    /// What a table takes for an entry beside its key and value, before compression: encoding, index, filter. Below zero where
    /// what keys have in common saves more than that.
    pub overhead_bytes: f64,
    /// The bytes of a table for each byte of its entries before compression; 1 for none.
    pub compression: f64,
    /// How the data comes to be there.
    pub load: Load,
    /// Which keys are overwritten.
    pub popularity: Popularity,
    /// Of overwrites, the share that are deletes.
    pub deletes: f64,
    /// Overwrites before anything counts, for each key.
    pub warm_up: f64,
    /// Overwrites that count, for each key: with 2 as many writes as there are keys are made twice.
    pub overwrites: f64,
}

impl Workload {
    /// Records of 16 + 100 bytes that are there and do not compress, each overwritten as likely as any other.
    pub fn new(keys: u64) -> Workload {
        Workload {
            keys: keys.max(1),
            key_bytes: 16,
            value_bytes: 100,
            overhead_bytes: 6.0,
            compression: 1.0,
            load: Load::Standing(6),
            popularity: Popularity::Uniform,
            deletes: 0.0,
            warm_up: 0.0,
            overwrites: 1.0,
        }
    }

    /// With as many keys as make about `bytes` of keys and values.
    #[must_use]
    pub fn data_bytes(self, bytes: u64) -> Workload {
        let record = (self.key_bytes + self.value_bytes).max(1);
        Workload { keys: (bytes / record).max(1), ..self }
    }

    /// With keys of `key` bytes and values of `value`.
    #[must_use]
    pub fn record_bytes(self, key: u64, value: u64) -> Workload {
        Workload { key_bytes: key, value_bytes: value, ..self }
    }

    /// With `bytes` of a table for each entry beside key and value.
    #[must_use]
    pub fn overhead_bytes(self, bytes: f64) -> Workload {
        Workload { overhead_bytes: bytes, ..self }
    }

    /// With tables of `ratio` times their bytes before compression.
    #[must_use]
    pub fn compression(self, ratio: f64) -> Workload {
        Workload { compression: ratio.max(f64::MIN_POSITIVE), ..self }
    }

    /// With the data loaded in another way.
    #[must_use]
    pub fn load(self, load: Load) -> Workload {
        Workload { load, ..self }
    }

    /// With overwrites of other keys.
    #[must_use]
    pub fn popularity(self, popularity: Popularity) -> Workload {
        Workload { popularity, ..self }
    }

    /// With this share of the overwrites deletes, from 0 to 1.
    #[must_use]
    pub fn deletes(self, share: f64) -> Workload {
        Workload { deletes: share.clamp(0.0, 1.0), ..self }
    }

    /// With so many overwrites for each key before anything counts.
    #[must_use]
    pub fn warm_up(self, times: f64) -> Workload {
        Workload { warm_up: times.max(0.0), ..self }
    }

    /// With so many overwrites for each key that count. With 0, and no warming up, it is the load that counts.
    #[must_use]
    pub fn overwrites(self, times: f64) -> Workload {
        Workload { overwrites: times.max(0.0), ..self }
    }

    /// The bytes of a table that a value takes with its key.
    pub fn entry_bytes(&self) -> f64 {
        ((self.key_bytes + self.value_bytes) as f64 + self.overhead_bytes).max(1.0) * self.compression
    }

    /// The bytes of a table that a tombstone takes.
    pub fn tombstone_bytes(&self) -> f64 {
        (self.key_bytes as f64 + self.overhead_bytes).max(1.0) * self.compression
    }

    /// The bytes that a user hands over with one overwrite, on average.
    pub(super) fn write_bytes(&self) -> f64 {
        (self.key_bytes as f64 + self.value_bytes as f64 * (1.0 - self.deletes)).max(1.0)
    }

    /// The keys by how popular they are.
    pub(super) fn classes(&self) -> Vec<Class> {
        match self.popularity {
            Popularity::Uniform => vec![Class { keys: self.keys as f64, share: 1.0 }],
            Popularity::Zipf(exponent) => zipf_classes(self.keys as f64, exponent),
        }
    }
}

/// Keys that are about equally popular, scattered evenly among all keys.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Class {
    pub(super) keys: f64,
    /// Of all overwrites, those that go to one of these keys.
    pub(super) share: f64,
}

impl Class {
    /// The share of the keys that `writes` overwrites reach, of all classes together: writes come to a key independently
    /// of one another, so the number that one gets is Poisson's.
    pub(super) fn reached(&self, writes: f64) -> f64 {
        -(-writes * self.share / self.keys).exp_m1()
    }
}

/// How many classes a Zipf distribution is cut into at most. Within one of a trillion keys popularity falls to less than half.
const CLASSES_MAX: f64 = 40.0;

/// Ranks 1 to `keys` in classes whose bounds rise by one factor.
fn zipf_classes(keys: f64, exponent: f64) -> Vec<Class> {
    let factor = (keys.ln() / (CLASSES_MAX - 1.0)).exp().max(1.25);
    let mut classes = Vec::new();
    let (mut before, mut total) = (0.0, 0.0);
    while before < keys {
        let last = (before * factor).round().max(before + 1.0).min(keys);
        let share = power_sum(before, last, exponent);
        total += share;
        classes.push(Class { keys: last - before, share });
        before = last;
    }
    for class in &mut classes {
        class.share /= total;
    }
    classes
}

/// The sum of `r` to the power of `-exponent` over the ranks after `before` up to `last`.
fn power_sum(before: f64, last: f64, exponent: f64) -> f64 {
    /// Up to here one by one; beyond, the integral differs from the sum by less than a millionth.
    const ONE_BY_ONE: f64 = 1000.0;
    let mut sum = 0.0;
    let mut rank = before + 1.0;
    while rank <= last.min(ONE_BY_ONE) {
        sum += rank.powf(-exponent);
        rank += 1.0;
    }
    if rank > last {
        return sum;
    }
    let (from, to) = (rank - 0.5, last + 0.5);
    let rest = if (exponent - 1.0).abs() < 1e-9 {
        (to / from).ln()
    } else {
        (to.powf(1.0 - exponent) - from.powf(1.0 - exponent)) / (1.0 - exponent)
    };
    sum + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_all_keys_and_all_writes() {
        for keys in [1, 2, 7, 20_000, 1_000_000_000_000] {
            for popularity in [Popularity::Uniform, Popularity::Zipf(0.99), Popularity::Zipf(1.0)] {
                let classes = Workload::new(keys).popularity(popularity).classes();
                let all = classes.iter().map(|class| class.keys).sum::<f64>();
                let share = classes.iter().map(|class| class.share).sum::<f64>();
                assert!((all - keys as f64).abs() < 1e-9 * all && (share - 1.0).abs() < 1e-9, "{keys}");
                assert!(classes.len() <= 60);
            }
        }
    }

    #[test]
    fn sums_by_parts_are_the_sum() {
        let exact = |last: u32| (1..=last).map(|rank| f64::from(rank).powf(-0.99)).sum::<f64>();
        for last in [10, 1000, 5000] {
            let parts = power_sum(0.0, 3.0, 0.99) + power_sum(3.0, f64::from(last), 0.99);
            assert!((parts / exact(last) - 1.0).abs() < 1e-6, "{last}");
        }
    }
}
