//! docs/sql.md tells of every constraint what its violation is to a caller.

use std::collections::BTreeSet;

use db::testing::TestDatabase;

use crate::{lines, open};

const DOCUMENT: &str = include_str!("../../../docs/sql.md");

/// All that Postgres refuses rows for in our tables, but NOT NULL (a column's type) and diesel's books.
const CONSTRAINTS: &str = "
    SELECT format('%s.%s', t.oid::regclass, rule.name) AS line
    FROM (
        SELECT conrelid, conname FROM pg_constraint WHERE contype <> 'n'
        UNION SELECT indrelid, c.relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indisunique
    ) rule (relation, name) JOIN pg_class t ON t.oid = rule.relation
    WHERE t.relnamespace::regnamespace::text IN ('auth', 'catalog', 'orders', 'events') AND t.relname NOT LIKE '\\_\\_diesel%'";

/// Cells of the rows of the table under a heading.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(heading).expect(heading);
    let section = section.split("\n## ").next().expect("a section");
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    section.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect()
}

#[tokio::test]
async fn every_constraint_is_documented_and_every_documented_one_is_there() {
    let database = TestDatabase::create().await;
    let exist: BTreeSet<_> = lines(&mut open(&database.admin_url()).await, CONSTRAINTS).await.into_iter().collect();
    let told: BTreeSet<_> = table("\n## Constraints\n").iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let undocumented: Vec<_> = exist.difference(&told).collect();
    let gone: Vec<_> = told.difference(&exist).collect();
    assert!(undocumented.is_empty() && gone.is_empty(), "not in docs/sql.md: {undocumented:#?}; not in the database: {gone:#?}");
}

#[test]
fn a_violation_has_a_code_and_a_status_or_a_reason_why_there_is_none() {
    for row in table("\n## Constraints\n") {
        let [name, guards, code, status] = row[..] else { panic!("not four cells: {row:?}") };
        assert!(!guards.is_empty(), "{name}");
        if status == "-" {
            assert!(code.len() > 20, "{name}: why can no input hit it? {code:?}");
        } else {
            assert!(status.parse::<u16>().is_ok_and(|status| (400..500).contains(&status)), "{name}: {status}");
            assert!(code.starts_with('`') && code.contains(|letter: char| letter.is_ascii_uppercase()), "{name}: {code}");
        }
    }
}

#[test]
fn every_file_that_the_patterns_point_at_is_there() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let rows = table("\n## Patterns\n");
    assert!(rows.len() > 15, "{rows:?}");
    let files =
        rows.iter().flat_map(|row| row.iter()).flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|word| word.contains('/'));
    for file in files {
        assert!(std::path::Path::new(root).join(file).exists(), "docs/sql.md names {file}");
    }
}
