//! The service manager hears that streams run, and goes on hearing it only while they turn.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use gradcast::monitor::systemd::{self, Watchdog};

/// The words that a service manager must not miss from the unit.
#[test]
fn the_unit_and_the_program_agree() {
    let unit = include_str!("../scripts/gradcast-watch.service");
    for line in ["Type=notify", "Restart=always", "ExecReload=/bin/kill -HUP $MAINPID", "NoNewPrivileges=yes"] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
    assert!(unit.lines().any(|l| l.starts_with("WatchdogSec=")));
}

/// The service's side; run by the test below in a process of its own, where the environment is set.
#[test]
#[ignore = "run by another test"]
fn service() {
    systemd::ready("2 streams\nWATCHDOG=trigger");
    let alive = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&alive);
    let watchdog = Watchdog::start(move || asked.load(SeqCst));
    assert_eq!(watchdog.is_some(), std::env::var_os("WATCHDOG_USEC").is_some());
    std::thread::sleep(Duration::from_millis(1050));
    alive.store(false, SeqCst);
    std::thread::sleep(Duration::from_millis(500));
    systemd::reloading();
    std::thread::sleep(Duration::from_millis(300));
    drop(watchdog);
    systemd::stopping();
}

fn run_service(socket: &Path, watchdog: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "service", "--ignored"]).env("NOTIFY_SOCKET", socket);
    command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
    if let Some(interval) = watchdog {
        command.env("WATCHDOG_USEC", interval);
    }
    command.output().unwrap()
}

#[test]
fn the_service_manager_hears_all_that_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Heard as it is said: a socket that nobody reads holds the service up after ten messages.
    let listener = std::thread::spawn(move || {
        let (mut heard, mut buffer) = (Vec::new(), [0; 1024]);
        while heard.last().is_none_or(|last| last != "STOPPING=1\n")
            && let Ok(length) = socket.recv(&mut buffer)
        {
            heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        heard
    });
    let done = run_service(&path, Some("200000"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let heard = listener.join().unwrap();
    assert_eq!(heard[0], "READY=1\nSTATUS=2 streams WATCHDOG=trigger\n");
    let fed = heard.iter().filter(|h| *h == "WATCHDOG=1\n").count();
    // Six times in each interval of the second that it turns; fewer where the machine is busy.
    assert!((8..=40).contains(&fed), "{heard:?}");
    let at = heard.iter().position(|h| h.starts_with("RELOADING=1\nMONOTONIC_USEC=")).unwrap();
    assert_eq!(heard[at + 1..], ["STOPPING=1\n"], "what does not turn is not fed");
}

#[test]
fn without_a_service_manager_nothing_happens() {
    let done = run_service(Path::new("/nowhere/at/all"), None);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}
