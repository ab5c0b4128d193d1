//! `mesh call`: calls any gRPC method of a server with reflection, fields or JSON in and JSON out.

mod assign;
mod codec;
mod connect;
mod describe;
mod failure;
mod input;
mod invoke;
mod lines;
mod login;
mod metadata;
mod method;
mod output;
mod reflect;
mod scalar;
mod surroundings;

use std::{
    io::{IsTerminal as _, Read, Write, stderr, stdin, stdout},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{Status, metadata::MetadataMap, transport::Channel};

use self::{failure::Failure, input::Input, invoke::Deadline, output::Printer, reflect::Reflection};
pub use self::{
    login::Person,
    surroundings::{Credentials, Surroundings},
};

/// Whom to call, and with what.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    /// A service of the mesh (orders), HOST:PORT, or a URL
    #[arg(value_name = "SERVICE|ADDRESS")]
    pub server: String,
    /// list-users, UserService/ListUsers or package.Service/Method; or `list [package.Service]`, or `describe SYMBOL`
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The request: FIELD=VALUE (product.price.amount=1.00; a repeated field once for each value), or proto3 JSON. What a
    /// stream sends: a JSON array, or JSON on standard input, an object a line, each sent as it comes; - is standard input
    #[arg(value_name = "FIELD=VALUE|JSON|-")]
    pub data: Vec<String>,
    /// Log in first, as this user of the mesh, and send the access token
    #[arg(long = "as", value_name = "WHO", conflicts_with = "token")]
    pub person: Option<Person>,
    /// Send this access token
    #[arg(long)]
    pub token: Option<String>,
    /// Metadata to send; values of keys that end in -bin are base64
    #[arg(short = 'H', long = "header", value_name = "KEY: VALUE")]
    pub headers: Vec<String>,
    /// Show fields that have their default value as well
    #[arg(long)]
    pub emit_defaults: bool,
    /// Give up after this long, and tell the server so; 0.5 is half a second
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// One JSON document a line on stdout, errors as JSON on stderr
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let positive = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|given| !given.is_zero());
    positive.ok_or_else(|| "a number of seconds above 0 is needed, such as 5 or 0.5".to_owned())
}

/// Where a call reads and writes.
pub struct Streams<'a> {
    /// What `-` and streams of requests are read from.
    pub input: Box<dyn Read + Send>,
    /// For answers.
    pub out: &'a mut (dyn Write + Send),
    /// For errors.
    pub err: &'a mut (dyn Write + Send),
    /// Whether `input` is somebody who types.
    pub is_interactive: bool,
}

/// Calls a method, or lists or describes what the server has. Exit code 0; 1 where the call failed; 2 for a mistake in
/// the arguments.
pub async fn run(args: CallArgs, around: &Surroundings) -> anyhow::Result<ExitCode> {
    let is_interactive = stdin().is_terminal();
    let streams = Streams { input: Box::new(stdin()), out: &mut stdout(), err: &mut stderr(), is_interactive };
    run_on(args, around, streams).await.map(ExitCode::from)
}

/// As [`run`] on other streams; returns the exit code.
pub async fn run_on(args: CallArgs, around: &Surroundings, streams: Streams<'_>) -> anyhow::Result<u8> {
    let Streams { input, out, err, is_interactive } = streams;
    let printer = Printer { out, json: args.json, emit_defaults: args.emit_defaults };
    let hint: Option<&mut (dyn Write + Send)> = if is_interactive { Some(&mut *err) } else { None };
    let call = Call { args: &args, around, printer, deadline: Deadline::after(args.timeout) };
    let Err(failure) = bounded(args.timeout, call.perform(input, hint)).await else { return Ok(0) };
    if args.json {
        writeln!(err, "{}", failure.json())?;
    } else {
        writeln!(err, "{}", failure.text())?;
    }
    Ok(failure.exit_code())
}

async fn bounded(limit: Option<Duration>, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let status = Status::deadline_exceeded(format!("no complete answer within {} s", limit.as_secs_f64()));
        Err(Failure::Answer(Box::new(status), DescriptorPool::new()))
    })
}

/// One run of the command.
struct Call<'a> {
    args: &'a CallArgs,
    around: &'a Surroundings,
    printer: Printer<'a>,
    deadline: Deadline,
}

impl Call<'_> {
    /// `hint` is where somebody who types is told what to type.
    async fn perform(mut self, input: Box<dyn Read + Send>, hint: Option<&mut (dyn Write + Send)>) -> Result<(), Failure> {
        let channel = connect::open(&connect::address(&self.args.server, self.around)?, self.around).await?;
        let mut reflection = Reflection::new(channel.clone());
        match (self.args.method.as_str(), self.args.data.as_slice()) {
            ("list", []) => self.printer.names(&reflection.services().await?),
            ("list", [service]) => self.list(&mut reflection, service).await,
            ("describe", [symbol]) => self.describe(&mut reflection, symbol).await,
            ("list", _) => Err(Failure::Usage("list takes one service at most".to_owned())),
            ("describe", _) => Err(Failure::Usage("describe what? Give one service, method, message or enum".to_owned())),
            (name, data) => {
                let method = method::find(&mut reflection, name).await?;
                let input = Input::new(&method, data, input).await?;
                self.invoke(channel, &method, input, hint).await
            }
        }
    }

    async fn list(&mut self, reflection: &mut Reflection, service: &str) -> Result<(), Failure> {
        let pool = method::known(reflection, service).await?;
        let found = pool.get_service_by_name(service);
        let found = found.ok_or_else(|| Failure::Usage(format!("{service} is not a service")))?;
        self.printer.names(&found.methods().map(|method| format!("{service}/{}", method.name())).collect::<Vec<_>>())
    }

    async fn describe(&mut self, reflection: &mut Reflection, symbol: &str) -> Result<(), Failure> {
        let symbol = symbol.replace('/', ".");
        let pool = method::known(reflection, &symbol).await?;
        let (kind, definition) = describe::describe(&pool, &symbol)
            .ok_or_else(|| Failure::Usage(format!("{symbol} is neither a service, a method, a message nor an enum")))?;
        self.printer.definition(&symbol, kind, &definition)
    }

    async fn invoke(
        &mut self,
        channel: Channel,
        method: &MethodDescriptor,
        input: Input,
        hint: Option<&mut (dyn Write + Send)>,
    ) -> Result<(), Failure> {
        let mut metadata = metadata::read(&self.args.headers)?;
        if let Some(token) = self.token(&metadata).await? {
            metadata::authorize(&mut metadata, &token)?;
        }
        if let Some(hint) = hint.filter(|_| input.is_typed()) {
            let name = method.input().full_name().to_owned();
            let _unseen = writeln!(hint, "type one {name} as JSON a line, Ctrl-D at the end");
        }
        invoke::invoke(channel, method, input, (metadata, self.deadline), &mut self.printer).await
    }

    async fn token(&self, metadata: &MetadataMap) -> Result<Option<String>, Failure> {
        if (self.args.token.is_some() || self.args.person.is_some()) && metadata.contains_key("authorization") {
            return Err(Failure::Usage("-H authorization and a token exclude each other".to_owned()));
        }
        match self.args.person {
            Some(person) => login::token(person, self.around, self.deadline).await.map(Some),
            None => Ok(self.args.token.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_above_nothing() {
        assert_eq!(seconds("5"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["", "0", "-1", "1e300", "NaN", "inf", "5s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
