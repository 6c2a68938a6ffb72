#!/bin/sh
# Sets Flower up on the first run and starts it on every run.
#
# Owns .venv beside this file and nothing else: no root, no network but pip's. Plain POSIX sh, because the
# second run must cost next to nothing: it compares one fingerprint and becomes Python. What there is to
# set up is done by flower/installer.
set -eu

usage() {
    cat <<'TEXT'
Usage: ./start.sh [FLOWER OPTIONS]         set up if needed, then play
       ./start.sh COMMAND [OPTIONS]        one of Flower's commands: engine, tui, say, status, stop, models,
                                           backup, restore, migrate, check, doctor, export, import, lore,
                                           token, service, user
       ./start.sh --setup [EXTRA ...]      only set up; extras: test, local, postgres, model
       ./start.sh --setup --wheels DIR     the same, and keep every package in DIR for other machines
       ./start.sh --setup --offline DIR    the same from such a folder, without a network
       ./start.sh update                   the newest Flower; --back: the one before
       ./start.sh test [--every-python] [--faults] [PYTEST OPTIONS]
                                           install the test tools, run lint, types and tests;
                                           then the quick tests on every other Python found
       ./start.sh --help                   this text; ./start.sh COMMAND --help says more of one

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

# --- setting up -----------------------------------------------------------------------------------
version='import sys; print("%d.%d" % sys.version_info[:2])'

new_enough() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for base in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
        if new_enough "$base"; then return; fi
    done
    found=$(python3 -c "$version" 2>/dev/null) || found=none
    die "Flower needs Python 3.11 or newer (found: $found); on Debian 12, Raspberry Pi OS 12 or newer install it with: sudo apt install python3 python3-venv"
}

# The work is done in Python, by the system's own. A shell does not act on a signal while it waits for a
# child that runs in the foreground, so this one runs beside it.
set_up() {
    [ -n "${base-}" ] || find_python
    installer=
    trap '[ -z "$installer" ] || kill -TERM "$installer" 2>/dev/null || :' INT TERM HUP
    PYTHONPATH=$root "$base" -P -m flower.installer "$root" "$fingerprint" "$@" &
    installer=$!
    ended=0
    wait "$installer" || ended=$?
    while kill -0 "$installer" 2>/dev/null; do # a signal ended the wait only
        ended=0
        wait "$installer" || ended=$?
    done
    trap - INT TERM HUP
    [ $ended = 0 ] || exit 1
}

# --- lint, types, tests ---------------------------------------------------------------------------
check() {
    say "--- $*"
    "$python" -m "$@" || failed="$failed $1"
}

# Tests of real processes, terminals and clocks can fail because the machine was busy with something else. Where no
# more than three failed, they run once more, by themselves and named; what is broken fails again.
check_tests() {
    say "--- pytest $*"
    cache=$venv/pytest_cache ended=0
    "$python" -m pytest -o cache_dir="$cache" --cache-clear "$@" || ended=$?
    list=$cache/v/cache/lastfailed
    if [ $ended = 1 ] && [ -e "$list" ]; then
        names='' count=0
        while read -r line; do
            case $line in *'": true'*) names="$names ${line%%'": true'*}\"" count=$((count + 1)) ;; esac
        done <"$list"
        if [ $count -le 3 ]; then
            say "--- $count failed and run once more, by themselves:$names"
            ended=0
            "$python" -m pytest -o cache_dir="$cache" --last-failed --last-failed-no-failures none "$@" || ended=$?
        fi
    fi
    [ $ended = 0 ] || failed="$failed pytest"
}

# The quick tests once more, on each other Python from 3.11 on: which one serves best differs between systems.
# Each has an environment of its own in .venv, which goes when that does.
test_other_pythons() {
    ours=$("$python" -c "$version") tested=
    for other in python3.11 python3.12 python3.13 python3.14; do
        if [ "$other" = "python$ours" ] || ! new_enough "$other"; then continue; fi
        if ! "$other" -c 'import ensurepip, venv' 2>/dev/null; then
            say "--- $other is left out: it has no venv module (sudo apt install $other-venv)"
            continue
        fi
        say "--- $other: quick tests"
        tested=yes
        if (base=$other set_up --later --venv "$venv/$other" test); then
            PYTHONPATH=$root "$venv/$other/bin/python" -m pytest -q -m quick || failed="$failed pytest-on-$other"
        else
            failed="$failed set-up-on-$other"
        fi
    done
    [ -n "$tested" ] || say "--- no Python but $ours to test with"
}

run_tests() {
    cd "$root"
    every=
    if [ "${1-}" = --every-python ]; then
        every=yes
        shift
    fi
    failed=
    check ruff check .
    check ruff format --check .
    check mypy --strict flower
    # What changed since the set-up is compiled once, not by each process of the tests, also where the environment
    # forbids Python to keep what it compiles.
    "$python" -m compileall -q flower >/dev/null 2>&1 || :
    check_tests "$@"
    [ -z "$every" ] || test_other_pythons
    [ -z "$failed" ] || die "not clean:$failed"
}

# --- what was asked for ---------------------------------------------------------------------------
case ${1-} in
--help | -h)
    usage
    ;;
--setup)
    shift
    set_up "$@"
    say "Flower is set up. Play with: ./start.sh"
    if ! command -v flower >/dev/null 2>&1; then
        say "To play from any folder by typing flower:"
        say "    mkdir -p ~/.local/bin && ln -s '$venv/bin/flower' ~/.local/bin/flower"
        case ":$PATH:" in
        *":${HOME-}/.local/bin:"*) ;;
        *) say "and log in again, so that your shell looks into ~/.local/bin." ;;
        esac
    fi
    ;;
update)
    shift
    find_python
    PYTHONPATH=$root exec "$base" -P -m flower.installer.update "$root" "$@"
    ;;
test)
    shift
    is_ready test || set_up test
    run_tests "$@"
    ;;
*)
    is_ready "" || set_up --later
    if [ -e "$venv/flower-index-later" ]; then # hnswlib is compiled while you play
        PYTHONPATH=$root "$python" -P -m flower.installer "$root" "$fingerprint" --index \
            </dev/null >>"$venv/index.log" 2>&1 &
    fi
    exec "$python" -P -m flower "$@"
    ;;
esac
