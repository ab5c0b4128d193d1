//! The JSON Schema of every event lies beside the code, so that a change of the contract is seen in review.

use std::{collections::BTreeSet, path::PathBuf};

use events::{
    contract::{
        NotificationRequested, OrderCancelled, OrderPlaced, OrderRecorded, OrderUpdated, UserCreated, UserDeleted, UserLoggedIn,
        UserLoggedOut, UserUpdated,
    },
    envelope::{Envelope, Event},
};

const WRITE_KEY: &str = "THROUGHLINE_WRITE_SCHEMA";

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema")
}

/// Compares, or writes where [`WRITE_KEY`] is set; returns the file's name.
fn check<T: Event>() -> String {
    let name = format!("{}.json", T::TYPE);
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Envelope<T>)).unwrap() + "\n";
    let path = directory().join(&name);
    if std::env::var_os(WRITE_KEY).is_some() {
        std::fs::write(&path, schema).unwrap();
    } else {
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            checked_in, schema,
            "events/schema/{name} is not what the code says: if the change is meant, and old readers can live with it, run \
             `{WRITE_KEY}=1 cargo test --release -p events --test api schema`"
        );
    }
    name
}

#[test]
fn the_checked_in_schemas_are_those_of_the_code() {
    let written: BTreeSet<String> = [
        check::<NotificationRequested>(),
        check::<OrderCancelled>(),
        check::<OrderPlaced>(),
        check::<OrderRecorded>(),
        check::<OrderUpdated>(),
        check::<UserCreated>(),
        check::<UserDeleted>(),
        check::<UserLoggedIn>(),
        check::<UserLoggedOut>(),
        check::<UserUpdated>(),
    ]
    .into();
    let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), written, "events/schema has files of other events");
}
