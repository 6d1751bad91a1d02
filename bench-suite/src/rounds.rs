//! Runs engines in turn, each in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use clap::Args;

use crate::child::OwnChild;
use crate::engines::EngineName;
use crate::figures::{Failure, Line, Run};
use crate::load::Load;
use crate::place::Place;
use crate::process;
use crate::progress::{Display, Told};
use crate::table;
use crate::workloads::{Contents, Task};

/// Runs workloads on engines.
#[derive(Args, Debug)]
pub(crate) struct Rounds {
    #[command(flatten)]
    load: Load,
    /// Which engines [default: all that are built in; with --quick, lsmkit]
    #[arg(long, value_enum, value_delimiter = ',')]
    engines: Vec<EngineName>,
    /// How often each engine runs; medians are shown [default: 3; with --quick, 1]
    #[arg(long)]
    rounds: Option<u32>,
    #[command(flatten)]
    place: Place,
    /// A run of about a minute that shows that everything works, and not how fast it is
    #[arg(long)]
    quick: bool,
}

impl Rounds {
    /// Runs it all, writes down what it found, and prints the table.
    pub(crate) fn run(mut self) -> Result<()> {
        self.load.resolve(self.quick)?;
        if self.engines.is_empty() {
            self.engines = EngineName::usual(self.quick);
        }
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { 3 });
        ensure!(rounds > 0, "there must be at least one round");
        let legs = legs(&self.load.tasks());

        let parent = self.place.stores()?;
        let mut output = self.place.output()?;
        output.add(Line::Run(self.head(rounds, &parent)))?;
        let display = Display::new(u64::from(rounds) * (self.load.tasks().len() * self.engines.len()) as u64);
        // Leg by leg rather than engine by engine, so that a machine that slows down meanwhile slows
        // down all of them.
        for round in 1..=rounds {
            for leg in &legs {
                for &engine in &self.engines {
                    let of = format!("round {round} of {rounds}  {engine}");
                    self.run_leg(engine, leg, &parent, &display, &of, |line| {
                        output.add(at_round(line, round))
                    })?;
                }
            }
        }
        display.finish();
        print!("{}", table::of(output.lines()));
        output.finish()?;
        let failures = output.lines().iter().filter(|line| matches!(line, Line::Failure(_))).count();
        ensure!(failures == 0, "{failures} workloads failed");
        Ok(())
    }

    fn head(&self, rounds: u32, dir: &Path) -> Run {
        let options = self.load.options();
        let engines: Vec<_> = self.engines.iter().map(EngineName::to_string).collect();
        let command = format!(
            "{}cargo run --release -p lsmkit-bench-suite{} -- run {} --engines={} --rounds={rounds}",
            process::flags(),
            if self.engines.iter().any(|engine| engine.is_peer()) { " --features peers" } else { "" },
            self.load.to_args().join(" "),
            engines.join(","),
        );
        Run {
            date: process::date(),
            machine: process::machine(dir),
            version: process::version(),
            build: process::build(),
            command,
            options,
            engines,
            workloads: self.load.tasks().iter().map(Task::to_string).collect(),
            rounds,
        }
    }

    /// Runs one leg of one engine. What goes wrong there is written down and doesn't end the run.
    fn run_leg(
        &self,
        engine: EngineName,
        leg: &[Task],
        parent: &Path,
        display: &Display,
        of: &str,
        mut add: impl FnMut(Line) -> Result<()>,
    ) -> Result<()> {
        let dir = tempfile::Builder::new().prefix("lsmkit-bench-").tempdir_in(parent)?;
        let mut left: Vec<_> = leg.iter().map(Task::to_string).collect();
        let ended = self.run_process(engine, leg, dir.path(), |told| {
            match told {
                Told::Begun { .. } => display.begin(&format!("{of} {}", left[0])),
                Told::Progress(progress) => display.show(progress),
                Told::Ended(figures) => {
                    display.end();
                    ensure!(!left.is_empty() && figures.workload == left.remove(0), "workloads out of turn");
                    add(Line::Figures(figures))?;
                }
            }
            Ok(())
        })?;
        if let Err(error) = ended {
            display.say(&format!("{of}: {error}"));
            left.iter().for_each(|_| display.end());
            let workload = left.join(",");
            add(Line::Failure(Failure { engine: engine.to_string(), round: 0, workload, error }))?;
        }
        Ok(())
    }

    /// Starts the process and listens to it. Gives what went wrong in it, if something did.
    fn run_process(
        &self,
        engine: EngineName,
        leg: &[Task],
        dir: &Path,
        mut hear: impl FnMut(Told) -> Result<()>,
    ) -> Result<Result<(), String>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["session", "--tell"])
            .arg(format!("--engine={engine}"))
            .arg("--dir")
            .arg(dir)
            .args(self.load.with_tasks(leg).to_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = OwnChild::start(&mut command)?;
        let errors = child.get().stderr.take().expect("because it is piped");
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            BufReader::new(errors).read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
        });
        let mut says = BufReader::new(child.get().stdout.take().expect("because it is piped"));
        let mut line = Vec::new();
        while says.read_until(b'\n', &mut line)? > 0 {
            // An engine may print something of its own.
            if let Ok(told) = serde_json::from_slice(&line) {
                hear(told)?;
            }
            line.clear();
        }
        let status = child.wait()?;
        let errors = errors.join().expect("because reading doesn't panic")?;
        Ok(match status.success() {
            true => Ok(()),
            false => Err(format!("{status}: {}", errors.trim())),
        })
    }
}

/// Cuts the workloads wherever one begins with an empty directory: what comes before makes no
/// difference to it.
fn legs(tasks: &[Task]) -> Vec<Vec<Task>> {
    let mut legs: Vec<Vec<Task>> = Vec::new();
    for &task in tasks {
        match legs.last_mut() {
            Some(leg) if task.workload.needs() != Contents::Nothing => leg.push(task),
            _ => legs.push(vec![task]),
        }
    }
    legs
}

fn at_round(line: Line, at: u32) -> Line {
    match line {
        Line::Figures(mut figures) => {
            figures.round = at;
            Line::Figures(figures)
        }
        Line::Failure(failure) => Line::Failure(Failure { round: at, ..failure }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_begins_with_an_empty_store() {
        let tasks: Vec<Task> = ["readseq", "fillseq", "readseq", "ycsbd@2", "readhot", "openlog"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        let legs: Vec<usize> = legs(&tasks).iter().map(Vec::len).collect();
        assert_eq!(legs, [1, 4, 1]);
    }
}
