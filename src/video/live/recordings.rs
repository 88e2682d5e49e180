//! Recorded files in a folder: how they are named, and which go at the limits.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const EXTENSION: &str = "mp4";

/// What recordings may take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// The age of a stream's own files, from their end.
    pub keep: Option<Duration>,
    /// The size of all recordings in the folder.
    pub keep_bytes: Option<u64>,
}

/// A stream's name as part of a file's name: no part of it leads out of a folder.
pub(crate) fn file_name(stream: &str) -> String {
    let fit = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = stream.chars().take(100).map(fit).collect();
    match name.trim_start_matches('.') {
        "" => "stream".into(),
        name => name.into(),
    }
}

/// A new file `{stream}-20261123T215800Z.mp4`, with `-2`, `-3`, … where that is taken. It is there from now on, so that
/// nobody else gets it.
pub(super) fn new_file(dir: &Path, stream: &str, begin: SystemTime) -> std::io::Result<PathBuf> {
    let stamp: String =
        humantime::format_rfc3339_seconds(begin).to_string().chars().filter(|c| !"-:".contains(*c)).collect();
    let mut n = 1;
    loop {
        let path = match n {
            1 => dir.join(format!("{stream}-{stamp}.{EXTENSION}")),
            n => dir.join(format!("{stream}-{stamp}-{n}.{EXTENSION}")),
        };
        match std::fs::File::create_new(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && n < MOST_AT_ONCE => n += 1,
            made => return made.map(|_| path),
        }
    }
}

/// Files of one stream and second.
const MOST_AT_ONCE: u32 = 1000;

/// A recorded file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Recorded {
    /// When it began, and which one of that second: the order of age.
    begin: (String, u32),
    stream: String,
    path: PathBuf,
    ended: SystemTime,
    bytes: u64,
}

/// The stream of a recorded file and when it began, by the file's name.
fn parse(name: &str) -> Option<(&str, (String, u32))> {
    let (rest, last) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.rsplit_once('-')?;
    if is_stamp(last) {
        return Some((rest, (last.to_owned(), 1)));
    }
    let (stream, stamp) = rest.rsplit_once('-')?;
    is_stamp(stamp).then_some((stream, (stamp.to_owned(), last.parse().ok()?)))
}

fn is_stamp(text: &str) -> bool {
    let shape = "00000000T000000Z";
    let fits = |(c, s): (u8, u8)| if s == b'0' { c.is_ascii_digit() } else { c == s };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// The recordings in a folder, of all streams, the oldest first.
pub(super) fn list(dir: &Path) -> std::io::Result<Vec<Recorded>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // What vanishes meanwhile is not ours to remove.
        let (Some((stream, begin)), Ok(meta)) = (name.to_str().and_then(parse), entry.metadata()) else { continue };
        if meta.is_file() {
            let ended = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let (stream, path) = (stream.to_owned(), entry.path());
            files.push(Recorded { begin, stream, path, ended, bytes: meta.len() });
        }
    }
    files.sort();
    Ok(files)
}

/// Clocks differ by less.
const AHEAD: Duration = Duration::from_secs(60);
/// A file that was written to so lately is being written.
const LATELY: Duration = Duration::from_secs(10);

/// Which files go, the oldest first, and why. The newest of `stream` always stays, and what others are writing.
///
/// A clock without a battery is behind after a power cut, perhaps by years, and may have been ahead once: what was
/// written since the system started, `up` ago, is the newest whatever the names say.
pub(super) fn too_many(
    mut files: Vec<Recorded>,
    stream: &str,
    limits: Limits,
    now: SystemTime,
    up: Duration,
) -> Vec<(PathBuf, &'static str)> {
    let is_new =
        |file: &Recorded| file.ended <= now + AHEAD && now.duration_since(file.ended).unwrap_or_default() <= up;
    files.sort_by_key(is_new);
    let newest = files.iter().rposition(|file| file.stream == stream);
    let mut bytes: u64 = files.iter().map(|f| f.bytes).sum();
    let mut gone = Vec::new();
    for (at, file) in files.into_iter().enumerate() {
        let own = file.stream == stream;
        let age = now.duration_since(file.ended).unwrap_or_default();
        let written = !own && file.ended <= now + AHEAD && age < LATELY;
        if newest == Some(at) || written {
            continue;
        }
        let why = match (limits.keep, limits.keep_bytes) {
            (Some(keep), _) if own && age > keep => "it is older than --keep",
            (_, Some(most)) if bytes > most => "the recordings are larger than --keep-bytes",
            _ => continue,
        };
        bytes -= file.bytes;
        gone.push((file.path, why));
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_this_stream_are_its_own() {
        let own = ["cam-20261123T215800Z.mp4", "cam-20261123T215800Z-2.mp4"];
        let others = [
            "cam-2-20261123T215800Z.mp4",
            "cam-20261123T215800Z.mkv",
            "cam-holiday.mp4",
            "cam2-20261123T215800Z.mp4",
            "cam-20261123T215800Zx.mp4",
            "cam-é0261123T215800Z.mp4",
        ];
        let is_own = |name: &str| parse(name).is_some_and(|(stream, _)| stream == "cam");
        assert!(own.iter().all(|name| is_own(name)) && !others.iter().any(|name| is_own(name)));
        assert_eq!(parse("cam-2-20261123T215800Z-3.mp4"), Some(("cam-2", ("20261123T215800Z".into(), 3))));
        assert_eq!(file_name("../a b/ç"), "_a_b_ç");
        assert_eq!(file_name(".."), "stream");
    }

    #[test]
    fn a_name_says_when_it_began_and_never_replaces_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
        let first = new_file(dir.path(), "cam", at).unwrap();
        assert!(first.ends_with("cam-20231114T221320Z.mp4"), "{first:?}");
        let second = new_file(dir.path(), "cam", at).unwrap();
        assert!(second.ends_with("cam-20231114T221320Z-2.mp4"), "{second:?}");
        let files = list(dir.path()).unwrap();
        assert_eq!(files.into_iter().map(|f| f.path).collect::<Vec<_>>(), [first, second]);
    }

    #[test]
    fn the_oldest_go_at_either_limit_and_the_newest_stays() {
        let now = SystemTime::now();
        let file = |n: u32, minutes: u64| Recorded {
            begin: ("x".into(), n),
            stream: "cam".into(),
            path: n.to_string().into(),
            ended: now - Duration::from_secs(60 * minutes),
            bytes: 10,
        };
        let files = vec![file(1, 90), file(2, 30), file(3, 10), file(4, 0)];
        let mut limits = Limits::default();
        let gone = |files: &[Recorded], limits: Limits| {
            let gone = too_many(files.to_vec(), "cam", limits, now, Duration::from_secs(3600)).into_iter();
            gone.map(|(path, _)| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(gone(&files, limits), Vec::<String>::new());
        limits.keep = Some(Duration::from_secs(3600));
        assert_eq!(gone(&files, limits), ["1"]);
        limits.keep_bytes = Some(25);
        assert_eq!(gone(&files, limits), ["1", "2"]);
        limits.keep_bytes = Some(0);
        assert_eq!(gone(&files, limits), ["1", "2", "3"]);

        let limits = Limits { keep: None, keep_bytes: Some(20) };
        let ahead = |n: u32, days: u64| Recorded { ended: now + Duration::from_secs(days * 86_400), ..file(n, 0) };
        let two = gone(&[file(3, 10), file(4, 0), ahead(5, 1)], limits);
        assert_eq!(two, ["5"], "what comes from the future is not the newest");
        // Since the power cut the clock is behind, by days or by years.
        assert_eq!(gone(&[file(1, 9000), file(2, 10), file(3, 0), ahead(4, 1), ahead(5, 2)], limits), ["1", "4", "5"]);
        assert_eq!(gone(&[file(1, 9000), file(2, 0), ahead(3, 1), ahead(4, 2)], limits), ["1", "3"]);

        // The folder is what has a limit: the oldest go whosesoever they are, but for what is being written.
        let other = |n: u32, minutes: u64| Recorded { stream: "door".into(), ..file(n, minutes) };
        assert_eq!(gone(&[other(1, 50), file(2, 40), other(3, 0), file(4, 0)], limits), ["1", "2"]);
        let old = Limits { keep: Some(Duration::from_secs(60)), keep_bytes: None };
        assert_eq!(gone(&[other(1, 50), file(2, 40), file(4, 0)], old), ["2"], "another stream may be kept longer");
    }
}
