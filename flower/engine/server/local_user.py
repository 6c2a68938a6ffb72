"""Which user of this machine is at the other end of a loopback connection.

Loopback belongs to everybody who has an account here, so an address says nothing about whose program it is.
Linux names the owner of every TCP socket in ``/proc/self/net/tcp`` and ``tcp6`` (proc_pid_net(5)): the client's
socket is the one whose local end is our remote end. Elsewhere nobody can be told apart, and a token has to do.
Reads those two files; decides nothing.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

End = tuple[str, int]  # address and port
TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
ROWS_MOST = 65_536  # a machine with more sockets than ports on loopback is not one to search


def is_own(client: End, server: End) -> bool:
    """Whether the socket ``client``, connected to ``server``, belongs to this process's user or to root.

    Root reads every file of the home anyway. Returns False when nobody can say.
    """
    return owner(client, server) in (os.getuid(), 0)


def owner(client: End, server: End, tables: Iterable[Path] = TABLES) -> int | None:
    """Returns the user id of the program that holds the socket ``client``; None when nobody can say."""
    try:
        near, far = _encoded(client), _encoded(server)
    except ValueError:
        return None
    for table in tables:
        try:
            with table.open() as file:
                uid = find(islice(file, 1, ROWS_MOST), near, far)
        except OSError:
            continue
        if uid is not None:
            return uid
    return None


def find(rows: Iterable[str], near: Iterable[str], far: Iterable[str]) -> int | None:
    """Returns the user id in the row of a table that has these ends, in one of their spellings."""
    ends, others = frozenset(near), frozenset(far)
    for row in rows:
        fields = row.split(None, 8)
        if len(fields) > 7 and fields[1] in ends and fields[2] in others:
            return int(fields[7]) if fields[7].isdecimal() else None
    return None


def _encoded(end: End) -> tuple[str, ...]:
    """Returns an end as the kernel prints it: words of the address in the machine's byte order, the port.

    An IPv4 address is also given as IPv6 prints it, for a socket that takes both.
    """
    address = ipaddress.ip_address(end[0])
    port = f"{end[1]:04X}"
    if address.version == 4:
        mapped = ipaddress.ip_address(f"::ffff:{address}")
        return f"{_words(address.packed)}:{port}", f"{_words(mapped.packed)}:{port}"
    spellings = [f"{_words(address.packed)}:{port}"]
    if address.ipv4_mapped is not None:
        spellings.append(f"{_words(address.ipv4_mapped.packed)}:{port}")
    return tuple(spellings)


def _words(packed: bytes) -> str:
    return "".join(
        f"{int.from_bytes(packed[at : at + 4], sys.byteorder):08X}" for at in range(0, len(packed), 4)
    )
