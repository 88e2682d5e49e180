//! The file that is being written: a temporary name beside the final one, and the final one only
//! for a file that is whole.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::{Result, VideoError};

/// How much a power cut can take, besides what the muxer still holds.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// An output file on its way: `NAME.partial.EXT` until it is whole, `NAME.EXT` then.
#[derive(Debug)]
pub(crate) struct Output {
    target: PathBuf,
    partial: PathBuf,
    overwrite: bool,
    flusher: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Output {
    /// Reserves the temporary name.
    ///
    /// # Errors
    /// Of kind `Usage` when the output exists already, is the input, or cannot be made there.
    pub fn reserve(target: &Path, input: &Path, overwrite: bool) -> Result<Self> {
        let name = target.display();
        if let (Ok(a), Ok(b)) = (target.canonicalize(), input.canonicalize())
            && a == b
        {
            return Err(VideoError::usage(format!("{name} is the input itself"), "give the output another name"));
        }
        if target.is_dir() {
            return Err(VideoError::usage(format!("{name} is a folder"), "name a file in it"));
        }
        if !overwrite && target.symlink_metadata().is_ok() {
            return Err(exists(target));
        }
        let partial = (1..100)
            .map(|n| partial_name(target, n))
            .find_map(|path| {
                match OpenOptions::new().write(true).create_new(true).open(&path) {
                    Ok(_) => Some(Ok(path)),
                    // Somebody's unfinished work: leave it alone.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None,
                    Err(e) => Some(Err(e)),
                }
            })
            .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
            .map_err(|e| {
                VideoError::usage(
                    format!("{name} cannot be written: {e}"),
                    "check that the folder is there, that you may write in it, and that it holds no old .partial files",
                )
                .because(e)
            })?;
        let flusher = spawn_flusher(&partial);
        Ok(Self { target: target.to_owned(), partial, overwrite, flusher })
    }

    /// Where it is written for now.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Where it goes when it is whole.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The file is whole: make it durable and give it its name. Its size in bytes.
    ///
    /// # Errors
    /// Of kind `Run`; the file is then kept under its temporary name, which the message tells.
    pub fn publish(mut self) -> Result<u64> {
        self.stop_flusher();
        let failed = |e: io::Error| {
            VideoError::run(
                format!("{} is complete but cannot be named {}: {e}", self.partial.display(), self.target.display()),
                "rename it by hand",
            )
            .because(e)
        };
        let file = File::open(&self.partial).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if self.overwrite {
            std::fs::rename(&self.partial, &self.target).map_err(failed)?;
        } else {
            // Refuses to replace a file that came up meanwhile.
            tempfile::TempPath::try_from_path(&self.partial).map_err(failed)?.persist_noclobber(&self.target).map_err(
                |e| {
                    let error = failed(e.error);
                    let _ = e.path.keep();
                    error
                },
            )?;
        }
        // The name itself is durable only when the folder is.
        if let Some(folder) = self.target.parent() {
            let folder = match folder.as_os_str().is_empty() {
                true => Path::new("."),
                false => folder,
            };
            let _ = File::open(folder).and_then(|f| f.sync_all());
        }
        Ok(bytes)
    }

    /// Work ended early. An empty file is removed; one with frames in it is kept, and the sentence
    /// that tells so is returned.
    pub fn abandon(mut self, frames: u64) -> Option<String> {
        self.stop_flusher();
        let empty = std::fs::metadata(&self.partial).map_or(true, |m| m.len() == 0);
        if frames == 0 || empty {
            let _ = std::fs::remove_file(&self.partial);
            return None;
        }
        Some(format!("; what was written until then is in {}", self.partial.display()))
    }

    fn stop_flusher(&mut self) {
        if let Some((stop, thread)) = self.flusher.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn exists(target: &Path) -> VideoError {
    VideoError::usage(
        format!("{} exists already", target.display()),
        "choose another name, or replace it with --overwrite",
    )
}

/// `out.mp4` → `out.partial.mp4`, `out.partial2.mp4`, …: the muxer and the user both see what it is.
fn partial_name(target: &Path, n: u32) -> PathBuf {
    let mut name = OsString::from(target.file_stem().unwrap_or_default());
    name.push(match n {
        1 => ".partial".to_owned(),
        n => format!(".partial{n}"),
    });
    if let Some(extension) = target.extension() {
        name.push(".");
        name.push(extension);
    }
    target.with_file_name(name)
}

/// Makes what has been written durable from time to time, off the writing thread.
fn spawn_flusher(partial: &Path) -> Option<(mpsc::Sender<()>, JoinHandle<()>)> {
    let file = File::open(partial).ok()?;
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("flush".into())
        .spawn(move || {
            while stopped.recv_timeout(FLUSH_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                if file.sync_data().is_err() {
                    return;
                }
            }
        })
        .ok()?;
    Some((stop, thread))
}

#[cfg(test)]
mod tests {
    use super::super::ErrorKind;
    use super::*;

    #[test]
    fn the_temporary_name_keeps_the_extension() {
        assert_eq!(partial_name(Path::new("/a/my.clip.mp4"), 1), Path::new("/a/my.clip.partial.mp4"));
        assert_eq!(partial_name(Path::new("b.mkv"), 2), Path::new("b.partial2.mkv"));
    }

    #[test]
    fn nothing_is_replaced_without_being_asked() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let none = Path::new("/nowhere");
        std::fs::write(&target, "old").unwrap();
        let e = Output::reserve(&target, none, false).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Usage);
        assert!(e.hint().contains("--overwrite"));
        let e = Output::reserve(&target, &target, true).unwrap_err();
        assert!(e.to_string().contains("input itself"), "{e}");

        let output = Output::reserve(&target, none, true).unwrap();
        std::fs::write(output.partial(), "new!").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(output.publish().unwrap(), 4);
        assert_eq!(std::fs::read(&target).unwrap(), b"new!");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_came_up_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let output = Output::reserve(&target, Path::new("/nowhere"), false).unwrap();
        std::fs::write(output.partial(), "new").unwrap();
        std::fs::write(&target, "somebody's").unwrap();
        let partial = output.partial().to_owned();
        let e = output.publish().unwrap_err();
        assert!(e.to_string().contains("a.partial.mp4"), "{e}");
        assert_eq!(std::fs::read(&target).unwrap(), b"somebody's");
        assert_eq!(std::fs::read(&partial).unwrap(), b"new");
    }

    #[test]
    fn unfinished_work_is_kept_and_nothing_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let none = Path::new("/nowhere");
        let kept = Output::reserve(&target, none, false).unwrap();
        std::fs::write(kept.partial(), "half").unwrap();
        assert!(kept.abandon(3).unwrap().contains("a.partial.mp4"));
        let second = Output::reserve(&target, none, false).unwrap();
        assert!(second.partial().ends_with("a.partial2.mp4"));
        assert_eq!(second.abandon(0), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
