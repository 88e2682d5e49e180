//! Who may watch: so many per stream, and so many in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;
use crate::video::live::Viewer;

/// The seats that are taken, by stream.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    per_stream: usize,
    in_all: usize,
}

impl Seats {
    pub fn new(per_stream: usize, in_all: usize) -> Self {
        Self { taken: Arc::default(), per_stream, in_all }
    }

    /// A seat, until it is dropped; `None` where all are taken.
    pub fn take(&self, stream: &str) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let all: usize = taken.values().sum();
        let here = taken.get(stream).copied().unwrap_or(0);
        if all >= self.in_all || here >= self.per_stream {
            return None;
        }
        taken.insert(stream.to_owned(), here + 1);
        Some(Seat { stream: stream.to_owned(), taken: Arc::clone(&self.taken) })
    }
}

/// One who watches.
#[derive(Debug)]
pub(super) struct Seat {
    stream: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        match taken.get_mut(&self.stream) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.stream)),
        }
    }
}

/// Browsers that watch over WebRTC, by number.
#[derive(Debug, Default)]
pub(super) struct Viewers(Mutex<HashMap<u64, (Viewer, Seat)>>);

impl Viewers {
    pub fn add(&self, viewer: Viewer, seat: Seat) -> u64 {
        let mut viewers = lock(&self.0);
        let mut id = fastrand::u64(..);
        while viewers.contains_key(&id) {
            id = fastrand::u64(..);
        }
        viewers.insert(id, (viewer, seat));
        id
    }

    /// Forgets those who have left; their seats are free.
    pub fn tidy(&self) {
        lock(&self.0).retain(|_, (viewer, _)| !viewer.is_over());
    }

    /// Sends one away; `false` where he was not there.
    pub fn remove(&self, id: u64) -> bool {
        lock(&self.0).remove(&id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_per_stream_and_in_all_and_come_back() {
        let seats = Seats::new(2, 3);
        let a = [seats.take("a").unwrap(), seats.take("a").unwrap()];
        assert!(seats.take("a").is_none());
        let b = seats.take("b").unwrap();
        assert!(seats.take("b").is_none(), "three in all");
        drop(a);
        assert!(seats.take("a").is_some());
        drop(b);
        assert!(lock(&seats.taken).is_empty());
    }
}
