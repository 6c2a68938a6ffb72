"""Exchanges: a player's line, the reply to it, and what its prompt was made of.

Functions over a connection that expect to run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from flower.engine.game.state import dump_variables
from flower.engine.lorebook.situation import Timed
from flower.engine.store import branches, paths, prompts, stages, states, stories
from flower.engine.store.branches import GO_ON
from flower.engine.store.extra import (
    ManifestEntry,
    MessageExtra,
    dump_extra,
    load_extra,
    patch,
    readable,
)
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

CUE_LOOK_BACK = 4000  # messages of all stories among which those are looked for

# ruff: noqa: S608 - only constants are put into statements, values never


TITLED_AFTER = 6  # lines: then there is something to name a story after


class Exchange(Struct, frozen=True):
    """A player's line and the reply that was opened for it."""

    user_id: int
    reply_id: int
    already_there: bool = False  # the same request had been stored before; nothing was written
    titled: bool = False  # the line gave the story its title


def begin_exchange(
    db: Connection,
    session_id: str,
    line: str,
    model: str,
    request: str | None,
    now: float,
    *,
    waited: int | None = None,
    title: Callable[[Sequence[stories.Message]], str] | None = None,
    there: Collection[int] = (),
) -> Exchange:
    """Stores the player's line and opens the reply under the active leaf.

    A ``request`` that was stored before changes nothing and returns the exchange it made. ``waited`` is the row of
    a line that had to wait for this. ``there``: the users who were at the table. ``title`` names a story of
    ``TITLED_AFTER`` lines that nobody has named.
    """
    if waited is not None:
        prompts.drop_waiting(db, waited)
    if request is not None:
        row = db.execute(
            "SELECT u.id, (SELECT min(r.id) FROM messages r WHERE r.parent_id = u.id)"
            " FROM messages u WHERE u.session_id = ? AND u.request = ?",
            (session_id, request),
        ).fetchone()
        if row:
            return Exchange(row[0], row[1] or row[0], already_there=True)
    place = stories.leaf_and_title(db, session_id)
    if place is None:
        raise CommandError("This story is in the trash; /session restore takes it back.")
    leaf, present_title = place
    user_id, reply_id = stories.append_exchange(db, session_id, leaf, line, model, request, now)
    for message_id in (user_id, reply_id) if there else ():
        stories.set_message_extra(db, message_id, patch(there=sorted(there)))
    if not present_title:
        stories.rename(db, session_id, line)
    renamed = (
        title is not None
        and leaf is not None
        and _named_anew(db, session_id, leaf, present_title, title)
    )
    return Exchange(user_id, reply_id, titled=not present_title or renamed)


def _named_anew(
    db: Connection,
    session_id: str,
    leaf: int,
    present_title: str,
    title: Callable[[Sequence[stories.Message]], str],
) -> bool:
    """Gives a story a title made of what happened, once, in place of its first line; returns whether it did."""
    if len(paths.way(db, leaf, session_id).ids) > 2 * TITLED_AFTER + 2:
        return False  # of most stories, without reading any text
    path = stories.path(db, leaf)
    lines = [message.content for message in path if message.role == "user"]
    if len(lines) != TITLED_AFTER or present_title != stories.title_of(lines[0]):
        return False
    new_title = stories.title_of(title(path))
    if not new_title:
        return False
    stories.rename(db, session_id, new_title)
    return True


class LineNotes(Struct, frozen=True, kw_only=True):
    """What was given with a line; the fields are those of ``MessageExtra``."""

    recalled: str
    private: Sequence[tuple[str, str]]
    recalled_ids: Sequence[int]
    stands: Sequence[tuple[str, str]]
    entries: Sequence[str] = ()


class PromptRecord(Struct, frozen=True, kw_only=True):
    """What is stored of a prompt: with the line it answers, with its reply, with the story.

    ``speaker``: id of the character that the reply belongs to; ``on_stage``: of those who are there; ``variables``:
    as the macros of notes leave them, None when they set none; ``lore_timed``: lasting effects of lorebooks, to be
    kept with the line.
    """

    session_id: str
    line_id: int
    reply_id: int
    line: LineNotes | None  # None: it does not answer a line of the player
    manifest: Sequence[ManifestEntry]
    window_start: int | None
    speaker: str = ""
    on_stage: Sequence[str] = ()
    variables: Mapping[str, str] | None = None
    lore_timed: Timed | None = None
    nearly: Sequence[ManifestEntry] = ()


def store_prompt(db: Connection, record: PromptRecord) -> str:
    """Stores what a prompt was made of; returns a sentence on what could not be kept, else ""."""
    if record.line is not None:
        stories.set_message_extra(db, record.line_id, patch(**msgspec.structs.asdict(record.line)))
    if record.lore_timed is not None:
        stories.set_message_extra(db, record.line_id, patch(lore_timed=record.lore_timed))
    reply_extra = patch(manifest=record.manifest, speaker=record.speaker, nearly=record.nearly)
    stories.set_message_extra(db, record.reply_id, reply_extra)
    stages.keep(db, record.session_id, record.reply_id, record.on_stage)
    stories.set_session_extra(db, record.session_id, {"window_start": record.window_start})
    if record.variables is None:
        return ""
    try:
        variables = dump_variables(record.variables)
        states.keep_variables(db, record.session_id, variables, record.line_id)
    except CommandError as refused:  # the story goes on without them
        return f"The variables of your notes are not kept: {refused}"
    return ""


def add_to_manifest(db: Connection, reply_id: int, entry: ManifestEntry) -> None:
    """Adds a part to what is stored about a reply's prompt, if anything is."""
    db.execute(
        "UPDATE messages SET extra = json_insert(extra, '$.manifest[#]', json(?))"
        " WHERE id = ? AND json_extract(extra, '$.manifest') IS NOT NULL",
        (msgspec.json.encode(entry).decode(), reply_id),
    )


def manifest(
    db: Connection, session_id: str, message_id: int | None = None
) -> tuple[ManifestEntry, ...] | None:
    """Returns the parts of the prompt behind a reply (None: the newest); None if there was no prompt."""
    extra = _with_manifest(db, session_id, message_id)
    return extra.manifest if extra is not None else None


def nearly_fired(
    db: Connection, session_id: str, message_id: int | None = None
) -> tuple[ManifestEntry, ...] | None:
    """Returns the entries that nearly fired for a reply (None: the newest); None if there was no prompt."""
    extra = _with_manifest(db, session_id, message_id)
    return extra.nearly if extra is not None else None


def _with_manifest(db: Connection, session_id: str, message_id: int | None) -> MessageExtra | None:
    row = db.execute(
        "SELECT extra FROM messages WHERE session_id = ? AND id = coalesce(?, id)"
        " AND CASE WHEN json_valid(extra) THEN json_extract(extra, '$.manifest') IS NOT NULL END"
        " ORDER BY id DESC LIMIT 1",
        (session_id, message_id),
    ).fetchone()
    return load_extra(row[0], MessageExtra) if row else None


def keep_proposal(db: Connection, reply_id: int, block: str) -> None:
    """Keeps the block of changes that a reply proposed, as it came."""
    stories.set_message_extra(db, reply_id, patch(proposed=block))


def forget(db: Connection, reply_id: int) -> None:
    """Notes that an exchange is to be no memory."""
    stories.set_message_extra(db, reply_id, patch(forgotten=True))


PLAYER, NARRATOR = "The player", "The narrator"  # who speaks in a memory, whatever their names
_BETWEEN_NAMES = " / "


def memory_of(line: str, text: str) -> str:
    """Returns the text by which an exchange is remembered."""
    return f"{PLAYER}: {line}\n{NARRATOR}: {text}"


def memory_title(player: str, speaker: str, scene: str = "") -> str:
    """Returns what a memory is headed by: the names of who spoke, "" where nobody has one, and in a second line
    where and when that was, as far as it is known.

    A question names them, the exchange itself often does not.
    """
    names = f"{player or PLAYER}{_BETWEEN_NAMES}{speaker or NARRATOR}" if player or speaker else ""
    return f"{names}\n{scene}" if scene else names


def scene_of(title: str) -> str:
    """Returns where and when a memory was, "" if that is not known."""
    return title.partition("\n")[2]


def memory_text(title: str, text: str) -> str:
    """Returns a memory as the narrator's prompt has it: with the names that its title has."""
    player, separator, speaker = title.partition("\n")[0].partition(_BETWEEN_NAMES)
    if not separator:
        return text
    if text.startswith(f"{PLAYER}: "):
        text = player + text[len(PLAYER) :]
    line, begins, reply = text.partition(f"\n{NARRATOR}: ")
    if not begins and text.startswith(f"{NARRATOR}: "):
        return speaker + text[len(NARRATOR) :]  # a piece of a long exchange
    return f"{line}\n{speaker}: {reply}" if begins else line


def circumstances(db: Connection, session_id: str, reply_id: int) -> tuple[str, str, str]:
    """Returns the name of the player in a story, the id of the character that spoke in a reply, and where and when
    that was by the state sheet."""
    message = stories.message(db, reply_id)
    stored = stories.session(db, session_id)
    spoke = message.extra.speaker if message is not None else ""
    character = stored.character_id if stored is not None else ""
    sheet = states.state_at(db, session_id, reply_id).sheet
    scene = ", ".join(part for part in (sheet.place, sheet.time) if part)
    return states.steering(db, session_id).persona.name, spoke or character, scene


def _letters(text: str) -> str:
    """Returns the SQL expression for how many characters that are no space or newline a text has."""
    return f"length(replace(replace({text}, ' ', ''), '\n', ''))"


_FRAME_LETTERS = len("".join(memory_of("", "").split()))


def unremembered(db: Connection, story: str = "") -> list[tuple[str, int, str, str]]:
    """Returns (story, reply, line, text) of exchanges that ended without becoming a memory as a whole.

    Only the last one of a story can be, or the one at which the story is: it was being saved, or went on
    growing, when its engine died. A memory is whole when it has as many letters; one that is cut in
    some unusual way (headings, tabs) may be named though it is whole. ``story``: of this one alone.
    """
    which = " WHERE {} = :story" if story else ""
    return db.execute(
        f"""
        SELECT r.session_id, r.id, u.content, r.content
        FROM messages r JOIN messages u ON u.id = r.parent_id AND u.role = 'user'
        WHERE r.id IN (SELECT (SELECT max(l.id) FROM messages l WHERE l.session_id = s.id)
                       FROM sessions s{which.format("s.id")}
                       UNION ALL SELECT active_leaf FROM sessions{which.format("id")})
          AND r.role = 'assistant' AND r.content != '' AND r.status NOT IN ('streaming', 'error')
          AND json_extract({readable("r.extra")}, '$.forgotten') IS NULL
          AND (SELECT coalesce(sum({_letters("p.text")}), 0) FROM passages p WHERE p.message_id = r.id)
              < {_letters("u.content")} + {_letters("r.content")} + {_FRAME_LETTERS}
        """,
        {"story": story} if story else {},
    ).fetchall()


# --- Messages that are no exchange of line and reply: dice, the player's own narration, answers to them.
#
# Functions over a connection that expect to run inside ``Database.write``.


def add_message(
    db: Connection,
    session_id: str,
    role: str,
    make: Callable[[int], tuple[str, MessageExtra]],
    request: str | None,
    now: float,
) -> stories.Message | None:
    """Appends a whole message to the active path; ``make`` gives content and extra data for its id.

    Returns None when ``request`` was stored before: it was sent again. Raises ``CommandError`` while a
    reply is being written, which must stay the last message until its end.
    """
    if (
        request is not None
        and db.execute(
            "SELECT 1 FROM messages WHERE session_id = ? AND request = ?", (session_id, request)
        ).fetchone()
    ):
        return None
    leaf = stories.active_leaf(db, session_id)
    streaming = db.execute("SELECT 1 FROM messages WHERE id = ? AND status = 'streaming'", (leaf,))
    if streaming.fetchone():
        raise CommandError("A reply is being written; do this again when it has ended.")
    message_id = stories.append(db, session_id, leaf, role, "", "complete", request=request, now=now)
    content, extra = make(message_id)
    db.execute(
        "UPDATE messages SET content = ?, extra = ? WHERE id = ?",
        (content, dump_extra(extra), message_id),
    )
    paths.changed(db, message_id)
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, session_id))
    return stories.message(db, message_id)


def open_answer(db: Connection, session_id: str, model: str, now: float) -> branches.Opened:
    """Opens a reply to what is last in the story: dice, or the player's own narration.

    Raises ``CommandError`` when a reply of the narrator is there, which ``/continue`` lets grow.
    """
    leaf = stories.active_leaf(db, session_id)
    last = stories.message(db, leaf) if leaf is not None else None
    if last is None or (last.role == "assistant" and last.extra.by != "player"):
        raise CommandError(
            "Tell what? /narrate TEXT adds to the story, /continue lets the reply go on."
        )
    line = last.content if last.role == "user" else GO_ON
    reply = stories.append(db, session_id, last.id, "assistant", "", "streaming", model=model, now=now)
    return branches.Opened(last.id, line, reply, 0)


def replies_elsewhere(db: Connection, session_id: str, model: str, most: int) -> tuple[str, ...]:
    """Returns the last whole replies of a model in other stories, newest first; looks back only so far."""
    rows = db.execute(
        "SELECT content FROM messages WHERE id > (SELECT max(id) FROM messages) - ? AND role = 'assistant'"
        " AND session_id != ? AND model = ? AND status = 'complete' ORDER BY id DESC LIMIT ?",
        (CUE_LOOK_BACK, session_id, model, most),
    )
    return tuple(content for (content,) in rows)
