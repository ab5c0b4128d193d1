//! The letters that something is done about, looked up before it is done.

use anyhow::Result;
use events::dlq::{Desk, DlqError, Facts, Filter};

/// What is meant. Fails where an id is nobody's, before anything is done.
pub(super) async fn all(desk: &Desk, filter: &Filter) -> Result<Vec<Facts>> {
    let (mut scan, mut found) = (desk.scan(filter)?, Vec::new());
    while let Some((letter, _)) = scan.next().await? {
        found.push(letter.facts);
    }
    let ids = scan.missing().clone();
    if ids.is_empty() { Ok(found) } else { Err(DlqError::Unknown { ids }.into()) }
}

/// How many are meant; see [`all`].
pub(super) async fn count(desk: &Desk, filter: &Filter) -> Result<u64> {
    let (mut scan, mut count) = (desk.scan(filter)?, 0);
    while scan.next().await?.is_some() {
        count += 1;
    }
    let ids = scan.missing().clone();
    if ids.is_empty() { Ok(count) } else { Err(DlqError::Unknown { ids }.into()) }
}
