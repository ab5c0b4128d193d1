//! The parameters of a query string, read in such a way that all mistakes are named in one answer.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Query};
use serde_json::Value;

use crate::{error::Error, field::Field, problem::Violations};

/// What a query string asks for.
pub(crate) trait QueryForm: Sized {
    /// Reads every parameter, and then returns none where one was wrong.
    fn read(params: &mut Params) -> Option<Self>;
}

/// No parameters.
impl QueryForm for () {
    fn read(_: &mut Params) -> Option<Self> {
        Some(())
    }
}

/// The query string as `T`, all of whose parameters are known and right.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: QueryForm> FromRequest for InQuery<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Params::read_query(request.query_string()).map(Self))
    }
}

/// A query string that is being read.
pub(crate) struct Params {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    violations: Violations,
}

impl Params {
    /// Reads a whole query string.
    pub(crate) fn read_query<T: QueryForm>(query: &str) -> Result<T, Error> {
        let given = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| Error::Malformed(format!("The query cannot be read: {error}.")))?;
        let mut params = Self { given: given.into_inner(), known: Vec::new(), violations: Violations::default() };
        let form = T::read(&mut params);
        params.report_unknown();
        let Self { violations, .. } = params;
        form.filter(|_| violations.is_empty()).ok_or(Error::Invalid(violations))
    }

    /// `Some(None)` where it is left out.
    #[allow(clippy::option_option, reason = "wrong, absent, and there")]
    pub(crate) fn optional<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        self.known.push(name);
        let mut values = self.given.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
        let (first, second) = (values.next(), values.next());
        let Some(text) = first else { return Some(None) };
        if second.is_some() {
            self.violations.add(name, "must be given once");
            return None;
        }
        let read = T::read(&Value::from(text.as_str()));
        if read.is_none() {
            self.violations.add(name, T::ALLOWED);
        }
        read.map(Some)
    }

    /// A parameter that has to be there.
    pub(crate) fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let read = self.optional(name)?;
        if read.is_none() {
            self.violations.add(name, format!("is missing; {}", T::ALLOWED));
        }
        read
    }

    fn report_unknown(&mut self) {
        for (name, _) in self.given.iter().filter(|(name, _)| !self.known.contains(&name.as_str())) {
            self.violations.add_unknown(name, &self.known);
        }
    }
}
