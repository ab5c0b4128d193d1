//! What to look for: `service=gateway,http.route=/api/v1/orders`.

use std::str::FromStr;

use anyhow::Result;
use reqwest::Url;
use serde_json::Value;

use super::Api;
use crate::failure;

/// A service and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    service: String,
    tags: Vec<(String, String)>,
}

impl FromStr for Search {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?}: write service=NAME, and attributes after it: service=gateway,http.route=/api/v1/orders");
        let mut pairs = Vec::new();
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty()).ok_or_else(wrong)?;
            pairs.push((key.trim().to_owned(), value.to_owned()));
        }
        let (service, tags): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key == "service" || key == "service.name");
        match service.as_slice() {
            [(_, service)] => Ok(Self { service: service.clone(), tags }),
            _ => Err(wrong()),
        }
    }
}

impl Search {
    pub(super) fn url(&self, api: Api, base: &str, limit: usize) -> Result<String> {
        let (path, tags) = match api {
            Api::Jaeger => ("api/traces", ("tags", self.json())),
            Api::Tempo => ("api/search", ("tags", self.logfmt())),
        };
        let limit = limit.to_string();
        let mut query = vec![("limit", limit.as_str()), (tags.0, &tags.1)];
        if api == Api::Jaeger {
            query.push(("service", &self.service));
        }
        let url = Url::parse_with_params(&format!("{base}/{path}"), query);
        Ok(url.map_err(|err| failure::usage(format!("{base} is no URL: {err}")))?.to_string())
    }

    fn json(&self) -> String {
        let tags: serde_json::Map<String, Value> =
            self.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        Value::Object(tags).to_string()
    }

    fn logfmt(&self) -> String {
        let quoted = |(key, value): (&str, &str)| format!("{key}=\"{value}\"");
        let service = [("service.name", self.service.as_str())];
        let all = service.into_iter().chain(self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        all.map(quoted).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_and_any_tags() {
        let search: Search = "service=gateway,http.route=/a b".parse().unwrap();
        let jaeger = search.url(Api::Jaeger, "http://j", 5).unwrap();
        assert_eq!(jaeger, "http://j/api/traces?limit=5&tags=%7B%22http.route%22%3A%22%2Fa+b%22%7D&service=gateway");
        let tempo = search.url(Api::Tempo, "http://t", 5).unwrap();
        assert_eq!(tempo, "http://t/api/search?limit=5&tags=service.name%3D%22gateway%22+http.route%3D%22%2Fa+b%22");
        for text in ["", "gateway", "http.route=/a", "service=", "service=a,service=b", "service=a,=b"] {
            assert!(text.parse::<Search>().unwrap_err().contains("service=NAME"), "{text}");
        }
    }
}
