//! A server is killed and started again fifty times, at random moments: pictures are back within two
//! seconds each time, their times rise, and nothing is left behind in memory, threads or files.

#[path = "common/footprint.rs"]
mod footprint;
#[path = "common/rtsp.rs"]
mod rtsp;

use std::thread;
use std::time::{Duration, Instant};

use footprint::Footprint;
use gradcast::video::live::{Health, LiveOptions, LiveSource, now};
use rtsp::{H264, Rtsp, clip, within};

/// `GRADCAST_TEST_ROUNDS` makes it longer or shorter.
const ROUNDS: usize = 50;

/// Rounds before memory is measured: plugins are loaded, pools filled, the heap has found its size.
const WARM_UP: usize = 15;

/// What is allocated moves by 0.2 MiB with the moment: less than this, over all rounds, is no leak.
const LEAK: usize = 1024;

/// The heap's own size jumps with the order of threads, by up to 1 MiB at a time: what was freed is not always given back.
const HEAP: usize = 4 * 1024;

/// What this process takes, and how much memory it has allocated and not freed, in KiB: zero where the allocator does not tell.
fn footprint() -> (Footprint, usize) {
    (Footprint::of(std::process::id()).unwrap(), allocated())
}

#[cfg(target_env = "gnu")]
fn allocated() -> usize {
    // SAFETY: reads the allocator's own counters, under its own locks.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) / 1024
}

#[cfg(not(target_env = "gnu"))]
fn allocated() -> usize {
    0
}

#[test]
fn killed_and_restarted_fifty_times() {
    if Footprint::of(std::process::id()).is_none() {
        eprintln!("skipped: no /proc to measure with");
        return;
    }
    // glibc gives new threads heaps of their own, up to eight per core, each of which keeps its peak:
    // with one heap for all, what is measured is what was left behind.
    #[cfg(target_env = "gnu")]
    // SAFETY: a setting of the allocator's, made before other threads begin.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    let rounds = std::env::var("GRADCAST_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let source = LiveSource::start(server.url().parse().unwrap(), LiveOptions::new().unwrap()).unwrap();
    let mut random = fastrand::Rng::with_seed(50);
    let mut last = None;
    // Frames until the moment comes; the first must come within the limit.
    let mut watch = |time: Duration, first: Duration| {
        let begun = Instant::now();
        let mut came = None;
        while came.is_none() || begun.elapsed() < time {
            let frame = source
                .frames()
                .recv_timeout(first)
                .unwrap_or_else(|e| panic!("{e}: {:?} {:?}", source.health(), source.counters()));
            assert!(last.is_none_or(|last| frame.pts() > last) && frame.pts() < now() + Duration::from_millis(100));
            last = Some(frame.pts());
            came.get_or_insert(begun.elapsed());
        }
        came.unwrap()
    };
    watch(Duration::from_secs(1), Duration::from_secs(10));
    let mut before = footprint();
    let mut returns = Vec::new();
    for round in 0..rounds {
        if round == WARM_UP {
            before = footprint();
        }
        server.kill();
        // No picture of the old connection is left after the 200 ms that packets wait for each other.
        thread::sleep(Duration::from_millis(random.u64(400..1200)));
        while source.frames().try_recv().is_ok() {}
        server.restart();
        let back = watch(Duration::from_millis(random.u64(0..1000)), Duration::from_secs(5));
        assert!(matches!(source.health(), Health::Up { .. }));
        returns.push(back);
        println!("round {round}: back after {back:?}, {:?}", footprint());
    }
    let settled = within(Duration::from_secs(5), || {
        let (after, _) = footprint();
        while source.frames().try_recv().is_ok() {}
        after.threads <= before.0.threads && after.files <= before.0.files
    });
    let after = footprint();
    returns.sort();
    println!("back after: median {:?}, worst {:?}", returns[returns.len() / 2], returns.last());
    println!("{before:?} became {after:?}, {:?}", source.counters());
    assert!(*returns.last().unwrap() < Duration::from_secs(2), "{returns:?}");
    assert!(settled.is_some(), "{before:?} became {after:?}");
    assert!(after.1 < before.1 + LEAK, "{before:?} became {after:?}");
    assert!(after.0.resident < before.0.resident + HEAP, "{before:?} became {after:?}");
    assert!(source.counters().failures.values().sum::<u64>() >= rounds as u64);
    let begun = Instant::now();
    source.stop();
    assert!(begun.elapsed() < Duration::from_secs(1));
}
