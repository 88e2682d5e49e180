# shellcheck shell=bash
# What scripts/run and scripts/test share: everything Gradcast needs from the system, put in place
# where it is missing. Sourced, never run. All that it says goes to stderr, so that stdout stays
# with the program; nothing it calls reads stdin, for the same reason.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# --- what is needed, and why ---------------------------------------------------------------------
# One row per reason: "why: package …" (Debian's names; `clang` stands for any version of it).
# shellcheck disable=SC2034 # read by those who source this
BUILD_AND_RUN=(
    'to compile: g++ pkg-config clang ca-certificates'
    'to move video: libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev
        libgstrtspserver-1.0-dev gstreamer1.0-tools
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
        gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x gstreamer1.0-nice gstreamer1.0-rtsp'
    'to resize frames: libopencv-core-dev libopencv-imgproc-dev'
)
# shellcheck disable=SC2034 # likewise, by scripts/test only
TESTS=('to test: ffmpeg xvfb xauth chromium')
FETCH=('to fetch ONNX Runtime: python3 python3-pip')

# The wheels that ONNX Runtime is taken from: variant/machine → package, version, size, sha256.
declare -A ORT_WHEELS=(
    [cpu/x86_64]='onnxruntime 1.31.1 24MB 1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536'
    [cpu/aarch64]='onnxruntime 1.31.1 22MB 0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc'
    [cuda/x86_64]='onnxruntime-gpu 1.31.1 256MB 05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7'
    [openvino/x86_64]='onnxruntime-openvino 1.24.1 85MB d617fac2f59a6ab5ea59a788c3e1592240a129642519aaeaa774761dfe35150e'
)
ORT_VARIANTS='cpu cuda openvino'

# How long to wait for another apt or dpkg to finish, in seconds.
APT_PATIENCE=900

say() { printf 'gradcast: %s\n' "$*" >&2; }

# die WHAT CURE…: what failed on the first line, what to do on the following ones.
die() {
    printf 'gradcast: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

# --- Rust ----------------------------------------------------------------------------------------

# Checked first: it needs no time, and only the user can mend it.
require_rust() {
    local wanted found where
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
    # rustup's folder is not on the PATH of a shell that was open while rustup was installed.
    if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    if ! where=$(command -v cargo) || ! command -v rustc >/dev/null; then
        die "Rust $wanted or newer is needed, and there is none (no cargo and rustc on the PATH)." \
            'Install it with rustup, https://rustup.rs, then run this again.'
    fi
    # In the project's folder, where an override of rustup's would apply.
    found=$(cd "$root" && rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9][^ ]*\).*/\1/p') || found=
    [[ -n $found ]] || die "Rust $wanted or newer is needed, and ${where%/*}/rustc does not say which it is." \
        'With rustup: rustup default stable'
    printf '%s\n%s\n' "$wanted" "$found" | sort -VC ||
        die "Rust $wanted or newer is needed, and ${where%/*}/rustc is $found." \
            'With rustup: rustup update stable && rustup default stable' \
            'Without (distributions lag behind): install it with rustup, https://rustup.rs'
}

# --- system packages -----------------------------------------------------------------------------

# require_packages ROW…: installs what is missing of the rows ("why: package …").
require_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say 'no dpkg here, so the system packages are not checked; docs/guide/install.md lists them.'
        return 0
    fi
    local row package installed why=''
    local -a wanted=() missing=() rows_missing
    for row in "$@"; do
        read -ra wanted -d '' <<<"${wanted[*]} ${row#*:}" || true
    done
    # A pattern that matches nothing makes dpkg-query fail though it answers for the others.
    installed=" $(dpkg-query -W -f '${db:Status-Status}=${Package}\n' "${wanted[@]}" 'clang-[0-9]*' 2>/dev/null |
        sed -n 's/^installed=//p' | tr '\n' ' ' || true)"
    [[ $installed =~ \ clang-[0-9]+\  ]] && installed+='clang '
    for row in "$@"; do
        rows_missing=()
        # shellcheck disable=SC2086 # a list of names, to be split
        for package in ${row#*:}; do
            [[ $installed == *" $package "* ]] || rows_missing+=("$package")
        done
        ((${#rows_missing[@]} == 0)) && continue
        why+="${why:+; }${row%%:*}: ${rows_missing[*]}"
        missing+=("${rows_missing[@]}")
    done
    ((${#missing[@]} == 0)) || install_packages "$why" "${missing[@]}"
}

# install_packages WHY PACKAGE…
install_packages() {
    local why=$1 as_root=()
    shift
    local by_hand="apt-get install --no-install-recommends $*"
    if (($(id -u) != 0)); then
        # sudo may ask for the password only where there is somebody to answer.
        if ! command -v sudo >/dev/null; then
            die "system packages are missing, and only root can install them (there is no sudo): $why" \
                "As root: $by_hand"
        elif sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        elif { : </dev/tty; } 2>/dev/null; then
            as_root=(sudo)
        else
            die "system packages are missing, and sudo wants a password but has no terminal to ask on: $why" \
                "Do it yourself: sudo $by_hand"
        fi
    fi
    command -v apt-get >/dev/null || die "system packages are missing, and there is no apt-get: $why"

    say "installing with apt, ${why}"
    apt_get update || say 'apt-get update failed (see above); going on with the package lists that are there.'
    local -a names=()
    local package
    for package in "$@"; do
        # Debian 12 has 14, which the bindings are tried with; elsewhere the distribution's own choice.
        [[ $package == clang && -n $(apt-cache show clang-14 2>/dev/null) ]] && package=clang-14
        names+=("$package")
    done
    apt_get install --yes --no-install-recommends "${names[@]}" ||
        die 'apt could not install the packages (see above).' "By hand, to see more: ${as_root:+sudo }$by_hand"
}

# apt_get ARGS…: apt-get, waiting where another one is busy. apt itself can wait for dpkg's lock, but
# not for the ones on its package lists and downloads. Reads as_root of its caller.
apt_get() {
    local complaints waiting='' status
    local deadline=$((SECONDS + APT_PATIENCE))
    complaints=$(mktemp)
    while :; do
        status=0
        "${as_root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -qq \
            -o DPkg::Lock::Timeout=5 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2 2>"$complaints" || status=$?
        if ((status == 0 || SECONDS >= deadline)) ||
            ! grep -qE '^E: (Could not get lock|Unable to (lock|acquire))' "$complaints"; then
            break
        fi
        [[ -n $waiting ]] || say "waiting for another apt or dpkg to finish: $(grep -m1 '^E: ' "$complaints" | cut -c4-)"
        waiting=yes
        sleep 2
    done
    cat "$complaints" >&2
    rm -f "$complaints"
    return "$status"
}

# --- ONNX Runtime --------------------------------------------------------------------------------

# Where downloads are kept. The specification of XDG_CACHE_HOME wants a relative one ignored.
cache_folder() {
    local base=${XDG_CACHE_HOME:-}
    [[ $base == /* ]] || base=$HOME/.cache
    printf '%s/gradcast\n' "$base"
}

# ort_row: the row of ORT_WHEELS that this machine and GRADCAST_ORT_VARIANT ask for.
ort_row() {
    local variant=${GRADCAST_ORT_VARIANT:-cpu} machine
    machine=$(uname -m)
    [[ " $ORT_VARIANTS " == *" $variant "* ]] ||
        die "GRADCAST_ORT_VARIANT is '$variant', which is no variant of ONNX Runtime." "It can be one of: $ORT_VARIANTS"
    [[ -n ${ORT_WHEELS[$variant/$machine]:-} ]] ||
        die "there is no ready-made ONNX Runtime of the variant '$variant' for $machine." \
            'Name a library of your own: GRADCAST_ORT_LIB=/path/to/libonnxruntime.so'
    printf '%s\n' "${ORT_WHEELS[$variant/$machine]}"
}

# ort_ready FOLDER: is the library there, whole? The list of sizes is written last.
ort_ready() {
    [[ -r $1/.complete && $(ort_sizes "$1" 2>/dev/null) == "$(<"$1/.complete")" ]]
}
ort_sizes() { (cd "$1" && stat -c '%s %n' lib*); }

# pip_python: a Python that has pip.
pip_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1 </dev/null; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

# fetch_ort FOLDER PACKAGE VERSION SIZE SHA256: in a shell of its own, which leaves nothing behind.
fetch_ort() (
    folder=$1 package=$2 version=$3 size=$4 sha256=$5
    cache=${folder%/*}
    mkdir -p "$cache" || die "cannot make the cache folder $cache." 'Choose another: XDG_CACHE_HOME=/some/folder'
    exec {lock}>"$cache/.lock" || die "cannot write to the cache folder $cache." 'Choose another: XDG_CACHE_HOME=/some/folder'
    flock -n "$lock" || {
        say 'waiting for another run to finish fetching ONNX Runtime.'
        flock "$lock"
    }
    # Another run may have been faster. What a killed one left is of no use.
    ort_ready "$folder" && exit 0
    rm -rf "$cache"/.fetch.*
    [[ ! -e $folder ]] || say "$folder is damaged: fetching it again."

    work=$(mktemp -d "$cache/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    python=$(pip_python) || die 'python3 with pip is needed to fetch ONNX Runtime.' \
        'Install it, or name a library of your own: GRADCAST_ORT_LIB=/path/to/libonnxruntime.so'
    say "fetching $package $version ($size) into $folder"
    mkdir "$work/lib" "$work/tmp"
    # The second time past pip's own cache, which may be what is damaged.
    for again in '' --no-cache-dir; do
        rm -rf "$work/wheel"
        # Python's version is the wheel's, not this machine's: only the libraries in it are used.
        if ! TMPDIR=$work/tmp "$python" -m pip download --quiet --no-deps --only-binary=:all: ${again:+"$again"} \
            --disable-pip-version-check --no-input --python-version 3.12 --implementation cp --abi cp312 \
            --platform "manylinux_2_28_$(uname -m)" --dest "$work/wheel" "$package==$version" </dev/null >&2; then
            [[ -z $again ]] && continue
            die "pip could not download $package $version (see above)." \
                "Check the network and pip's configuration (python3 -m pip config list), or name a library" \
                'of your own: GRADCAST_ORT_LIB=/path/to/libonnxruntime.so'
        fi
        wheel=$(find "$work/wheel" -name '*.whl' -print -quit)
        found=$(sha256sum <"$wheel")
        [[ ${found%% *} == "$sha256" ]] && break
        [[ -z $again ]] && continue
        die "$(basename "$wheel") is damaged or not the one that was published; it is not used." \
            "Its sha256 is ${found%% *}," \
            "it should be   $sha256." \
            'Try again later, or check the package index that pip is configured with (python3 -m pip config list).'
    done
    "$python" - "$wheel" "$work/lib" <<'PYTHON' || die "could not unpack $(basename "$wheel") (see above)."
import fnmatch, os, shutil, sys, zipfile

wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.namelist():
        folder, _, name = member.rpartition("/")
        if folder.endswith("/capi") and fnmatch.fnmatch(name, "lib*.so*"):
            with archive.open(member) as packed, open(os.path.join(target, name), "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
PYTHON
    [[ -f $work/lib/libonnxruntime.so.$version ]] || die "$(basename "$wheel") holds no libonnxruntime.so.$version."
    ln -s "libonnxruntime.so.$version" "$work/lib/libonnxruntime.so"
    ort_sizes "$work/lib" >"$work/lib/.complete"
    chmod 755 "$work/lib"
    rm -rf "$folder"
    mv "$work/lib" "$folder"
)

# --- all of it -----------------------------------------------------------------------------------

# set_up ROW…: Rust, the packages of the rows, ONNX Runtime; exports what the build and the program read.
set_up() {
    [[ $(uname -s) == Linux ]] || die "Gradcast runs on Linux; this is $(uname -s)."
    [[ -n ${HOME:-} ]] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME
    require_rust

    local folder='' row
    local -a wheel rows=("$@")
    if [[ -z ${GRADCAST_ORT_LIB:-} ]]; then
        row=$(ort_row)
        read -ra wheel <<<"$row"
        folder=$(cache_folder)/ort-${GRADCAST_ORT_VARIANT:-cpu}-${wheel[1]}
        ort_ready "$folder" && wheel=()
        ((${#wheel[@]} == 0)) || pip_python >/dev/null || rows+=("${FETCH[@]}")
    fi
    require_packages "${rows[@]}"
    if [[ -n $folder ]]; then
        ((${#wheel[@]} == 0)) || fetch_ort "$folder" "${wheel[@]}"
        export GRADCAST_ORT_LIB=$folder/libonnxruntime.so
    fi

    # .cargo/config.toml names x86-64's folders for OpenCV; these take precedence over it.
    local triplet
    triplet=$(uname -m)-linux-gnu
    if [[ $triplet != x86_64-linux-gnu ]]; then
        export OPENCV_LINK_PATHS=${OPENCV_LINK_PATHS:-/usr/lib/$triplet}
        export OPENCV_INCLUDE_PATHS=${OPENCV_INCLUDE_PATHS:-/usr/include/opencv4,/usr/include/$triplet/opencv4}
    fi
}
