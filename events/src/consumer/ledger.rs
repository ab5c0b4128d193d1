//! What was taken of a partition, in order, and how far it may be committed.

use std::collections::VecDeque;

/// Names a record that was taken. (Not its offset: a partition that was made anew has the same ones again.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    offset: i64,
    done: bool,
}

/// Records that were taken and before which something is unfinished, themselves included.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// Ticket of the first entry.
    first: u64,
    last_taken: Option<i64>,
    done: Option<i64>,
    committed: Option<i64>,
}

impl Ledger {
    /// Notes a record that was taken. False beside the ticket where the partition begins anew: what was known of it is forgotten.
    pub(super) fn take(&mut self, offset: i64) -> (Ticket, bool) {
        let goes_on = self.last_taken.is_none_or(|last| offset > last);
        if !goes_on {
            let next = self.first + self.entries.len() as u64;
            *self = Self { first: next, ..Self::default() };
        }
        self.last_taken = Some(offset);
        self.entries.push_back(Entry { offset, done: false });
        (Ticket(self.first + self.entries.len() as u64 - 1), goes_on)
    }

    /// Notes that a record is done with.
    pub(super) fn finish(&mut self, ticket: Ticket) {
        let place = ticket.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) else { return };
        entry.done = true;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.done) {
            self.first += 1;
            self.done = Some(entry.offset + 1);
        }
    }

    /// Records that were taken and before which something is unfinished, themselves included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the group has to go on that takes nothing twice and passes over nothing; none where that is committed.
    pub(super) fn due(&self) -> Option<i64> {
        self.done.filter(|done| self.committed.is_none_or(|committed| *done > committed))
    }

    /// Notes that the broker knows of everything before `offset`.
    pub(super) fn committed(&mut self, offset: i64) {
        self.committed = self.committed.max(Some(offset));
    }

    /// The first offset that is unfinished.
    pub(super) fn waiting(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(offsets: &[i64]) -> (Ledger, Vec<Ticket>) {
        let mut ledger = Ledger::default();
        let tickets = offsets.iter().map(|offset| ledger.take(*offset).0).collect();
        (ledger, tickets)
    }

    #[test]
    fn nothing_is_committed_over_an_unfinished_record() {
        let (mut ledger, tickets) = taken(&[7, 8, 9, 12]);
        assert_eq!((ledger.due(), ledger.waiting()), (None, Some(7)));
        ledger.finish(tickets[2]);
        ledger.finish(tickets[0]);
        assert_eq!((ledger.due(), ledger.waiting(), ledger.len()), (Some(8), Some(8), 3));
        ledger.finish(tickets[3]);
        assert_eq!(ledger.due(), Some(8));
        ledger.finish(tickets[1]);
        assert_eq!((ledger.due(), ledger.waiting(), ledger.len()), (Some(13), None, 0));
    }

    #[test]
    fn what_is_committed_is_not_committed_again_and_never_less() {
        let (mut ledger, tickets) = taken(&[3, 4]);
        ledger.finish(tickets[0]);
        assert_eq!(ledger.due(), Some(4));
        ledger.committed(4);
        assert_eq!(ledger.due(), None);
        ledger.committed(2);
        ledger.finish(tickets[0]);
        assert_eq!(ledger.due(), None, "a second word about the same record");
        ledger.finish(tickets[1]);
        assert_eq!(ledger.due(), Some(5));
    }

    #[test]
    fn a_partition_that_begins_anew_is_not_mistaken_for_the_old_one() {
        let (mut ledger, tickets) = taken(&[100, 101]);
        let (again, goes_on) = ledger.take(0);
        assert!(!goes_on);
        for ticket in tickets {
            ledger.finish(ticket);
        }
        assert_eq!((ledger.due(), ledger.len()), (None, 1), "old records say nothing about new ones");
        ledger.finish(again);
        assert_eq!(ledger.due(), Some(1));
    }
}
