//! The query parameters of Jaeger's API, read as its own parser (`cmd/query/app/query_parser.go`) reads them.

use std::collections::BTreeMap;

use crate::backend::{id::TraceId, query::Filter};

/// Traces that a search returns unless `limit` says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// How far `GET /api/dependencies` looks back unless told: a day, in milliseconds.
const DEFAULT_LOOKBACK_MS: u64 = 24 * 60 * 60 * 1000;

/// Decoded query parameters in the order given; a name may come several times.
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    /// The first non-empty value of a parameter.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A whole number; the error names the parameter.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("unable to parse param '{name}': {text:?} is not a whole number"));
        self.first(name).map(parse).transpose()
    }

    /// A duration such as `1.5s` in nanoseconds; the error names the parameter.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: &str| {
            nanoseconds(text)
                .ok_or_else(|| format!("unable to parse param '{name}': {text:?} is not a duration such as 1.5s, 100ms or 20us"))
        };
        self.first(name).map(parse).transpose()
    }

    /// All trace ids given as `traceID=`.
    pub(crate) fn trace_ids(&self) -> Result<Vec<TraceId>, String> {
        self.all("traceID").map(|id| id.parse().map_err(|error| format!("cannot parse traceID param: {error}"))).collect()
    }

    /// The filter of `GET /api/traces`: `service` (required), `operation`, `tag=key:value`, `tags={"key":"value"}`,
    /// `start` and `end` (microseconds since the Unix epoch), `lookback` (a duration; where `start` is missing),
    /// `minDuration`, `maxDuration`, `limit` (100).
    pub(crate) fn filter(&self, now: u64) -> Result<Filter, String> {
        let service = self.first("service").ok_or("parameter 'service' is required")?;
        let end = self.number("end")?.map(|us| us.saturating_mul(1000));
        let start = match self.number("start")? {
            Some(us) => us.saturating_mul(1000),
            None => self.lookback().map_or(0, |lookback| end.unwrap_or(now).saturating_sub(lookback)),
        };
        let (min, max) = (self.duration("minDuration")?, self.duration("maxDuration")?);
        if let (Some(min), Some(max)) = (min, max)
            && max < min
        {
            return Err("'maxDuration' should be greater than 'minDuration'".to_owned());
        }
        Ok(Filter {
            service: Some(service.to_owned()),
            operation: self.first("operation").map(str::to_owned),
            tags: self.tags()?,
            // the end is a microsecond, and all of it
            start: (start, end.map_or(u64::MAX, |end| end.saturating_add(999))),
            duration: (min.unwrap_or(0), max.unwrap_or(u64::MAX)),
            limit: self.limit(DEFAULT_LIMIT)?,
        })
    }

    /// `limit`; 0 means the default as well.
    pub(crate) fn limit(&self, default: usize) -> Result<usize, String> {
        let limit = self.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        Ok(limit.unwrap_or(default))
    }

    /// The window of `GET /api/dependencies` in nanoseconds: `endTs` (now) and `lookback` (a day), both milliseconds.
    pub(crate) fn window(&self, now: u64) -> Result<(u64, u64), String> {
        let end = self.number("endTs")?.map_or(now, |ms| ms.saturating_mul(1_000_000));
        let lookback = self.number("lookback")?.unwrap_or(DEFAULT_LOOKBACK_MS);
        Ok((end.saturating_sub(lookback.saturating_mul(1_000_000)), end))
    }

    /// The page sends `lookback=custom` together with `start`; then it says nothing.
    fn lookback(&self) -> Option<u64> {
        self.first("lookback").and_then(nanoseconds)
    }

    fn tags(&self) -> Result<Vec<(String, String)>, String> {
        let mut tags = BTreeMap::new();
        for text in self.all("tag") {
            let (key, value) =
                text.split_once(':').ok_or_else(|| format!("malformed 'tag' parameter, expecting key:value, received: {text}"))?;
            tags.insert(key.to_owned(), value.to_owned());
        }
        for text in self.all("tags") {
            let object: BTreeMap<String, String> =
                serde_json::from_str(text).map_err(|error| format!("malformed 'tags' parameter, cannot unmarshal JSON: {error}"))?;
            tags.extend(object);
        }
        Ok(tags.into_iter().collect())
    }
}

const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("d", 86_400e9)];

/// A duration in the syntax of Go's `time.ParseDuration` (`1h30m`, `1.5s`, `20us`), and days, as nanoseconds.
pub(crate) fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == &after[..unit])?;
        total += number * factor;
        rest = &after[unit..];
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and `as` saturates")]
    (!text.is_empty()).then_some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn durations_as_go_writes_them() {
        for (text, ns) in [
            ("0", 0),
            ("20us", 20_000),
            ("20µs", 20_000),
            ("1.5s", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("2d", 172_800_000_000_000),
        ] {
            assert_eq!(nanoseconds(text), Some(ns), "{text}");
        }
        for text in ["", "5", "ms", "1.2.3s", "1 s", "-1s", "1x", "custom"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_filter_of_every_parameter() {
        let filter = params(&[
            ("service", "gateway"),
            ("operation", "POST /api/v1/orders"),
            ("tags", r#"{"error":"true"}"#),
            ("tag", "http.route:/a:b"),
            ("start", "1000"),
            ("end", "2000"),
            ("minDuration", "1ms"),
            ("maxDuration", "2ms"),
            ("limit", "7"),
        ])
        .filter(0)
        .unwrap();
        assert_eq!(filter.tags, [("error".into(), "true".into()), ("http.route".into(), "/a:b".into())]);
        assert_eq!((filter.start, filter.duration), ((1_000_000, 2_000_999), (1_000_000, 2_000_000)));
        assert_eq!((filter.limit, filter.operation.as_deref()), (7, Some("POST /api/v1/orders")));
    }

    #[test]
    fn lookback_counts_only_without_a_start() {
        let now = 10_000_000_000;
        let from = |pairs: &[(&str, &str)]| params(pairs).filter(now).unwrap().start.0;
        assert_eq!(from(&[("service", "a"), ("lookback", "1s")]), 9_000_000_000);
        assert_eq!(from(&[("service", "a"), ("lookback", "custom"), ("start", "5")]), 5_000);
        assert_eq!(from(&[("service", "a"), ("lookback", "custom")]), 0);
    }

    #[test]
    fn mistakes_name_the_parameter() {
        for (pairs, word) in [
            (&[("operation", "a")][..], "'service'"),
            (&[("service", "a"), ("limit", "-1")], "'limit'"),
            (&[("service", "a"), ("start", "yesterday")], "'start'"),
            (&[("service", "a"), ("minDuration", "5")], "'minDuration'"),
            (&[("service", "a"), ("minDuration", "2s"), ("maxDuration", "1s")], "'maxDuration'"),
            (&[("service", "a"), ("tags", "{")], "'tags'"),
            (&[("service", "a"), ("tag", "novalue")], "'tag'"),
        ] {
            let error = params(pairs).filter(0).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(params(&[("traceID", "xyz")]).trace_ids().unwrap_err().contains("traceID"));
    }
}
