//! Doing away with letters.

use std::collections::BTreeMap;
use std::time::Duration;

use ::kafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use serde::Serialize;

use super::{Desk, DlqError, Facts, Filter, LetterId, Mark, State, desk::write};
use crate::{producer::Producer, topics::DLQ};

/// How long the broker may take to delete.
const ANSWER: Duration = Duration::from_secs(10);

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Purged {
    /// Letters that are purged now.
    pub letters: u64,
    /// Letters that are no longer in the topic: those before the first one that is open.
    pub deleted: u64,
}

impl Desk {
    /// Marks letters as purged, then deletes the beginning of the topic, up to the first letter that is open.
    ///
    /// # Errors
    /// [`DlqError`]; what was marked before stays marked.
    pub async fn purge(&mut self, letters: &[Facts]) -> Result<Purged, DlqError> {
        self.demand_marks()?;
        let producer = Producer::new(&self.config, "dlq-purge")?;
        let mut sendings = Vec::with_capacity(letters.len());
        for facts in letters {
            let mark = Mark::purged(facts, self.mark(facts));
            sendings.push((facts.id, write(&producer, facts.id, Some(&mark)).await?, mark));
        }
        for (id, sending, mark) in sendings {
            sending.acknowledged().await?;
            self.note(id, Some(mark));
        }
        let deleted = self.delete_resolved(&producer).await?;
        Ok(Purged { letters: letters.len() as u64, deleted })
    }

    async fn delete_resolved(&mut self, producer: &Producer) -> Result<u64, DlqError> {
        let (resolved, count) = self.resolved().await?;
        if resolved.is_empty() {
            return Ok(0);
        }
        let (topic, mut list) = (self.config.named(DLQ), TopicPartitionList::new());
        for (partition, end) in &resolved {
            list.add_partition_offset(&topic, *partition, Offset::Offset(*end))?;
        }
        let admin: AdminClient<DefaultClientContext> = self.config.client("dlq-purge").create()?;
        let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
        for element in admin.delete_records(&list, &options).await?.elements() {
            element.error()?;
        }
        for (partition, end) in &resolved {
            if let Some((begin, _)) = self.bounds.get_mut(partition) {
                *begin = *end;
            }
        }
        self.forget(producer, &resolved).await?;
        Ok(count)
    }

    /// The offset of the first open letter of each partition that has resolved ones before it, and how many these are.
    async fn resolved(&self) -> Result<(BTreeMap<i32, i64>, u64), DlqError> {
        let mut first_open: BTreeMap<i32, i64> = BTreeMap::new();
        let mut before: BTreeMap<i32, u64> = BTreeMap::new();
        let mut scan = self.scan(&Filter::default())?;
        while let Some((letter, state)) = scan.next().await? {
            let LetterId { partition, offset } = letter.facts.id;
            match state {
                State::Open => drop(first_open.entry(partition).or_insert(offset)),
                _ if first_open.contains_key(&partition) => {}
                _ => *before.entry(partition).or_default() += 1,
            }
        }
        let end = |partition: &i32| self.bounds.get(partition).map_or(0, |(_, end)| *end);
        let resolved = before.keys().map(|partition| (*partition, first_open.get(partition).copied().unwrap_or_else(|| end(partition))));
        Ok((resolved.collect(), before.values().sum()))
    }

    /// Takes the marks back of letters that are gone.
    async fn forget(&mut self, producer: &Producer, gone: &BTreeMap<i32, i64>) -> Result<(), DlqError> {
        let is_gone = |id: &LetterId| gone.get(&id.partition).is_some_and(|end| id.offset < *end);
        let ids: Vec<LetterId> = self.marked().filter(is_gone).collect();
        let mut sendings = Vec::with_capacity(ids.len());
        for id in ids {
            sendings.push((id, write(producer, id, None).await?));
        }
        for (id, sending) in sendings {
            sending.acknowledged().await?;
            self.note(id, None);
        }
        Ok(())
    }
}
