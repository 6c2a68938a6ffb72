"""The real face in a pseudo-terminal against a scripted engine: bytes, times, memory, wake-ups.

Run ``python -m tests.bench.tui [--quick]`` from the repository's root. The screen is 100x30, the terminal
says nothing (no answers to questions, as over the slowest line). Every number comes from the pty: a
key or a token counts as shown when its characters have arrived here.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pty_world import ROOT, Pty
from tests.scripted_engine import seconds_of

FACE = (
    "import sys; from pathlib import Path; from flower.tui.boot import main; "
    "sys.exit(main(home_dir=Path(sys.argv[1]), engine_url=lambda: sys.argv[2]))"
)


STAMPED = re.compile(b"Q([a-z]{6})")
STAMP_PERIOD_S = 26**6 / 100_000


@contextmanager
def engine(
    words: int = 60, rate: float = 50.0, story: int = 2, *, stamped: bool = False
) -> Iterator[str]:
    """A scripted engine in a process of its own."""
    port = 20_000 + os.getpid() % 20_000
    arguments = [
        sys.executable,
        "-m",
        "tests.scripted_engine",
        str(port),
        str(words),
        str(rate),
        str(story),
        str(int(stamped)),
    ]
    child = subprocess.Popen(arguments, cwd=ROOT)
    time.sleep(1.0)
    try:
        yield f"ws://127.0.0.1:{port}/ws/rpc"
    finally:
        child.terminate()
        child.wait()


@contextmanager
def face(url: str) -> Iterator[Pty]:
    with tempfile.TemporaryDirectory() as home:
        running = Pty([sys.executable, "-c", FACE, home, url])
        try:
            yield running
        finally:
            running.close()


def usage(pid: int) -> tuple[float, int, int]:
    """Returns CPU seconds, voluntary context switches and RSS in KiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    cpu = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return cpu, int(status["voluntary_ctxt_switches"]), int(status["VmRSS"].split()[0])


def quantiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{statistics.median(ordered) * 1000:.1f} / {p99 * 1000:.1f} ms"


def start() -> None:
    firsts, lives = [], []
    with engine() as url:
        for _ in range(7):
            with face(url) as one:
                firsts.append(one.wait(lambda out: b"Flower" in out and b"connecting" in out))
                firsts[-1] = one.last_at - one.begun
                one.wait(lambda out: b"Line" in out)
                lives.append(one.last_at - one.begun)
    report("exec -> first frame (median of 7)", f"{statistics.median(firsts) * 1000:.0f} ms")
    report("exec -> story on screen", f"{statistics.median(lives) * 1000:.0f} ms")


def keys(one: Pty, count: int) -> tuple[list[float], int]:
    times, size = [], 0
    for number in range(count):
        char = "abcdefghij"[number % 10]
        before = len(one.output)
        one.type(char)
        times.append(one.wait(lambda out, char=char: char.encode() in out, 2.0))
        size += len(one.output) - before
        time.sleep(0.03)
    return times, size


def idle_keys(count: int) -> None:
    with engine() as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(1.5)
        times, size = keys(one, count)
        report("key -> screen, idle p50 / p99", quantiles(times))
        report("bytes per key", f"{size / count:.1f}")


def at_rest(seconds: float) -> None:
    with engine() as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(6.0)  # the news in the status line has gone by then
        cpu, switches, _ = usage(one.child.pid)
        written = len(one.pump(seconds))
        after = usage(one.child.pid)
        per_minute = 60 / seconds
        report("at rest, per minute: bytes", f"{written * per_minute:.0f}")
        report("at rest, per minute: CPU s", f"{(after[0] - cpu) * per_minute:.3f}")
        report("at rest: wake-ups per s", f"{(after[1] - switches) / seconds:.2f}")


def streaming(rate: float, words: int) -> None:
    with engine(words=words, rate=rate) as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(1.5)
        one.type("Go on.\r")
        one.wait(lambda out: b"tide" in out)
        cpu, _, _ = usage(one.child.pid)
        before = len(one.output)
        began = time.perf_counter()
        one.pump(words / rate * 0.8)
        share = (time.perf_counter() - began) * rate
        after = usage(one.child.pid)
        report(f"bytes per token at {rate:.0f}/s", f"{(len(one.output) - before) / share:.1f}")
        report(f"CPU s per 1,000 tokens at {rate:.0f}/s", f"{(after[0] - cpu) / share * 1000:.2f}")


def streaming_keys(rate: float, count: int) -> None:
    with engine(words=100_000, rate=rate) as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(1.5)
        one.type("Go on.\r")
        one.wait(lambda out: b"tide" in out)
        times = []
        for number in range(count):
            mark = "0123456789"[number % 10]  # digits do not occur in the prose
            one.type(mark)
            times.append(one.wait(lambda out, mark=mark: mark.encode() in out, 2.0))
            one.pump(0.041)
        report(f"key -> screen at {rate:.0f} tokens/s p50 / p99", quantiles(times))


def stopping(count: int, *, told_apart: bool) -> None:
    """Esc until the screen says that the reply has stopped; ``told_apart``: by a terminal with kitty's keys."""
    times = []
    with engine(words=100_000, rate=50) as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        if told_apart:
            one.type("\x1b[?0u\x1b[?62c")  # what such a terminal answers when it is asked
        one.pump(1.5)
        for _ in range(count):
            one.type("Go on.\r")
            one.wait(lambda out: b"tide" in out)
            one.pump(0.5)
            one.type("\x1b[27u" if told_apart else "\x1b")
            times.append(one.wait(lambda out: b"stopped" in out, 3.0))
            one.pump(0.3)
    terminal = "kitty keys" if told_apart else "other terminals"
    report(f"Esc -> stopped, on screen, {terminal} p50 / p99", quantiles(times))


def flood(words: int) -> None:
    with engine(words=words, rate=0) as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(1.5)
        one.type("Go on.\r")
        took = one.wait(lambda out: re.search(rb"\d\.\d s ", out) is not None, 30.0)  # its end
        report(f"{words:,} tokens at once: last one on screen", f"{took:.2f} s")


def paging() -> None:
    with engine(story=1000) as url, face(url) as one:
        one.wait(lambda out: b"Line 1000." in out)
        one.pump(1.5)
        times = []
        for _ in range(60):
            one.type("\x1b[5~")
            times.append(one.wait(lambda out: len(out) > 200, 2.0))
            one.pump(0.05)
        report("PgUp p50 / p99, 1,000 messages", quantiles(times))
        times, _ = keys(one, 50)
        report("key -> screen, 1,000 messages p50 / p99", quantiles(times))


def held_key(presses: int) -> None:
    """PgUp held down at a keyboard's repeat rate: how long it goes on after the key is let go."""
    with engine(story=1000) as url, face(url) as one:
        one.wait(lambda out: b"Line 1000." in out)
        one.pump(1.5)
        for _ in range(presses):
            one.type("\x1b[5~")
            one.drain(1 / 30)
        released = time.perf_counter()
        one.pump(0.5)
        report(
            "PgUp held: goes on after it is let go", f"{max(0.0, one.last_at - released) * 1000:.0f} ms"
        )


def oldest_page(messages: int) -> None:
    """Up to the first line of a long story, page by page, and what that costs in memory."""
    with engine(story=messages) as url, face(url) as one:
        one.wait(lambda out: f"Line {messages}.".encode() in out)
        one.pump(1.5)
        began, quiet = time.perf_counter(), 0
        while quiet < 10:  # at the top nothing moves any more
            shown = len(one.output)
            one.type("\x1b[1;5H")
            one.drain(0.03)
            quiet = quiet + 1 if len(one.output) == shown else 0
        report(f"{messages:,} messages: to the first line", f"{one.last_at - began:.1f} s")
        report(f"RSS with {messages:,} messages fetched", f"{usage(one.child.pid)[2] / 1024:.1f} MB")
        report("key -> screen there p50 / p99", quantiles(keys(one, 30)[0]))


def newest_page() -> None:
    times = []
    with engine(story=10_000) as url:
        for _ in range(3):
            with face(url) as one:
                one.wait(lambda out: b"connecting" in out)
                times.append(one.wait(lambda out: b"Line 10000." in out))
    report(
        "10,000 messages: newest page after first frame", f"{statistics.median(times) * 1000:.0f} ms"
    )


@contextmanager
def telling(rate: float) -> Iterator[Pty]:
    """A face in which a long reply of stamped words has begun."""
    with engine(words=100_000, rate=rate, stamped=True) as url, face(url) as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(1.5)
        one.type("Go on.\r")
        one.wait(lambda out: b"Q" in out)
        yield one


def token_latency(rate: float, seconds: float) -> None:
    """From the engine's send to the terminal: every word says when it was sent."""
    with telling(rate) as one:
        times, rest = [], b""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            seen = len(one.output)
            one.read_some(65536)
            arrived = time.perf_counter()
            found, rest = stamps(rest + one.output[seen:])
            times += [lag(arrived, sent) for sent in found]
        report(f"token -> screen at {rate:.0f}/s p50 / p99", quantiles(times))


def stamps(output: bytes) -> tuple[list[float], bytes]:
    """Returns the times in the stamped words of ``output``, and its end, which may be half a word."""
    whole = output.rfind(b"Q")
    cut = whole if whole >= 0 and len(output) - whole < 7 else len(output)
    return [seconds_of(word.decode()) for word in STAMPED.findall(output[:cut])], output[cut:]


def lag(now: float, sent: float) -> float:
    """Returns the seconds from ``sent``, which counts only up to ``STAMP_PERIOD_S``, to ``now``."""
    return (now - sent) % STAMP_PERIOD_S


def slow_line(rate: float, bytes_per_s: int) -> None:
    """A terminal that takes so many bytes a second: frames are dropped, keys and words are still seen."""
    with telling(rate) as one:
        keys_seen, tokens, rest = [], [], b""
        taken, start = 0, time.perf_counter()
        typed, mark, number = 0.0, b"", 0
        while time.perf_counter() - start < 12.0:
            if not mark:
                mark, number = b"0123456789"[number % 10 : number % 10 + 1], number + 1
                one.type(mark.decode())
                typed = time.perf_counter()
            time.sleep(max(0.0, taken / bytes_per_s - (time.perf_counter() - start)))
            seen = len(one.output)
            taken += one.read_some(40)
            now, fresh = time.perf_counter(), one.output[seen:]
            found, rest = stamps(rest + fresh)
            tokens += [lag(now, sent) for sent in found]
            if mark in fresh:
                keys_seen.append(now - typed)
                mark = b""
        over = f"at {rate:.0f}/s over {bytes_per_s:,} B/s"
        used = taken / (time.perf_counter() - start) / bytes_per_s
        report(f"key -> screen {over} p50 / p99", quantiles(keys_seen))
        report(f"token -> screen {over} p50 / p99", f"{quantiles(tokens)} (line {used:.0%} full)")


def deep_line(bytes_per_s: int, *, answers: bool) -> None:
    """SSH over a slow line: everything before the terminal takes bytes at once and passes them on slowly.

    PgUp is held for two seconds; then the screen should stand still soon.
    """
    with (
        engine(story=1000) as url,
        tempfile.TemporaryDirectory() as home,
        Pty([sys.executable, "-c", FACE, home, url], {"SSH_CONNECTION": "1 2 3 4"}) as one,
    ):
        shown, began, pressed = 0, time.perf_counter(), 0
        released = began + 5.0

        def pass_on(now: float, last: float) -> None:
            """The terminal's end: draws what the line lets through, answers questions."""
            nonlocal shown
            fresh = one.output[shown : shown + int((now - last) * bytes_per_s) + 1]
            shown += len(fresh)
            for _ in range(fresh.count(b"\x1b[5n") if answers else 0):
                one.type("\x1b[0n")
            if answers and b"\x1b[c" in fresh:
                one.type("\x1b[?62c")

        last = time.perf_counter()
        while (now := time.perf_counter()) < released or shown < len(one.output):
            one.read_some(65536)
            if now - began > 3.0 and now < released and now - began > 3.0 + pressed / 30:
                one.type("\x1b[5~")
                pressed += 1
            if int((now - last) * bytes_per_s) >= 20:
                pass_on(now, last)
                last = now
            if now - released > 60:
                break
        kind = "answering" if answers else "silent"
        report(
            f"PgUp held over {bytes_per_s:,} B/s, {kind}: stands still after",
            f"{time.perf_counter() - released:.1f} s",
        )


def reconnect() -> None:
    port = 41_000 + os.getpid() % 20_000
    command = [sys.executable, "-m", "tests.scripted_engine", str(port), "60", "50", "2"]
    child = subprocess.Popen(command, cwd=ROOT)
    time.sleep(1.0)
    with face(f"ws://127.0.0.1:{port}/ws/rpc") as one:
        one.wait(lambda out: b"Line" in out)
        one.pump(1.5)
        child.kill()
        child.wait()
        report(
            "engine killed: state shown",
            f"{one.wait(lambda out: b'answers' in out or b'ended' in out):.2f} s",
        )
        child = subprocess.Popen(command, cwd=ROOT)
        took = one.wait(lambda out: b"ready" in out)
        report("engine started again: reconnected (its own start is about 0.4 s)", f"{took:.2f} s")
    child.kill()
    child.wait()


def memory() -> None:
    for story in (30, 10_000):
        with engine(story=story) as url, face(url) as one:
            one.wait(lambda out: b"Line" in out)
            one.pump(2.0)
            report(f"RSS with {story:,} messages", f"{usage(one.child.pid)[2] / 1024:.1f} MB")


def report(what: str, value: str) -> None:
    print(f"{what:45} {value}", flush=True)


def main() -> None:
    quick = "--quick" in sys.argv
    start()
    idle_keys(20 if quick else 200)
    streaming(50, 200 if quick else 1000)
    token_latency(50, 4 if quick else 20)
    token_latency(200, 4 if quick else 10)
    streaming_keys(50, 20 if quick else 200)
    stopping(10 if quick else 30, told_apart=True)
    stopping(10 if quick else 30, told_apart=False)
    flood(5000)
    paging()
    held_key(30 if quick else 150)
    newest_page()
    oldest_page(2_000 if quick else 10_000)
    slow_line(50, 4_000)
    slow_line(200, 4_000)
    deep_line(4_000, answers=False)
    deep_line(4_000, answers=True)
    reconnect()
    memory()
    at_rest(10 if quick else 60)


if __name__ == "__main__":
    main()
