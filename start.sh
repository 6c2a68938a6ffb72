#!/bin/sh
# Sets Flower up on the first run and starts it on every run.
#
# Owns .venv beside this file and nothing else: no root, no network but pip's. What is missing on the
# system is named with the command that installs it. Plain POSIX sh, because the second run must cost
# next to nothing: it compares one fingerprint and becomes Python.
set -eu

usage() {
    cat <<'TEXT'
Usage: ./start.sh [FLOWER OPTIONS]         set up if needed, then play
       ./start.sh engine|tui [OPTIONS]     the same for one of the two processes alone
       ./start.sh --setup [EXTRA ...]      only set up; extras: test, local, model
       ./start.sh test [--faults] [PYTEST OPTIONS]
                                           install the test tools, run lint, types and tests
       ./start.sh --help                   this text; ./start.sh engine --help has Flower's options

Everything is installed into .venv beside this script; delete that folder to undo it.
Your stories live elsewhere, see docs/install.md.
TEXT
}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "start.sh: $*"
    exit 1
}

# --- where we are ---------------------------------------------------------------------------------
script=$0
if [ -L "$script" ]; then script=$(readlink -f -- "$script"); fi
case $script in
*/*) root=$(CDPATH='' cd -- "${script%/*}" && pwd -P) ;;
*) root=$(pwd -P) ;;
esac
venv=$root/.venv
python=$venv/bin/python
log=$venv/setup.log

# --- is there anything to do? ---------------------------------------------------------------------
# A stamp holds the fingerprint of the set-up that was completed last, one stamp per extra ("" is
# Flower itself). It is written last, so an interrupted set-up has none. It needs no Python version:
# the venv links the exact interpreter, and when a system upgrade takes that away the link is dead.
fingerprint=$(cksum "$root/constraints.txt" "$root/setup.cfg" "$root/pyproject.toml") ||
    die "files are missing in $root; get the whole repository again"

# Reads with the shell's own words: a "cat" would cost as much as all the rest.
is_ready() {
    stamp=$venv/flower-stamp${1:+-$1}
    [ -r "$stamp" ] && [ -x "$python" ] || return 1
    held=
    while IFS= read -r line; do
        held="$held${held:+
}$line"
    done <"$stamp"
    [ "$held" = "$fingerprint" ]
}

# --- what the system must bring -------------------------------------------------------------------
new_enough() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for base in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
        if new_enough "$base"; then return; fi
    done
    found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=none
    die "Flower needs Python 3.11 or newer (found: $found); on Debian 12, Raspberry Pi OS 12 or newer install it with: sudo apt install python3 python3-venv python3-dev"
}

# The names below are for find_python's answer; Debian's default Python has packages without a version.
missing() {
    say "start.sh: $1; install it with: sudo apt install $2"
    packages="$packages $2"
}

check_system() {
    packages=
    suffix=3
    if [ "$base" != python3 ]; then
        suffix=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fi
    "$base" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        die "Flower needs a 64-bit system, as its libraries have no 32-bit builds; on a Raspberry Pi use the 64-bit Raspberry Pi OS"
    "$base" -c 'import venv, ensurepip' 2>/dev/null ||
        missing "Python's venv module is missing" "python$suffix-venv"
    # shellcheck disable=SC2086 # a glob that finds nothing stays a word that is no file
    set -- "$venv"/lib/python3*/site-packages/hnswlib*.so
    if [ ! -e "$1" ]; then
        command -v "${CXX:-c++}" >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 ||
            missing "a C++ compiler is missing (hnswlib, the memory index, is compiled here)" g++
        "$base" -c 'import os, sysconfig as s; os.stat(os.path.join(s.get_path("include"), "Python.h"))' 2>/dev/null ||
            missing "Python's header files are missing (hnswlib is compiled against them)" "python$suffix-dev"
    fi
    case $packages in
    '') ;;
    ' '*' '*) die "then run ./start.sh again; all at once: sudo apt install$packages" ;;
    *) die "then run ./start.sh again" ;;
    esac
}

# --- setting up -----------------------------------------------------------------------------------
make_venv() {
    # pip takes a package for installed when its files are half there, so one that was killed while it
    # unpacked leaves nothing to build on. Downloads and the compiled hnswlib are in pip's cache.
    if [ -e "$venv/unpacking" ] && grep -q '^Installing collected packages' "$log"; then
        say "The last run was cut off while unpacking; starting afresh."
        rm -rf "$venv"
    fi
    if [ -x "$python" ] && new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    say "[1/3] Making a Python environment in .venv (a few seconds)"
    rm -rf "$venv"
    # The interpreter's real name, so that a system upgrade cannot exchange it under the packages.
    real=$("$base" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))')
    "$real" -m venv "$venv" || die "Python could not make $venv; see the message above"
}

# Runs pip and shows what it is doing, one changing line on a terminal. $1: why it failed, if it does.
run_pip() {
    failure=$1
    shift
    mkdir -p "$venv/tmp" # /tmp is often a small RAM disk on a Raspberry Pi
    : >"$log"
    : >"$venv/unpacking"
    TMPDIR=$venv/tmp PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$python" -m pip install --no-input --progress-bar off -c "$root/constraints.txt" "$@" \
        >"$log" 2>&1 &
    pip=$!
    begun=$(date +%s)
    shown=
    while kill -0 "$pip" 2>/dev/null; do
        show_progress || : # Ctrl-C ends these too, and the trap must still have its turn
        sleep 0.5 || :
    done
    show_progress # the last word, if pip was faster than the first look
    [ ! -t 2 ] || printf '\r\033[K' >&2
    ended=0
    wait "$pip" || ended=$?
    pip=
    rm -f "$venv/unpacking" # pip ended by itself, so it has cleaned up after itself
    if [ $ended != 0 ]; then
        tail -n 12 "$log" >&2
        die "$failure (the whole log is $log)"
    fi
    rm -rf "$venv/tmp"
}

show_progress() {
    now=$(sed -n -e 's/ (from .*//' -e 's/^ *Collecting \(.*\)/found \1/p' \
        -e 's/^ *Downloading \([^-]*\).*(\(.*\))/downloading \1 (\2)/p' \
        -e 's/^ *Building wheel for \([^ ]*\).*/compiling \1/p' \
        -e 's/^Installing collected packages.*/unpacking all packages/p' "$log" | tail -n 1)
    if [ -t 2 ]; then
        printf '\r\033[K      %3d s  %.60s' $(($(date +%s) - begun)) "$now" >&2
    elif [ -n "$now" ] && [ "$now" != "$shown" ]; then
        say "      $now"
    fi
    shown=$now
}

install() {
    what=$root${1:+[$1]}
    set -- "$venv"/lib/python3*/site-packages/hnswlib*.so
    if [ ! -e "$1" ]; then
        say "[2/3] Compiling hnswlib, the memory index (under a minute on a PC, 3 to 6 minutes on a Raspberry Pi)"
        # Off x86 -march=native gains nothing here, and would tie an SD card to one model of Pi.
        case $(uname -m) in x86_64) ;; *) export HNSWLIB_NO_NATIVE=1 ;; esac
        run_pip "hnswlib could not be compiled; look for the first error above" hnswlib
    fi
    say "[3/3] Installing about 60 packages, 60 MB (1 minute on a PC, up to 10 on a Raspberry Pi)"
    run_pip "the packages could not be installed; check the network and run ./start.sh again, it goes on from there" \
        -e "$what"
    "$python" -m compileall -q "$root/flower" || true # only makes the first start faster
}

interrupted() {
    if [ -n "$pip" ]; then
        kill "$pip" 2>/dev/null || :
        wait "$pip" || :
    fi
    say ""
    die "interrupted; ./start.sh goes on from here"
}

# Brings .venv up to date for Flower and, if given, one extra. Safe to run twice, also at once.
set_up() {
    pip=
    trap interrupted INT TERM HUP
    exec 9<"$root/start.sh"
    if command -v flock >/dev/null 2>&1; then
        flock -n 9 || { say "Another ./start.sh is setting up; waiting for it."; flock 9; }
    fi
    if ! is_ready "$1"; then
        find_python
        check_system
        if [ -e "$venv" ]; then
            say "Bringing .venv up to date with $("$base" --version)."
        else
            say "Setting Flower up with $("$base" --version). This happens once."
        fi
        make_venv
        rm -f "$venv/flower-stamp" "$venv/flower-stamp-$1"
        install "$1" 9<&-
        for name in "" "$1"; do
            printf '%s\n' "$fingerprint" >"$venv/flower-stamp${name:+-$name}.new"
            mv "$venv/flower-stamp${name:+-$name}.new" "$venv/flower-stamp${name:+-$name}"
        done
    fi
    exec 9<&-
    trap - INT TERM HUP
}

# --- lint, types, tests ---------------------------------------------------------------------------
check() {
    say "--- $*"
    "$python" -m "$@" || failed="$failed $1"
}

run_tests() {
    cd "$root"
    failed=
    check ruff check .
    check ruff format --check .
    check mypy --strict flower
    check pytest "$@"
    [ -z "$failed" ] || die "not clean:$failed"
}

# --- what was asked for ---------------------------------------------------------------------------
case ${1-} in
--help | -h)
    usage
    ;;
--setup)
    shift
    for extra in "" "$@"; do
        case $extra in '' | test | local | model) ;; *) die "unknown extra '$extra'; there are: test, local, model" ;; esac
        is_ready "$extra" || set_up "$extra"
    done
    say "Flower is set up. Play with: ./start.sh"
    ;;
test)
    shift
    is_ready test || set_up test
    run_tests "$@"
    ;;
*)
    is_ready "" || set_up ""
    exec "$python" -P -m flower "$@"
    ;;
esac
