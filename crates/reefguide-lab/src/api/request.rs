//! The parts of a request: JSON body, query, bearer token, and the ids in its path.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRequest, Query, Request};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::state::Api;
use crate::account::{Account, Role};
use crate::interceptor::ClientAddress;
use crate::jsonb;

/// The longest body that the server accepts, in bytes after decompression.
const MAXIMUM_BODY_BYTES: usize = 102_400;

/// The parts of a request that handlers use.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    /// The JSON object or array in the body, or an empty object if there is none.
    pub(crate) body: Value,
    /// The query as an object: a string for each name, or an array for a name that occurs more than once.
    pub(crate) query: Value,
    pub(crate) client: IpAddr,
    /// The `Host` header.
    pub(crate) host: Option<String>,
    bearer: Option<String>,
}

impl ApiRequest {
    /// The account whose valid access token the request carries.
    pub(crate) fn account(&self, api: &Api) -> Result<&'static Account, ApiError> {
        self.bearer
            .as_deref()
            .and_then(|token| api.tokens.verify(token))
            .ok_or(ApiError::Token)
    }

    /// The account, if its role may work with jobs.
    pub(crate) fn analyst(&self, api: &Api) -> Result<&'static Account, ApiError> {
        self.with_role(api, |role| role != Role::Default)
    }

    /// The account, if its role is administrator.
    pub(crate) fn admin(&self, api: &Api) -> Result<&'static Account, ApiError> {
        self.with_role(api, |role| role == Role::Admin)
    }

    fn with_role(
        &self,
        api: &Api,
        may: impl Fn(Role) -> bool,
    ) -> Result<&'static Account, ApiError> {
        let account = self.account(api)?;
        may(account.role)
            .then_some(account)
            .ok_or_else(ApiError::role)
    }
}

impl<S: Sync> FromRequest<S> for ApiRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bearer = header(&parts.headers, AUTHORIZATION.as_str())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.to_owned());
        let bytes = read_to_limit(body).await?;
        let client = parts
            .extensions
            .get::<ClientAddress>()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |client| client.0);
        let pairs: Query<Vec<(String, String)>> =
            Query::try_from_uri(&parts.uri).unwrap_or_default();
        Ok(Self {
            body: parse(&parts.headers, &bytes)?,
            query: gather(pairs.0),
            client,
            host: header(&parts.headers, HOST.as_str()).map(str::to_owned),
            bearer,
        })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads a body to its end, because a client that is still sending may not read the response, but keeps no more than
/// the limit.
async fn read_to_limit(mut body: axum::body::Body) -> Result<Vec<u8>, ApiError> {
    let mut kept = Vec::new();
    let mut too_long = false;
    while let Some(frame) = body.frame().await {
        let data = frame
            .map_err(|_| ApiError::Body)?
            .into_data()
            .unwrap_or_default();
        too_long |= kept.len() + data.len() > MAXIMUM_BODY_BYTES;
        if !too_long {
            kept.extend_from_slice(&data);
        }
    }
    if too_long {
        Err(ApiError::Body)
    } else {
        Ok(kept)
    }
}

/// Parses a JSON body. A body of another content type is ignored.
fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, ApiError> {
    let json = header(headers, CONTENT_TYPE.as_str())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if bytes.is_empty() || !json {
        return Ok(Value::Object(Map::new()));
    }
    let plain = match header(headers, CONTENT_ENCODING.as_str()).unwrap_or("identity") {
        "identity" => bytes.to_vec(),
        "gzip" => decompress(MultiGzDecoder::new(bytes))?,
        "deflate" => decompress(ZlibDecoder::new(bytes))?,
        _ => return Err(ApiError::Body),
    };
    let value: Value = jsonb::parse(&plain).map_err(|_| ApiError::Body)?;
    if value.is_object() || value.is_array() {
        Ok(value)
    } else {
        Err(ApiError::Body)
    }
}

fn decompress(compressed: impl Read) -> Result<Vec<u8>, ApiError> {
    let mut plain = Vec::new();
    compressed
        .take(MAXIMUM_BODY_BYTES as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| ApiError::Body)?;
    if plain.len() > MAXIMUM_BODY_BYTES {
        Err(ApiError::Body)
    } else {
        Ok(plain)
    }
}

fn gather(pairs: Vec<(String, String)>) -> Value {
    let mut query = Map::new();
    for (name, value) in pairs {
        match query.entry(name).or_insert(Value::Null) {
            Value::Array(values) => values.push(value.into()),
            empty @ Value::Null => *empty = value.into(),
            single => *single = Value::Array(vec![single.take(), value.into()]),
        }
    }
    Value::Object(query)
}

/// Reads an id in a path as JavaScript's `parseInt` does: the sign and the digits at its start.
pub(crate) fn id(text: &str) -> Result<i64, ApiError> {
    let number = text.trim_start();
    let signed = number.strip_prefix(['-', '+']).unwrap_or(number);
    let digits = signed.find(|c: char| !c.is_ascii_digit());
    let end = number.len() - signed.len() + digits.unwrap_or(signed.len());
    database_id(number[..end].parse::<f64>().ok()).ok_or_else(|| ApiError::Id(text.to_owned()))
}

/// Truncates a number to a 32-bit database id.
pub(crate) fn database_id(number: Option<f64>) -> Option<i64> {
    number
        .map(f64::trunc)
        .filter(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(number))
        .map(|number| number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_that_occurs_twice_becomes_an_array() {
        let pairs = [("a", "1"), ("b", ""), ("a", "2"), ("a", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(gather(pairs.into()), json!({"a": ["1", "2", "3"], "b": ""}));
    }

    #[test]
    fn ids_are_read_as_the_server_reads_them() {
        let read = ["12abc", "7.9", " +3", "-5", "2147483647"];
        assert_eq!(
            read.map(|text| id(text).unwrap()),
            [12, 7, 3, -5, 2_147_483_647]
        );
        for none in [
            "abc",
            "",
            "-",
            "+-1",
            ".5",
            "inf",
            "2147483648",
            "99999999999",
        ] {
            assert!(id(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_fractional_number_is_truncated_to_an_id() {
        let ids = [1.9, -0.5, 2_147_483_647.5].map(|number| database_id(Some(number)));
        assert_eq!(ids, [Some(1), Some(0), Some(2_147_483_647)]);
        assert_eq!(database_id(Some(2_147_483_648.0)), None);
    }
}
