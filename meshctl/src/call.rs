//! `mesh call`: calls any gRPC method of a server with reflection, JSON in and JSON out.

mod codec;
mod describe;
mod failure;
mod input;
mod output;
mod reflect;

use std::{
    io::{Write, stderr, stdout},
    process::ExitCode,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use futures::stream;
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tonic::{
    Request, Status,
    client::Grpc,
    metadata::{Ascii, Binary, MetadataKey, MetadataMap, MetadataValue},
    transport::{Channel, Endpoint},
};

use self::{codec::DynamicCodec, failure::Failure, output::Printer, reflect::Reflection};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest message read.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Whom to call, and with what.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    /// A service of the mesh (orders), HOST:PORT, or a URL
    #[arg(value_name = "SERVICE|ADDRESS")]
    pub server: String,
    /// package.Service/Method; or `list [package.Service]`, or `describe SYMBOL`
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The request as proto3 JSON; - reads standard input. A stream: an array, or several objects on standard input
    #[arg(value_name = "JSON")]
    pub data: Option<String>,
    /// Metadata to send; values of keys that end in -bin are base64
    #[arg(short = 'H', long = "header", value_name = "KEY: VALUE")]
    pub headers: Vec<String>,
    /// Show fields that have their default value as well
    #[arg(long)]
    pub emit_defaults: bool,
    /// Give up after this long
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// One JSON document a line on stdout, errors as JSON on stderr
    #[arg(long)]
    pub json: bool,
}

/// Calls a method, or lists or describes what the server has. Exit code 0; 1 where the call failed; 2 for a mistake in
/// the arguments.
///
/// `resolve` turns the name of a service of the mesh into `http://host:port`.
pub async fn run(args: CallArgs, resolve: impl Fn(&str) -> Option<String>) -> anyhow::Result<ExitCode> {
    let code = run_to(args, resolve, &mut stdout(), &mut stderr()).await?;
    Ok(ExitCode::from(code))
}

/// As [`run`], writing answers to `out` and errors to `err`; returns the exit code.
pub async fn run_to(
    args: CallArgs,
    resolve: impl Fn(&str) -> Option<String>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let mut printer = Printer { out, json: args.json, emit_defaults: args.emit_defaults };
    let done = match args.timeout {
        None => perform(&args, resolve, &mut printer).await,
        Some(seconds) => {
            tokio::time::timeout(Duration::from_secs(seconds), perform(&args, resolve, &mut printer)).await.unwrap_or_else(|_| {
                let status = Status::deadline_exceeded(format!("no complete answer within {seconds} s"));
                Err(Failure::Answer(Box::new(status), DescriptorPool::new()))
            })
        }
    };
    let Err(failure) = done else { return Ok(0) };
    if args.json {
        writeln!(err, "{}", failure.json())?;
    } else {
        writeln!(err, "{}", failure.text())?;
    }
    Ok(failure.exit_code())
}

async fn perform(args: &CallArgs, resolve: impl Fn(&str) -> Option<String>, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let metadata = metadata(&args.headers)?;
    let channel = connect(&address(&args.server, resolve)?).await?;
    let mut reflection = Reflection::new(channel.clone());
    match (args.method.as_str(), &args.data) {
        ("list", None) => printer.names(&reflection.services().await?),
        ("list", Some(service)) => {
            let pool = known(&mut reflection, service).await?;
            let found = pool.get_service_by_name(service);
            let found = found.ok_or_else(|| Failure::Usage(format!("{service} is not a service")))?;
            printer.names(&found.methods().map(|method| format!("{service}/{}", method.name())).collect::<Vec<_>>())
        }
        ("describe", None) => Err(Failure::Usage("describe what? Give a service, method, message or enum".to_owned())),
        ("describe", Some(symbol)) => {
            let symbol = symbol.replace('/', ".");
            let pool = known(&mut reflection, &symbol).await?;
            let (kind, definition) = describe::describe(&pool, &symbol)
                .ok_or_else(|| Failure::Usage(format!("{symbol} is neither a service, a method, a message nor an enum")))?;
            printer.definition(&symbol, kind, &definition)
        }
        (method, _) => {
            let method = find(&mut reflection, method).await?;
            let messages = input::messages(&method, input::text(args.data.as_deref())?.as_deref())?;
            invoke(channel, &method, messages, metadata, printer).await
        }
    }
}

fn address(server: &str, resolve: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    if server.contains("://") {
        return Ok(server.to_owned());
    }
    match (resolve(server), server.rsplit_once(':')) {
        (Some(url), _) => Ok(url),
        (None, Some((_, port))) if port.parse::<u16>().is_ok() => Ok(format!("http://{server}")),
        _ => Err(Failure::Usage(format!(
            "{server:?} is neither a gRPC service of the mesh that is running (./mesh status), nor HOST:PORT, nor a URL"
        ))),
    }
}

async fn connect(url: &str) -> Result<Channel, Failure> {
    if !url.starts_with("http://") {
        return Err(Failure::Usage(format!("{url}: only http:// is spoken here, the mesh has no TLS inside")));
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| Failure::Usage(format!("{url}: {error}")))?;
    endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await.map_err(|error| {
        let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
        let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
        Failure::Unreachable(format!("cannot connect to {url}: {cause}. Is it up (./mesh status)?"))
    })
}

fn metadata(headers: &[String]) -> Result<MetadataMap, Failure> {
    let mut map = MetadataMap::new();
    for header in headers {
        let wrong = |why: &str| Failure::Usage(format!("-H {header:?}: {why}, expected 'key: value'"));
        let (key, value) = header.split_once(':').ok_or_else(|| wrong("no colon"))?;
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if key.ends_with("-bin") {
            let key = MetadataKey::<Binary>::from_bytes(key.as_bytes()).map_err(|_| wrong("not a metadata key"))?;
            let bytes = STANDARD.decode(value).map_err(|_| wrong("the value is not base64"))?;
            map.append_bin(key, MetadataValue::from_bytes(&bytes));
        } else {
            let key = MetadataKey::<Ascii>::from_bytes(key.as_bytes()).map_err(|_| wrong("not a metadata key"))?;
            map.append(key, value.parse().map_err(|_| wrong("not a metadata value"))?);
        }
    }
    Ok(map)
}

async fn known(reflection: &mut Reflection, symbol: &str) -> Result<DescriptorPool, Failure> {
    if let Some(pool) = reflection.pool(symbol).await? {
        return Ok(pool);
    }
    let services = reflection.services().await?.join(", ");
    Err(Failure::Usage(format!("the server does not know {symbol}; its services are {services}")))
}

async fn find(reflection: &mut Reflection, name: &str) -> Result<MethodDescriptor, Failure> {
    let Some((service, _)) = name.rsplit_once(['/', '.']) else {
        return Err(Failure::Usage(format!("{name:?} is not package.Service/Method, nor list, nor describe")));
    };
    let pool = known(reflection, service).await?;
    describe::find_method(&pool, name).ok_or_else(|| {
        let methods = pool
            .get_service_by_name(service)
            .map(|found| found.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>().join(", "));
        let methods = methods.unwrap_or_else(|| "none, for it is no service".to_owned());
        Failure::Usage(format!("{service} has no method {name:?}; its methods are {methods}"))
    })
}

/// On the wire all four kinds of method are streams; a unary one is a stream of one.
async fn invoke(
    channel: Channel,
    method: &MethodDescriptor,
    messages: Vec<DynamicMessage>,
    metadata: MetadataMap,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let pool = method.parent_pool().clone();
    let answer = |status: Status| Failure::Answer(Box::new(status), pool.clone());
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = PathAndQuery::try_from(path).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut request = Request::new(stream::iter(messages));
    *request.metadata_mut() = metadata;
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Failure::Unreachable(format!("the connection broke: {error}")))?;
    let response = grpc.streaming(request, path, DynamicCodec(method.output())).await.map_err(answer)?;
    let mut responses = response.into_inner();
    while let Some(message) = responses.message().await.map_err(answer)? {
        printer.message(&message)?;
    }
    Ok(())
}
