//! Percentiles, and the CPU time of another process.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

/// `{n, p50, p95, p99, p999, max}` of milliseconds; nearest rank. Null when there is none.
pub fn percentiles_ms(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let Some(max) = values.last().copied() else {
        return Value::Null;
    };
    let rank = |share: f64| {
        let place = (values.len() as f64 * share).ceil() as usize;
        rounded(values[place.clamp(1, values.len()) - 1])
    };
    json!({
        "n": values.len(), "p50": rank(0.5), "p95": rank(0.95), "p99": rank(0.99),
        "p999": rank(0.999), "max": rounded(max),
    })
}

pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

pub fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// CPU time of a process since its start, milliseconds: all its threads, and each by name.
#[derive(Debug, Clone, Default)]
pub struct CpuTime {
    pub total_ms: u64,
    pub threads_ms: BTreeMap<String, u64>,
}

impl CpuTime {
    /// `None` when there is no such process.
    pub fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, total_ms) = parse_stat(&stat)?;
        let mut threads_ms = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // A thread may end between the listing and the reading.
            if let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
                && let Some((name, thread_ms)) = parse_stat(&stat)
            {
                *threads_ms.entry(name).or_default() += thread_ms;
            }
        }
        Some(Self {
            total_ms,
            threads_ms,
        })
    }

    pub fn since(&self, before: &Self) -> Value {
        let threads: serde_json::Map<String, Value> = self
            .threads_ms
            .iter()
            .map(|(name, ms)| {
                let before = before.threads_ms.get(name).copied().unwrap_or(0);
                (name.clone(), json!(ms.saturating_sub(before)))
            })
            .filter(|(_, ms)| *ms != json!(0))
            .collect();
        json!({
            "total_ms": self.total_ms.saturating_sub(before.total_ms),
            "threads_ms": threads,
        })
    }
}

/// Name, and utime plus stime (proc(5)); a clock tick is 10 ms on every Linux of today.
fn parse_stat(stat: &str) -> Option<(String, u64)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let mut fields = tail.split_ascii_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), (utime + stime) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values = percentiles_ms((1..=100).map(f64::from).collect());
        assert_eq!(values["p50"], 50.0);
        assert_eq!(values["p99"], 99.0);
        assert_eq!(values["max"], 100.0);
        assert_eq!(percentiles_ms(Vec::new()), Value::Null);
        assert_eq!(percentiles_ms(vec![3.0])["p50"], 3.0);
    }

    #[test]
    fn a_stat_line_with_spaces_and_brackets_in_the_name_reads() {
        let line = "12 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(parse_stat(line), Some(("a) (b c".to_owned(), 2000)));
        assert!(CpuTime::read(std::process::id()).is_some());
    }
}
