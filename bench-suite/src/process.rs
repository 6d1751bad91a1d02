//! What the operating system knows about this process and its files. What it can't tell is absent.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

/// The most that [`memory_bytes`] has told since the last [`reset_peak_memory`].
static PEAK_BYTES: AtomicU64 = AtomicU64::new(0);

/// The most that the process has had in memory of its own, whenever it was looked at since the last [`reset_peak_memory`].
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    memory_bytes().map(|_| PEAK_BYTES.load(Ordering::Relaxed))
}

/// What the process has in memory of its own now. Pages of files are the kernel's cache, which it may take back, whether
/// a process has mapped them or reads them by calls.
pub(crate) fn memory_bytes() -> Option<u64> {
    let kib = field(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")?;
    PEAK_BYTES.fetch_max(kib * 1024, Ordering::Relaxed);
    Some(kib * 1024)
}

/// Lets [`peak_memory_bytes`] begin anew.
pub(crate) fn reset_peak_memory() {
    PEAK_BYTES.store(0, Ordering::Relaxed);
}

/// Bytes that the process has had written to disk, through `write` or through mapped files. Linux counts a
/// page when it becomes dirty: one that is written again before it went to disk counts once.
pub(crate) fn written_bytes() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/io").ok()?, "write_bytes:")
}

/// Seconds that all threads of the process have computed, in user and in system mode.
pub(crate) fn cpu_seconds() -> Option<f64> {
    /// What Linux counts in, on every architecture it shows to programs.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name, in parentheses, and may itself hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The blocks that a directory and all below it take on disk. Not the lengths of its files: a log
/// may be longer than what was written to it, or hold room that nothing was written to.
pub(crate) fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Background work may remove a file at any time.
        let Ok(meta) = entry.metadata() else { continue };
        bytes += if meta.is_dir() { disk_bytes(&entry.path())? } else { allocated_bytes(&meta) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated_bytes(meta: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(meta) * 512
}

#[cfg(not(unix))]
fn allocated_bytes(meta: &fs::Metadata) -> u64 {
    meta.len()
}

/// Writes to disk what the file system of `dir` holds in memory, whoever wrote it, so that what comes next
/// is not slowed down by it.
pub(crate) fn sync(dir: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(fs::File::open(dir)?)?;
    #[cfg(not(target_os = "linux"))]
    let _ = dir;
    Ok(())
}

/// How all engines of this build were built.
pub(crate) fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let features = [
        ("sse4.2", cfg!(target_feature = "sse4.2")),
        ("pclmulqdq", cfg!(target_feature = "pclmulqdq")),
        ("avx2", cfg!(target_feature = "avx2")),
        ("bmi2", cfg!(target_feature = "bmi2")),
    ];
    let features: Vec<_> = features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    match features.is_empty() {
        true => format!("{profile}, for any {}", std::env::consts::ARCH),
        false => format!("{profile}, for {} with {}", std::env::consts::ARCH, features.join(", ")),
    }
}

/// What stands before the command that builds it so again.
pub(crate) fn flags() -> &'static str {
    if cfg!(target_feature = "sse4.2") { "RUSTFLAGS=\"-C target-cpu=native\" " } else { "" }
}

/// Now, UTC.
pub(crate) fn date() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// The version of lsmkit, with the commit where it was built in a checkout that is still there.
pub(crate) fn version() -> String {
    let mut git = Command::new("git");
    git.current_dir(env!("CARGO_MANIFEST_DIR")).args(["describe", "--always", "--dirty", "--exclude=*"]);
    let git = git.output();
    let commit =
        git.ok().filter(|git| git.status.success()).and_then(|git| String::from_utf8(git.stdout).ok());
    match commit {
        Some(commit) => format!("{} ({})", env!("CARGO_PKG_VERSION"), commit.trim()),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The machine, in one line: processor, memory, system, and the file system of `dir`.
pub(crate) fn machine(dir: &Path) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemTotal:"));
    let memory = memory.map(|kib| format!(", {:.0} GiB", kib as f64 / f64::from(1 << 20)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What a vendor adds to the version says nothing.
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let files = file_system(dir).map(|name| format!(", {name}"));
    let (memory, files) = (memory.unwrap_or_default(), files.unwrap_or_default());
    format!("{cores} cores, {model}{memory}, {} {kernel}{files}", std::env::consts::OS)
}

/// The type of the file system that `dir` is on.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // The one mounted nearest; of those at one place, the last.
    let of_dir = mounts.filter(|(place, _)| dir.starts_with(place));
    of_dir.max_by_key(|(place, _)| place.len()).map(|(_, name)| name.to_owned())
}
