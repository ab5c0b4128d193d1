//! The messages of a call: from fields, from JSON, or from standard input.

use std::io::Read;

use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    assign,
    failure::Failure,
    lines::{self, Documents, Lines},
};

/// What is sent.
pub(super) enum Input {
    /// All of it is known.
    Given(Vec<DynamicMessage>),
    /// It comes line by line.
    Typed(MessageDescriptor, Lines),
}

impl Input {
    /// `data` is what the command line says. A method that takes one message takes one JSON object (none means an empty
    /// message); one that takes a stream takes an array, or several objects one after the other, or reads them from `source`.
    ///
    /// Errors name the field by its path, and what the method takes.
    pub(super) async fn new(method: &MethodDescriptor, data: &[String], source: Box<dyn Read + Send>) -> Result<Self, Failure> {
        let (message, is_stream) = (method.input(), method.is_client_streaming());
        match data {
            [] if !is_stream => Ok(Self::Given(vec![DynamicMessage::new(message)])),
            [] => Ok(Self::Typed(message, Lines::of(source)?)),
            [only] if only == "-" && is_stream => Ok(Self::Typed(message, Lines::of(source)?)),
            [only] if only == "-" => given(method, &Lines::of(source)?.all().await?),
            [only] if !assign::is_assignment(only) => given(method, only),
            assignments => Ok(Self::Given(vec![assign::message(&message, assignments)?])),
        }
    }

    /// Whether somebody has to type it.
    pub(super) fn is_typed(&self) -> bool {
        matches!(self, Self::Typed(..))
    }

    /// Sends all, as it comes, and then closes. Nothing more is read once nobody receives.
    pub(super) async fn send(self, receiver: mpsc::Sender<DynamicMessage>) -> Result<(), Failure> {
        match self {
            Self::Given(messages) => {
                for message in messages {
                    if receiver.send(message).await.is_err() {
                        break;
                    }
                }
                Ok(())
            }
            Self::Typed(descriptor, lines) => send_lines(&descriptor, lines, &receiver).await,
        }
    }
}

async fn send_lines(descriptor: &MessageDescriptor, mut lines: Lines, receiver: &mpsc::Sender<DynamicMessage>) -> Result<(), Failure> {
    let (mut documents, mut number, mut is_open) = (Documents::default(), 0, true);
    while is_open {
        let complete = if let Some(line) = lines.next().await? {
            number += 1;
            documents.push(&line)
        } else {
            is_open = false;
            documents.end()
        };
        let complete = complete.map_err(|error| Failure::Usage(format!("standard input is not JSON at line {number}: {error}")))?;
        for value in complete.into_iter().flat_map(elements) {
            if receiver.send(read(descriptor, value)?).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The messages of a text.
fn given(method: &MethodDescriptor, text: &str) -> Result<Input, Failure> {
    let values = lines::read(text).map_err(|error| Failure::Usage(format!("the message is not JSON, nor FIELD=VALUE: {error}")))?;
    let values: Vec<Value> = if method.is_client_streaming() { values.into_iter().flat_map(elements).collect() } else { values };
    if !method.is_client_streaming() && values.len() != 1 {
        return Err(Failure::Usage(format!("{} takes one JSON object, {} were given", method.full_name(), values.len())));
    }
    values.into_iter().map(|value| read(&method.input(), value)).collect::<Result<_, _>>().map(Input::Given)
}

fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        one => vec![one],
    }
}

fn read(descriptor: &MessageDescriptor, value: Value) -> Result<DynamicMessage, Failure> {
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    DynamicMessage::deserialize(descriptor.clone(), deserializer).map_err(|error| {
        let path = match track.path().to_string() {
            path if path == "." => String::new(),
            path => format!(" at {path}"),
        };
        Failure::Usage(format!("the message is not a {}{path}: {error}", descriptor.full_name()))
    })
}
