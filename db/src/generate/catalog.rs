//! What Postgres' own catalogues say of our tables.

use diesel::QueryResult;
use diesel::prelude::QueryableByName;
use diesel::sql_types::{Bool, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::migrate::Schema;

/// Types of Postgres (`pg_type.typname`) and of diesel.
const TYPES: [(&str, &str); 14] = [
    ("bool", "Bool"),
    ("bytea", "Bytea"),
    ("date", "Date"),
    ("float4", "Float4"),
    ("float8", "Float8"),
    ("int2", "Int2"),
    ("int4", "Int4"),
    ("int8", "Int8"),
    ("jsonb", "Jsonb"),
    ("numeric", "Numeric"),
    ("text", "Text"),
    ("timestamptz", "Timestamptz"),
    ("uuid", "Uuid"),
    ("varchar", "Varchar"),
];

/// Without what full-text search alone reads: a tsvector has no counterpart in diesel.
const COLUMNS: &str = "
    SELECT c.relname::text AS \"table\", a.attname::text AS name, t.typname::text AS kind, NOT a.attnotnull AS nullable,
           array_position(i.indkey::int2[], a.attnum) AS key_position,
           obj_description(c.oid, 'pg_class') AS table_comment, col_description(c.oid, a.attnum) AS comment
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname <> '__diesel_schema_migrations' AND t.typname <> 'tsvector'
    ORDER BY c.relname, a.attnum";

/// References of one column to a primary key of one column, within the schema.
const REFERENCES: &str = "
    SELECT child.relname::text AS child, parent.relname::text AS parent, a.attname::text AS key
    FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_class child ON child.oid = f.conrelid
    JOIN pg_catalog.pg_class parent ON parent.oid = f.confrelid AND parent.relnamespace = child.relnamespace
    JOIN pg_catalog.pg_constraint p ON p.conrelid = parent.oid AND p.contype = 'p' AND p.conkey = f.confkey
    JOIN pg_catalog.pg_attribute a ON a.attrelid = child.oid AND a.attnum = f.conkey[1]
    WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 AND child.relnamespace = to_regnamespace($1) AND NOT child.relispartition
    ORDER BY child.relname, parent.relname, a.attname";

/// One column of one table.
#[derive(QueryableByName)]
pub(super) struct Column {
    #[diesel(sql_type = Text)]
    pub(super) table: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) table_comment: Option<String>,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) comment: Option<String>,
    /// `pg_type.typname`.
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = Bool)]
    pub(super) nullable: bool,
    /// Place in the primary key, counted from any number; none outside it.
    #[diesel(sql_type = Nullable<Integer>)]
    pub(super) key_position: Option<i32>,
}

impl Column {
    /// Its type as diesel calls it.
    pub(super) fn diesel_type(&self) -> Option<&'static str> {
        TYPES.iter().find(|(postgres, _)| *postgres == self.kind).map(|(_, diesel)| *diesel)
    }
}

/// A column that names a row of another table.
#[derive(QueryableByName)]
pub(super) struct Reference {
    #[diesel(sql_type = Text)]
    pub(super) child: String,
    #[diesel(sql_type = Text)]
    pub(super) parent: String,
    #[diesel(sql_type = Text)]
    pub(super) key: String,
}

/// The types that [`Column::diesel_type`] knows.
pub(super) fn known_types() -> String {
    TYPES.map(|(postgres, _)| postgres).join(", ")
}

/// All columns, table by table, in the order of the table.
pub(super) async fn columns(connection: &mut AsyncPgConnection, schema: Schema) -> QueryResult<Vec<Column>> {
    diesel::sql_query(COLUMNS).bind::<Text, _>(schema.name()).load(connection).await
}

/// All references that diesel can join by.
pub(super) async fn references(connection: &mut AsyncPgConnection, schema: Schema) -> QueryResult<Vec<Reference>> {
    diesel::sql_query(REFERENCES).bind::<Text, _>(schema.name()).load(connection).await
}
