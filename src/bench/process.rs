//! CPU and memory of a process, from /proc.

/// One reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// User and system time of all its threads, in seconds.
    pub cpu_s: f64,
    pub rss_bytes: u64,
    pub peak_bytes: u64,
}

/// Clock ticks in a second, as Linux shows them in /proc on every architecture.
const TICKS: f64 = 100.0;

pub fn sample(pid: u32) -> Sample {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the numbers follow it.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let tick = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kb = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
    };
    Sample {
        cpu_s: (tick(11) + tick(12)) / TICKS,
        rss_bytes: kb("VmRSS:") * 1024,
        peak_bytes: kb("VmHWM:") * 1024,
    }
}

/// Busy CPU seconds of the whole machine since it started.
pub fn machine_busy_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    [0, 1, 2, 5, 6, 7].iter().filter_map(|i| fields.get(*i)).sum::<f64>() / TICKS
}

pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let mut sum = 0u64;
        for i in 0..50_000_000u64 {
            sum = sum.wrapping_add(std::hint::black_box(i));
        }
        std::hint::black_box(sum);
        let s = sample(std::process::id());
        assert!(s.rss_bytes > 100_000 && s.peak_bytes >= s.rss_bytes / 2, "{s:?}");
        assert!(s.cpu_s > 0.0 && machine_busy_s() > s.cpu_s / 2.0);
    }
}
