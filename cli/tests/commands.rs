//! Single keys, scans, keyspaces, and how commands end.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{entries, lsmkit, lsmkit_with, store};

#[test]
fn a_value_goes_in_and_comes_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/on/the/way");
    let path = path.to_str().unwrap();
    assert_eq!(lsmkit(["put", path, "PL/Łódź", "one\\ttwo"]).ok(), "");
    assert_eq!(lsmkit(["get", path, "PL/Łódź"]).ok(), "one\\ttwo\n");
    assert_eq!(lsmkit(["get", path, "PL/Łódź", "--raw"]).ok(), "one\ttwo");
    assert_eq!(
        lsmkit(["get", path, "PL/Łódź", "--json"]).ok(),
        "{\"key\":\"PL/Łódź\",\"value\":\"one\\ttwo\"}\n"
    );
    assert_eq!(lsmkit(["get", path, "504c2fc581c3b364c5ba", "--hex"]).ok(), "6f6e650974776f\n");

    lsmkit_with(["put", path, "-dash", "--durability", "synced"], b"\x00raw\n\xff").ok();
    assert_eq!(lsmkit(["get", path, "-dash"]).ok(), "\\x00raw\\n\\xff\n");
    assert_eq!(
        lsmkit(["get", path, "-dash", "--json"]).ok(),
        "{\"key\":\"-dash\",\"value_hex\":\"007261770aff\"}\n"
    );

    for durability in ["none", "buffered", "synced"] {
        lsmkit(["put", path, "k", durability, "--durability", durability]).ok();
        assert_eq!(lsmkit(["get", path, "k"]).ok(), format!("{durability}\n"));
        lsmkit(["delete", path, "k", "--durability", durability]).ok();
        assert!(lsmkit(["get", path, "k"]).fails(1).contains("no key k"));
    }
}

#[test]
#[cfg(unix)]
fn arguments_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().as_os_str();
    let key = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    lsmkit(["put".as_ref(), store, key, "v".as_ref()]).ok();
    assert_eq!(lsmkit(["get".as_ref(), store, r"\xff\xfe".as_ref()]).ok(), "v\n");
}

#[test]
fn scans_have_bounds_directions_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let keys = ["a", "b", "b\u{1}", "b\u{7f}", "bb", "c"];
    store(dir.path(), &keys.map(|key| (key.into(), b"v".to_vec())));
    let scan = |more: &[&str]| {
        let run = lsmkit(["scan", path, "--keys-only"].iter().chain(more)).ok();
        run.lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(scan(&[]), r"a b b\x01 bb b\x7f c");
    assert_eq!(scan(&["--prefix", "b"]), r"b b\x01 bb b\x7f");
    assert_eq!(scan(&["--prefix", r"b\x01"]), r"b\x01");
    assert_eq!(scan(&["--from", "b", "--to", "bb"]), r"b b\x01");
    assert_eq!(scan(&["--from", "bb", "--reverse"]), r"c b\x7f bb");
    assert_eq!(scan(&["--to", "b"]), "a");
    assert_eq!(scan(&["--reverse", "--limit", "2"]), r"c b\x7f");
    assert_eq!(scan(&["--limit", "0"]), "");
    assert_eq!(scan(&["--hex", "--prefix", "6201"]), "6201");
    assert_eq!(lsmkit(["scan", path, "--prefix", "c"]).ok(), "c\tv\n");
    assert_eq!(lsmkit(["scan", path, "--prefix", "c", "--json"]).ok(), "{\"key\":\"c\",\"value\":\"v\"}\n");
    assert_eq!(lsmkit(["scan", path, "--limit", "1", "--json", "--keys-only"]).ok(), "{\"key\":\"a\"}\n");
    assert!(lsmkit(["scan", path, "--from", "b", "--to", "a"]).fails(2).contains("--from is after --to"));
}

#[test]
fn keyspaces_are_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    lsmkit(["put", path, "k", "default"]).ok();
    lsmkit(["put", path, "k", "other", "--keyspace", "other"]).ok();
    assert_eq!(lsmkit(["get", path, "k"]).ok(), "default\n");
    assert_eq!(lsmkit(["get", path, "k", "--keyspace", "other"]).ok(), "other\n");
    assert_eq!(lsmkit(["keyspaces", path]).ok(), "default\nother\n");
    let said = lsmkit(["get", path, "k", "--keyspace", "no"]).fails(3);
    assert!(said.contains("no keyspace \"no\"") && said.contains("it has: default, other"), "{said}");
    lsmkit(["delete", path, "k", "--keyspace", "no"]).fails(3);
    lsmkit(["keyspaces", path, "--drop", "other"]).ok();
    assert_eq!(lsmkit(["keyspaces", path]).ok(), "default\n");
    lsmkit(["keyspaces", path, "--drop", "other"]).fails(3);
    lsmkit(["keyspaces", path, "--drop", "default"]).fails(3);
}

#[test]
fn compaction_and_statistics_show_the_same_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for i in 0..3 {
        lsmkit(["put", path, "k", &i.to_string()]).ok();
    }
    assert!(lsmkit(["stats", path]).ok().contains("in the log"));
    assert!(lsmkit(["compact", path]).ok().contains("after   1 table of "));
    assert!(lsmkit(["compact", path, "--prefix", "k"]).ok().contains("compacted default"));
    let stats: serde_json::Value = serde_json::from_str(&lsmkit(["stats", path, "--json"]).ok()).unwrap();
    let levels = stats["keyspaces"][0]["levels"].as_array().unwrap();
    assert_eq!(levels.iter().map(|level| level["entries"].as_u64().unwrap()).sum::<u64>(), 1);
    for level in levels {
        let parts = level["parts"].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap());
        assert_eq!(level["size_bytes"].as_u64(), Some(parts.sum()), "{level}");
    }
    let report: serde_json::Value = serde_json::from_str(&lsmkit(["verify", path, "--json"]).ok()).unwrap();
    assert_eq!((&report["sound"], &report["table_entries"]), (&true.into(), &1.into()));
    assert_eq!(entries(dir.path()), [(b"k".to_vec(), b"2".to_vec())]);
}

#[test]
fn without_a_store_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    for command in ["scan", "export", "stats", "verify", "keyspaces", "compact"] {
        let said = lsmkit([command.as_ref(), path.as_os_str()]).fails(3);
        assert!(said.contains("there is no store") && said.contains("next: check the path"), "{said}");
    }
    for command in ["get", "delete"] {
        lsmkit([command.as_ref(), path.as_os_str(), "k".as_ref()]).fails(3);
    }
    assert!(!path.exists());

    // A directory of other things is left alone.
    std::fs::write(dir.path().join("letter.txt"), "Dear").unwrap();
    let said = lsmkit(["put".as_ref(), dir.path().as_os_str(), "k".as_ref(), "v".as_ref()]).fails(3);
    assert!(said.contains("holds files, but no store"), "{said}");
    lsmkit(["delete".as_ref(), dir.path().as_os_str(), "k".as_ref()]).fails(3);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn processes_race_to_open() {
    const PROCESSES: usize = 8;
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        // Half of the times they also race to make the store.
        if round % 2 == 0 {
            store(dir.path(), &[]);
        }
        let path = dir.path().to_str().unwrap();
        let put = |n: usize| lsmkit(["put", path, &format!("key {n}"), "value"]);
        let runs: Vec<_> = std::thread::scope(|scope| {
            let racing: Vec<_> = (0..PROCESSES).map(|n| scope.spawn(move || put(n))).collect();
            racing.into_iter().map(|process| process.join().unwrap()).collect()
        });
        let mut written = Vec::new();
        for (n, run) in runs.into_iter().enumerate() {
            if run.code == 0 {
                written.push((format!("key {n}").into_bytes(), b"value".to_vec()));
            } else {
                let said = run.fails(3);
                assert!(said.contains("is in use"), "{said}");
            }
        }
        assert!(!written.is_empty(), "one of them has it");
        assert_eq!(entries(dir.path()), written, "each has it to itself, and what it writes stays");
        lsmkit(["verify", path]).ok();
    }
}

#[test]
fn beside_a_writer_commands_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let writer = lsmkit::Db::open(path).unwrap();
    writer.put("k", "v").unwrap();
    for args in [&["get", path, "k"][..], &["scan", path], &["verify", path], &["put", path, "k", "w"]] {
        let said = lsmkit(args).fails(3);
        assert!(said.contains("is in use") && said.contains("next: "), "{said}");
    }
    writer.close().unwrap();
    assert_eq!(lsmkit(["get", path, "k"]).ok(), "v\n");
}

#[test]
fn reading_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    store(dir.path(), &[(b"k".to_vec(), b"v".to_vec())]);
    let files = || {
        let read = |entry: std::fs::DirEntry| (entry.file_name(), std::fs::read(entry.path()).unwrap());
        let mut files: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| read(entry.unwrap())).collect();
        files.sort();
        files
    };
    let before = files();
    for args in
        [&["get", path, "k"][..], &["scan", path], &["export", path], &["stats", path], &["verify", path]]
    {
        lsmkit(args).ok();
    }
    assert_eq!(files(), before);
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let many: Vec<_> = (0..20_000).map(|i| (format!("{i:06}").into_bytes(), vec![b'v'; 100])).collect();
    store(dir.path(), &many);
    for command in ["scan", "export"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lsmkit"))
            .arg(command)
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.contains("000000"), "{first}");
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let path = path.to_str().unwrap();
    assert_eq!(lsmkit(["get"]).code, 2);
    assert_eq!(lsmkit(["nonsense"]).code, 2);
    assert_eq!(lsmkit(["put", path, "k", "v", "--durability", "perhaps"]).code, 2);
    assert_eq!(lsmkit(["scan", path, "--prefix", "a", "--from", "b"]).code, 2);
    let said = lsmkit(["put", path, r"C:\dir", "v"]).fails(2);
    assert!(said.contains(r"\d is no escape") && said.contains(r"write a backslash as \\"), "{said}");
    assert!(lsmkit(["put", path, "0g", "00", "--hex"]).fails(2).contains("not hexadecimal"));
    let said = lsmkit(["put".to_owned(), path.to_owned(), "k".repeat(65_537), "v".to_owned()]).fails(3);
    assert!(said.contains("longer than the longest"), "{said}");
    let empty = lsmkit(["put", path, "k", "v", "--keyspace", ""]).fails(3);
    assert!(empty.contains("needs a name"), "{empty}");
}

#[test]
fn help_tells_of_every_command() {
    let help = lsmkit(["--help"]).ok();
    for command in [
        "put",
        "get",
        "delete",
        "scan",
        "import",
        "export",
        "stats",
        "compact",
        "verify",
        "keyspaces",
        "tour",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        assert!(
            lsmkit([command, "--help"]).ok().lines().all(|line| line.chars().count() <= 110),
            "{command}"
        );
    }
    assert!(help.contains("Exit codes:") && !help.contains("tour-load"));
}
