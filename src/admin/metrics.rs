//! Status as Prometheus text (format 0.0.4): a family of samples for each thing that is counted, by worker slot, whose
//! numbers go on when its process is replaced.

use crate::scoreboard::BUCKETS;
use crate::status::{Counters, Slot, Status};
use std::fmt::{Display, Write};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Something that is counted for each worker.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Slot) -> u64,
}

const fn metric(name: &'static str, kind: &'static str, help: &'static str, value: fn(&Slot) -> u64) -> Metric {
    Metric { name, kind, help, value }
}

const OF_WORKERS: [Metric; 14] = [
    metric(
        "requests_in_flight",
        "gauge",
        "Requests from their head to the end of their response, those that wait included.",
        |slot| slot.counters.in_flight,
    ),
    metric("requests_queued", "gauge", "Requests waiting for an instance.", |slot| slot.counters.queued),
    metric("instances", "gauge", "Instances alive.", |slot| slot.counters.instances),
    metric("instance_memory_bytes", "gauge", "Memory of the instances.", |slot| slot.counters.memory),
    metric("timeouts_total", "counter", "Requests and instances that took longer than they may.", |slot| {
        slot.counters.timeouts
    }),
    metric("instance_recycles_total", "counter", "Instances replaced for their age, requests or memory.", |slot| {
        slot.counters.recycles
    }),
    metric("outbound_requests_in_flight", "gauge", "The guests' own requests that are under way.", |slot| {
        slot.counters.outbound
    }),
    metric("outbound_requests_total", "counter", "Requests that guests have sent.", |slot| {
        slot.counters.outbound_requests
    }),
    metric("log_records_dropped_total", "counter", "Log records dropped because nobody read them.", |slot| {
        slot.counters.dropped_log_records
    }),
    metric(
        "guest_output_dropped_bytes_total",
        "counter",
        "Output of guests beyond what is logged in a second.",
        |slot| slot.counters.dropped_guest_output,
    ),
    metric("worker_restarts_total", "counter", "Processes replaced after they had ended unexpectedly.", |slot| {
        slot.restarts
    }),
    metric("worker_resident_memory_bytes", "gauge", "Resident memory of the worker's processes.", |slot| {
        slot.processes.iter().fold(0, |sum: u64, process| sum.saturating_add(process.rss))
    }),
    metric("worker_processes", "gauge", "Processes of the worker, those that drain included.", |slot| {
        slot.processes.len() as u64
    }),
    metric("worker_ready", "gauge", "Whether the worker serves requests.", |slot| slot.is_ready().into()),
];

/// All that is known, as one page.
pub fn render(status: &Status) -> String {
    let mut page = Page { text: String::new(), app: escape(&status.app) };
    page.family("build_info", "gauge", "The version that runs.");
    let _ = writeln!(page.text, "wasmserve_build_info{{version=\"{}\"}} 1", escape(&status.version));
    page.of_app("uptime_seconds", "gauge", "Time since the server started.", status.uptime_seconds);
    page.of_app("workers", "gauge", "Workers wanted.", status.workers);
    page.of_app("generation", "gauge", "The generation that new workers belong to.", status.generation);
    if let Some(last) = &status.last_reload {
        let help = "Whether the last reload or rollback succeeded.";
        page.of_app("last_reload_successful", "gauge", help, u8::from(last.succeeded));
    }
    page.of_app("compile_seconds_total", "counter", "Time that compiling took.", status.compile_seconds);

    page.family("requests_total", "counter", "Requests answered, by the class of their status.");
    for slot in &status.slots {
        for (class, count) in CLASSES.iter().zip(slot.counters.responses) {
            page.sample("requests_total", slot.worker, &format!(",class=\"{class}\""), count);
        }
    }
    let help = "From a request's head to the end of its response.";
    page.family("request_duration_seconds", "histogram", help);
    for slot in &status.slots {
        page.histogram("request_duration_seconds", slot.worker, &slot.counters);
    }
    page.family("instance_traps_total", "counter", "Instances that ended by a trap, by its kind.");
    for slot in &status.slots {
        for (kind, count) in &slot.counters.traps_by_kind {
            page.sample("instance_traps_total", slot.worker, &format!(",kind=\"{}\"", escape(kind)), count);
        }
    }
    for Metric { name, kind, help, value } in &OF_WORKERS {
        page.family(name, kind, help);
        status.slots.iter().for_each(|slot| page.sample(name, slot.worker, "", value(slot)));
    }
    page.text
}

struct Page {
    text: String,
    /// The app's name, escaped.
    app: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP wasmserve_{name} {help}\n# TYPE wasmserve_{name} {kind}");
    }

    /// A family with one sample.
    fn of_app(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        let _ = writeln!(self.text, "wasmserve_{name}{{app=\"{}\"}} {value}", self.app);
    }

    fn sample(&mut self, name: &str, worker: usize, labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "wasmserve_{name}{{app=\"{}\",worker=\"{worker}\"{labels}}} {value}", self.app);
    }

    /// The numbers come from a worker and mean nothing if it is hostile; still the histogram stays one.
    fn histogram(&mut self, name: &str, worker: usize, counters: &Counters) {
        let bucket = format!("{name}_bucket");
        let mut counts = counters.latency.iter();
        let mut sum: u64 = 0;
        for bound in BUCKETS {
            sum = sum.saturating_add(counts.next().copied().unwrap_or(0));
            if is_shown(bound) {
                self.sample(&bucket, worker, &format!(",le=\"{}\"", bound as f64 / 1e6), sum);
            }
        }
        let count = counts.fold(sum, |sum, more| sum.saturating_add(*more));
        self.sample(&bucket, worker, ",le=\"+Inf\"", count);
        self.sample(&format!("{name}_sum"), worker, "", counters.latency_sum_seconds);
        self.sample(&format!("{name}_count"), worker, "", count);
    }
}

/// Steps of 1, 2 and 5 are enough there, and half as many series.
fn is_shown(mut bound: u64) -> bool {
    while bound.is_multiple_of(10) {
        bound /= 10;
    }
    matches!(bound, 1 | 2 | 5)
}

/// A label's value as it stands between quotes.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::LastReload;
    use crate::status::tests::example;
    use std::collections::{BTreeMap, HashSet};

    type Labels = BTreeMap<String, String>;

    struct Sample {
        name: String,
        labels: Labels,
        value: f64,
    }

    fn is_name(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    }

    /// Takes `NAME="VALUE"` off, the value unescaped.
    fn label(text: &str) -> (String, String, &str) {
        let (name, rest) = text.split_once("=\"").expect("a label has a quoted value");
        assert!(is_name(name), "{name}");
        let mut value = String::new();
        let mut characters = rest.char_indices();
        loop {
            match characters.next().expect("a value has an end") {
                (at, '"') => return (name.to_owned(), value, &rest[at + 1..]),
                (_, '\\') => value.push(match characters.next().expect("an escape has a character").1 {
                    'n' => '\n',
                    character @ ('\\' | '"') => character,
                    other => panic!("\\{other} is no escape"),
                }),
                (_, character) => value.push(character),
            }
        }
    }

    fn sample(line: &str) -> Sample {
        let at = line.find('{').expect("every sample has labels");
        let mut labels = Labels::new();
        let mut rest = &line[at + 1..];
        loop {
            let (name, value, after) = label(rest);
            assert!(labels.insert(name, value).is_none(), "twice the same label: {line}");
            match after.split_at(1) {
                (",", more) => rest = more,
                ("}", value) => {
                    let value = value.strip_prefix(' ').expect("one space before the value");
                    let value = value.parse().expect("a number");
                    return Sample { name: line[..at].to_owned(), labels, value };
                }
                _ => panic!("{line}"),
            }
        }
    }

    /// Reads a page as strictly as the format says.
    fn parse(page: &str) -> Vec<Sample> {
        assert!(page.ends_with('\n'));
        let mut samples: Vec<Sample> = Vec::new();
        let mut families = HashSet::new();
        let mut series = HashSet::new();
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            let (family, help) = line.strip_prefix("# HELP ").expect(line).split_once(' ').expect("a text");
            assert!(is_name(family) && !help.is_empty() && families.insert(family), "{line}");
            let kind =
                lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(family)).expect("a type");
            assert!([" counter", " gauge", " histogram"].contains(&kind), "{kind}");
            assert_eq!(kind == " counter", family.ends_with("_total"), "{family}");
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let sample = sample(line);
                let suffix = sample.name.strip_prefix(family).expect("samples stand below their family");
                let suffixes: &[&str] = if kind == " histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&suffix), "{line}");
                assert!(series.insert(line.rsplit_once(' ').expect(line).0), "twice: {line}");
                samples.push(sample);
            }
        }
        samples
    }

    fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            let has = |(name, value): &(&str, &str)| sample.labels.get(*name).is_some_and(|is| is == value);
            sample.name == format!("wasmserve_{name}") && labels.iter().all(has)
        };
        let found: Vec<_> = samples.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0].value
    }

    #[test]
    fn every_line_is_valid_and_names_app_and_worker() {
        let mut status = example();
        status.app = "a \"strange\\name\"\nof two lines, {really}".into();
        let samples = parse(&render(&status));
        for sample in samples.iter().filter(|sample| sample.name != "wasmserve_build_info") {
            assert_eq!(sample.labels["app"], status.app);
        }
        assert_eq!(value(&samples, "build_info", &[("version", "0.1.0")]), 1.0);
        assert_eq!(value(&samples, "requests_total", &[("worker", "0"), ("class", "4xx")]), 2.0);
        assert_eq!(value(&samples, "requests_in_flight", &[("worker", "0")]), 3.0);
        assert_eq!(value(&samples, "worker_ready", &[("worker", "0")]), 1.0);
        assert_eq!(value(&samples, "worker_ready", &[("worker", "1")]), 0.0);
        assert_eq!(value(&samples, "worker_restarts_total", &[("worker", "1")]), 7.0);
        assert_eq!(value(&samples, "worker_resident_memory_bytes", &[("worker", "0")]), f64::from(40 << 20));
        assert_eq!(value(&samples, "workers", &[]), 2.0);
        assert_eq!(value(&samples, "compile_seconds_total", &[]), 2.5);
        assert!(samples.iter().all(|sample| sample.name != "wasmserve_last_reload_successful"));
    }

    #[test]
    fn a_failed_reload_shows() {
        let mut status = example();
        status.last_reload =
            Some(LastReload { generation: 3, succeeded: false, message: "startup".into(), seconds_ago: 1.0 });
        assert_eq!(value(&parse(&render(&status)), "last_reload_successful", &[]), 0.0);
    }

    #[test]
    fn histograms_are_cumulative_whatever_a_worker_writes() {
        let mut status = example();
        status.slots[1].counters.latency = vec![u64::MAX; BUCKETS.len() + 1];
        let samples = parse(&render(&status));
        for worker in ["0", "1"] {
            let of_worker = |sample: &&Sample| {
                sample.name == "wasmserve_request_duration_seconds_bucket" && sample.labels["worker"] == worker
            };
            let bound = |sample: &Sample| sample.labels["le"].parse::<f64>().unwrap();
            let buckets: Vec<_> =
                samples.iter().filter(of_worker).map(|sample| (bound(sample), sample.value)).collect();
            assert_eq!(buckets.len(), 22);
            assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{buckets:?}");
            let (infinite, all) = *buckets.last().unwrap();
            assert!(infinite.is_infinite());
            assert_eq!(all, value(&samples, "request_duration_seconds_count", &[("worker", worker)]));
        }
        let of_first = |le| value(&samples, "request_duration_seconds_bucket", &[("worker", "0"), ("le", le)]);
        assert_eq!((of_first("0.0005"), of_first("0.001"), of_first("50"), of_first("+Inf")), (0.0, 11.0, 11.0, 12.0));
        assert_eq!(value(&samples, "request_duration_seconds_sum", &[("worker", "0")]), 80.25);
    }
}
