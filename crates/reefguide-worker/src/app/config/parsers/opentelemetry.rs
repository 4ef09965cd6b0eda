//! OpenTelemetry's own variables.

use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::ValueParser;

/// Names with values in OpenTelemetry's form: `name=value` separated by commas, percent-encoded.
pub(in crate::app::config) struct Attributes;

impl ValueParser for Attributes {
    type Value = Vec<(String, String)>;

    fn expected(&self) -> String {
        "`name=value` separated by commas, percent-encoded, such as `deployment.environment.name=test`"
            .into()
    }

    fn parse(&self, text: &str) -> Result<Vec<(String, String)>, Option<String>> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text.trim()).decode_utf8();
            text.map(String::from).map_err(|_| None)
        };
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or(None)?;
                match name.trim() {
                    "" => Err(None),
                    name => Ok((decoded(name)?, decoded(value)?)),
                }
            })
            .collect()
    }
}

/// HTTP headers in the form of [`Attributes`]. The values are secrets; `Debug` does not show them.
pub(in crate::app::config) struct Headers;

impl ValueParser for Headers {
    type Value = HeaderMap;

    const SECRET: bool = true;

    fn expected(&self) -> String {
        "`name=value` separated by commas, percent-encoded, such as `api-key=secret`".into()
    }

    fn parse(&self, text: &str) -> Result<HeaderMap, Option<String>> {
        let mut headers = HeaderMap::new();
        for (name, value) in Attributes.parse(text)? {
            let name = HeaderName::try_from(name).map_err(|_| None)?;
            let mut value = HeaderValue::try_from(value).map_err(|_| None)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(headers)
    }
}

/// Which traces are exported, in OpenTelemetry's terms.
pub(in crate::app::config) struct Sampler;

impl ValueParser for Sampler {
    type Value = String;

    fn expected(&self) -> String {
        "`always_on`, `always_off`, `traceidratio`, or one of them with `parentbased_` before it"
            .into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let name = text.trim();
        match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_on" | "always_off" | "traceidratio" => Ok(name.into()),
            _ => Err(None),
        }
    }
}

pub(in crate::app::config) struct Ratio;

impl ValueParser for Ratio {
    type Value = f64;

    fn expected(&self) -> String {
        "a number from 0 to 1".into()
    }

    fn parse(&self, text: &str) -> Result<f64, Option<String>> {
        let ratio = text.trim().parse().map_err(|_| None)?;
        match (0.0..=1.0).contains(&ratio) {
            true => Ok(ratio),
            false => Err(None),
        }
    }
}
