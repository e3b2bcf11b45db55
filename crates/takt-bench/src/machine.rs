//! What a figure was measured on, as Linux tells it; `unknown` where it does not.

use std::fmt;
use std::fs::read_to_string;
use std::path::Path;

use serde_json::{Value, json};

/// The machine, its disk and the build.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    cores: usize,
    model: String,
    memory_gib: u64,
    kernel: String,
    file_system: String,
    rustc: &'static str,
    optimised: bool,
    load: String,
}

impl Machine {
    /// The machine as it is now; `folder` is on the disk that is measured.
    pub fn now(folder: &Path) -> Self {
        let first = |path: &str| {
            let text = read_to_string(path).unwrap_or_default();
            text.split_whitespace().next().unwrap_or("unknown").to_owned()
        };
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            model: model(&read_to_string("/proc/cpuinfo").unwrap_or_default()),
            memory_gib: memory(&read_to_string("/proc/meminfo").unwrap_or_default()),
            kernel: first("/proc/sys/kernel/osrelease"),
            file_system: file_system(
                &read_to_string("/proc/self/mountinfo").unwrap_or_default(),
                &folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()),
            ),
            rustc: env!("TAKT_BENCH_RUSTC"),
            optimised: !cfg!(debug_assertions),
            load: first("/proc/loadavg"),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "cores": self.cores,
            "model": self.model,
            "memory_gib": self.memory_gib,
            "kernel": self.kernel,
            "file_system": self.file_system,
            "rustc": self.rustc,
            "optimised": self.optimised,
            "load_before": self.load,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, model, memory_gib, kernel, file_system, rustc, optimised, load } = self;
        let build = if *optimised { "optimised" } else { "NOT optimised" };
        write!(
            f,
            "{cores} cores of {model}, {memory_gib} GiB, Linux {kernel}, {file_system}; {rustc}, \
             {build}; load {load} before"
        )
    }
}

fn model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name);
    name.trim().to_owned()
}

fn memory(meminfo: &str) -> u64 {
    let kilobytes = meminfo.lines().next().and_then(|line| line.split_whitespace().nth(1));
    // Rounded up, since the kernel keeps a part for itself.
    kilobytes.and_then(|text| text.parse::<u64>().ok()).map_or(0, |it| it.div_ceil(1 << 20))
}

/// The type of the mount with the longest path that the folder is under.
fn file_system(mountinfo: &str, folder: &Path) -> String {
    let mount = |line: &str| {
        let (point, kind) = line.split_once(" - ")?;
        let point = point.split(' ').nth(4)?.to_owned();
        Some((point, kind.split(' ').next()?.to_owned()))
    };
    let over = mountinfo.lines().filter_map(mount).filter(|(point, _)| folder.starts_with(point));
    over.max_by_key(|(point, _)| point.len()).map_or_else(|| "unknown".into(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_names_the_file_system() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / /tmp rw shared:1 - tmpfs t rw\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/tmpfoo")), "ext4");
    }

    #[test]
    fn processor_and_memory_are_read_as_the_kernel_writes_them() {
        assert_eq!(model("processor : 0\nmodel name\t: A CPU @ 2 GHz\n"), "A CPU @ 2 GHz");
        assert_eq!(memory("MemTotal:       24669276 kB\nMemFree: 1 kB\n"), 24);
    }
}
