//! A process that writes until it is killed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use anyhow::Result;

use crate::child::OwnChild;
use crate::engines::EngineName;
use crate::load::Load;

/// The process, and what it says.
pub(crate) struct Victim {
    child: OwnChild,
    says: ChildStdout,
}

impl Victim {
    /// Starts a process that puts the first `count` records of the load's order into a store in `dir`,
    /// and says after each that it is written.
    pub(crate) fn start(engine: EngineName, dir: &Path, load: &Load, count: u64) -> Result<Victim> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("victim")
            .arg(format!("--engine={engine}"))
            .arg("--dir")
            .arg(dir)
            .args(load.with_records(count).to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = OwnChild::start(&mut command)?;
        let says = child.get().stdout.take().expect("because it is piped");
        Ok(Victim { child, says })
    }

    /// Kills it once it has said that so many records are written, or has ended by itself, and gives how many
    /// it said.
    pub(crate) fn kill_after(mut self, count: u64) -> Result<u64> {
        let mut acknowledged = 0;
        let mut said = [0; 4096];
        while acknowledged < count {
            match self.says.read(&mut said)? {
                0 => break,
                // A byte for each record.
                more => acknowledged += more as u64,
            }
        }
        self.child.kill()?;
        let mut rest = Vec::new();
        self.says.read_to_end(&mut rest)?;
        Ok(acknowledged + rest.len() as u64)
    }
}

/// What that process does.
pub(crate) fn run(engine: EngineName, dir: &Path, load: &Load) -> Result<()> {
    let records = load.records()?;
    let store = engine.open(dir, &load.settings())?;
    let mut says = std::io::stdout();
    let mut key = Vec::new();
    for at in 0..records.count {
        let number = records.shuffled(at);
        records.key(number, &mut key);
        store.put(&key, records.value(number))?;
        // Handed to the system at once, so that what was said is known even of a process that is gone.
        says.write_all(b".")?;
        says.flush()?;
    }
    // Until it is killed, or whoever was to kill it is gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
