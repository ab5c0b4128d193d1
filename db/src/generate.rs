//! Writes `schema.rs` from the catalogues of a migrated database.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use diesel_async::AsyncPgConnection;

use crate::connect::{ConnectError, connect};
use crate::migrate::Schema;

mod catalog;
use catalog::{Column, Reference};

/// What rustfmt allows in this repository.
const WIDTH: usize = 140;

const HEAD: &str = r#"//! Diesel's view of the migrated database, one module per Postgres schema.
//!
//! Generated; do not edit. After a migration: `db schema --output db/src/schema.rs` (`db schema --check` tells whether that is
//! needed).
#![allow(missing_docs, reason = "db/migrations says what a table and a column mean")]
"#;

/// Column names that the language, or diesel's generated modules, have taken.
const TAKEN: [&str; 40] = [
    "abstract", "as", "async", "await", "become", "box", "break", "columns", "const", "continue", "crate", "do", "dsl", "dyn", "else",
    "enum", "extern", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "pub", "ref",
    "return", "static", "struct", "trait", "type", "use", "where",
];

/// Why there is no `schema.rs`.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The catalogues cannot be read.
    #[error("cannot read the database's catalogues: {0}")]
    Catalog(#[from] diesel::result::Error),
    /// A schema of ours holds no table.
    #[error("schema {0} has no tables: run `db migrate up` on this database first")]
    Empty(Schema),
    /// A column's type has no counterpart here.
    #[error("column {column} has type {found}; allowed: {}", catalog::known_types())]
    Type {
        /// Schema, table and column.
        column: String,
        /// The type's name in Postgres.
        found: String,
    },
    /// Diesel addresses rows by primary key.
    #[error("table {0} has no primary key")]
    NoPrimaryKey(String),
    /// Formatting failed.
    #[error("cannot format schema.rs: {0}")]
    Format(#[from] fmt::Error),
}

/// The text of `schema.rs` for the database at `url`, as rustfmt leaves it.
///
/// # Errors
/// See [`GenerateError`].
pub async fn schema_rs(url: &str) -> Result<String, GenerateError> {
    let mut connection = connect(url).await?;
    let mut text = HEAD.to_owned();
    for schema in Schema::ALL {
        module(&mut text, &mut connection, schema).await?;
    }
    Ok(text)
}

/// The `schema.rs` that this binary was built with.
pub fn checked_in() -> &'static str {
    include_str!("schema.rs")
}

async fn module(text: &mut String, connection: &mut AsyncPgConnection, schema: Schema) -> Result<(), GenerateError> {
    let columns = catalog::columns(connection, schema).await?;
    if columns.is_empty() {
        return Err(GenerateError::Empty(schema));
    }
    let references = catalog::references(connection, schema).await?;
    write!(text, "\n/// Tables of the Postgres schema `{schema}`.\npub mod {schema} {{\n")?;
    for table in columns.chunk_by(|one, other| one.table == other.table) {
        write_table(text, schema, table)?;
    }
    for Reference { child, parent, key } in joinable(&references) {
        writeln!(text, "    diesel::joinable!({child} -> {parent} ({}));", rust_name(child, key))?;
    }
    let tables: BTreeSet<_> = columns.iter().map(|column| column.table.as_str()).collect();
    if tables.len() > 1 {
        write_together(text, &tables)?;
    } else {
        // the blank line after a table separates it from what follows
        text.pop();
    }
    text.push_str("}\n");
    Ok(())
}

fn write_table(text: &mut String, schema: Schema, columns: &[Column]) -> Result<(), GenerateError> {
    let Some(first) = columns.first() else { return Ok(()) };
    let table = &first.table;
    let mut key: Vec<_> = columns.iter().filter(|column| column.key_position.is_some()).collect();
    key.sort_by_key(|column| column.key_position);
    if key.is_empty() {
        return Err(GenerateError::NoPrimaryKey(format!("{schema}.{table}")));
    }
    let key: Vec<_> = key.iter().map(|column| rust_name(table, &column.name)).collect();
    text.push_str("    diesel::table! {\n");
    write_comment(text, 8, first.table_comment.as_deref())?;
    writeln!(text, "        {schema}.{table} ({}) {{", key.join(", "))?;
    for column in columns {
        write_comment(text, 12, column.comment.as_deref())?;
        let name = rust_name(table, &column.name);
        if name != column.name {
            writeln!(text, "            #[sql_name = \"{}\"]", column.name)?;
        }
        let kind = column
            .diesel_type()
            .ok_or_else(|| GenerateError::Type { column: format!("{schema}.{table}.{}", column.name), found: column.kind.clone() })?;
        let kind = if column.nullable { format!("Nullable<{kind}>") } else { kind.to_owned() };
        writeln!(text, "            {name} -> {kind},")?;
    }
    text.push_str("        }\n    }\n\n");
    Ok(())
}

fn write_comment(text: &mut String, indent: usize, comment: Option<&str>) -> fmt::Result {
    comment.unwrap_or_default().lines().try_for_each(|line| writeln!(text, "{:indent$}/// {}", "", line.trim_end()))
}

fn write_together(text: &mut String, tables: &BTreeSet<&str>) -> fmt::Result {
    let tables: Vec<_> = tables.iter().copied().collect();
    let line = format!("    diesel::allow_tables_to_appear_in_same_query!({});", tables.join(", "));
    if line.len() <= WIDTH {
        return writeln!(text, "{line}");
    }
    let list = tables.join(",\n        ");
    writeln!(text, "    diesel::allow_tables_to_appear_in_same_query!(\n        {list}\n    );")
}

/// A join has to be one thing only: two references between the same tables, or a table's to itself, are left to the query.
fn joinable(references: &[Reference]) -> impl Iterator<Item = &Reference> {
    let pair = |reference: &Reference| {
        let (one, other) = (reference.child.clone(), reference.parent.clone());
        if one < other { (one, other) } else { (other, one) }
    };
    references.iter().filter(move |reference| {
        reference.child != reference.parent && references.iter().filter(|other| pair(other) == pair(reference)).count() == 1
    })
}

fn rust_name(table: &str, column: &str) -> String {
    if TAKEN.contains(&column) || column == table || column == "table" { format!("{column}_") } else { column.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, key_position: Option<i32>) -> Column {
        Column {
            table: "parcels".to_owned(),
            table_comment: Some("What was sent.".to_owned()),
            name: name.to_owned(),
            comment: None,
            kind: kind.to_owned(),
            nullable: key_position.is_none(),
            key_position,
        }
    }

    #[test]
    fn a_composite_key_keeps_its_own_order_and_taken_names_are_changed() {
        let columns = [column("line", "int2", Some(2)), column("type", "jsonb", None), column("parcel", "uuid", Some(1))];
        let mut text = String::new();
        write_table(&mut text, Schema::Orders, &columns).expect("a table");
        let expected = "    diesel::table! {
        /// What was sent.
        orders.parcels (parcel, line) {
            line -> Int2,
            #[sql_name = \"type\"]
            type_ -> Nullable<Jsonb>,
            parcel -> Uuid,
        }
    }\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_type_without_counterpart_and_a_missing_key_are_told() {
        let unknown = write_table(&mut String::new(), Schema::Auth, &[column("place", "point", Some(1))]).expect_err("no such type");
        assert!(unknown.to_string().contains("auth.parcels.place has type point; allowed: "), "{unknown}");
        let keyless = write_table(&mut String::new(), Schema::Auth, &[column("id", "uuid", None)]).expect_err("no key");
        assert_eq!(keyless.to_string(), "table auth.parcels has no primary key");
    }

    #[test]
    fn ambiguous_joins_are_left_out() {
        let reference = |child: &str, parent: &str, key: &str| Reference { child: child.into(), parent: parent.into(), key: key.into() };
        let all = [reference("a", "b", "x"), reference("a", "c", "y"), reference("a", "c", "z"), reference("d", "d", "up")];
        assert_eq!(joinable(&all).map(|r| r.key.as_str()).collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn a_long_list_of_tables_is_broken() {
        let names: Vec<_> = (10..30).map(|number| format!("table_{number}")).collect();
        let mut text = String::new();
        write_together(&mut text, &names.iter().map(String::as_str).collect()).expect("text");
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.lines().count() == 22, "{text}");
    }
}
