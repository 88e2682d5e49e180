//! What a process takes of the machine.

use std::path::PathBuf;

#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    /// Resident memory in KiB.
    pub resident: usize,
    pub threads: usize,
    pub files: usize,
}

impl Footprint {
    /// Of a process; `None` where there is no /proc to ask.
    pub fn of(process: u32) -> Option<Self> {
        let proc = PathBuf::from(format!("/proc/{process}"));
        let status = std::fs::read_to_string(proc.join("status")).ok()?;
        let number = |name: &str| -> Option<usize> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let files = std::fs::read_dir(proc.join("fd")).ok()?.count();
        Some(Self { resident: number("VmRSS:")?, threads: number("Threads:")?, files })
    }
}
