//! What reads cost on a tree of shares.

use super::store::Store;

/// How many places of the line of keys are looked at.
const PLACES: u64 = 256;

/// What reads cost on average, in runs.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Reads {
    pub(super) runs_per_get: f64,
    pub(super) runs_per_scan: f64,
}

impl Reads {
    /// On `store`, with filters that let this share through of what is not there. `line` is where the keys that were written end.
    pub(super) fn of(store: &Store, filter_misses: f64, line: u64) -> Reads {
        let classes = &store.keys.classes;
        let (mut found, mut looks, mut covering) = (0.0, 0.0, 0);
        // By class: the share of the keys with no overwrite in the runs so far.
        let mut bare = vec![1.0; classes.len()];
        // By class: what of the load is found, and the looks it takes; less as older runs turn out to have overwrites.
        let mut loaded = vec![(0.0, 0.0); classes.len()];
        for place in 0..PLACES {
            // Odd steps, so that places fall into all parts of tables.
            let at = (u128::from(line) * u128::from(2 * place + 1) / u128::from(2 * PLACES)) as u64;
            let key = at.to_be_bytes();
            bare.fill(1.0);
            loaded.fill((0.0, 0.0));
            let mut runs = 0;
            for run in store.tree.levels.iter().flat_map(|level| &level.runs) {
                let table = run.overlapping(&key, &key).first();
                let Some(content) = table.and_then(|table| store.content_of(table)) else { continue };
                let look = 1.0 + filter_misses * f64::from(runs);
                for (((class, fill), bare), loaded) in
                    classes.iter().zip(&content.fills).zip(&mut bare).zip(&mut loaded)
                {
                    let (written, deleted) = (f64::from(fill.written), f64::from(fill.deleted));
                    let here = *bare * (written - deleted) * class.share;
                    found += here;
                    looks += here * look;
                    let kept = 1.0 - written;
                    let of_load = *bare * f64::from(fill.loaded) * class.share;
                    *loaded = (loaded.0 * kept + of_load, loaded.1 * kept + of_load * look);
                    *bare *= kept;
                }
                runs += 1;
            }
            found += loaded.iter().map(|loaded| loaded.0).sum::<f64>();
            looks += loaded.iter().map(|loaded| loaded.1).sum::<f64>();
            covering += runs;
        }
        Reads {
            runs_per_get: if found > 0.0 { looks / found } else { 0.0 },
            runs_per_scan: f64::from(covering) / PLACES as f64,
        }
    }
}
