//! Compares a response with the recorded one.

use jiff::Timestamp;
use serde_json::Value;

use crate::exchange::Message;

/// The differences between `answer` and `recorded`, except those in ids, times, tokens and signatures.
pub(crate) fn differences(recorded: &Message, answer: &Message) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.start != answer.start {
        found.push(format!(
            "{} instead of {}: {}",
            answer.start, recorded.start, answer.body
        ));
    }
    compare_headers(recorded, answer, &mut found);
    match (
        serde_json::from_str::<Value>(&recorded.body),
        serde_json::from_str::<Value>(&answer.body),
    ) {
        (Ok(recorded_json), Ok(json)) => {
            compare_values("", &recorded_json, &json, &mut found);
            let (recorded_keys, keys) = (keys(&recorded.body), keys(&answer.body));
            if recorded_keys != keys {
                found.push(format!(
                    "keys in the order {keys:?} instead of {recorded_keys:?}"
                ));
            }
        }
        _ if recorded.body.trim() == answer.body.trim() => {}
        _ => found.push(format!(
            "body {:?} instead of {:?}",
            answer.body, recorded.body
        )),
    }
    found
}

fn compare_headers(recorded: &Message, answer: &Message, found: &mut Vec<String>) {
    let same_value = [
        "content-type",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "connection",
        "keep-alive",
    ];
    let same_presence = [
        "x-ratelimit-reset",
        "retry-after",
        "etag",
        "content-length",
        "date",
    ];
    for name in same_value {
        if recorded.header(name) != answer.header(name) {
            found.push(format!(
                "{name}: {:?} instead of {:?}",
                answer.header(name),
                recorded.header(name)
            ));
        }
    }
    for name in same_presence {
        if recorded.header(name).is_some() != answer.header(name).is_some() {
            found.push(format!(
                "{name}: {:?} instead of {:?}",
                answer.header(name),
                recorded.header(name)
            ));
        }
    }
    if let (Some(recorded_tag), Some(tag)) = (recorded.header("etag"), answer.header("etag")) {
        let alike = if recorded.body.is_empty() || recorded.body != answer.body {
            is_weak_tag(tag) && is_weak_tag(recorded_tag)
        } else {
            tag == recorded_tag
        };
        if !alike {
            found.push(format!("etag {tag} instead of {recorded_tag}"));
        }
    }
    if let Some(wait) = answer.header("retry-after") {
        // The window is 15 minutes, and the lab has just started.
        if !(800..=900).contains(&wait.parse::<u64>().unwrap()) {
            found.push(format!("retry-after {wait}"));
        }
    }
}

fn is_weak_tag(tag: &str) -> bool {
    let inner = tag
        .strip_prefix("W/\"")
        .and_then(|rest| rest.strip_suffix('"'));
    inner
        .and_then(|inner| inner.split_once('-'))
        .is_some_and(|(length, hash)| u64::from_str_radix(length, 16).is_ok() && hash.len() == 27)
}

fn compare_values(path: &str, recorded: &Value, answer: &Value, found: &mut Vec<String>) {
    let key = path.rsplit('/').next().unwrap_or_default();
    match (recorded, answer) {
        (Value::Object(recorded), Value::Object(answer)) => {
            for name in recorded
                .keys()
                .chain(answer.keys().filter(|name| !recorded.contains_key(*name)))
            {
                match (recorded.get(name), answer.get(name)) {
                    (Some(recorded), Some(answer)) => {
                        // A slash in a file's name does not start a new step.
                        let step = if path == "/files" { "file" } else { name };
                        compare_values(&format!("{path}/{step}"), recorded, answer, found);
                    }
                    (_, answer) => found.push(format!("{path}/{name} is {answer:?}")),
                }
            }
            if recorded.contains_key("expires_at")
                && lease_minutes(recorded) != lease_minutes(answer)
            {
                found.push(format!("{path} lasts {} minutes", lease_minutes(answer)));
            }
        }
        (Value::Array(recorded), Value::Array(answer)) => {
            if recorded.len() != answer.len() {
                found.push(format!(
                    "{path} has {} items instead of {}",
                    answer.len(),
                    recorded.len()
                ));
            }
            for (index, (recorded, answer)) in recorded.iter().zip(answer).enumerate() {
                compare_values(&format!("{path}/{index}"), recorded, answer, found);
            }
        }
        (Value::String(recorded), Value::String(answer)) if may_differ(key, recorded, answer) => {}
        (Value::Number(_), Value::Number(answer))
            if is_id(path, key) && answer.as_u64().is_some() => {}
        _ if recorded == answer => {}
        _ => found.push(format!("{path} is {answer} instead of {recorded}")),
    }
}

fn is_id(path: &str, key: &str) -> bool {
    !path.contains("input_payload")
        && ["id", "job_id", "assignment_id", "jobId", "requestId"].contains(&key)
}

fn may_differ(key: &str, recorded: &str, answer: &str) -> bool {
    match key {
        "created_at" | "updated_at" | "expires_at" | "completed_at" => {
            is_time(recorded) && is_time(answer)
        }
        "token" => answer.split('.').count() == 3,
        "refreshToken" => recorded.len().abs_diff(answer.len()) < 4,
        "storage_uri" => digits_masked(recorded) == digits_masked(answer),
        "file" => {
            // The host, ids, times and signature differ.
            let known = [
                "X-Amz-Algorithm=AWS4-HMAC-SHA256",
                "X-Amz-Expires=3600",
                "X-Amz-SignedHeaders=host",
            ];
            let name = |url: &str| {
                digits_masked(
                    url.split('?')
                        .next()
                        .unwrap()
                        .split_once("/reefguide-dev/")
                        .unwrap()
                        .1,
                )
            };
            name(recorded) == name(answer) && known.iter().all(|part| answer.contains(part))
        }
        _ => false,
    }
}

fn is_time(text: &str) -> bool {
    text.len() == "2026-11-22T21:24:39.569Z".len()
        && text.ends_with('Z')
        && text.parse::<Timestamp>().is_ok()
}

fn lease_minutes(assignment: &serde_json::Map<String, Value>) -> i64 {
    let time = |key: &str| {
        assignment[key]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    let lease = time("expires_at").duration_since(time("created_at"));
    // The two times were taken some milliseconds apart.
    (lease.as_secs() + 30) / 60
}

fn digits_masked(text: &str) -> String {
    let mut masked = text.replace(|c: char| c.is_ascii_digit(), "0");
    while masked.contains("00") {
        masked = masked.replace("00", "0");
    }
    masked
}

/// The keys of a JSON text, in order.
fn keys(json: &str) -> Vec<&str> {
    json.split('"')
        .zip(json.split('"').skip(1))
        .filter(|(_, after)| after.starts_with(':'))
        .map(|(key, _)| key)
        .collect()
}
