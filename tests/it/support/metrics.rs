//! The text format of Prometheus, version 0.0.4, read strictly.

use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
    /// The type of each family.
    pub types: HashMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Metrics {
    /// Reads it and checks that every rule of the format is kept.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut metrics = Self { samples: Vec::new(), types: HashMap::new() };
        let mut helped = HashSet::new();
        let mut current = String::new();
        let mut closed = HashSet::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut parts = comment.splitn(3, ' ');
                let (keyword, name) = (parts.next().unwrap(), parts.next().unwrap_or_default());
                let rest = parts.next().unwrap_or_default();
                if name != current {
                    assert!(closed.insert(name.to_owned()), "the lines of {name} are together");
                    current = name.to_owned();
                }
                match keyword {
                    "HELP" => assert!(helped.insert(name.to_owned()) && !rest.is_empty(), "{line}"),
                    "TYPE" => {
                        assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                        assert!(metrics.types.insert(name.to_owned(), rest.to_owned()).is_none(), "{line}");
                    }
                    _ => {}
                }
                continue;
            }
            let sample = Sample::parse(line);
            let family = metrics.family(&sample.name);
            assert_eq!(family, current, "a sample below the type of its family: {line}");
            if metrics.types[&family] == "counter" {
                assert!(family.ends_with("_total"), "a counter's name: {line}");
                assert!(sample.value >= 0.0, "{line}");
            }
            metrics.samples.push(sample);
        }
        metrics.check_samples();
        metrics
    }

    /// The family that a sample belongs to: itself, or that of the histogram that it is a part of.
    fn family(&self, name: &str) -> String {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        match base {
            Some(base) if self.types.get(base).is_some_and(|kind| kind == "histogram") => base.to_owned(),
            _ => name.to_owned(),
        }
    }

    #[track_caller]
    fn check_samples(&self) {
        let mut seen = HashSet::new();
        for sample in &self.samples {
            assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "twice: {sample:?}");
        }
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            self.check_histogram(family);
        }
    }

    /// Buckets that grow up to one without a bound, which is the count.
    #[track_caller]
    fn check_histogram(&self, family: &str) {
        let mut series: HashMap<BTreeMap<String, String>, Vec<(f64, f64)>> = HashMap::new();
        for sample in self.all(&format!("{family}_bucket")) {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").expect("a bound");
            series.entry(labels).or_default().push((bound.parse().expect("a number"), sample.value));
        }
        for (labels, buckets) in series {
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family}{labels:?}: {buckets:?}");
            let last = buckets.last().unwrap();
            assert_eq!(last.0, f64::INFINITY, "{family}{labels:?}");
            let with_labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(self.sum(&format!("{family}_count"), &with_labels), last.1, "{family}{labels:?}");
        }
    }

    pub fn all(&self, name: &str) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.name == name).collect()
    }

    /// The sum over all samples of this name with these labels; panics if there is none.
    #[track_caller]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &Sample, (name, value): &(&str, &str)| {
            sample.labels.get(*name).is_some_and(|found| found == value)
        };
        let samples = self.all(name);
        let matching: Vec<_> = samples.iter().filter(|sample| labels.iter().all(|label| has(sample, label))).collect();
        assert!(!matching.is_empty(), "no {name} with {labels:?} among {samples:?}");
        matching.iter().map(|sample| sample.value).sum()
    }
}

impl Sample {
    #[track_caller]
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("not closed: {line}"))),
            None => (series, ""),
        };
        let is_name = |name: &str| {
            let mut characters = name.chars();
            characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
                && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        };
        assert!(is_name(name) && name.starts_with("wasmserve_"), "{line}");
        let mut parsed = BTreeMap::new();
        let mut rest = labels;
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("a label: {line}"));
            assert!(is_name(label), "{line}");
            let end = end_of_value(after).unwrap_or_else(|| panic!("a label's end: {line}"));
            assert!(parsed.insert(label.to_owned(), after[..end].to_owned()).is_none(), "twice: {line}");
            rest = after[end + 1..].trim_start_matches(',');
        }
        let value = match value {
            "+Inf" => f64::INFINITY,
            number => number.parse().unwrap_or_else(|_| panic!("a number: {line}")),
        };
        Self { name: name.to_owned(), labels: parsed, value }
    }
}

/// Where the quote is that ends a label's value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(at)
    })
}
