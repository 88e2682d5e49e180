//! One encoder, many takers: each has a queue of its own, and a slow one harms nobody else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use gstreamer as gst;

use super::clock;
use crate::sync::lock;

/// One encoded access unit: H.264 byte-stream, parameter sets in front of each key frame. Cloning it
/// is cheap: the bytes are shared.
#[derive(Debug, Clone)]
pub struct Packet {
    pub(crate) buffer: gst::Buffer,
    pub(crate) caps: gst::Caps,
    pub(crate) key: bool,
    pub(crate) pts: Duration,
}

impl Packet {
    /// The encoded bytes, stamped with [`pts`](Self::pts).
    pub fn buffer(&self) -> &gst::Buffer {
        &self.buffer
    }

    /// What the bytes are.
    pub fn caps(&self) -> &gst::Caps {
        &self.caps
    }

    /// Whether decoding can begin here.
    pub fn is_key(&self) -> bool {
        self.key
    }

    /// When it is shown, on the timeline of [`now`](super::now). There are no B-frames: the order
    /// of showing is that of decoding.
    pub fn pts(&self) -> Duration {
        self.pts
    }
}

/// Hands the packets of a stream to everybody who subscribes. It may be there before its encoder,
/// and outlive it: the next encoder goes on where the last one ended.
#[derive(Debug, Clone, Default)]
pub struct Broadcast {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    hall: Mutex<Hall>,
    /// Somebody has come who cannot begin before a key frame.
    key_wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct Hall {
    seats: Vec<Seat>,
    next_id: u64,
    caps: Option<gst::Caps>,
    newest: Option<Duration>,
    ended: bool,
}

/// A subscriber, seen from the encoder.
#[derive(Debug)]
struct Seat {
    id: u64,
    packets: Sender<Packet>,
    /// The taker's own end, for one who is to have the newest: what waits there is given up when he is behind.
    stale: Option<Receiver<Packet>>,
    dropped: Arc<AtomicU64>,
    state: SeatState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeatState {
    /// Has had nothing yet.
    New,
    Flowing,
    /// Was too slow: nothing before the next key frame.
    Overflowed,
    /// The same, and there is room again: a key frame was asked for.
    Awaiting,
}

impl Shared {
    fn hall(&self) -> MutexGuard<'_, Hall> {
        lock(&self.hall)
    }
}

impl Broadcast {
    /// Nobody sends, nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The packets from the next key frame on, which is asked for; up to `room` of them may wait. Who is further behind
    /// goes on with the next key frame, and what waited is given up: it would be late for ever.
    pub fn subscribe(&self, room: usize) -> Subscription {
        self.seat(room, true)
    }

    /// The same for who would rather be late than miss anything: what waits is kept, and what finds no room is lost.
    pub fn collect(&self, room: usize) -> Subscription {
        self.seat(room, false)
    }

    fn seat(&self, room: usize, newest: bool) -> Subscription {
        let (sender, packets) = crossbeam_channel::bounded(room.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let mut hall = self.shared.hall();
        let id = hall.next_id;
        hall.next_id += 1;
        if !hall.ended {
            let stale = newest.then(|| packets.clone());
            hall.seats.push(Seat { id, packets: sender, stale, dropped: Arc::clone(&dropped), state: SeatState::New });
        }
        drop(hall);
        self.want_key();
        Subscription { id, packets, dropped, shared: Arc::clone(&self.shared) }
    }

    /// How many listen.
    pub fn subscribers(&self) -> usize {
        self.shared.hall().seats.len()
    }

    /// What the packets are; `None` before the first.
    pub fn caps(&self) -> Option<gst::Caps> {
        self.shared.hall().caps.clone()
    }

    /// Asks for a key frame soon.
    pub fn want_key(&self) {
        self.shared.key_wanted.store(true, Ordering::Relaxed);
    }

    /// There are frames, and nobody to encode them for: the stream rests, and flows for the first who comes.
    pub fn rest(&self) {
        self.shared.hall().newest = Some(clock::now());
    }

    /// Whether a packet came within `limit`, or would have come if anybody had been there.
    pub fn flows(&self, limit: Duration) -> bool {
        self.shared.hall().newest.is_some_and(|at| clock::now().saturating_sub(at) < limit)
    }

    /// Whether a key frame was asked for since the last call.
    pub(crate) fn take_wish(&self) -> bool {
        self.shared.key_wanted.swap(false, Ordering::Relaxed)
    }

    /// Whether [`take_wish`](Self::take_wish) would say yes.
    pub(crate) fn has_wish(&self) -> bool {
        self.shared.key_wanted.load(Ordering::Relaxed)
    }

    /// Hands a packet to all. Never waits.
    pub(crate) fn send(&self, packet: &Packet) {
        let mut hall = self.shared.hall();
        if hall.caps.as_ref() != Some(&packet.caps) {
            hall.caps = Some(packet.caps.clone());
        }
        hall.newest = Some(clock::now());
        for seat in &mut hall.seats {
            if seat.offer(packet) {
                self.want_key();
            }
        }
    }

    /// Nothing comes any more: who listens gets what still waits for him, and then hears the end.
    pub fn end(&self) {
        let mut hall = self.shared.hall();
        hall.ended = true;
        hall.seats.clear();
    }
}

impl Seat {
    /// Hands a packet over where it can be decoded and finds room. Whether a key frame is wanted.
    fn offer(&mut self, packet: &Packet) -> bool {
        match (self.state, packet.key) {
            (SeatState::New, false) => return false,
            (SeatState::Overflowed | SeatState::Awaiting, false) => return self.miss(),
            _ => {}
        }
        if let Some(stale) = self.stale.as_ref().filter(|_| self.packets.is_full()) {
            self.lose(stale.try_iter().count() as u64);
            if !packet.key {
                self.state = SeatState::Overflowed;
                return self.miss();
            }
        }
        // Where it is refused, the packet found no room, or the taker is about to leave.
        if self.packets.try_send(packet.clone()).is_ok() {
            self.state = SeatState::Flowing;
            return false;
        }
        self.state = SeatState::Overflowed;
        self.miss()
    }

    /// One packet less. Whether to ask for a key frame: once, when it would find room.
    fn miss(&mut self) -> bool {
        self.lose(1);
        let ask = self.state == SeatState::Overflowed && !self.packets.is_full();
        if ask {
            self.state = SeatState::Awaiting;
        }
        ask
    }

    fn lose(&self, packets: u64) {
        self.dropped.fetch_add(packets, Ordering::Relaxed);
    }
}

/// The packets of a stream, for one taker. It begins with a key frame; after an overflow it goes on
/// at the next one. Dropping it leaves.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    packets: Receiver<Packet>,
    dropped: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl Subscription {
    /// The next packet; `None` when none came in time, and at once after the end (see
    /// [`ended`](Self::ended)).
    pub fn next(&self, timeout: Duration) -> Option<Packet> {
        self.packets.recv_timeout(timeout).ok()
    }

    /// Packets that were given up or found no room, and those after them up to the next key frame.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether the last packet has been taken and no other will come.
    pub fn ended(&self) -> bool {
        self.packets.is_empty() && self.shared.hall().ended
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.hall().seats.retain(|seat| seat.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(key: bool, at: u64) -> Packet {
        gst::init().unwrap();
        let caps = gst::Caps::new_empty_simple("video/x-h264");
        Packet { buffer: gst::Buffer::new(), caps, key, pts: Duration::from_millis(at) }
    }

    fn times(subscription: &Subscription) -> Vec<u128> {
        std::iter::from_fn(|| subscription.next(Duration::ZERO)).map(|p| p.pts().as_millis()).collect()
    }

    #[test]
    fn who_is_behind_goes_on_with_the_next_key_frame_and_nothing_old() {
        let broadcast = Broadcast::new();
        let (slow, quick) = (broadcast.subscribe(2), broadcast.subscribe(9));
        assert!(broadcast.take_wish() && !broadcast.has_wish());
        for (key, at) in [(false, 0), (true, 1), (false, 2), (false, 3)] {
            broadcast.send(&packet(key, at));
        }
        // What waited is given up, and a key frame is asked for, once.
        assert_eq!((times(&slow), slow.dropped()), (vec![], 3));
        assert!(broadcast.take_wish());
        broadcast.send(&packet(false, 4));
        assert!(!broadcast.has_wish());
        for (key, at) in [(true, 5), (false, 6), (true, 7)] {
            broadcast.send(&packet(key, at));
        }
        assert_eq!(times(&slow), [7], "a key frame is where to go on, whatever waits");
        assert_eq!((slow.dropped(), quick.dropped()), (6, 0));
        assert_eq!(times(&quick), [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn who_wants_all_keeps_what_waits_and_asks_for_a_key_frame_when_there_is_room() {
        let broadcast = Broadcast::new();
        let all = broadcast.collect(2);
        assert!(broadcast.take_wish());
        for (key, at) in [(false, 0), (true, 1), (false, 2), (false, 3), (true, 4)] {
            broadcast.send(&packet(key, at));
        }
        assert!(!broadcast.has_wish(), "a key frame would find no room");
        assert_eq!(times(&all), [1, 2]);
        broadcast.send(&packet(false, 5));
        assert!(broadcast.take_wish());
        for (key, at) in [(false, 6), (true, 7)] {
            broadcast.send(&packet(key, at));
        }
        assert!(!broadcast.has_wish());
        assert_eq!((times(&all), all.dropped()), (vec![7], 4));
    }

    #[test]
    fn who_leaves_is_forgotten_and_the_end_is_heard_after_what_still_waits() {
        let broadcast = Broadcast::new();
        let (a, b) = (broadcast.subscribe(4), broadcast.subscribe(4));
        assert_eq!(broadcast.subscribers(), 2);
        drop(a);
        assert_eq!(broadcast.subscribers(), 1);
        broadcast.send(&packet(true, 1));
        broadcast.end();
        assert!(!b.ended());
        assert_eq!(times(&b), [1]);
        assert!(b.ended() && broadcast.subscribe(1).ended());
    }
}
