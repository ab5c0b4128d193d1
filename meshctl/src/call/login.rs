//! Who calls: a user of the mesh, logged in for this call.

use clap::ValueEnum;
use prost_reflect::{DynamicMessage, Value};
use tonic::{Status, metadata::MetadataMap};

use super::{
    Surroundings, connect,
    failure::Failure,
    invoke::{self, Deadline},
    method,
    reflect::Reflection,
};

const SERVICE: &str = "auth";
const LOGIN: &str = "throughline.auth.v1.AuthService/Login";

/// A user that every mesh has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Person {
    /// The demo user
    Demo,
    /// The demo admin
    Admin,
}

impl Person {
    fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Admin => "admin",
        }
    }
}

/// An access token for `person`.
pub(super) async fn token(person: Person, around: &Surroundings, deadline: Deadline) -> Result<String, Failure> {
    let missing = || Failure::Usage(format!("--as {}: this mesh was never started (./mesh up)", person.name()));
    let credentials = around.people.get(&person).ok_or_else(missing)?;
    let channel = connect::open(around.services.get(SERVICE).ok_or_else(missing)?, around).await?;
    let method = method::find(&mut Reflection::new(channel.clone()), LOGIN).await?;
    let mut login = DynamicMessage::new(method.input());
    for (field, text) in [("email", &credentials.email), ("password", &credentials.password)] {
        let set = login.try_set_field_by_name(field, Value::String(text.clone()));
        set.map_err(|error| Failure::Unreachable(format!("--as {}: {LOGIN} is another one than we know: {error}", person.name())))?;
    }
    let requests = tokio_stream::once(login);
    let call = async {
        let mut answers = invoke::answers(channel, &method, requests, (MetadataMap::new(), deadline)).await?;
        answers.message().await.map_err(|status| invoke::failed(status, &method))
    };
    let answer = call.await.map_err(|failure| told(person, failure))?;
    let token = answer.as_ref().and_then(|answer| answer.get_field_by_name("access_token"));
    let token = token.as_deref().and_then(Value::as_str).map(str::to_owned);
    token.ok_or_else(|| Failure::Unreachable(format!("--as {}: the answer to {LOGIN} has no access_token", person.name())))
}

/// A failure that says which call it was.
fn told(person: Person, failure: Failure) -> Failure {
    match failure {
        Failure::Answer(status, pool) => {
            let message = format!("--as {}: {}", person.name(), status.message());
            Failure::Answer(Box::new(Status::with_details(status.code(), message, status.details().to_vec().into())), pool)
        }
        other => other,
    }
}
