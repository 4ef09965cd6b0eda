//! A strict reader of Prometheus's text format. It panics with the line at anything that the format or the naming
//! conventions forbid.

use std::collections::{BTreeMap, BTreeSet};

/// One metric with its type, help and samples.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

pub(crate) struct Scrape(pub(crate) BTreeMap<String, Family>);

impl Scrape {
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut families = BTreeMap::<String, Family>::new();
        let mut current = None;
        let mut help = None;
        for line in text.lines() {
            if let Some(said) = line.strip_prefix("# HELP ") {
                assert_eq!(help, None, "two times help before {line}");
                help = said.split_once(' ');
                assert!(help.is_some(), "{line}");
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, kind) = typed.split_once(' ').unwrap();
                let (helped, help) = help.take().unwrap();
                assert_eq!(name, helped, "help and type differ");
                assert_named(name, kind);
                let family = Family {
                    kind: kind.to_owned(),
                    help: help.to_owned(),
                    samples: Vec::new(),
                };
                let earlier = families.insert(name.to_owned(), family);
                assert!(earlier.is_none(), "{name} comes twice");
                current = Some(name.to_owned());
            } else {
                let sample = sample(line);
                let name = current.as_deref().unwrap();
                let family = families.get_mut(name).unwrap();
                let suffixes = match &*family.kind {
                    "histogram" => &["_bucket", "_sum", "_count"][..],
                    _ => &[""],
                };
                let suffix = sample.name.strip_prefix(name);
                let fits = suffix.is_some_and(|suffix| suffixes.contains(&suffix));
                assert!(fits, "{line} is among the samples of {name}");
                family.samples.push(sample);
            }
        }
        for (name, family) in &families {
            family.check(name);
        }
        Self(families)
    }

    /// The value of a sample, with labels such as `[("job_type", "TEST")]`.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut samples = self.0.values().flat_map(|family| &family.samples);
        let found = samples.find(|sample| sample.name == name && sample.labels == labels);
        found
            .unwrap_or_else(|| panic!("no {name} {labels:?}"))
            .value
    }
}

impl Family {
    /// The names of the labels of its samples, but for the bound of a bucket.
    pub(crate) fn labels(&self) -> BTreeSet<&str> {
        let names = self.samples.iter().flat_map(|sample| sample.labels.keys());
        names
            .map(String::as_str)
            .filter(|name| *name != "le")
            .collect()
    }

    fn check(&self, name: &str) {
        let mut seen = BTreeSet::new();
        for Sample {
            name,
            labels,
            value,
        } in &self.samples
        {
            assert!(seen.insert((name, labels)), "{name} {labels:?} comes twice");
            let grows = self.kind != "gauge";
            assert!(!grows || *value >= 0.0, "{name} {labels:?} is {value}");
        }
        if self.kind == "histogram" {
            self.check_buckets(name);
        }
    }

    fn check_buckets(&self, name: &str) {
        let mut series = BTreeMap::<_, Vec<_>>::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le");
            let series = series.entry(labels).or_default();
            if let Some(bound) = bound {
                assert_eq!(sample.name, format!("{name}_bucket"));
                series.push((bound.parse::<f64>().unwrap(), sample.value));
            }
        }
        for (labels, buckets) in series {
            let grow = |two: &[(f64, f64)]| two[0].0 < two[1].0 && two[0].1 <= two[1].1;
            assert!(
                buckets.windows(2).all(grow),
                "{name} {labels:?}: {buckets:?}"
            );
            let of = |suffix: &str| {
                let mut samples = self.samples.iter();
                let wanted = format!("{name}_{suffix}");
                let found = samples.find(|sample| sample.name == wanted && sample.labels == labels);
                found.unwrap().value
            };
            assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, of("count")));
            assert!(of("sum") >= 0.0);
        }
    }
}

/// A name must be in lower case, have a base unit, and end in `_total` exactly if it is a counter.
fn assert_named(name: &str, kind: &str) {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(letters && !name.is_empty(), "{name}");
    assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{kind}");
    assert_eq!(
        name.ends_with("_total"),
        kind == "counter",
        "{name} is a {kind}"
    );
    for unit in [
        "milliseconds",
        "minutes",
        "ms",
        "kilobytes",
        "mib",
        "percent",
    ] {
        assert!(!name.split('_').any(|word| word == unit), "{name}");
    }
}

fn sample(line: &str) -> Sample {
    let (named, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("no value: {line}"));
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match named.split_once('{') {
        None => (named, BTreeMap::new()),
        Some((name, rest)) => {
            let rest = rest.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
            (name, labels(rest, line))
        }
    };
    Sample {
        name: name.to_owned(),
        labels,
        value,
    }
}

/// Labels such as `job_type="TEST",outcome="failed"`. No value of this worker needs an escape.
fn labels(text: &str, line: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for pair in text.split(',') {
        let pair = pair.split_once("=\"").and_then(|(name, value)| {
            let value = value.strip_suffix('"')?;
            (!value.contains(['"', '\\'])).then_some((name, value))
        });
        let (name, value) = pair.unwrap_or_else(|| panic!("labels: {line}"));
        let named = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(named && !name.is_empty(), "label: {line}");
        let earlier = labels.insert(name.to_owned(), value.to_owned());
        assert!(earlier.is_none(), "two labels of one name: {line}");
    }
    labels
}
