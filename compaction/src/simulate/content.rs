//! What tables hold, as shares of the keys of their range, and what of it outlives a merge.

use super::workload::{Class, Workload};

/// Where the line of keys ends: keys are the numbers below, as eight bytes.
pub(super) const LINE: u64 = 1 << 62;

/// Of the keys of one class in the range of a table, the shares that it has an entry for.
///
/// Entries of the load are told apart because no two tables have one for the same key, while any two tables have
/// overwritten the same key as likely as chance has it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Fill {
    /// Whose entry is of the load.
    pub(super) loaded: f32,
    /// Whose entry is an overwrite, deletes included.
    pub(super) written: f32,
    /// Whose entry is a delete.
    pub(super) deleted: f32,
}

/// As [`Fill`], to reckon with.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Mix {
    pub(super) loaded: f64,
    pub(super) written: f64,
    pub(super) deleted: f64,
}

impl Mix {
    /// Puts what an older table has beneath.
    ///
    /// Of an older overwrite nothing is left where there is a newer one. Every overwrite is newer than the load.
    pub(super) fn put_over(&mut self, older: &Fill) {
        let (loaded, written) = (f64::from(older.loaded), f64::from(older.written));
        let bare = 1.0 - self.written;
        self.loaded = self.loaded * (1.0 - written) + loaded * bare;
        self.deleted += bare * f64::from(older.deleted);
        self.written += bare * written;
    }

    /// Forgets the tombstones.
    pub(super) fn forget_deleted(&mut self) {
        self.written = (self.written - self.deleted).max(0.0);
        self.deleted = 0.0;
    }

    pub(super) fn add(&mut self, other: &Mix, weight: f64) {
        self.loaded += other.loaded * weight;
        self.written += other.written * weight;
        self.deleted += other.deleted * weight;
    }

    pub(super) fn add_fill(&mut self, fill: &Fill, weight: f64) {
        let Fill { loaded, written, deleted } = *fill;
        let mix = Mix { loaded: loaded.into(), written: written.into(), deleted: deleted.into() };
        self.add(&mix, weight);
    }

    pub(super) fn scaled(&self, by: f64) -> Fill {
        let share = |of: f64| (of * by).clamp(0.0, 1.0) as f32;
        Fill { loaded: share(self.loaded), written: share(self.written), deleted: share(self.deleted) }
    }
}

/// Entries and their bytes, as expected.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Volume {
    pub(super) entries: f64,
    pub(super) tombstones: f64,
    pub(super) size_bytes: f64,
    pub(super) raw_bytes: f64,
}

impl Volume {
    pub(super) fn add(&mut self, other: &Volume, weight: f64) {
        self.entries += other.entries * weight;
        self.tombstones += other.tombstones * weight;
        self.size_bytes += other.size_bytes * weight;
        self.raw_bytes += other.raw_bytes * weight;
    }
}

/// The keys and how entries are encoded.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) classes: Vec<Class>,
    value_bytes: f64,
    tombstone_bytes: f64,
    raw_value_bytes: f64,
    raw_tombstone_bytes: f64,
}

impl Keys {
    pub(super) fn new(workload: &Workload) -> Keys {
        Keys {
            classes: workload.classes(),
            value_bytes: workload.entry_bytes(),
            tombstone_bytes: workload.tombstone_bytes(),
            raw_value_bytes: (workload.key_bytes + workload.value_bytes) as f64,
            raw_tombstone_bytes: workload.key_bytes as f64,
        }
    }

    /// What a mix is for each position of the line.
    pub(super) fn volume(&self, mix: &[Mix]) -> Volume {
        let (mut entries, mut tombstones) = (0.0, 0.0);
        for (class, mix) in self.classes.iter().zip(mix) {
            let keys = class.keys / LINE as f64;
            entries += (mix.loaded + mix.written) * keys;
            tombstones += mix.deleted * keys;
        }
        let values = entries - tombstones;
        Volume {
            entries,
            tombstones,
            size_bytes: values * self.value_bytes + tombstones * self.tombstone_bytes,
            raw_bytes: values * self.raw_value_bytes + tombstones * self.raw_tombstone_bytes,
        }
    }

    /// The bytes that the keys would take in tables that are alive after so many writes, each alone and none deleted.
    pub(super) fn live_bytes(&self, loaded: f64, writes: f64, deletes: f64) -> f64 {
        let live = |class: &Class| {
            let reached = class.reached(writes);
            class.keys * (reached * (1.0 - deletes) + (1.0 - reached) * loaded)
        };
        self.classes.iter().map(live).sum::<f64>() * self.value_bytes
    }
}

/// An input of a merge: positions from `begin` up to `end`, excluded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) fills: &'a [Fill],
}

/// Merges `sources`, newest first and each by position, and tells of each stretch what is left of it, in order. `cuts` are
/// further places where stretches end. `may_hold` tells of a position whether there is something older.
pub(super) fn merge(
    sources: &[Vec<Input<'_>>],
    cuts: &[u64],
    mut may_hold: impl FnMut(u64) -> bool,
    mut tell: impl FnMut(u64, u64, &[Mix]),
) {
    let ends = sources.iter().flatten().flat_map(|input| [input.begin, input.end]);
    let mut bounds: Vec<u64> = ends.chain(cuts.iter().copied()).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let classes = sources.iter().flatten().map(|input| input.fills.len()).max().unwrap_or(0);
    let mut mix = vec![Mix::default(); classes];
    let mut at = vec![0; sources.len()];
    for bound in bounds.windows(2) {
        let (begin, end) = (bound[0], bound[1]);
        mix.fill(Mix::default());
        let mut is_held = false;
        for (tables, at) in sources.iter().zip(&mut at) {
            while tables.get(*at).is_some_and(|input| input.end <= begin) {
                *at += 1;
            }
            if let Some(input) = tables.get(*at).filter(|input| input.begin <= begin) {
                is_held = true;
                mix.iter_mut().zip(input.fills).for_each(|(mix, fill)| mix.put_over(fill));
            }
        }
        if !is_held {
            continue;
        }
        if mix.iter().any(|mix| mix.deleted > 0.0) && !may_hold(begin) {
            mix.iter_mut().for_each(Mix::forget_deleted);
        }
        tell(begin, end, &mix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_hides_what_is_older() {
        let newer = [Fill { loaded: 0.0, written: 0.5, deleted: 0.25 }];
        let older = [Fill { loaded: 0.5, written: 0.5, deleted: 0.0 }];
        let sources = [
            vec![Input { begin: 0, end: 10, fills: &newer }],
            vec![Input { begin: 5, end: 10, fills: &older }, Input { begin: 12, end: 20, fills: &older }],
        ];
        let mut told = Vec::new();
        merge(&sources, &[], |at| at < 7, |begin, end, mix| told.push((begin, end, mix[0])));
        let mix = |loaded, written, deleted| Mix { loaded, written, deleted };
        let expected =
            [(0, 5, mix(0.0, 0.5, 0.25)), (5, 10, mix(0.25, 0.75, 0.25)), (12, 20, mix(0.5, 0.5, 0.0))];
        assert_eq!(told, expected);

        told.clear();
        merge(&sources[..1], &[], |_| false, |begin, end, mix| told.push((begin, end, mix[0])));
        assert_eq!(told, [(0, 10, mix(0.0, 0.25, 0.0))]);
    }

    #[test]
    fn loads_of_two_tables_are_of_different_keys() {
        let half = [Fill { loaded: 0.5, ..Fill::default() }];
        let all = Input { begin: 0, end: 10, fills: &half };
        let mut told = Vec::new();
        merge(&[vec![all], vec![all]], &[], |_| true, |_, _, mix| told.push(mix[0].loaded));
        assert_eq!(told, [1.0]);
    }
}
