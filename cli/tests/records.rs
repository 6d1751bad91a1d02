//! Import and export: what comes back, and what is said of bad records.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::io::{Read, Write};
use std::path::Path;

use common::{entries, lsmkit, lsmkit_with, store};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Keys and values that a format could trip over.
fn nasty() -> Entries {
    let texts: &[&[u8]] = &[
        b"",
        b"plain",
        "Łódź 東京 🚀 \u{202e}\u{feff}".as_bytes(),
        b"tab\there",
        b"two\nlines\r\n",
        b"\r",
        b"\\",
        b"\\n\\x00",
        b"\"quoted\", with comma",
        b"\"",
        b"'",
        b"key",
        b"value_hex",
        b"\x00\x01\x7f",
        b"\xff\xfe\x80",
        b"\xef\xbb\xbfbyte order mark",
        b"\x1f\x8bgzip",
        b" spaces ",
        b"null",
        b"17",
        b"\"json string\"",
        b"{}",
        b"{\"a\":\"b\",\"c\":[1,2.50,{\"d\":null}]}",
        b"{\"a\":1,\"a\":2}",
        b"{ \"a\": 1 }",
        b"{\"a\":[1,\n2]}",
        b"{\"\\u0061\":1}",
        b"{\"a\":\"\\u00e9\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"value\":\"x\"}",
        b"{\"value_hex\":\"zz\"}",
        b"{\"value\":\"x\",\"more\":1}",
        b"{\"key\":\"x\"}",
        b"{\"key_hex\":\"00\"}",
        b"[1,2]",
    ];
    let mut entries: Entries = texts.iter().map(|text| (text.to_vec(), text.to_vec())).collect();
    entries.extend(
        texts.iter().enumerate().map(|(i, text)| (format!("value {i:02}").into_bytes(), text.to_vec())),
    );
    entries.extend((0..=255).map(|byte| (vec![b'k', byte], vec![byte, byte.wrapping_mul(3)])));
    entries.sort();
    entries
}

fn exported(store: &Path, args: &[&str]) -> Vec<u8> {
    let run = lsmkit([&["export", store.to_str().unwrap()], args].concat());
    assert_eq!(run.code, 0, "{run:?}");
    run.out
}

#[test]
fn what_is_exported_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    store(&from, &nasty());
    for (i, (format, option)) in [
        ("ndjson", ""),
        ("ndjson", "--hex"),
        ("ndjson", "--columns"),
        ("tsv", ""),
        ("tsv", "--hex"),
        ("csv", ""),
        ("csv", "--hex"),
    ]
    .into_iter()
    .enumerate()
    {
        let args: Vec<&str> =
            ["--format", format, option].into_iter().filter(|arg| !arg.is_empty()).collect();
        let text = exported(&from, &args);
        let to = dir.path().join(format!("to-{i}"));
        lsmkit_with(["import", to.to_str().unwrap(), "-", "--format", format], &text).ok();
        assert!(entries(&to) == nasty(), "{format} {option}\n{}", String::from_utf8_lossy(&text));
        // And once more: the same bytes.
        assert_eq!(exported(&to, &args), text);
        // Escaped or in hexadecimal digits nothing is there that a terminal would obey.
        assert!(text.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\n' | b'\t')));
    }
}

#[test]
fn files_are_told_by_their_names_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    store(&from, &nasty());
    for name in ["a.ndjson", "a.jsonl.gz", "a.tsv", "a.tsv.gz", "a.csv", "a.csv.gz"] {
        let file = dir.path().join(name);
        let run = lsmkit(["export".as_ref(), from.as_os_str(), "-o".as_ref(), file.as_os_str()]);
        assert_eq!((run.code, &*run.out), (0, &b""[..]), "{run:?}");
        let mut magic = [0; 2];
        std::fs::File::open(&file).unwrap().read_exact(&mut magic).unwrap();
        assert_eq!(magic == [0x1f, 0x8b], name.ends_with(".gz"));
        let to = dir.path().join(format!("to-{name}"));
        lsmkit(["import".as_ref(), to.as_os_str(), file.as_os_str()]).ok();
        assert_eq!(entries(&to), nasty());
    }
    // The store, six files, six stores, and nothing half written.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 13);
    let said = lsmkit(["export".as_ref(), from.as_os_str(), "-o".as_ref(), "a.xml".as_ref()]).fails(2);
    assert!(said.contains("does not tell a format"), "{said}");
}

#[test]
fn a_table_becomes_objects_and_a_table_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let path = path.to_str().unwrap();
    let csv = "key,name,note\na,Ana,\"x, \"\"y\"\"\"\nb,Bo,two\\nlines\n";
    lsmkit_with(["import", path, "-", "--format", "csv"], csv.as_bytes()).ok();
    assert_eq!(lsmkit(["get", path, "b", "--raw"]).ok(), r#"{"name":"Bo","note":"two\\nlines"}"#);
    assert_eq!(lsmkit(["export", path, "--columns", "--format", "csv"]).ok(), csv);
    assert_eq!(
        lsmkit(["export", path, "--columns", "--format", "tsv", "--prefix", "b"]).ok(),
        "key\tname\tnote\nb\tBo\ttwo\\nlines\n"
    );
    assert_eq!(
        lsmkit(["export", path, "--columns", "--from", "a", "--to", "b"]).ok(),
        "{\"key\":\"a\",\"name\":\"Ana\",\"note\":\"x, \\\"y\\\"\"}\n"
    );
    lsmkit(["put", path, "c", "no object"]).ok();
    let said = lsmkit(["export", path, "--columns", "--format", "csv"]).fails(4);
    assert!(said.contains("the record c fits no table") && said.contains("without --columns"), "{said}");
    assert!(
        lsmkit(["export", path, "--columns"]).ok().ends_with("{\"key\":\"c\",\"value\":\"no object\"}\n")
    );

    lsmkit(["put", path, "c", r#"{"name":"a\\tb","note":""}"#]).ok();
    assert!(lsmkit(["export", path, "--columns", "--format", "tsv"]).fails(4).contains("TSV holds no tabs"));
    lsmkit(["export", path, "--columns", "--format", "csv"]).ok();
}

#[test]
fn columns_are_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let import = |format: &str, text: &str, args: &[&str]| {
        let path = dir.path().join("store");
        let _ = std::fs::remove_dir_all(&path);
        let run = lsmkit_with(
            [&["import", path.to_str().unwrap(), "-", "--format", format], args].concat(),
            text.as_bytes(),
        );
        match run.code {
            0 => lsmkit(["scan".as_ref(), path.as_os_str()]).ok(),
            code => run.fails(code),
        }
    };
    let csv = "id,name\n7,Ana\n";
    assert_eq!(import("csv", csv, &["--key", "id"]), "7\t{\"name\":\"Ana\"}\n");
    assert_eq!(import("csv", csv, &["--key", "2", "--value", "id"]), "Ana\t7\n");
    assert_eq!(import("csv", csv, &["--key", "1", "--header", "no"]), "7\tAna\nid\tname\n");
    assert_eq!(import("tsv", "7\tAna\tx\n", &["--header", "no"]), "7\t{\"2\":\"Ana\",\"3\":\"x\"}\n");
    assert_eq!(import("tsv", "key\tvalue\nk\tC:\\dir\n", &[]), "k\tC:\\\\dir\n");
    assert_eq!(import("tsv", "key\tvalue\nk\tv\n", &["--rest"]), "k\t{\"value\":\"v\"}\n");
    assert_eq!(import("csv", "\u{feff}key,value\r\nk,v\r\n\r\n", &[]), "k\tv\n");
    assert_eq!(import("csv", "", &[]), "");

    let json = "{\"key\": 7, \"n\": [1, 2.50], \"s\": \"x\"}\n\n";
    assert_eq!(import("ndjson", json, &[]), "7\t{\"n\":[1, 2.50],\"s\":\"x\"}\n");
    assert_eq!(import("ndjson", json, &["--key", "s", "--value", "n"]), "x\t[1, 2.50]\n");
    assert_eq!(import("ndjson", "{\"key\":\"a\",\"value\":{\"n\":1}}", &[]), "a\t{\"n\":1}\n");
    assert_eq!(import("ndjson", "{\"key\":\"a\"}", &[]), "a\t{}\n");

    for (format, text, args, what) in [
        ("csv", csv, &[][..], "no column is called \"key\" (\"id\", \"name\")"),
        ("csv", csv, &["--key", "3"], "no column \"3\""),
        ("csv", csv, &["--key", "id", "--value", "x"], "no column \"x\""),
        ("csv", "key,a,a\n1,2,3\n", &[], "two columns are called \"a\""),
        ("tsv", "key\tkey_hex\n", &[], "several columns are keys"),
        ("ndjson", "{\"key\":null}", &[], "line 1: the member \"key\" is neither"),
        ("ndjson", "{\"key\":\"a\",\"key_hex\":\"00\"}", &[], "line 1: both"),
        ("ndjson", "{\"key\":\"a\",\"a\":1,\"a\":2}", &[], "\"a\" is there twice"),
        ("ndjson", "[]", &[], "line 1: no JSON object"),
    ] {
        let said = import(format, text, args);
        assert!(said.starts_with("error: ") && said.contains(what), "{text}: {said}");
    }
}

#[test]
fn a_bad_record_ends_an_import_and_what_was_before_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let line = |i: usize| match i {
        1999 => "{\"key\":\"broken\",\n".to_owned(),
        i => format!("{{\"key\":\"{i:05}\",\"value\":\"v\"}}\n"),
    };
    let text: String = (0..3000).map(line).collect();
    let file = dir.path().join("records.ndjson");
    std::fs::write(&file, &text).unwrap();
    let (path, file) = (dir.path().join("store"), file.to_str().unwrap());
    let store = path.to_str().unwrap();

    let run = lsmkit(["import", store, file]);
    assert!(String::from_utf8_lossy(&run.out).starts_with("imported 1,999 records ("), "{run:?}");
    let said = run.fails(4);
    assert!(said.contains("records.ndjson: line 2000: no JSON object: EOF while parsing"), "{said}");
    assert!(
        said.contains("the 1,999 records before it are kept and durable; nothing after it was read"),
        "{said}"
    );
    assert!(said.contains("--skip-bad"), "{said}");
    assert_eq!(entries(&path).len(), 1999);

    let run = lsmkit(["import", store, file, "--skip-bad", "--durability", "none"]);
    assert!(run.err.contains("records.ndjson: line 2000: no JSON object"), "{run:?}");
    assert!(run.ok().contains("imported 2,999 records ("));
    assert_eq!(entries(&path).len(), 2999);

    lsmkit(["import", store, file, "--limit", "10", "--keyspace", "ten"]).ok();
    assert_eq!(lsmkit(["scan", store, "--keyspace", "ten"]).ok().lines().count(), 10);
}

#[test]
fn bad_records_of_each_format_are_named_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let store = store.to_str().unwrap();
    let long_key = format!("key\tvalue\n{}\tv\n", "k".repeat(65_537));
    for (format, text, line, what) in [
        ("tsv", &b"key\tvalue\na\t1\n\nb\n"[..], 4, "1 columns, where the first line has 2"),
        ("tsv", b"key_escaped\tvalue\na\t1\nb\\q\t2\n", 3, r#"the column "key_escaped": \q is no escape"#),
        ("tsv", b"key_hex\tvalue\n0\t1\n", 2, "1 hexadecimal digits"),
        ("tsv", b"key\tname\na\t\xff\n", 2, "\"name\" is not UTF-8"),
        ("tsv", long_key.as_bytes(), 2, "a key of 65537 bytes; the longest has 65536"),
        ("csv", b"key,value\n\"a\nb\",1\nc,2,3\n", 4, "3 columns, where the first line has 2"),
        ("csv", b"key,value\na,1\n\"b,2\nc,3\n", 3, "1 of 2 columns; perhaps a quote is not closed"),
        ("ndjson", b"{\"key\":\"a\"}\n\xff\n", 2, "not UTF-8 from byte 1"),
        ("ndjson", b"{\"key_hex\":\"zz\"}\n", 1, "zz is not hexadecimal"),
    ] {
        let said = lsmkit_with(["import", store, "-", "--format", format], text).fails(4);
        assert!(said.contains(&format!("standard input: line {line}: ")) && said.contains(what), "{said}");
        let run = lsmkit_with(["import", store, "-", "--format", format, "--skip-bad"], text);
        assert!(run.ok().contains("; 1 bad record passed over"));
    }
    // Whatever is in an input, a message stays readable.
    for format in ["tsv", "csv", "ndjson"] {
        for text in [vec![0; 3 << 20], b"a\t".repeat(1 << 20), b"{\"".repeat(1 << 20), b"a,".repeat(1 << 20)]
        {
            let said = lsmkit_with(["import", store, "-", "--format", format], &text).fails(4);
            assert!(said.len() < 1000, "{}", &said[..1000]);
        }
    }
    let many = [&b"key\tvalue\n"[..], &b"bad\n".repeat(25)].concat();
    let run = lsmkit_with(["import", store, "-", "--format", "tsv", "--skip-bad"], &many);
    assert_eq!(run.err.lines().count(), 10);
    assert!(run.ok().contains("imported 0 records"));
}

#[test]
fn an_input_that_ends_too_early_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let text: String = std::iter::once("key\tvalue\n".to_owned())
        .chain((0..50_000_u64).map(|i| format!("{i:05}\t{}\n", i * i)))
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let half = dir.path().join("half.tsv.gz");
    std::fs::write(&half, &gzip[..gzip.len() / 2]).unwrap();
    let said = lsmkit(["import".as_ref(), path.as_os_str(), half.as_os_str()]).fails(4);
    assert!(said.contains("on the input can't be read") && said.contains("before it are kept"), "{said}");
    let kept = entries(&path).len();
    assert!(
        said.contains(&format!("the {},{:03} records before it", kept / 1000, kept % 1000)),
        "{kept}: {said}"
    );

    let none = dir.path().join("none");
    for (file, code) in [("/nowhere.tsv", 4), ("/nowhere", 2), (dir.path().to_str().unwrap(), 2)] {
        lsmkit(["import", none.to_str().unwrap(), file]).fails(code);
    }
    assert!(!none.exists(), "no store is made where nothing can be read");
}
