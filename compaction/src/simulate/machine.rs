//! What the simulated store runs on, and the settings of an engine that matter to a strategy.

/// The speed of writers and of background work, and the settings of the engine around the strategy.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Machine {
    /// Keys and values that a memtable takes before it is flushed. An engine counts the memory, which is more: records of
    /// 116 bytes took 190 of lsmkit's.
    pub memtable_bytes: u64,
    /// At this many full memtables that are not flushed yet writers wait.
    pub memtables_max: usize,
    /// Keys and values that writers would write in a second; infinite for as fast as the store lets them.
    pub offered_bytes_per_second: f64,
    /// Keys and values that writers write in a second at [`Pressure::runs_slow`](crate::Pressure::runs_slow) runs; half as much with each run more.
    pub slowed_bytes_per_second: f64,
    /// Bytes of tables that one thread reads and writes in a second, taken together; infinite where flushes and compactions take no
    /// time.
    pub thread_bytes_per_second: f64,
    /// How many threads compact. One more flushes.
    pub threads: usize,
    /// With nothing to do for this long though writers go on, threads work at leisure
    /// ([`Busy::at_leisure`](crate::Busy::at_leisure)): 0 for always, infinite for only once all is written.
    pub leisure_seconds: f64,
    /// How often a filter lets a get look into a table that does not have its key.
    pub filter_misses: f64,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            memtable_bytes: 64 << 20,
            memtables_max: 3,
            offered_bytes_per_second: f64::INFINITY,
            slowed_bytes_per_second: (128 << 20) as f64,
            thread_bytes_per_second: f64::INFINITY,
            threads: 1,
            leisure_seconds: f64::INFINITY,
            filter_misses: 0.01,
        }
    }
}

impl Machine {
    /// One whose flushes and compactions take no time: every flush is followed by all that the strategy wants. Memtables of 64 MiB.
    pub fn instantaneous() -> Machine {
        Machine::default()
    }

    /// One with `threads` that compact at `bytes_per_second` each, writers that offer a tenth of that, and
    /// [`Machine::leisure_seconds`] of one, as in the engine.
    pub fn with_threads(threads: usize, bytes_per_second: f64) -> Machine {
        Machine {
            threads: threads.max(1),
            thread_bytes_per_second: bytes_per_second,
            offered_bytes_per_second: bytes_per_second / 10.0,
            leisure_seconds: 1.0,
            ..Machine::default()
        }
    }

    /// With memtables that take `bytes` of keys and values.
    #[must_use]
    pub fn memtable_bytes(self, bytes: u64) -> Machine {
        Machine { memtable_bytes: bytes.max(1), ..self }
    }

    /// With writers that wait at `count` full memtables; at least 1.
    #[must_use]
    pub fn memtables_max(self, count: usize) -> Machine {
        Machine { memtables_max: count.max(1), ..self }
    }

    /// With writers that would write so many bytes of keys and values in a second.
    #[must_use]
    pub fn offered_bytes_per_second(self, bytes: f64) -> Machine {
        Machine { offered_bytes_per_second: bytes, ..self }
    }

    /// With writers that are slowed down to this many bytes in a second at first.
    #[must_use]
    pub fn slowed_bytes_per_second(self, bytes: f64) -> Machine {
        Machine { slowed_bytes_per_second: bytes, ..self }
    }

    /// With threads that work at leisure after so many seconds without work.
    #[must_use]
    pub fn leisure_seconds(self, seconds: f64) -> Machine {
        Machine { leisure_seconds: seconds, ..self }
    }

    /// With filters that let this share of the gets through that ask in vain.
    #[must_use]
    pub fn filter_misses(self, share: f64) -> Machine {
        Machine { filter_misses: share.clamp(0.0, 1.0), ..self }
    }

    pub(super) fn is_instantaneous(&self) -> bool {
        self.thread_bytes_per_second.is_infinite()
    }
}
