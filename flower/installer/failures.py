"""Why an installation failed, from what pip wrote: one sentence that says what to do."""

from __future__ import annotations

from flower.errors import FlowerError


class InstallError(FlowerError):
    """Setting up cannot go on; the text says why and what to do."""


# Looked for in this order: a full disk also breaks downloads, a lost connection also leaves packages unfound.
_CAUSES = (
    (
        ("No space left on device", "Errno 28", "Disk quota exceeded"),
        "the disk is full; make room (about 400 MB while it works) and run ./start.sh again",
    ),
    (
        (
            "Killed signal terminated program",
            "virtual memory exhausted",
            "Cannot allocate memory",
            "MemoryError",
            "SIGKILL",
            "exit code: -9",
        ),
        "there was not enough memory; close other programs or add swap, and run ./start.sh --setup again",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed", "CERTIFICATE", "SSLError"),
        "the certificate of the package index was not accepted; look whether `date` is right, and if your network"
        " has a certificate of its own give it in PIP_CERT",
    ),
    (
        (
            "Temporary failure in name resolution",
            "Name or service not known",
            "Failed to establish a new connection",
            "Network is unreachable",
            "No route to host",
            "no route to host",
            "Connection refused",
            "Connection reset",
            "Connection aborted",
            "Read timed out",
            "ConnectTimeout",
            "ProxyError",
        ),
        "the package index cannot be reached; check the network (or the proxy) and run ./start.sh again, it goes on"
        " from there; without a network: ./start.sh --setup --offline DIR",
    ),
    (
        ("No matching distribution found",),
        "there is no build of {package} for this Python and processor; use Python 3.11 to 3.13 on 64-bit Linux",
    ),
    (
        ("Permission denied", "Errno 13"),
        "a file cannot be written; the folder belongs to somebody else, or was set up with sudo",
    ),
    (
        ("Python.h: No such file",),
        "Python's header files are missing; install them with: sudo apt install python3-dev",
    ),
    (
        ("Failed building wheel", "Failed to build", "error: command", "exit status 1"),
        "{package} could not be compiled; look for the first error above",
    ),
)
_OFFLINE = (
    "the folder of wheels has no {package} for this Python and processor; make one with ./start.sh --setup --wheels DIR"
    " on a machine like this one"
)


def explain(log: str, *, offline: bool = False) -> str:
    """Returns a sentence for what pip wrote; ``offline``: it was not to use an index."""
    package = _package(log)
    for signs, sentence in _CAUSES:
        if any(sign in log for sign in signs):
            if offline and signs[0].startswith("No matching"):
                sentence = _OFFLINE
            return sentence.format(package=package)
    return "the packages could not be installed; the lines above say why"


def _package(log: str) -> str:
    """Returns the package that the log complains about last, as well as can be seen."""
    for line in reversed(log.splitlines()):
        for mark in ("No matching distribution found for ", "Failed building wheel for "):
            _, sign, rest = line.partition(mark)
            if sign and rest.split():
                return rest.split()[0].rstrip(",;")
    return "a package"
