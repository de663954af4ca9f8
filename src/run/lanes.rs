//! Which of the things that run side by side each is: the rows of a timeline.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The rows that are in use, and the free ones between them.
#[derive(Default)]
pub struct Lanes(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    /// Free ones below `next`.
    free: BinaryHeap<Reverse<u32>>,
    next: u32,
}

/// A row, until it is dropped.
pub struct Lane<'a> {
    lanes: &'a Lanes,
    pub number: u32,
}

impl Lanes {
    /// The smallest row that is free.
    pub fn take(&self) -> Lane<'_> {
        let mut rows = self.lock();
        let number = rows.free.pop().map_or(rows.next, |Reverse(number)| number);
        rows.next = rows.next.max(number + 1);
        drop(rows);
        Lane { lanes: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.lanes.lock().free.push(Reverse(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_row_is_taken() {
        let lanes = Lanes::default();
        let mut held: Vec<Lane<'_>> = (0..4).map(|_| lanes.take()).collect();
        assert_eq!(held.iter().map(|l| l.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
        drop(held.remove(2));
        drop(held.remove(0));
        let again: Vec<u32> = (0..3)
            .map(|_| {
                held.push(lanes.take());
                held.last().unwrap().number
            })
            .collect();
        assert_eq!(again, [0, 2, 4]);
    }
}
