//! Records of one partition that wait for their turn: those of one key in order, different keys beside each other.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
};

use super::{Record, ledger::Ticket};

/// A lane is named by the hash of its key. Two keys that share one are in order among each other too, which harms nobody.
type Name = u64;

/// A record that was taken.
#[derive(Debug)]
pub(super) struct Work {
    lane: Name,
    pub(super) ticket: Ticket,
    pub(super) record: Record,
}

impl Work {
    /// Bytes that it holds, roughly.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.record.payload.len() + self.record.key.as_ref().map_or(0, Vec::len)
    }
}

/// At most one record of each lane is being handled. A lane that is here has a record that waits or is being handled.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<Name, VecDeque<Work>>,
    ready: VecDeque<Name>,
    postponed: Vec<Name>,
    hasher: RandomState,
}

impl Lanes {
    /// Adds a record behind those of its key. Records without a key are in one lane.
    pub(super) fn add(&mut self, ticket: Ticket, record: Record) -> usize {
        let lane = self.hasher.hash_one(&record.key);
        let work = Work { lane, ticket, record };
        let size = work.size();
        let (lanes, ready) = (&mut self.lanes, &mut self.ready);
        let queue = lanes.entry(lane).or_insert_with(|| {
            ready.push_back(lane);
            VecDeque::new()
        });
        queue.push_back(work);
        size
    }

    /// The next record that may be handled.
    pub(super) fn begin(&mut self) -> Option<Work> {
        let lane = self.ready.pop_front()?;
        self.lanes.get_mut(&lane)?.pop_front()
    }

    /// The record is done with: the next of its lane may be handled.
    pub(super) fn finish(&mut self, work: &Work) {
        match self.lanes.get(&work.lane) {
            Some(rest) if !rest.is_empty() => self.ready.push_back(work.lane),
            _ => drop(self.lanes.remove(&work.lane)),
        }
    }

    /// The record has to wait, and its lane with it, until [`resume`](Self::resume).
    pub(super) fn postpone(&mut self, work: Work) {
        self.postponed.push(work.lane);
        self.lanes.entry(work.lane).or_default().push_front(work);
    }

    /// Lets go on what was postponed.
    pub(super) fn resume(&mut self) {
        self.ready.extend(self.postponed.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::ledger::Ledger;

    fn lanes(keys: &[Option<&str>]) -> Lanes {
        let (mut lanes, mut ledger) = (Lanes::default(), Ledger::default());
        for (offset, key) in (0..).zip(keys) {
            let record = Record {
                topic: "t".into(),
                partition: 0,
                offset,
                timestamp_ms: None,
                key: key.map(Into::into),
                payload: Vec::new(),
                tombstone: false,
                headers: ::kafka::message::OwnedHeaders::new(),
            };
            lanes.add(ledger.take(offset).0, record);
        }
        lanes
    }

    fn begun(lanes: &mut Lanes) -> Vec<Work> {
        std::iter::from_fn(|| lanes.begin()).collect()
    }

    fn offsets(work: &[Work]) -> Vec<i64> {
        work.iter().map(|work| work.record.offset).collect()
    }

    #[test]
    fn a_key_goes_on_when_its_record_is_done_and_not_before() {
        let mut lanes = lanes(&[Some("a"), Some("b"), None, Some("a"), None]);
        let work = begun(&mut lanes);
        assert_eq!(offsets(&work), [0, 1, 2]);
        lanes.finish(&work[1]);
        assert_eq!(offsets(&begun(&mut lanes)), [0; 0]);
        lanes.finish(&work[0]);
        lanes.finish(&work[2]);
        let rest = begun(&mut lanes);
        assert_eq!(offsets(&rest), [3, 4]);
        for work in &rest {
            lanes.finish(work);
        }
        assert!(lanes.lanes.is_empty(), "a key without records costs nothing");
    }

    #[test]
    fn a_postponed_record_comes_again_before_what_follows_it() {
        let mut lanes = lanes(&[Some("a"), Some("a"), Some("b")]);
        let mut work = begun(&mut lanes);
        assert_eq!(offsets(&work), [0, 2]);
        let b = work.pop().unwrap();
        lanes.postpone(work.pop().unwrap());
        lanes.finish(&b);
        assert_eq!(offsets(&begun(&mut lanes)), [0; 0]);
        lanes.resume();
        let again = begun(&mut lanes);
        assert_eq!(offsets(&again), [0]);
        lanes.finish(&again[0]);
        assert_eq!(offsets(&begun(&mut lanes)), [1]);
    }
}
