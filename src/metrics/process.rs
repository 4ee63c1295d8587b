//! What the kernel knows of the process, read when metrics are asked for. Where there is no `/proc`, both stay 0.

use prometheus_client::metrics::gauge::Gauge;

/// Gauges of the process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) memory: Gauge,
    pub(super) files: Gauge,
}

impl Process {
    pub(super) fn read(&self) {
        if let Some(bytes) = resident_bytes() {
            self.memory.set(bytes);
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }
}

/// `VmRSS` of `/proc/self/status`, which is in kB whatever the page size is.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok().map(|kb| kb * 1024)
}
