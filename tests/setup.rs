//! `scripts/run` puts in place what is missing, says what and why, and runs the program.
//!
//! The scripts see nothing of this machine here: the only programs on their `PATH` are harmless
//! tools and stand-ins for what would change the system (apt, pip, cargo).

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// What the scripts may use as it is.
const TOOLS: &[&str] = &[
    "basename",
    "bash",
    "cat",
    "chmod",
    "cut",
    "dirname",
    "env",
    "find",
    "flock",
    "getent",
    "grep",
    "head",
    "ln",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sort",
    "stat",
    "tr",
    "uname",
];

/// The program that the stand-in for cargo "builds": it shows what reaches it.
const PROGRAM: &str = r#"echo "lib=$GRADCAST_ORT_LIB"; echo "cwd=$PWD"; for a; do echo "arg=$a"; done; exit 7"#;

/// A machine made of stand-ins.
struct Machine {
    dir: TempDir,
}

impl Machine {
    /// Root, everything installed, a recent Rust, an empty cache, and a Python without pip.
    fn new() -> Self {
        let machine = Self { dir: TempDir::new().unwrap() };
        for folder in ["bin", "home", "cache"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        for tool in TOOLS {
            let real = real(tool).unwrap_or_else(|| panic!("{tool} is not on the PATH"));
            symlink(real, machine.path("bin").join(tool)).unwrap();
        }
        machine.program("program", PROGRAM);
        let built = machine.path("bin/program");
        machine.program(
            "cargo",
            &format!(r#"echo '{{"reason":"compiler-artifact","executable":"{}"}}'"#, built.display()),
        );
        machine.program("rustc", "echo 'rustc 1.93.1 (abc 2026-01-01)'");
        machine.program("id", "echo 0");
        machine.program("sleep", ":");
        machine.program("python3", "exit 1");
        machine.program("apt-get", r#"echo "apt-get $*" >>"$LOG""#);
        machine.program("apt-cache", "echo Package: clang-14");
        machine.installed("clang-16=keep");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path("bin").join(name)).unwrap();
    }

    /// dpkg knows every package that it is asked for, apart from `missing` ("" for none).
    fn installed(&self, missing: &str) {
        self.program(
            "dpkg-query",
            &format!(
                r#"shift 3; for p; do case $p in 'clang-[0-9]*') [ '{missing}' = clang ] || echo installed=clang-14;;
                   '{missing}') echo not-installed=$p;; *) echo installed=$p;; esac; done"#
            ),
        );
    }

    /// A pip whose downloads hold `version` of the library; sha256sum vouches for them if `genuine`.
    fn pip(&self, version: &str, genuine: bool) -> bool {
        let Some(python) = real("python3") else {
            eprintln!("skipped: no python3 here to unpack a wheel with");
            return false;
        };
        let python = python.display();
        self.program(
            "python3",
            &format!(
                r#"case "$1 $2 $3" in
                '-m pip --version') exit 0;;
                '-m pip download') echo "pip $*" >>"$LOG"
                    while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; shift; done
                    mkdir -p "$dest"; exec {python} -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    z.writestr("onnxruntime/capi/libonnxruntime.so.{version}", b"library")
    z.writestr("onnxruntime/capi/onnxruntime_pybind11_state.so", b"not wanted")' "$dest/a.whl";;
                *) exec {python} "$@";;
                esac"#
            ),
        );
        if genuine {
            let known = known_sha256();
            self.program("sha256sum", &format!("echo '{known}  -'"));
        }
        true
    }

    fn command(&self) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/run");
        let mut command = Command::new(self.path("bin/bash"));
        command
            .arg(script)
            .args(["annotate", "a b.mp4"])
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("LOG", self.path("log"))
            .current_dir(self.path("home"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, variables: &[(&str, &str)]) -> Output {
        self.command().envs(variables.iter().copied()).output().unwrap()
    }

    /// What apt and pip were asked to do.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("cache/gradcast")) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".lock")
            .collect();
        names.sort();
        names
    }
}

fn real(tool: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/bin")])
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
}

/// The sha256 that the scripts expect of this machine's cpu wheel.
fn known_sha256() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/setup.sh");
    let key = format!("[cpu/{}]=", std::env::consts::ARCH);
    let text = fs::read_to_string(script).unwrap();
    let row = text.lines().find(|line| line.contains(&key)).unwrap();
    row.trim_end_matches('\'').rsplit(' ').next().unwrap().to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const NEEDS_RUST: &str = concat!("Rust ", env!("CARGO_PKG_RUST_VERSION"), " or newer is needed");
const OWN_LIBRARY: (&str, &str) = ("GRADCAST_ORT_LIB", "/own/libonnxruntime.so");

#[test]
fn arguments_folder_and_exit_code_are_the_programs() {
    let machine = Machine::new();
    let output = machine.run(&[OWN_LIBRARY]);
    let home = machine.path("home").canonicalize().unwrap();
    assert_eq!(
        stdout(&output),
        format!("lib=/own/libonnxruntime.so\ncwd={}\narg=annotate\narg=a b.mp4\n", home.display())
    );
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(stderr(&output), "", "nothing to say where nothing is missing");
    assert_eq!(machine.log(), "");
    assert!(machine.cached().is_empty(), "the user's own library is used");
}

#[test]
fn old_rust_is_named_before_anything_is_installed() {
    let machine = Machine::new();
    machine.installed("ffmpeg");
    machine.program("rustc", "echo 'rustc 1.63.0 (abc 2022-01-01)'");
    let output = machine.run(&[OWN_LIBRARY]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(NEEDS_RUST) && text.contains("is 1.63.0"), "{text}");
    assert!(text.contains("rustup update"), "{text}");
    assert_eq!(machine.log(), "");
}

#[test]
fn missing_rust_is_named_with_the_way_to_get_it() {
    for missing in ["cargo", "rustc"] {
        let machine = Machine::new();
        machine.remove(missing);
        let output = machine.run(&[OWN_LIBRARY]);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains(NEEDS_RUST), "{text}");
        assert!(text.contains("https://rustup.rs"), "{text}");
    }
}

#[test]
fn rust_is_found_in_the_folder_of_rustup() {
    let machine = Machine::new();
    let folder = machine.path("home/.cargo/bin");
    fs::create_dir_all(&folder).unwrap();
    for name in ["cargo", "rustc"] {
        fs::rename(machine.path("bin").join(name), folder.join(name)).unwrap();
    }
    assert_eq!(machine.run(&[OWN_LIBRARY]).status.code(), Some(7));
}

#[test]
fn missing_packages_are_installed_and_said_in_one_line() {
    let machine = Machine::new();
    machine.installed("libopencv-core-dev");
    let output = machine.run(&[OWN_LIBRARY]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(stderr(&output), "gradcast: installing with apt, to resize frames: libopencv-core-dev\n");
    let log = machine.log();
    let calls: Vec<_> = log.lines().collect();
    assert!(calls.len() == 2 && calls[0].ends_with(" update"), "{calls:?}");
    assert!(calls[1].ends_with("install --yes --no-install-recommends libopencv-core-dev"), "{calls:?}");
}

#[test]
fn any_clang_does_and_the_tried_one_is_preferred() {
    let machine = Machine::new();
    machine.installed("clang");
    assert_eq!(machine.run(&[OWN_LIBRARY]).status.code(), Some(7));
    assert!(machine.log().ends_with(" clang-14\n"), "{}", machine.log());
}

#[test]
fn without_root_and_sudo_the_command_is_given() {
    let machine = Machine::new();
    machine.installed("gstreamer1.0-libav");
    machine.program("id", "echo 1000");
    let output = machine.run(&[OWN_LIBRARY]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("As root: apt-get install --no-install-recommends gstreamer1.0-libav\n"), "{text}");
    assert_eq!(machine.log(), "");
}

#[test]
fn sudo_is_used_where_it_asks_nothing() {
    let machine = Machine::new();
    machine.installed("gstreamer1.0-libav");
    machine.program("id", "echo 1000");
    machine.program("sudo", r#"[ "$1" = -n ] && shift; [ "$1" = true ] || echo sudo >>"$LOG"; exec "$@""#);
    machine.program("true", "exit 0");
    let output = machine.run(&[OWN_LIBRARY]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert_eq!(machine.log().lines().filter(|l| *l == "sudo").count(), 2);
}

#[test]
fn a_busy_apt_is_waited_for() {
    let machine = Machine::new();
    machine.installed("g++");
    machine.program(
        "apt-get",
        r#"echo "apt-get $*" >>"$LOG"
        [ "$(grep -c apt-get "$LOG")" -gt 3 ] && exit 0
        echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt)' >&2; exit 100"#,
    );
    let output = machine.run(&[OWN_LIBRARY]);
    assert_eq!(output.status.code(), Some(7));
    let text = stderr(&output);
    assert_eq!(text.matches("waiting for another apt or dpkg").count(), 1, "{text}");
    assert!(text.contains("held by process 12"), "{text}");
    assert_eq!(machine.log().lines().count(), 5);
}

#[test]
fn a_failing_apt_is_no_busy_apt() {
    let machine = Machine::new();
    machine.installed("g++");
    machine.program("apt-get", "echo 'E: Unable to locate package g++' >&2; exit 100");
    let output = machine.run(&[OWN_LIBRARY]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("E: Unable to locate package g++"), "{text}");
    assert!(text.contains("By hand, to see more: apt-get install"), "{text}");
}

#[test]
fn onnx_runtime_is_fetched_once_and_mended_when_damaged() {
    let machine = Machine::new();
    if !machine.pip("1.31.1", true) {
        return;
    }
    let folder = machine.path("cache/gradcast/ort-cpu-1.31.1");
    let library = folder.join("libonnxruntime.so");
    for _ in 0..2 {
        let output = machine.run(&[]);
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
        assert!(stdout(&output).starts_with(&format!("lib={}\n", library.display())));
    }
    assert_eq!(machine.log().lines().count(), 1, "fetched once");
    assert_eq!(fs::read(&library).unwrap(), b"library");
    assert!(!folder.join("onnxruntime_pybind11_state.so").exists());
    assert_eq!(machine.cached(), ["ort-cpu-1.31.1"], "nothing is left over");

    fs::write(folder.join("libonnxruntime.so.1.31.1"), b"lib").unwrap();
    let output = machine.run(&[]);
    assert!(stderr(&output).contains("is damaged"), "{}", stderr(&output));
    assert_eq!(fs::read(&library).unwrap(), b"library");
}

#[test]
fn a_wheel_that_is_not_the_published_one_is_refused() {
    let machine = Machine::new();
    if !machine.pip("1.31.1", false) {
        return;
    }
    let output = machine.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("damaged or not the one"), "{text}");
    assert!(text.contains(&known_sha256()), "{text}");
    assert_eq!(machine.log().lines().count(), 2, "once more past pip's cache");
    assert!(machine.cached().is_empty(), "{:?}", machine.cached());
}

#[test]
fn runs_side_by_side_fetch_once() {
    let machine = Machine::new();
    if !machine.pip("1.31.1", true) {
        return;
    }
    let runs: Vec<_> =
        (0..4).map(|_| machine.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    }
    assert_eq!(machine.log().lines().count(), 1, "{}", machine.log());
}

#[test]
fn an_unknown_variant_is_refused_with_the_known_ones() {
    let output = Machine::new().run(&[("GRADCAST_ORT_VARIANT", "rocm")]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("'rocm'") && text.contains("cpu cuda openvino"), "{text}");
}

#[test]
fn who_installs_by_hand_is_told_the_same_packages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows = r#". scripts/lib/setup.sh; for row in "${BUILD_AND_RUN[@]}"; do echo "${row#*: }"; done"#;
    let list = |script: &str| {
        let output = Command::new("bash").args(["-c", script]).current_dir(root).output().unwrap();
        let mut packages: Vec<String> =
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
        packages.sort();
        packages
    };
    let guide = fs::read_to_string(root.join("docs/guide/install.md")).unwrap();
    let by_hand = guide.split("apt-get install --no-install-recommends ").nth(1).unwrap().split("```").next().unwrap();
    // Bash itself resolves the braces and the ends of lines.
    let told = list(&format!("echo {}", by_hand.trim()));
    let needed: Vec<String> =
        list(rows).into_iter().map(|p| if p == "clang" { "clang-14".into() } else { p }).collect();
    assert_eq!(told, needed);
}
