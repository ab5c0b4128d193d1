//! The JSON Schema of every event and of every version that was ever written lies beside the code, so that a change of the
//! contract is seen in review, and one that readers could stumble over does not come without a new version.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use boon::{Compiler, SchemaIndex, Schemas};
use events::{
    consumer::{HandleError, Record},
    contract::{
        NotificationRequested, OrderCancelled, OrderPlaced, OrderRecorded, OrderUpdated, UserCreated, UserDeleted, UserLoggedIn,
        UserLoggedOut, UserUpdated,
    },
    envelope::{Envelope, Event},
};
use serde_json::Value;

use crate::compatibility::incompatible;

const WRITE_KEY: &str = "THROUGHLINE_WRITE_SCHEMA";

/// One type of event, without its Rust type.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) topic: &'static str,
    /// What this code writes; it reads all up to it.
    pub(crate) version: u32,
    schema: fn() -> schemars::Schema,
    /// Reads a record as this code's consumers do, and writes the event again.
    pub(crate) read: fn(&Record) -> Result<Value, HandleError>,
}

impl Kind {
    fn of<T: Event>() -> Self {
        Self {
            name: T::TYPE,
            topic: T::TOPIC,
            version: T::SCHEMA_VERSION,
            schema: || schemars::schema_for!(Envelope<T>),
            read: |record| Ok(serde_json::to_value(record.decode::<T>()?).unwrap()),
        }
    }

    /// The checked-in schema of a version.
    pub(crate) fn checked_in(&self, version: u32) -> PathBuf {
        directory("schema").join(format!("v{version}")).join(format!("{}.json", self.name))
    }
}

/// Every type of event.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<NotificationRequested>(),
        Kind::of::<OrderCancelled>(),
        Kind::of::<OrderPlaced>(),
        Kind::of::<OrderRecorded>(),
        Kind::of::<OrderUpdated>(),
        Kind::of::<UserCreated>(),
        Kind::of::<UserDeleted>(),
        Kind::of::<UserLoggedIn>(),
        Kind::of::<UserLoggedOut>(),
        Kind::of::<UserUpdated>(),
    ]
}

pub(crate) fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn document(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Checked-in schemas that values are held against.
#[derive(Default)]
pub(crate) struct Validator {
    schemas: Schemas,
}

impl Validator {
    /// What is wrong with a value by the schema in a file, formats of dates and ids included.
    pub(crate) fn complaint(&mut self, schema: &Path, value: &Value) -> Option<String> {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let index: SchemaIndex = compiler.compile(schema.to_str().unwrap(), &mut self.schemas).unwrap();
        self.schemas.validate(value, index).err().map(|error| error.to_string())
    }
}

/// Compares the code's schema with the checked-in one, or writes it where [`WRITE_KEY`] is set and readers can live with it.
fn check(kind: &Kind) {
    let (path, schema) = (kind.checked_in(kind.version), (kind.schema)());
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before == text {
        return;
    }
    let (name, next) = (path.display(), kind.version + 1);
    let broken = if before.is_empty() { Vec::new() } else { incompatible(&document(&path), schema.as_value()) };
    assert!(broken.is_empty(), "{name}: {broken:#?}\nneeds SCHEMA_VERSION = {next} in {} (docs/events.md says what does)", kind.name);
    let write = std::env::var_os(WRITE_KEY).is_some();
    assert!(write, "{name} is not what the code says: `{WRITE_KEY}=1 cargo test --release -p events --test api schema` writes it");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
}

#[test]
fn the_checked_in_schemas_are_those_of_the_code_and_no_version_is_forgotten() {
    let kinds = kinds();
    kinds.iter().for_each(check);
    let declared: BTreeSet<PathBuf> = kinds.iter().flat_map(|kind| (1..=kind.version).map(|version| kind.checked_in(version))).collect();
    let files: BTreeSet<PathBuf> = files_below(&directory("schema")).into_iter().collect();
    assert_eq!(files, declared);
}

/// All files in the folders of a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    entries(folder).iter().flat_map(|version| entries(version)).collect()
}
