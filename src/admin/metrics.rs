//! Status as Prometheus text (format 0.0.4): a family of samples for each thing that is counted, by worker slot, whose
//! numbers go on when its process is replaced.

use crate::scoreboard::BUCKETS;
use crate::status::{App, Counters, Slot, Status};
use std::fmt::{Display, Write};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Something that is counted, for each `T`.
struct Metric<T> {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&T) -> u64,
}

const fn metric<T>(name: &'static str, kind: &'static str, help: &'static str, value: fn(&T) -> u64) -> Metric<T> {
    Metric { name, kind, help, value }
}

const OF_COUNTERS: [Metric<Counters>; 10] = [
    metric(
        "requests_in_flight",
        "gauge",
        "Requests from their head to the end of their response, those that wait included.",
        |counters| counters.in_flight,
    ),
    metric("requests_queued", "gauge", "Requests waiting for an instance.", |counters| counters.queued),
    metric("instances", "gauge", "Instances alive.", |counters| counters.instances),
    metric("instance_memory_bytes", "gauge", "Memory of the instances.", |counters| counters.memory),
    metric("timeouts_total", "counter", "Requests and instances that took longer than they may.", |counters| {
        counters.timeouts
    }),
    metric("instance_recycles_total", "counter", "Instances replaced for their age, requests or memory.", |counters| {
        counters.recycles
    }),
    metric("outbound_requests_in_flight", "gauge", "The guests' own requests that are under way.", |counters| {
        counters.outbound
    }),
    metric("outbound_requests_total", "counter", "Requests that guests have sent.", |counters| {
        counters.outbound_requests
    }),
    metric("log_records_dropped_total", "counter", "Log records dropped because nobody read them.", |counters| {
        counters.dropped_log_records
    }),
    metric(
        "guest_output_dropped_bytes_total",
        "counter",
        "Output of guests beyond what is logged in a second.",
        |counters| counters.dropped_guest_output,
    ),
];

const OF_WORKERS: [Metric<Slot>; 4] = [
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

const OF_APPS: [Metric<App>; 3] = [
    metric("app_starts_total", "counter", "Servers started for the app.", |app| app.starts),
    metric("app_workers", "gauge", "Workers of the app that are ready.", |app| app.workers as u64),
    metric("app_memory_bytes", "gauge", "Memory that is the app's processes' own.", |app| app.memory),
];

/// All that is known, as one page.
pub fn render(status: &Status) -> String {
    let mut page = Page { text: String::new() };
    page.family("build_info", "gauge", "The version that runs.");
    page.sample("build_info", &format!("version=\"{}\"", escape(&status.version)), 1);
    let server = format!("app=\"{}\"", escape(&status.app));
    page.single("uptime_seconds", "gauge", "Time since the server started.", &server, status.uptime_seconds);
    page.single("workers", "gauge", "Workers wanted.", &server, status.workers);
    page.single("generation", "gauge", "The generation that new workers belong to.", &server, status.generation);
    if let Some(last) = &status.last_reload {
        let help = "Whether the last reload or rollback succeeded.";
        page.single("last_reload_successful", "gauge", help, &server, u8::from(last.succeeded));
    }
    let help = "Time that compiling took.";
    page.single("compile_seconds_total", "counter", help, &server, status.compile_seconds);

    let workers: Vec<_> =
        status.slots.iter().map(|slot| (format!("{server},worker=\"{}\"", slot.worker), slot)).collect();
    let apps: Vec<_> = status.apps.iter().map(|app| (format!("app=\"{}\"", escape(&app.name)), app)).collect();
    // An app that was never asked for has counted nothing.
    let used = apps.iter().filter(|(_, app)| app.starts > 0).map(|(labels, app)| (labels, &app.counters));
    let counted: Vec<_> = workers.iter().map(|(labels, slot)| (labels, &slot.counters)).chain(used).collect();
    page.requests(&counted);
    for Metric { name, kind, help, value } in &OF_COUNTERS {
        page.family(name, kind, help);
        counted.iter().for_each(|(labels, counters)| page.sample(name, labels, value(counters)));
    }
    for Metric { name, kind, help, value } in &OF_WORKERS {
        page.family(name, kind, help);
        workers.iter().for_each(|(labels, slot)| page.sample(name, labels, value(slot)));
    }
    if !apps.is_empty() {
        page.apps(&apps);
    }
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP wasmserve_{name} {help}\n# TYPE wasmserve_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "wasmserve_{name}{{{labels}}} {value}");
    }

    /// A family with one sample.
    fn single(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, labels, value);
    }

    fn requests(&mut self, counted: &[(&String, &Counters)]) {
        self.family("requests_total", "counter", "Requests answered, by the class of their status.");
        for (labels, counters) in counted {
            for (class, count) in CLASSES.iter().zip(counters.responses) {
                self.sample("requests_total", &format!("{labels},class=\"{class}\""), count);
            }
        }
        let help = "From a request's head to the end of its response.";
        self.family("request_duration_seconds", "histogram", help);
        for (labels, counters) in counted {
            self.histogram("request_duration_seconds", labels, counters);
        }
        self.family("instance_traps_total", "counter", "Instances that ended by a trap, by its kind.");
        for (labels, counters) in counted {
            for (kind, count) in &counters.traps_by_kind {
                self.sample("instance_traps_total", &format!("{labels},kind=\"{}\"", escape(kind)), count);
            }
        }
    }

    fn apps(&mut self, apps: &[(String, &App)]) {
        self.family("app_state", "gauge", "The state that the app is in: 1.");
        for (labels, app) in apps {
            self.sample("app_state", &format!("{labels},state=\"{}\"", app.state), 1);
        }
        for Metric { name, kind, help, value } in &OF_APPS {
            self.family(name, kind, help);
            apps.iter().for_each(|(labels, app)| self.sample(name, labels, value(app)));
        }
    }

    /// The numbers come from a worker and mean nothing if it is hostile; still the histogram stays one.
    fn histogram(&mut self, name: &str, labels: &str, counters: &Counters) {
        let bucket = format!("{name}_bucket");
        let mut counts = counters.latency.iter();
        let mut sum: u64 = 0;
        for bound in BUCKETS {
            sum = sum.saturating_add(counts.next().copied().unwrap_or(0));
            if is_shown(bound) {
                self.sample(&bucket, &format!("{labels},le=\"{}\"", bound as f64 / 1e6), sum);
            }
        }
        let count = counts.fold(sum, |sum, more| sum.saturating_add(*more));
        self.sample(&bucket, &format!("{labels},le=\"+Inf\""), count);
        self.sample(&format!("{name}_sum"), labels, counters.latency_sum_seconds);
        self.sample(&format!("{name}_count"), labels, count);
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
    use crate::status::AppState;
    use crate::status::LastReload;
    use crate::status::tests::{app, example};
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
    fn hosted_apps_have_the_same_families_and_their_own() {
        let mut status = example();
        let shop = App { counters: status.slots[0].counters.clone(), starts: 2, ..app("shop", AppState::Ready) };
        status.app = "server".into();
        status.apps = vec![shop, app("idle", AppState::Idle)];
        let samples = parse(&render(&status));
        let of = |name: &str, labels: &[(&str, &str)]| value(&samples, name, labels);
        assert_eq!(of("requests_total", &[("app", "shop"), ("class", "2xx")]), 9.0);
        assert_eq!(of("request_duration_seconds_count", &[("app", "shop")]), 12.0);
        assert_eq!(of("requests_total", &[("app", "server"), ("worker", "0"), ("class", "2xx")]), 9.0);
        assert_eq!(of("app_state", &[("app", "idle"), ("state", "idle")]), 1.0);
        assert_eq!(of("app_starts_total", &[("app", "shop")]), 2.0);
        assert_eq!(of("app_workers", &[("app", "idle")]), 0.0);
        let of_idle = |sample: &&Sample| sample.labels.get("app").is_some_and(|app| app == "idle");
        assert_eq!(samples.iter().filter(of_idle).count(), 4, "only what is the app's own");
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
