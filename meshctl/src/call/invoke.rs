//! A call: requests go out as they come, answers are printed as they come.

use std::{error::Error as _, time::Duration};

use futures::Stream;
use http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, TimeoutExpired, client::Grpc, metadata::MetadataMap, transport::Channel};

use super::{codec::DynamicCodec, failure::Failure, input::Input, output::Printer};

/// The largest message read.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
const TIMEOUT: &str = "grpc-timeout";

/// Until when answers are waited for, if not for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// From now on.
    pub(super) fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }
}

/// Metadata, and what the server is told of the deadline.
pub(super) type Terms = (MetadataMap, Deadline);

/// Calls, and prints every answer.
pub(super) async fn invoke(
    channel: Channel,
    method: &MethodDescriptor,
    input: Input,
    terms: Terms,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let (sender, requests) = mpsc::channel(1);
    let print = async {
        let mut answers = answers(channel, method, ReceiverStream::new(requests), terms).await?;
        while let Some(message) = answers.message().await.map_err(|status| failed(status, method))? {
            printer.message(&message)?;
        }
        Ok(())
    };
    // what cannot be sent ends the call; that all is sent does not
    tokio::select! {
        done = print => done,
        Err(failure) = input.send(sender) => Err(failure),
    }
}

/// Calls. On the wire all four kinds of method are streams; a unary one is a stream of one.
pub(super) async fn answers(
    channel: Channel,
    method: &MethodDescriptor,
    requests: impl Stream<Item = DynamicMessage> + Send + 'static,
    (metadata, deadline): Terms,
) -> Result<Streaming<DynamicMessage>, Failure> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = PathAndQuery::try_from(path).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut request = Request::new(requests);
    *request.metadata_mut() = metadata;
    if let Some(left) = deadline.left()
        && !request.metadata().contains_key(TIMEOUT)
    {
        request.set_timeout(left);
    }
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Failure::Unreachable(format!("the connection broke: {error}")))?;
    let response = grpc.streaming(request, path, DynamicCodec(method.output())).await;
    response.map(tonic::Response::into_inner).map_err(|status| failed(status, method))
}

/// A status as it is told. That of the client's own timer has the code that the server's would have.
pub(super) fn failed(status: Status, method: &MethodDescriptor) -> Failure {
    let status = if is_own_timer(&status) { Status::deadline_exceeded("no answer in time") } else { status };
    Failure::Answer(Box::new(status), method.parent_pool().clone())
}

fn is_own_timer(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}
