//! Records that are handled together, and what became of each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, Ordering},
};

use super::Record;

/// Offsets by topic and partition.
pub(super) type Offsets = BTreeMap<(String, i32), i64>;

pub(super) struct Batch {
    records: Vec<Record>,
    done: Vec<AtomicBool>,
}

impl Batch {
    pub(super) fn new(records: Vec<Record>) -> Self {
        let done = records.iter().map(|_| AtomicBool::new(false)).collect();
        Self { records, done }
    }

    /// Indices in lanes: all records of one key of one partition are in one lane, in order. A record without a key goes
    /// with the others without one of its partition.
    pub(super) fn lanes(&self) -> Vec<Vec<usize>> {
        let mut lanes: HashMap<(&str, i32, Option<&str>), Vec<usize>> = HashMap::new();
        for (index, record) in self.records.iter().enumerate() {
            lanes.entry((&record.topic, record.partition, record.key.as_deref())).or_default().push(index);
        }
        lanes.into_values().collect()
    }

    pub(super) fn record(&self, index: usize) -> &Record {
        &self.records[index]
    }

    pub(super) fn finish(&self, index: usize) {
        self.done[index].store(true, Ordering::Release);
    }

    /// What may be committed: per partition, the offset after the last record before which nothing is unfinished.
    pub(super) fn finished(&self) -> Offsets {
        let open = self.unfinished().unwrap_or_default();
        let mut offsets = Offsets::new();
        for record in &self.records {
            let partition = (record.topic.clone(), record.partition);
            let next = open.get(&partition).copied().unwrap_or(i64::MAX).min(record.offset + 1);
            let first = self.first_offset(record);
            if next > first {
                offsets.entry(partition).and_modify(|offset| *offset = next.max(*offset)).or_insert(next);
            }
        }
        offsets
    }

    /// Where to read again, per partition: the first record that is unfinished. None where all is done.
    pub(super) fn unfinished(&self) -> Option<Offsets> {
        let mut offsets = Offsets::new();
        for (record, _) in self.records.iter().zip(&self.done).filter(|(_, done)| !done.load(Ordering::Acquire)) {
            let partition = (record.topic.clone(), record.partition);
            offsets.entry(partition).and_modify(|offset| *offset = record.offset.min(*offset)).or_insert(record.offset);
        }
        (!offsets.is_empty()).then_some(offsets)
    }

    fn first_offset(&self, of: &Record) -> i64 {
        let same = |record: &&Record| record.topic == of.topic && record.partition == of.partition;
        self.records.iter().find(same).map_or(of.offset, |record| record.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let record = |partition: i32, offset: i64, key: &str| Record {
            topic: "t".into(),
            partition,
            offset,
            timestamp_ms: None,
            key: Some(key.into()),
            payload: Vec::new(),
            headers: ::kafka::message::OwnedHeaders::new(),
        };
        Batch::new(vec![record(0, 7, "a"), record(0, 8, "b"), record(1, 3, "a"), record(0, 9, "a")])
    }

    fn at(partition: i32) -> (String, i32) {
        ("t".into(), partition)
    }

    #[test]
    fn a_key_stays_in_order_within_its_partition() {
        let mut lanes = batch().lanes();
        lanes.sort();
        assert_eq!(lanes, [vec![0, 3], vec![1], vec![2]]);
    }

    #[test]
    fn nothing_is_committed_over_an_unfinished_record() {
        let batch = batch();
        assert_eq!(batch.finished(), Offsets::new());
        for index in [0, 3, 2] {
            batch.finish(index);
        }
        assert_eq!(batch.finished(), Offsets::from([(at(0), 8), (at(1), 4)]));
        assert_eq!(batch.unfinished(), Some(Offsets::from([(at(0), 8)])));
        batch.finish(1);
        assert_eq!(batch.finished(), Offsets::from([(at(0), 10), (at(1), 4)]));
        assert_eq!(batch.unfinished(), None);
    }
}
