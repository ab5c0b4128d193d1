//! Values that clients send, read in such a way that all mistakes of one request are named in one answer.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::problem::Violations;

/// A value that is right once it exists.
pub(crate) trait Field: Sized {
    /// What is allowed; reads on from the field's name: `must be …`.
    const ALLOWED: &'static str;

    /// None where `value` is not allowed.
    fn read(value: &Value) -> Option<Self>;
}

/// A JSON object that a client sends.
pub(crate) trait Form: Sized {
    /// Reads every field, and then returns none where one was wrong.
    fn read(object: &mut Object<'_>) -> Option<Self>;
}

/// A JSON object that is being read.
pub(crate) struct Object<'a> {
    /// With a dot at the end where it is not the whole body.
    path: String,
    members: &'a Map<String, Value>,
    known: Vec<&'static str>,
    violations: &'a mut Violations,
}

impl<'a> Object<'a> {
    /// Reads a whole body.
    pub(crate) fn read_body<T: Form>(value: &Value) -> Result<T, Violations> {
        let mut violations = Violations::default();
        let Value::Object(members) = value else {
            violations.add("body", "must be a JSON object");
            return Err(violations);
        };
        let form = Object::read_members(String::new(), members, &mut violations, T::read);
        form.filter(|_| violations.is_empty()).ok_or(violations)
    }

    fn read_members<T>(
        path: String,
        members: &'a Map<String, Value>,
        violations: &'a mut Violations,
        read: impl FnOnce(&mut Object<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut object = Object { path, members, known: Vec::new(), violations };
        let form = read(&mut object);
        object.report_unknown();
        form
    }

    /// A field that has to be there.
    pub(crate) fn field<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let value = self.member(name, T::ALLOWED)?;
        let read = T::read(value);
        if read.is_none() {
            self.wrong(name, T::ALLOWED);
        }
        read
    }

    /// A field that may be left out; `Some(None)` where it is.
    #[allow(clippy::option_option, reason = "wrong, absent, and there")]
    pub(crate) fn optional<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        if self.members.contains_key(name) {
            return self.field(name).map(Some);
        }
        self.known.push(name);
        Some(None)
    }

    /// A list of values that has to be there.
    pub(crate) fn values<T: Field>(&mut self, name: &'static str, length: &RangeInclusive<usize>) -> Option<Vec<T>> {
        let allowed = format!("must be a list of {} to {} values", length.start(), length.end());
        let value = self.member(name, &allowed)?;
        let Some(elements) = value.as_array().filter(|elements| length.contains(&elements.len())) else {
            self.wrong(name, &allowed);
            return None;
        };
        let read = elements.iter().enumerate().map(|(index, element)| {
            let read = T::read(element);
            if read.is_none() {
                self.wrong(&format!("{name}[{index}]"), T::ALLOWED);
            }
            read
        });
        // all are read, the ones after a wrong one too
        read.collect::<Vec<_>>().into_iter().collect()
    }

    /// A list of objects that has to be there. `read` gets each element with its index.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        length: &RangeInclusive<usize>,
        mut read: impl FnMut(usize, &mut Object<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let allowed = format!("must be a list of {} to {} objects", length.start(), length.end());
        let value = self.member(name, &allowed)?;
        let Some(elements) = value.as_array().filter(|elements| length.contains(&elements.len())) else {
            self.wrong(name, &allowed);
            return None;
        };
        // all are read, the ones after a wrong one too
        let read: Vec<Option<T>> =
            elements.iter().enumerate().map(|(index, element)| self.element(name, index, element, &mut read)).collect();
        read.into_iter().collect()
    }

    fn element<T>(
        &mut self,
        name: &str,
        index: usize,
        element: &Value,
        read: &mut impl FnMut(usize, &mut Object<'_>) -> Option<T>,
    ) -> Option<T> {
        let path = format!("{}{name}[{index}]", self.path);
        let Value::Object(members) = element else {
            self.violations.add(path, "must be a JSON object");
            return None;
        };
        Object::read_members(format!("{path}."), members, self.violations, |object| read(index, object))
    }

    /// Reports a mistake that only shows beside other values.
    pub(crate) fn wrong(&mut self, name: &str, detail: &str) {
        self.violations.add(format!("{}{name}", self.path), detail);
    }

    fn member(&mut self, name: &'static str, allowed: &str) -> Option<&'a Value> {
        self.known.push(name);
        let value = self.members.get(name);
        if value.is_none() {
            self.wrong(name, &format!("is missing; {allowed}"));
        }
        value
    }

    fn report_unknown(&mut self) {
        for name in self.members.keys().filter(|name| !self.known.contains(&name.as_str())) {
            self.violations.add_unknown(format!("{}{name}", self.path), &self.known);
        }
    }
}

/// A UUID in its hyphenated form, the only one that the API writes.
pub(crate) fn read_uuid(value: &Value) -> Option<Uuid> {
    value.as_str().filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok())
}

/// A text of so many characters, without NUL, which no database keeps.
pub(crate) fn read_text(value: &Value, characters: &RangeInclusive<usize>) -> Option<String> {
    value.as_str().filter(|text| characters.contains(&text.chars().count()) && !text.contains('\0')).map(ToOwned::to_owned)
}

/// A [`Field`] that is an id, and its schema.
macro_rules! id_field {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, utoipa::ToSchema)]
        #[schema(value_type = String, format = Uuid, example = "01939d4c-0000-7000-8000-000000000001")]
        pub(crate) struct $name(uuid::Uuid);

        impl $crate::field::Field for $name {
            const ALLOWED: &'static str = "must be a UUID";

            fn read(value: &serde_json::Value) -> Option<Self> {
                $crate::field::read_uuid(value).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_string()
            }
        }
    };
}

/// A [`Field`] that is a text of some length and, where there is one, some pattern; and its schema.
macro_rules! text_field {
    ($(#[$meta:meta])* $name:ident, $min:tt to $max:tt, $allowed:literal $(, like $pattern:tt when $check:expr)?) => {
        $(#[$meta])*
        #[derive(utoipa::ToSchema)]
        #[schema(value_type = String, min_length = $min, max_length = $max $(, pattern = $pattern)?)]
        pub(crate) struct $name(pub(crate) String);

        impl $crate::field::Field for $name {
            const ALLOWED: &'static str = $allowed;

            fn read(value: &serde_json::Value) -> Option<Self> {
                let text = $crate::field::read_text(value, &($min..=$max))?;
                $(if !$check(&text) { return None; })?
                Some(Self(text))
            }
        }
    };
}

pub(crate) use {id_field, text_field};
