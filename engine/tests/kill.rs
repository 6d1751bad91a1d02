//! Processes that are killed while they write, flush and compact, on the file system of the machine.
//!
//! The test program starts itself again as the process to be killed: see [`child`].

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use lsmkit::parts::Leveled;
use lsmkit::{Db, Durability, Error, Keyspace, KeyspaceOptions, Options, WriteBatch};

/// Tells the test program that it is to be a child, and which one.
const ROLE: &str = "LSMKIT_KILL_ROLE";
/// Where the child's store stands.
const DIR: &str = "LSMKIT_KILL_DIR";
/// The keyspaces that the writers write to.
const KEYSPACES: [&str; 2] = ["even", "odd"];
/// The key of the number of the last batch.
const LAST: &[u8] = b"last";
/// A child whose parent has forgotten it ends by itself.
const CHILD_LIVES_AT_MOST: Duration = Duration::from_secs(30);
/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// So small that flushes and compactions go on all the time.
fn tiny() -> Options {
    Options::new()
        .memtable_bytes(32 << 10)
        .log_bytes_max(128 << 10)
        .cache_bytes(256 << 10)
        .block_bytes(1 << 10)
        .leveled(Leveled::default().level0_trigger(2).base_bytes(64 << 10).table_bytes(16 << 10))
}

fn open(dir: &Path) -> Result<(Db, [Keyspace; 2]), Error> {
    let db = tiny().open(dir)?;
    let keyspace = |name| db.keyspace(name, KeyspaceOptions::new());
    let keyspaces = [keyspace(KEYSPACES[0])?, keyspace(KEYSPACES[1])?];
    Ok((db, keyspaces))
}

/// A keyspace as it should be.
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A key, and its value unless it is a delete.
type KeyWrite = (Vec<u8>, Option<Vec<u8>>);

/// What batch `n` of writer `writer` writes to each of two keyspaces.
fn writes_of(writer: usize, n: u64) -> [Vec<KeyWrite>; 2] {
    let value = |salt: u64| {
        let len = 40 + (n * 37 + salt * 101) % 300;
        Some(format!("{writer}.{n}.{salt}|").into_bytes().into_iter().cycle().take(len as usize).collect())
    };
    let key = |k: u64| format!("key{k:05}").into_bytes();
    let last = || (LAST.to_vec(), Some(n.to_le_bytes().to_vec()));
    let first = vec![
        (key(n * 7 % 1201), value(0)),
        (key(n * 13 % 997), (!n.is_multiple_of(3)).then(|| value(1)).flatten()),
        last(),
    ];
    let second = vec![
        (key(n * 11 % 1409), value(2)),
        (key(n * 5 % 613), (!n.is_multiple_of(4)).then(|| value(3)).flatten()),
        (key(n * 11 % 1409), (!n.is_multiple_of(10)).then(|| value(4)).flatten()),
        last(),
    ];
    [first, second]
}

/// Who writes where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writers {
    /// One thread, whose batches go to both keyspaces.
    One,
    /// Two threads, one for each keyspace.
    Two,
}

impl Writers {
    fn role(self) -> &'static str {
        match self {
            Writers::One => "one writer",
            Writers::Two => "two writers",
        }
    }

    fn count(self) -> usize {
        match self {
            Writers::One => 1,
            Writers::Two => 2,
        }
    }

    /// What batch `n` of `writer` writes: the number of the keyspace and the writes.
    fn batch(self, writer: usize, n: u64) -> Vec<(usize, Vec<KeyWrite>)> {
        let [first, second] = writes_of(writer, n);
        match self {
            Writers::One => vec![(0, first), (1, second)],
            Writers::Two if writer == 0 => vec![(0, first)],
            Writers::Two => vec![(1, second)],
        }
    }
}

// ---- What the children do -------------------------------------------------------------------------

/// Not a test: what the processes run that the tests start. Returns at once where nobody has started it so.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    std::thread::spawn(|| {
        std::thread::sleep(CHILD_LIVES_AT_MOST);
        std::process::exit(3);
    });
    let dir = std::env::var_os(DIR).unwrap();
    let dir = Path::new(&dir);
    match role.as_str() {
        "one writer" => write_until_killed(dir, Writers::One),
        "two writers" => write_until_killed(dir, Writers::Two),
        "opener" => open_when_told(dir),
        other => panic!("no such role: {other}"),
    }
}

/// Says something to the parent, past the test harness, which keeps what is printed. The line ahead of
/// it ends what the harness may have begun.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}

fn write_until_killed(dir: &Path, writers: Writers) {
    let (db, keyspaces) = open(dir).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..writers.count() {
            let (db, keyspaces) = (&db, &keyspaces);
            scope.spawn(move || {
                let first = last_number(&keyspaces[writer]).unwrap() + 1;
                for n in first.. {
                    let mut batch = WriteBatch::new();
                    for (keyspace, writes) in writers.batch(writer, n) {
                        for (key, value) in writes {
                            match value {
                                Some(value) => batch.put_in(&keyspaces[keyspace], key, value),
                                None => batch.delete_in(&keyspaces[keyspace], key),
                            };
                        }
                    }
                    let durability =
                        if n.is_multiple_of(50) { Durability::Synced } else { Durability::Buffered };
                    db.write_with(batch, durability).unwrap();
                    say(&format!("wrote {writer} {n}"));
                    if n.is_multiple_of(100) {
                        let stats = db.stats();
                        say(&format!("did {} {}", stats.flushes.count, stats.compactions.count));
                    }
                }
            });
        }
    });
}

/// The number of the last batch that a keyspace holds; 0 for none.
fn last_number(keyspace: &Keyspace) -> Result<u64, Error> {
    let last = keyspace.get(LAST)?;
    Ok(last.map_or(0, |bytes| u64::from_le_bytes(bytes.as_ref().try_into().unwrap())))
}

/// Opens a store when told to, says what came of it, and lets go when told to.
fn open_when_told(dir: &Path) {
    say("ready");
    let mut orders = std::io::stdin().lines();
    let mut store: Option<Db> = None;
    while let Some(Ok(order)) = orders.next() {
        match order.split_once(' ') {
            Some(("open", name)) => {
                let outcome = tiny().open(dir.join(name)).map(|db| store = Some(db));
                say(&told(outcome));
            }
            Some(("read", name)) => {
                let outcome = tiny().open_read_only(dir.join(name)).map(|db| store = Some(db));
                say(&told(outcome));
            }
            _ => {
                store = None;
                say("closed");
            }
        }
    }
    drop(store);
}

fn told(outcome: Result<(), Error>) -> String {
    match outcome {
        Ok(()) => "won".to_owned(),
        Err(Error::Locked(_)) => "locked".to_owned(),
        Err(error) => format!("failed: {error:?}"),
    }
}

// ---- What the parent does -------------------------------------------------------------------------

/// Held while a process is started, and while this process has a store open: a process that is being
/// started holds all files of its parent for a moment, and with them their locks.
static STARTING: Mutex<()> = Mutex::new(());

fn nobody_starts() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process; killed, if it still runs, when it is dropped.
struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(role: &str, dir: &Path) -> Process {
        let _alone = nobody_starts();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let stdout: Lines<BufReader<ChildStdout>> = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            // A line that was cut by the kill would be one that was never said.
            stdout.map_while(Result::ok).try_for_each(|line| send.send(line)).ok();
        });
        Process { orders: child.stdin.take(), child, lines }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
    }

    /// The next line the child has said; not what its test harness says.
    fn answer(&self) -> String {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(error) => panic!("the other process hangs or has died: {error}"),
            };
            if ["ready", "won", "locked", "failed", "closed"].iter().any(|word| line.starts_with(word)) {
                return line;
            }
        }
    }

    /// Kills it, and gives all it has said that nobody has heard yet.
    fn kill(mut self) -> Vec<String> {
        assert_eq!(self.child.try_wait().unwrap(), None, "the writer has ended before it was killed");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small seeded generator: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// How many kills each test does.
fn kills() -> u64 {
    std::env::var("LSMKIT_KILLS").map_or(20, |given| given.parse().expect("LSMKIT_KILLS is a number"))
}

/// What the parent knows of one writer.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The last batch that was acknowledged.
    acknowledged: u64,
    /// How many batches may have been written since without the writer having said so: one for each kill.
    in_flight: u64,
    /// How many batches the models hold.
    modelled: u64,
}

impl Known {
    fn hear(&mut self, n: u64, context: &str) {
        let expected = self.acknowledged + 1..=self.acknowledged + 1 + self.in_flight;
        assert!(
            expected.contains(&n),
            "{context}: batch {n} after {self:?}: the store has lost or made up some"
        );
        (self.acknowledged, self.in_flight) = (n, 0);
    }
}

fn killed_writers_lose_nothing(writers: Writers, seed: u64) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    let mut random = Random(seed);
    let mut models = [Model::new(), Model::new()];
    let mut known = vec![Known::default(); writers.count()];
    let (mut flushes, mut compactions) = (0, 0);
    for kill in 0..kills() {
        let context = format!("{}, seed {seed}, kill {kill}", writers.role());
        let process = Process::start(writers.role(), &dir);
        // Some are killed while they open the store.
        if !kill.is_multiple_of(4) {
            let begun = Instant::now();
            let first = process.lines.iter().find_map(|line| wrote(&line));
            let Some((writer, n)) = first else { panic!("{context}: the writer has ended by itself") };
            known[writer].hear(n, &context);
            assert!(begun.elapsed() < PATIENCE, "{context}: opening takes {:?}", begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5 + random.below(196)));
        let lines = process.kill();
        for (writer, n) in lines.iter().filter_map(|line| wrote(line)) {
            known[writer].hear(n, &context);
        }
        known.iter_mut().for_each(|known| known.in_flight += 1);
        let did = lines.iter().filter_map(|line| numbers(line, "did ")).next_back().unwrap_or_default();
        (flushes, compactions) = (flushes + did.0, compactions + did.1);
        // Now and then the next writer has to open what two kills have left.
        if kill % 3 != 1 {
            reopen_and_check(&dir, writers, &mut known, &mut models, &context);
        }
    }
    reopen_and_check(&dir, writers, &mut known, &mut models, &format!("{}, at the end", writers.role()));
    // Otherwise the kills would have met little work.
    assert!(flushes >= kills() && compactions >= kills() / 2, "{flushes} flushes, {compactions} compactions");
}

fn wrote(line: &str) -> Option<(usize, u64)> {
    numbers(line, "wrote ").map(|(writer, n)| (writer as usize, n))
}

/// The two numbers of a line that begins so.
fn numbers(line: &str, begins: &str) -> Option<(u64, u64)> {
    let (first, second) = line.strip_prefix(begins)?.split_once(' ')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

/// The store holds exactly the batches up to some number that is none before the last acknowledged one
/// and none that nobody has tried to write.
fn reopen_and_check(
    dir: &Path,
    writers: Writers,
    known: &mut [Known],
    models: &mut [Model; 2],
    context: &str,
) {
    let _alone = nobody_starts();
    let (db, keyspaces) = open(dir).unwrap_or_else(|e| panic!("{context}: does not open: {e}"));
    for (writer, known) in known.iter_mut().enumerate() {
        let last = last_number(&keyspaces[writer]).unwrap();
        let possible = known.acknowledged..=known.acknowledged + known.in_flight;
        assert!(
            possible.contains(&last),
            "{context}: the store ends with batch {last} of {writer}: {known:?}"
        );
        for n in known.modelled + 1..=last {
            for (keyspace, writes) in writers.batch(writer, n) {
                for (key, value) in writes {
                    match value {
                        Some(value) => models[keyspace].insert(key, value),
                        None => models[keyspace].remove(&key),
                    };
                }
            }
        }
        *known = Known { acknowledged: last, in_flight: 0, modelled: last };
    }
    for (keyspace, model) in keyspaces.iter().zip(&*models) {
        let found: Model = keyspace
            .scan(..)
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|e| panic!("{context}: {}: {e}", keyspace.name()));
        if found != *model {
            let differs = |key: &&Vec<u8>| found.get(*key) != model.get(*key);
            let key = model.keys().chain(found.keys()).find(differs).unwrap();
            let show =
                |bytes: Option<&Vec<u8>>| bytes.map(|b| b[..b.len().min(16)].escape_ascii().to_string());
            panic!(
                "{context}: {} of {known:?}: {}: expected {:?}, found {:?}",
                keyspace.name(),
                key.escape_ascii(),
                show(model.get(key)),
                show(found.get(key))
            );
        }
        for (key, value) in model.iter().step_by(17) {
            assert_eq!(keyspace.get(key).unwrap().as_deref(), Some(&value[..]), "{context}");
        }
    }
    db.verify().unwrap_or_else(|e| panic!("{context}: verify: {e}"));
    drop(keyspaces);
    db.close().unwrap_or_else(|e| panic!("{context}: close: {e}"));
}

#[test]
fn a_killed_writer_loses_nothing_it_was_told_is_there() {
    killed_writers_lose_nothing(Writers::One, 1);
}

#[test]
fn two_killed_writers_lose_nothing_they_were_told_is_there() {
    killed_writers_lose_nothing(Writers::Two, 2);
}

#[test]
fn of_two_processes_that_open_a_store_one_gets_it() {
    let temp = tempfile::tempdir().unwrap();
    let mut openers = [Process::start("opener", temp.path()), Process::start("opener", temp.path())];
    for opener in &openers {
        assert_eq!(opener.answer(), "ready");
    }
    let alone = nobody_starts();
    open(&temp.path().join("store")).unwrap().0.close().unwrap();
    drop(alone);
    for round in 0..10 {
        openers.iter_mut().for_each(|opener| opener.order("open store"));
        let mut answers = openers.each_ref().map(Process::answer);
        answers.sort();
        assert_eq!(answers, ["locked", "won"], "round {round}");
        openers.iter_mut().for_each(|opener| opener.order("close"));
        assert_eq!(openers.each_ref().map(Process::answer), ["closed", "closed"]);
    }
}

#[test]
fn readers_and_a_writer_keep_each_other_out() {
    let temp = tempfile::tempdir().unwrap();
    let mut opener = Process::start("opener", temp.path());
    assert_eq!(opener.answer(), "ready");
    let dir = temp.path().join("store");
    let _alone = nobody_starts();

    // A reader beside a writer.
    let (db, _) = open(&dir).unwrap();
    db.put("key", "value").unwrap();
    opener.order("read store");
    assert_eq!(opener.answer(), "locked");
    // In the same process as well.
    assert!(matches!(tiny().open_read_only(&dir), Err(Error::Locked(_))));
    assert!(matches!(tiny().open(&dir), Err(Error::Locked(_))));
    db.close().unwrap();

    // A writer beside a reader, though not a reader.
    opener.order("read store");
    assert_eq!(opener.answer(), "won");
    assert!(matches!(tiny().open(&dir), Err(Error::Locked(_))));
    let reader = tiny().open_read_only(&dir).unwrap();
    assert_eq!(reader.get("key").unwrap().as_deref(), Some(&b"value"[..]));
    assert!(matches!(reader.put("key", "other"), Err(Error::OpenedReadOnly)));
    drop(reader);
    opener.order("close");
    assert_eq!(opener.answer(), "closed");
    tiny().open(&dir).unwrap().close().unwrap();
}
