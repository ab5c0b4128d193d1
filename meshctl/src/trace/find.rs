//! Finding spans: by what they are, and by the path of calls that leads to them.

use std::{collections::HashSet, fmt};

use super::{
    model::{Kind, Span, Trace},
    protocol::Protocol,
};

/// Describes spans; every condition given must hold. It displays as what was asked for, for the message of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanFilter {
    service: Option<String>,
    kind: Option<Kind>,
    name: Option<String>,
    protocol: Option<Protocol>,
    attributes: Vec<(String, String)>,
}

impl SpanFilter {
    /// Any span.
    pub fn any() -> Self {
        Self::default()
    }

    /// Any span of this service.
    pub fn service(name: &str) -> Self {
        Self { service: Some(name.to_owned()), ..Self::default() }
    }

    /// Of this kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// With exactly this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Which speaks this protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// With an attribute of this text; numbers and booleans compare by their JSON.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.attributes.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Whether the span meets all conditions.
    pub fn matches(&self, span: &Span) -> bool {
        self.service.as_ref().is_none_or(|service| *service == span.service)
            && self.kind.is_none_or(|kind| kind == span.kind)
            && self.name.as_ref().is_none_or(|name| *name == span.name)
            && self.protocol.is_none_or(|protocol| Some(protocol) == span.protocol())
            && self.attributes.iter().all(|(key, value)| span.text(key).as_ref() == Some(value))
    }
}

impl fmt::Display for SpanFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service.as_deref().unwrap_or("any service"))?;
        if let Some(kind) = self.kind {
            write!(f, " {}", format!("{kind:?}").to_lowercase())?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, " {protocol}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        self.attributes.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl Trace {
    /// All spans that match, in order of start.
    pub fn find(&self, filter: &SpanFilter) -> Vec<&Span> {
        self.spans().iter().filter(|span| filter.matches(span)).collect()
    }

    /// The spans of a path of direct parent → child edges that match the filters one by one; the first path found.
    pub fn find_path(&self, filters: &[SpanFilter]) -> Option<Vec<&Span>> {
        let (first, rest) = filters.split_first()?;
        self.find(first).into_iter().find_map(|span| self.path_from(span, rest))
    }

    fn path_from<'a>(&'a self, span: &'a Span, filters: &[SpanFilter]) -> Option<Vec<&'a Span>> {
        let Some((next, rest)) = filters.split_first() else { return Some(vec![span]) };
        let mut path = self.children_of(span).filter(|child| next.matches(child)).find_map(|child| self.path_from(child, rest))?;
        path.insert(0, span);
        Some(path)
    }

    /// The parent, its parent and so on, as far as they are in the trace.
    pub fn ancestors_of(&self, span: &Span) -> Vec<&Span> {
        let mut seen: HashSet<&str> = HashSet::new();
        let first = self.parent_of(span);
        std::iter::successors(first, |span| self.parent_of(span)).take_while(|span| seen.insert(&span.id)).collect()
    }
}
