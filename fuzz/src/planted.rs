//! Bugs to be planted, one at a time, to see which tests find them: tests of the tests.
//!
//! `cargo run -p lsmkit-fuzz --example planted` plants each in a copy of the repository.

/// A change to the source that makes a promise untrue.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What is wrong with it.
    pub what: &'static str,
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// What stands there once.
    pub from: &'static str,
    /// What is put in its place.
    pub to: &'static str,
    /// The package, and the arguments of `cargo test`, of tests that must fail.
    pub tests: (&'static str, &'static [&'static str]),
}

const FAULTS: (&str, &[&str]) = ("lsmkit", &["--test", "faults", "power_fails_at_every_mutating_call"]);
const MODEL: (&str, &[&str]) = ("lsmkit", &["--test", "model", "standard_parts"]);
const REGRESSIONS: (&str, &[&str]) = ("lsmkit", &["--test", "regressions"]);
const TABLES: (&str, &[&str]) = ("lsmkit-sstable", &["--test", "conformance"]);

/// All of them.
pub const BUGS: &[Bug] = &[
    Bug {
        what: "a new table's name is not made durable before the manifest tells of it",
        file: "engine/src/flush.rs",
        from: "        keyspace.tables.sync_names().map_err(Uninstalled::NotNamed)?;\n",
        to: "",
        tests: FAULTS,
    },
    Bug {
        what: "a manifest's name is not made durable before its marker",
        file: "manifest/src/current.rs",
        from: "    fs.sync_dir(dir).at(dir)?;\n    let marker",
        to: "    let marker",
        tests: ("lsmkit-manifest", &["--test", "power"]),
    },
    Bug {
        what: "a failed sync of the log is forgotten",
        file: "wal/src/sync.rs",
        from: "file.sync().map_err(|source| sync_fault(path, source))?;",
        to: "let _ = file.sync();",
        tests: ("lsmkit-wal", &["--test", "conformance"]),
    },
    Bug {
        what: "a failed sync of the log may be tried again",
        file: "wal/src/sync.rs",
        from: ".map_err(|fault| self.poison(fault))?;\n        self.synced.store",
        to: "?;\n        self.synced.store",
        tests: ("lsmkit-wal", &["--test", "conformance"]),
    },
    Bug {
        what: "a table's number is used again after a crash",
        file: "engine/src/recover.rs",
        from: "self.next_table = self.next_table.max(TableId(greatest.0.saturating_add(1)));",
        to: "let _ = greatest;",
        tests: ("lsmkit", &["--test", "faults"]),
    },
    Bug {
        what: "a write is shown before the log has it",
        file: "engine/src/store.rs",
        from: "        if request.is_logged() {
            self.append(&mut writer, &[request.record.bytes()], request.next())?;
        }
        Ok(self.publish(&mut writer, std::iter::once(&request), seq))",
        to: "        let published = self.publish(&mut writer, std::iter::once(&request), seq);
        if request.is_logged() {
            self.append(&mut writer, &[request.record.bytes()], request.next())?;
        }
        Ok(published)",
        tests: ("lsmkit", &["--test", "regressions", "--test", "faults"]),
    },
    Bug {
        what: "the payload of a log frame is not checked",
        file: "wal/src/reader.rs",
        from: "Ok(whole.then_some((header, payload)))",
        to: "let _ = whole;\n        Ok(Some((header, payload)))",
        tests: ("lsmkit-wal", &["--test", "damage"]),
    },
    Bug {
        what: "a log frame is taken for one in any segment",
        file: "wal/src/frame.rs",
        from: "    covered[12..20].copy_from_slice(&segment.0.to_le_bytes());\n",
        to: "    let _ = segment;\n",
        tests: ("lsmkit-wal", &["--lib"]),
    },
    Bug {
        what: "a torn tail passes for corruption",
        file: "wal/src/reader.rs",
        from: "            None if size_bytes > 0 => SegmentEnd::Torn { size_bytes },",
        to: "            None if size_bytes > 0 => return Err(Fault::corrupt(&self.path, self.offset, \"torn\")),",
        tests: FAULTS,
    },
    Bug {
        what: "the log is given up before what it holds is in tables",
        file: "engine/src/flush.rs",
        from: "let keep = lock(&self.manifest).state().log_floor();",
        to: "let keep = lock(&self.writer).log.segment();",
        tests: MODEL,
    },
    Bug {
        what: "a flush of one keyspace makes newer writes durable than those of another",
        file: "engine/src/flush.rs",
        from: "        self.sync_log_of_others(keyspace).map_err(Uninstalled::NotNamed)?;\n",
        to: "",
        tests: MODEL,
    },
    Bug {
        what: "sequence numbers begin again after recovery",
        file: "engine/src/recover.rs",
        from: "        self.last_seq = self.last_seq.max(*last);\n",
        to: "",
        tests: REGRESSIONS,
    },
    Bug {
        what: "a keyspace that was dropped comes back from the log",
        file: "engine/src/recover.rs",
        from: "self.keyspaces.get(&write.keyspace) else {",
        to: "self.keyspaces.get(&write.keyspace).or(self.keyspaces.get(&DEFAULT_KEYSPACE)) else {",
        tests: MODEL,
    },
    Bug {
        what: "a block's checksum is not looked at",
        file: "sstable/src/handle.rs",
        from: "    if written != computed {",
        to: "    if written != computed && handle.offset == u64::MAX {",
        tests: ("lsmkit", &["--test", "damage", "flipped"]),
    },
    Bug {
        what: "a cursor goes on after an error",
        file: "sstable/src/cursor.rs",
        from: "self.fault.clone().map_or(Ok(()), Err)",
        to: "Ok(())",
        tests: TABLES,
    },
    Bug {
        what: "a tombstone is dropped while it still hides something",
        file: "compaction/src/retain.rs",
        from: "stripe > 0 || older_below(entry.user_key)",
        to: "stripe > 0 && older_below(entry.user_key)",
        tests: ("lsmkit-compaction", &["--test", "histories"]),
    },
    Bug {
        what: "a compaction forgets what a snapshot sees",
        file: "engine/src/compact.rs",
        from: "let snapshots = self.snapshots.list();",
        to: "let snapshots: Vec<SeqNo> = Vec::new();",
        tests: MODEL,
    },
    Bug {
        what: "an older memtable is looked into before a newer one",
        file: "engine/src/state.rs",
        from: "        for slot in std::iter::once(&self.active).chain(&self.frozen) {
            let show = |entry",
        to: "        for slot in self.frozen.iter().chain(std::iter::once(&self.active)) {
            let show = |entry",
        tests: MODEL,
    },
];
