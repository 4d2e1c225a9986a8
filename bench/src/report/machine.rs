//! The machine, as far as it explains numbers.

use std::{collections::BTreeMap, fs, thread::available_parallelism};

use serde::Serialize;

/// Facts about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Machine {
    /// Model of the CPU.
    pub(crate) cpu: String,
    /// CPUs that the system has.
    pub(crate) cpus: usize,
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Whether BPF programs run as machine code.
    pub(crate) bpf_jit: bool,
    /// What the kernel does about the CPU's vulnerabilities that it has, by their names in sysfs.
    pub(crate) mitigations: BTreeMap<String, String>,
}

impl Machine {
    /// Looks at this one. `bpf_jit` is what the generator's program says.
    pub(crate) fn look(bpf_jit: bool) -> Self {
        Self {
            cpu: cpu(&read("/proc/cpuinfo")),
            cpus: available(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            bpf_jit,
            mitigations: mitigations(),
        }
    }

    /// In a few lines.
    pub(crate) fn lines(&self) -> [String; 3] {
        let jit = if self.bpf_jit { "on" } else { "off" };
        let names: Vec<_> = self.mitigations.keys().map(String::as_str).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        [
            format!("CPU: {}, {} of them", self.cpu, self.cpus),
            format!("kernel: {}, BPF JIT {jit}", self.kernel),
            format!("vulnerabilities that the kernel knows of: {names}"),
        ]
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The affinity of this process leaves one out.
fn available() -> usize {
    crate::sys::cpus().unwrap_or_else(|_| available_parallelism().map_or(1, usize::from))
}

fn cpu(cpuinfo: &str) -> String {
    let mut lines = cpuinfo.lines();
    let model = lines.find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|model| model.trim_start_matches([' ', '\t', ':']));
    model.unwrap_or("unknown").to_owned()
}

fn mitigations() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let state = fs::read_to_string(entry.path()).ok()?.trim().to_owned();
            let name = entry.file_name().to_string_lossy().into_owned();
            (state != "Not affected").then_some((name, state))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::cpu;

    #[test]
    fn the_model_is_read_from_cpuinfo() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n";
        assert_eq!(cpu(text), "Some CPU @ 2 GHz");
        assert_eq!(cpu("processor: 0\n"), "unknown");
    }
}
