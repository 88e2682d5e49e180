//! Who is next: a line for each stream, which are served by their weights.
//!
//! Earliest eligible virtual deadline first (Stoica and Abdel-Wahab 1995): time is counted in rounds. In each a line of weight 3
//! has three turns of a third of a round; of the turns that have begun, the one that ends first is served. So turns are spread over
//! the round, and a line in which only one item may wait has time to fill again. Of the turns that begin while a line is empty it
//! keeps one, so that nobody can save up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sync::lock;

/// Lines of items, and who takes from them.
pub(super) struct Queue<T> {
    inside: Mutex<Inside<T>>,
    /// Something has come, or the queue is closed.
    came: Condvar,
    /// A line has room again, or the queue is closed.
    room: Condvar,
}

struct Inside<T> {
    lines: BTreeMap<u64, Waiting<T>>,
    next_line: u64,
    /// Rounds so far.
    now: f64,
    takers: usize,
    open: bool,
}

struct Waiting<T> {
    items: VecDeque<T>,
    room: usize,
    weight: f64,
    /// When the next turn begins.
    turn: f64,
}

impl<T> Waiting<T> {
    fn turn_ends(&self) -> f64 {
        self.turn + 1.0 / self.weight
    }
}

impl<T> Queue<T> {
    pub fn new() -> Arc<Self> {
        let inside = Inside { lines: BTreeMap::new(), next_line: 0, now: 0.0, takers: 0, open: true };
        Arc::new(Self { inside: Mutex::new(inside), came: Condvar::new(), room: Condvar::new() })
    }

    /// A line of its own in which `room` items may wait (at least one); `weight` (at least 1) is its share.
    pub fn line(self: &Arc<Self>, weight: usize, room: usize) -> Line<T> {
        let mut inside = lock(&self.inside);
        let (id, turn) = (inside.next_line, inside.now);
        inside.next_line += 1;
        let weight = weight.max(1) as f64;
        inside.lines.insert(id, Waiting { items: VecDeque::new(), room: room.max(1), weight, turn });
        Line { id, queue: Arc::clone(self) }
    }

    /// One more who takes. When the last of them is gone, the queue is closed.
    pub fn taker(self: &Arc<Self>) -> Taker<T> {
        lock(&self.inside).takers += 1;
        Taker(Arc::clone(self))
    }

    /// Items that wait in all lines.
    pub fn waiting(&self) -> usize {
        lock(&self.inside).lines.values().map(|line| line.items.len()).sum()
    }

    /// Nobody wants anything any more: what waits is dropped, and nothing is taken in or out.
    pub fn close(&self) {
        let mut inside = lock(&self.inside);
        inside.open = false;
        let dropped: Vec<T> = inside.lines.values_mut().flat_map(|line| line.items.drain(..)).collect();
        drop(inside);
        drop(dropped);
        self.came.notify_all();
        self.room.notify_all();
    }
}

impl<T> Inside<T> {
    /// The first item of the line whose turn it is.
    fn take(&mut self) -> Option<T> {
        let waiting = || self.lines.values().filter(|line| !line.items.is_empty());
        let first = waiting().map(|line| line.turn).min_by(f64::total_cmp)?;
        // Where no turn has begun, the next one does.
        self.now = self.now.max(first);
        let now = self.now;
        // A line takes part, though it is empty, until it has missed a whole turn.
        let taking_part = self.lines.values().filter(|line| !line.items.is_empty() || line.turn_ends() > now);
        let round: f64 = taking_part.map(|line| line.weight).sum();
        let begun = self.lines.values_mut().filter(|line| !line.items.is_empty() && line.turn <= now);
        let line = begun.min_by(|a, b| a.turn_ends().total_cmp(&b.turn_ends()))?;
        line.turn = line.turn_ends();
        self.now += 1.0 / round;
        line.items.pop_front()
    }
}

/// One who takes from a queue.
pub(super) struct Taker<T>(Arc<Queue<T>>);

impl<T> Taker<T> {
    /// The next item; waits for it, no longer than `until`. `None`: it is late, or the queue is closed.
    pub fn next(&self, until: Option<Instant>) -> Option<T> {
        let queue = &*self.0;
        let mut inside = lock(&queue.inside);
        while inside.open {
            if let Some(item) = inside.take() {
                queue.room.notify_all();
                return Some(item);
            }
            inside = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => wait(&queue.came, inside),
                Some(left) if left.is_zero() => return None,
                Some(left) => queue.came.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        None
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        let mut inside = lock(&self.0.inside);
        inside.takers -= 1;
        let last = inside.takers == 0;
        drop(inside);
        if last {
            self.0.close();
        }
    }
}

/// A line at a queue; dropping it gives up the place, and what waits there.
pub(super) struct Line<T> {
    id: u64,
    queue: Arc<Queue<T>>,
}

impl<T> Line<T> {
    /// Puts an item at the end. Gives back what finds no room: the first that waited, or the item itself where the queue is closed.
    pub fn offer(&self, item: T) -> Option<T> {
        let inside = lock(&self.queue.inside);
        if !inside.open {
            return Some(item);
        }
        self.put(inside, item)
    }

    /// Puts an item at the end, and waits for room.
    ///
    /// # Errors
    /// The item, where the queue is closed.
    pub fn submit(&self, item: T) -> Result<(), T> {
        let mut inside = lock(&self.queue.inside);
        while inside.open && inside.lines.get(&self.id).is_some_and(|line| line.items.len() >= line.room) {
            inside = wait(&self.queue.room, inside);
        }
        if !inside.open {
            return Err(item);
        }
        self.put(inside, item);
        Ok(())
    }

    fn put(&self, mut inside: MutexGuard<Inside<T>>, item: T) -> Option<T> {
        let now = inside.now;
        // It is there for as long as `self` is.
        let line = inside.lines.get_mut(&self.id)?;
        if line.items.is_empty() {
            line.turn = line.turn.max(now - 1.0 / line.weight);
        }
        let first = if line.items.len() >= line.room { line.items.pop_front() } else { None };
        line.items.push_back(item);
        drop(inside);
        self.queue.came.notify_one();
        first
    }
}

impl<T> Drop for Line<T> {
    fn drop(&mut self) {
        let line = lock(&self.queue.inside).lines.remove(&self.id);
        drop(line);
    }
}

fn wait<'a, T>(event: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    event.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many of `count` items that are taken come from each line, where every line always has one.
    fn shares(taker: &Taker<usize>, lines: &[Line<usize>], count: usize) -> Vec<usize> {
        let mut shares = vec![0; lines.len()];
        for (n, line) in lines.iter().enumerate() {
            line.offer(n);
        }
        for _ in 0..count {
            let n = taker.next(None).unwrap();
            shares[n] += 1;
            lines[n].offer(n);
        }
        shares
    }

    #[test]
    fn lines_are_served_by_weight_and_in_between_each_other() {
        let queue = Queue::new();
        let taker = queue.taker();
        let lines: Vec<_> = [1, 3, 1, 100].map(|weight| queue.line(weight, 1)).into();
        let found = shares(&taker, &lines, 105 * 7);
        assert!(found.iter().zip([7_usize, 21, 7, 700]).all(|(n, due)| n.abs_diff(due) <= 1), "{found:?}");
        drop(lines);
        let lines: Vec<_> = (0..16).map(|_| queue.line(1, 1)).collect();
        assert_eq!(shares(&taker, &lines, 16 * 5), [5; 16]);
        // Nobody waits longer than a round.
        assert_eq!(shares(&taker, &lines, 16), [1; 16]);
    }

    #[test]
    fn a_weight_counts_in_full_where_a_line_fills_again_only_after_a_while() {
        let queue = Queue::new();
        let taker = queue.taker();
        let lines: Vec<_> = (0..16).map(|n| queue.line(if n == 5 { 3 } else { 1 }, 1)).collect();
        lines.iter().enumerate().for_each(|(n, line)| assert_eq!(line.offer(n), None));
        let (mut shares, mut away) = ([0; 16], VecDeque::new());
        for _ in 0..18 * 20 {
            let n = taker.next(None).unwrap();
            shares[n] += 1;
            away.push_back(n);
            if away.len() > 4 {
                let back = away.pop_front().unwrap();
                lines[back].offer(back);
            }
        }
        for (n, share) in shares.into_iter().enumerate() {
            assert!(usize::abs_diff(share, if n == 5 { 60 } else { 20 }) <= 1, "{shares:?}");
        }
    }

    #[test]
    fn who_was_away_cannot_save_up_and_is_not_behind_either() {
        let queue = Queue::new();
        let taker = queue.taker();
        let lines: Vec<_> = (0..3).map(|_| queue.line(1, 1)).collect();
        shares(&taker, &lines[1..], 1000);
        let fair = |shares: Vec<usize>| assert!(shares.iter().all(|n| n.abs_diff(10) <= 1), "{shares:?}");
        fair(shares(&taker, &lines, 30));
        let newcomer = queue.line(1, 1);
        let all: Vec<_> = lines.into_iter().chain([newcomer]).collect();
        fair(shares(&taker, &all, 40));
    }

    #[test]
    fn the_newest_wins_where_there_is_no_room_and_all_others_go_in_order() {
        let queue = Queue::new();
        let taker = queue.taker();
        let (latest, every) = (queue.line(1, 1), queue.line(1, 3));
        assert_eq!([1, 2, 3].map(|n| latest.offer(n)), [None, Some(1), Some(2)]);
        assert_eq!([11, 12, 13, 14].map(|n| every.offer(n)), [None, None, None, Some(11)]);
        assert_eq!(queue.waiting(), 4);
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        let taken: Vec<_> = std::iter::from_fn(|| taker.next(soon())).collect();
        assert_eq!(taken, [3, 12, 13, 14]);
    }

    #[test]
    fn submit_waits_for_room_and_a_line_that_goes_takes_along_what_waits() {
        let queue = Queue::new();
        let taker = queue.taker();
        let line = queue.line(1, 2);
        std::thread::scope(|scope| {
            let feeder = scope.spawn(|| (0..50).all(|n| line.submit(n).is_ok()));
            let taken: Vec<_> = (0..50).filter_map(|_| taker.next(None)).collect();
            assert_eq!(taken, (0..50).collect::<Vec<_>>());
            assert!(feeder.join().unwrap());
        });
        line.offer(1);
        drop(line);
        assert_eq!((queue.waiting(), taker.next(Some(Instant::now()))), (0, None));
    }

    #[test]
    fn an_end_wakes_everybody_and_drops_what_waits() {
        let (queue, item) = (Queue::new(), Arc::new(()));
        let (full, empty) = (queue.taker(), Queue::<()>::new());
        let line = queue.line(1, 1);
        line.offer(Arc::clone(&item));
        let idle = empty.taker();
        std::thread::scope(|scope| {
            let feeder = scope.spawn(|| line.submit(Arc::clone(&item)).is_err());
            let worker = scope.spawn(|| idle.next(None).is_none());
            std::thread::sleep(Duration::from_millis(20));
            queue.close();
            empty.close();
            assert!(feeder.join().unwrap() && worker.join().unwrap());
        });
        assert!(line.offer(Arc::clone(&item)).is_some());
        assert!(full.next(None).is_none());
        assert_eq!((queue.waiting(), Arc::strong_count(&item)), (0, 1));
    }

    #[test]
    fn nobody_waits_where_nobody_takes_any_more() {
        let queue = Queue::new();
        let takers = [queue.taker(), queue.taker()];
        let line = queue.line(1, 1);
        for taker in takers {
            assert!(line.submit(()).is_ok());
            taker.next(None);
        }
        assert!(line.submit(()).is_err());
    }
}
