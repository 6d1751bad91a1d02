//! Tests an application against power failures, as the store itself is tested: on a disk in memory that forgets what was not
//! synced, without a thread, so that a seed repeats a whole run.
//!
//! The application is a bank. Money moves between accounts, each move a batch with an entry in a journal. What it promises: no money comes or goes, and
//! a move that was confirmed to a customer is in the journal for good.
//!
//! ```text
//! cargo run --example crash_test -p lsmkit
//! cargo run --example crash_test -p lsmkit -- 0..10000
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::ops::Range;

use lsmkit::parts::{FaultFs, MemFs};
use lsmkit::{Background, Db, Durability, Keyspace, KeyspaceOptions, Options, Standard, WriteBatch};

const ACCOUNTS: u64 = 20;
const MONEY: u64 = 1000;

/// The application. It knows nothing of its being tested.
struct Bank {
    db: Db,
    journal: Keyspace,
}

impl Bank {
    fn open(db: Db) -> Result<Bank, lsmkit::Error> {
        let journal = db.keyspace("journal", KeyspaceOptions::new())?;
        let mut batch = WriteBatch::new();
        for account in 0..ACCOUNTS {
            if db.get(account.to_be_bytes())?.is_none() {
                batch.put(account.to_be_bytes(), MONEY.to_le_bytes());
            }
        }
        db.write_with(batch, Durability::Synced)?;
        Ok(Bank { db, journal })
    }

    fn balance(&self, account: u64) -> Result<u64, lsmkit::Error> {
        let balance = self.db.get(account.to_be_bytes())?;
        Ok(balance.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_le_bytes))
    }

    /// Moves money, if there is enough. Once this returns, the customer is told so.
    fn transfer(&self, number: u64, from: u64, to: u64, amount: u64) -> Result<bool, lsmkit::Error> {
        let (left, right) = (self.balance(from)?, self.balance(to)?);
        if from == to || left < amount {
            return Ok(false);
        }
        let mut batch = WriteBatch::new();
        batch.put(from.to_be_bytes(), (left - amount).to_le_bytes());
        batch.put(to.to_be_bytes(), (right + amount).to_le_bytes());
        batch.put_in(&self.journal, number.to_be_bytes(), amount.to_le_bytes());
        self.db.write_with(batch, Durability::Synced)?;
        Ok(true)
    }
}

/// One run: customers, background work, and now and then a power failure in the middle of something.
fn run(seed: u64) -> Result<(), Box<dyn Error>> {
    let mut random = Random(seed);
    let mut disk = MemFs::new();
    let mut confirmed = BTreeSet::new();
    let mut number = 0;
    for life in 0..6 {
        let fs = FaultFs::new(disk.shared());
        // Some lives are cut short while the bank opens, some run long enough to flush and compact.
        fs.power_off_at(1 + random.below(if life % 2 == 0 { 400 } else { 40 }));
        let options =
            Options::new().memtable_bytes(4 << 10).background(Background::Steps).uid_seed(seed * 10 + life);
        let opened = options.open_with(Standard, fs.shared(), "/bank").and_then(Bank::open);
        if let Ok(bank) = &opened {
            loop {
                number += 1;
                let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
                match bank.transfer(number, from, to, random.below(MONEY)) {
                    Ok(true) => _ = confirmed.insert(number),
                    Ok(false) => {}
                    // The power is off.
                    Err(_) => break,
                }
                let _ = bank.db.step();
            }
        }
        // Each block that was not synced is there or not, as the seed says.
        disk = disk.crash(random.below(u64::MAX));
        drop(opened);
        check(&disk, &confirmed).map_err(|e| format!("seed {seed}, life {life}: {e}"))?;
    }
    Ok(())
}

/// What the bank promises, looked at from outside.
fn check(disk: &MemFs, confirmed: &BTreeSet<u64>) -> Result<(), Box<dyn Error>> {
    let options = Options::new().background(Background::Steps);
    let db = options.open_with(Standard, disk.kill().shared(), "/bank")?;
    let journal = db.keyspace("journal", KeyspaceOptions::new())?;
    // As they are, before the bank opens accounts that are not there; it may not have come to that yet.
    let accounts: Vec<_> = db.scan(..).collect::<Result<_, _>>()?;
    let balances = accounts.iter().map(|(_, balance)| balance.as_ref().try_into().map(u64::from_le_bytes));
    let money: u64 = balances.sum::<Result<u64, _>>()?;
    let was_opened = !accounts.is_empty() || !confirmed.is_empty();
    if was_opened && money != ACCOUNTS * MONEY {
        return Err(format!("{money} in all accounts, rather than {}", ACCOUNTS * MONEY).into());
    }
    for number in confirmed {
        if journal.get(number.to_be_bytes())?.is_none() {
            return Err(format!("move {number} was confirmed and is gone").into());
        }
    }
    Ok(())
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

fn seeds() -> Result<Range<u64>, Box<dyn Error>> {
    let Some(given) = std::env::args().nth(1) else { return Ok(0..100) };
    let (from, to) = given.split_once("..").ok_or("seeds are a range such as 0..10000")?;
    Ok(from.parse()?..to.parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = seeds()?;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        run(seed)?;
    }
    println!(
        "{count} seeds, six power failures each: no money came or went, and every confirmed move is in the journal"
    );
    Ok(())
}
