//! Learns a server's messages and services by gRPC server reflection, version 1.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Status, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use super::failure::Failure;

/// A connection to a server's reflection service.
pub(super) struct Reflection {
    client: ServerReflectionClient<Channel>,
}

impl Reflection {
    pub(super) fn new(channel: Channel) -> Self {
        Self { client: ServerReflectionClient::new(channel) }
    }

    /// The full names of the server's services, sorted.
    pub(super) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        let answers = self.ask(vec![MessageRequest::ListServices(String::new())]).await?;
        let mut names: Vec<_> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                MessageResponse::ListServicesResponse(list) => Some(list.service),
                _ => None,
            })
            .flatten()
            .map(|service| service.name)
            .collect();
        names.sort();
        Ok(names)
    }

    /// A pool with the file that declares a symbol and all it imports; `None` where the server does not know it.
    pub(super) async fn pool(&mut self, symbol: &str) -> Result<Option<DescriptorPool>, Failure> {
        let mut files = self.files(vec![MessageRequest::FileContainingSymbol(symbol.to_owned())]).await?;
        if files.is_empty() {
            return Ok(None);
        }
        let mut missing = missing_imports(&files);
        while !missing.is_empty() {
            let requests = missing.iter().cloned().map(MessageRequest::FileByFilename).collect();
            let found = self.files(requests).await?;
            let stuck = found.is_empty();
            files.extend(found);
            // servers need not carry the well-known types
            let known = known_types().file.into_iter().map(|file| (file.name().to_owned(), file));
            for (name, file) in known.filter(|(name, _)| missing.contains(name)) {
                files.entry(name).or_insert(file);
            }
            let still = missing_imports(&files);
            if stuck && still == missing {
                return Err(Failure::Unreachable(format!("the server does not know its own imports: {still:?}")));
            }
            missing = still;
        }
        for file in known_types().file {
            files.entry(file.name().to_owned()).or_insert(file);
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(files.into_values())
            .map_err(|error| Failure::Unreachable(format!("the server's descriptors contradict each other: {error}")))?;
        Ok(Some(pool))
    }

    async fn files(&mut self, requests: Vec<MessageRequest>) -> Result<BTreeMap<String, FileDescriptorProto>, Failure> {
        let mut files = BTreeMap::new();
        for answer in self.ask(requests).await? {
            let MessageResponse::FileDescriptorResponse(found) = answer else { continue };
            for bytes in found.file_descriptor_proto {
                let file = FileDescriptorProto::decode(bytes.as_slice())
                    .map_err(|error| Failure::Unreachable(format!("the server sent no file descriptor: {error}")))?;
                files.insert(file.name().to_owned(), file);
            }
        }
        Ok(files)
    }

    /// One answer for each request; requests for what the server does not know are left out.
    async fn ask(&mut self, requests: Vec<MessageRequest>) -> Result<Vec<MessageResponse>, Failure> {
        let mut answers = Vec::new();
        for request in requests {
            let message = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
            // tonic's server ends the stream at the first name it does not know, so each name has a stream of its own
            let asked = self.client.server_reflection_info(stream::iter([message])).await;
            let answered = match asked {
                Ok(response) => response.into_inner().boxed().try_collect::<Vec<_>>().await,
                Err(status) => Err(status),
            };
            match answered {
                Ok(responses) => answers.extend(responses.into_iter().filter_map(|response| response.message_response)),
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(refused(&status)),
            }
        }
        Ok(answers)
    }
}

fn refused(status: &Status) -> Failure {
    Failure::Unreachable(match status.code() {
        Code::Unimplemented => "the server has no gRPC server reflection v1, so its methods are unknown here".to_owned(),
        code => format!("the server's reflection answered {code:?}: {}", status.message()),
    })
}

fn missing_imports(files: &BTreeMap<String, FileDescriptorProto>) -> Vec<String> {
    let mut missing: Vec<_> = files.values().flat_map(|file| &file.dependency).filter(|name| !files.contains_key(*name)).cloned().collect();
    missing.sort();
    missing.dedup();
    missing
}

/// The types that need no server: `google.protobuf` and the error details of `google.rpc`.
pub(super) fn known_types() -> FileDescriptorSet {
    let well_known = DescriptorPool::global();
    let mut files: Vec<FileDescriptorProto> = well_known.file_descriptor_protos().cloned().collect();
    let details = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap_or_default();
    files.extend(details.file.into_iter().filter(|file| well_known.get_file_by_name(file.name()).is_none()));
    FileDescriptorSet { file: files }
}
