"""Presets and quick replies as files of other programs: what to read for them, and their bytes.

What came from such a file and has not changed is written with all that stood in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from flower import limits
from flower.engine.export.library_files import NamedFile, file_name
from flower.engine.interchange import reader, sillytavern_settings
from flower.engine.interchange.values import Imported, Kind
from flower.engine.store.connection import Connection
from flower.engine.store.library import originals, presets, quick_replies
from flower.errors import CommandError, ImportFileError
from flower.settings import samplers

OWN_REPLIES = "flower"  # what the lines of config.yaml are called as a set


def preset_file(db: Connection, name: str, user: int = 0) -> NamedFile | None:
    """Returns a preset of sampler settings, None where there is none of that name."""
    preset = presets.find(db, presets.SAMPLERS, name, user)
    if preset is None:
        return None
    called, values = preset
    was = (one for file in _files(db, Kind.SAMPLER_PRESET) for one in file.presets)
    original = next((one for one in was if one.name == called), None)
    data = sillytavern_settings.preset_file(called, samplers.checked(values), original)
    return NamedFile(f"{file_name(called)}.json", data)


def replies_file(db: Connection, name: str, own: Sequence[tuple[str, str]]) -> NamedFile:
    """Returns a set of quick replies. ``own``: those of ``config.yaml``.

    Raises ``CommandError`` with the names of the sets there are.
    """
    sets = quick_replies.sets(db)
    if own:
        sets.setdefault(OWN_REPLIES, list(own))
    fits = [one for one in sets if one.casefold() == name.casefold()] if name else list(sets)
    if len(fits) != 1:
        names = ", ".join(sets)
        raise CommandError(
            f"Which set of quick replies? There is: {names}."
            if names
            else "There are no quick replies here."
        )
    (called,) = fits
    was = (one for file in _files(db, Kind.QUICK_REPLIES) for one in file.quick_replies)
    original = next((one for one in was if one.name == called), None)
    return NamedFile(
        f"{file_name(called)}.json",
        sillytavern_settings.quick_replies_file(called, sets[called], original),
    )


def _files(db: Connection, kind: Kind) -> Iterator[Imported]:
    """Yields what is in the files of a kind that are here, the newest first."""
    for name, data in originals.of_kind(db, kind.value, limits.IMPORT_GROUPS):
        with contextlib.suppress(ImportFileError):  # a newer reader may be stricter
            yield reader.read(data, PurePath(name).stem)
