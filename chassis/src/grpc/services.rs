//! What a server says of its services.

use std::iter::once;

/// What every server has beside its own services.
const OWN: [&str; 2] = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
/// Those of their methods whose streams last for as long as the caller likes.
const OWN_STREAMS: [&str; 2] = ["/grpc.health.v1.Health/Watch", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"];

/// The services of a server by name, and which of their methods are streams that last: for a client's whole visit, not for
/// as long as an answer takes. Those have a bound of their own where each connection has a thread (`runtime.max_streams`).
#[derive(Debug, Clone, Copy)]
pub struct Services {
    names: &'static [&'static str],
    streams: &'static [&'static str],
}

impl Services {
    /// Services named `package.Service`, none of whose streams lasts.
    pub const fn new(names: &'static [&'static str]) -> Self {
        Self { names, streams: &[] }
    }

    /// The same, with these methods, as `/package.Service/Method`, being streams that last.
    #[must_use]
    pub const fn with_streams(self, streams: &'static [&'static str]) -> Self {
        Self { streams, ..self }
    }

    /// Those that report health: each service, and the whole server, which has no name.
    pub(super) fn reporting(self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied().chain(once(""))
    }

    /// Those that reflection tells of: the descriptors are those of the whole mesh.
    pub(super) fn reflected(self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied().chain(OWN)
    }

    pub(super) fn is_stream(self, path: &str) -> bool {
        self.streams.contains(&path) || OWN_STREAMS.contains(&path)
    }
}

impl From<&'static [&'static str]> for Services {
    fn from(names: &'static [&'static str]) -> Self {
        Self::new(names)
    }
}

impl<const N: usize> From<&'static [&'static str; N]> for Services {
    fn from(names: &'static [&'static str; N]) -> Self {
        Self::new(names)
    }
}
