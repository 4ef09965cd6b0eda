//! Job types, and what is set for each of them.

use std::collections::BTreeMap;

use super::{Count, LONGEST, Milliseconds, ValueParser};
use crate::job::JobType;
use crate::retry::{Growth, RetryPolicy};

/// Names separated by commas, without repetitions, in the order of their first mention.
pub(in crate::app::config) struct JobTypes;

impl ValueParser for JobTypes {
    type Value = Vec<JobType>;

    fn expected(&self) -> String {
        "job types separated by commas, each with a handler".into()
    }

    fn parse(&self, text: &str) -> Result<Vec<JobType>, Option<String>> {
        let mut types = Vec::new();
        for name in text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let job_type = JobType::from(name);
            if !types.contains(&job_type) {
                types.push(job_type);
            }
        }
        if types.is_empty() {
            Err(None)
        } else {
            Ok(types)
        }
    }
}

/// One value for each of some job types, `TYPE=value`, separated by commas.
pub(in crate::app::config) struct PerType<F>(pub(in crate::app::config) F);

impl<F: ValueParser> ValueParser for PerType<F> {
    type Value = BTreeMap<JobType, F::Value>;

    fn expected(&self) -> String {
        let value = self.0.expected();
        format!("`TYPE=value` separated by commas, each value {value}")
    }

    fn parse(&self, text: &str) -> Result<Self::Value, Option<String>> {
        let mut values = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(None)?;
            let job_type = JobType::from(name.trim());
            let value = self.0.parse(value)?;
            if values.insert(job_type.clone(), value).is_some() {
                return Err(Some(format!("name {job_type} only once")));
            }
        }
        match values.is_empty() {
            true => Err(None),
            false => Ok(values),
        }
    }
}

/// When a handler is called again: `GROWTH:BASE_MS:TRIES`, or `GROWTH:BASE_MS:TRIES:CAP_MS`.
pub(in crate::app::config) struct Retry;

impl ValueParser for Retry {
    type Value = RetryPolicy;

    fn expected(&self) -> String {
        "`constant`, `linear` or `exponential`, the first delay in milliseconds, how often to try in \
         total, and optionally the longest delay, such as `exponential:2000:5:60000`"
            .into()
    }

    fn parse(&self, text: &str) -> Result<RetryPolicy, Option<String>> {
        let parts: Vec<_> = text.split(':').map(str::trim).collect();
        let (growth, base, tries, cap) = match parts[..] {
            [growth, base, tries] => (growth, base, tries, None),
            [growth, base, tries, cap] => (growth, base, tries, Some(cap)),
            _ => return Err(None),
        };
        let growth = match growth {
            "constant" => Growth::Constant,
            "linear" => Growth::Linear,
            "exponential" => Growth::Exponential,
            _ => return Err(None),
        };
        let milliseconds = Milliseconds(1..=LONGEST);
        let policy = RetryPolicy::new(milliseconds.parse(base)?)
            .growth(growth)
            .tries(Count(1..=1_000).parse(tries)?);
        Ok(match cap {
            Some(cap) => policy.cap(milliseconds.parse(cap)?),
            None => policy,
        })
    }
}
