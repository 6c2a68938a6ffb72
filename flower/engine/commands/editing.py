"""Forms of everything that can be edited: opened for a client, and saved as it sends them back.

A subject names what a form is about: ``character mara``, ``world``, ``rules``, ``persona 3``, ``lorebook 2``,
``entry 2 7``; without its second half it is something new. What is saved are the fields that were typed at, over the
version that the form was read from; over a newer one only after the client has seen it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.assets.shelves import owned, owner_of, plain
from flower.engine.assets.yaml_files import FOLDERS, Asset, as_read
from flower.engine.commands import edited_rows
from flower.engine.forms import specs
from flower.engine.forms.values import Spec, field_of, read_all, text_of
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store.library import characters
from flower.errors import AssetError, CommandError, FormError
from flower.protocol.messages import Form, State
from flower.text import one_line

FORM_SENT_BYTES = 400 * limits.KIB  # of all texts of a form that an engine sends

ASSETS: Mapping[str, tuple[type[Asset], tuple[Spec, ...]]] = {
    "character": (Character, specs.CHARACTER),
    "world": (World, specs.WORLD),
    "rules": (Rule, specs.RULE),
}
VALUE_COLUMNS = 60  # of a field in a list
NEW = {"entry": "KEY, KEY|TEXT", "lorebook": "NAME"}  # what follows the command that makes one at once
CALLED = {"rules": "rule", "entry": "entry of a lorebook"}
ELSEWHERE = (
    "{name} was changed elsewhere since you opened it. What you typed stays; save again to put it"
    " over the newer text."
)
A = TypeVar("A", bound=Asset)


class Subject(NamedTuple):
    """Something as it is now; ``thing`` of something new has no id yet."""

    subject: str
    specs: tuple[Spec, ...]
    thing: Struct

    @property
    def kind(self) -> str:
        return self.subject.partition(" ")[0]

    @property
    def is_new(self) -> bool:
        return len(self.subject.split()) < (3 if self.kind == "entry" else 2)

    @property
    def name(self) -> str:
        return named(self.thing)

    @property
    def version(self) -> str:
        """Another one whenever it is changed."""
        if self.is_new:
            return "new"
        return hashlib.sha256(repr(self.thing).encode("utf-8", "replace")).hexdigest()[:16]


def named(thing: Struct) -> str:
    """Returns what people call something."""
    for name in ("name", "comment", "keys", "uid"):
        value = getattr(thing, name, "")
        if value:
            return value if isinstance(value, str) else str(value[0])
    return "it"


def assets_of(kind: str, engine: Engine, client: Client) -> Mapping[str, Asset]:
    """Returns the characters, worlds or rules that a client may use, by their ids."""
    assets: Mapping[str, Asset] = getattr(engine.assets_for(client), FOLDERS[ASSETS[kind][0]])
    return assets


async def subject_of(engine: Engine, client: Client, text: str) -> Subject:
    """Returns what a subject names. Raises ``CommandError`` when it is not there (any more)."""
    kind, _, rest = text.strip().partition(" ")
    if kind not in ASSETS:
        return Subject(text.strip(), *await edited_rows.read(engine, client, kind, rest))
    fields = ASSETS[kind][1]
    if not rest:
        return new_asset(kind)
    asset = assets_of(kind, engine, client).get(rest)
    if asset is None:
        raise CommandError(f"There is no {CALLED.get(kind, kind)} {rest!r} any more.")
    client.check_own(owner_of(asset.id), f"/{kind} copy {rest} ID")
    return Subject(f"{kind} {asset.id}", fields[1:], asset)


def new_asset(kind: str) -> Subject:
    """Returns what a form for a new character, world or rule is about."""
    fields = ASSETS[kind][1]
    free = replace(fields[0], needed=False, about="Left empty it is made of the name.")
    return Subject(kind, (free, *fields[1:]), specs.empty(kind))


# --- showing ------------------------------------------------------------------------------------


async def open_form(
    engine: Engine, client: Client, subject: Subject, drafted: Mapping[str, Any] | None = None
) -> None:
    """Sends a form; to clients that draw none its fields as text. ``drafted`` values are not saved yet."""
    form = form_of(subject, drafted or {})
    client.notify(_as_text(subject, form), State(form=form))


def form_of(subject: Subject, drafted: Mapping[str, Any]) -> Form:
    """Returns the form of something as it is now, with ``drafted`` values in the place of some."""
    values = {**specs.field_values(subject.thing), **drafted}
    where = f"{command_of(subject)} FIELD TEXT changes it, or an editor its file"
    fields = [field_of(spec, values[spec.name], where) for spec in subject.specs]
    while sum(len(field.value.encode()) for field in fields) > FORM_SENT_BYTES:
        longest = max(range(len(fields)), key=lambda place: len(fields[place].value))
        short = one_line(fields[longest].value, limits.PREVIEW_CHARS)
        fields[longest] = replace(
            fields[longest], value=short, locked=f"All of it is too long to be changed here; {where}."
        )
    called = CALLED.get(subject.kind, subject.kind)
    title = f"A new {called}" if subject.is_new else f"{called.capitalize()}: {subject.name}"
    return Form(subject.subject, title, tuple(fields), subject.version, tuple(drafted))


def command_of(subject: Subject) -> str:
    """Returns the command that changes a field of it."""
    _, _, rest = subject.subject.partition(" ")
    if subject.kind == "entry" or (rest and subject.kind == "lorebook"):
        return f"/lorebook edit {rest}{' new' if subject.is_new else ''}"
    return f"/{subject.kind} {'edit ' + rest if rest else 'new'}"


def _as_text(subject: Subject, form: Form) -> str:
    rows = [
        f"  {field.name}: {one_line(field.value, VALUE_COLUMNS)}"
        for field in form.fields
        if field.value
    ]
    unset = ", ".join(field.name for field in form.fields if not field.value)
    more = [f"Not set: {unset}."] if unset else []
    how = (
        f"{command_of(subject)} {NEW.get(subject.kind, 'NAME|TEXT')} makes one at once."
        if subject.is_new
        else f"{command_of(subject)} FIELD TEXT changes one."
    )
    return "\n".join([f"{form.title}:", *rows, *more, how])


# --- saving -------------------------------------------------------------------------------------


async def save_form(engine: Engine, client: Client, argument: str) -> None:
    """Saves the fields that came with the prompt: ``BASE SUBJECT`` is the argument."""
    base, _, subject_text = argument.partition(" ")
    if not subject_text:
        raise CommandError(
            "A form is saved by the program that shows it; /character edit ID opens one."
        )
    async with engine.asset_edits.one_at_a_time:
        subject = await subject_of(engine, client, subject_text)
        new = specs.changed(subject.thing, read_all(subject.specs, dict(client.fields)))
        if new == subject.thing and not subject.is_new:
            client.notify(f"✓ {subject.name} is saved.")  # the second time that this was sent
            return
        if base != subject.version:
            await open_form(engine, client, subject)
            raise FormError(ELSEWHERE.format(name=subject.name), {})
        client.notify(await store(engine, client, subject, new))


async def store(engine: Engine, client: Client, subject: Subject, new: Struct) -> str:
    """Stores something that was edited; returns what to say of it. The caller holds the lock of edits."""
    if not isinstance(new, Character | World | Rule):
        return await edited_rows.write(engine, client, subject.subject, subject.thing, new)
    asset: Asset = _with_id(engine, client, subject.kind, new) if subject.is_new else new
    if subject.is_new and client.visitor.id:
        await engine.allowances.check_library(client.visitor.id, client.visitor.name)
    try:
        written = await engine.asset_edits.write(asset)
    except AssetError as error:
        raise CommandError(f"{asset.name} was not saved: {error}.") from error
    note = (
        f" Comments that were in {written.path.name} are in {written.path.name}.before."
        if written is not None and written.whole
        else ""
    )
    verb = "is here" if subject.is_new else "is saved"
    return f"✓ {asset.name} {verb}: /{subject.kind} {_use(subject.kind)} {plain(asset.id)}.{note}"


def _use(kind: str) -> str:
    return "add" if kind == "rules" else "select"


def _with_id(engine: Engine, client: Client, kind: str, new: A) -> A:
    """Returns something new with the id it will have; its own, which must be free, or one made of its name.

    What a user makes may be called like what is everybody's, if they say so; by itself it is not.
    """
    assets, user = assets_of(kind, engine, client), client.visitor.id
    if not new.name:
        raise FormError("A name is needed.", {"name": "A name is needed."})
    if not new.id:
        made, number = characters.id_of(new.name), 1
        while (identity := f"{made}-{number}" if number > 1 else made) in assets:
            if assets[identity] == _stored(new, identity, user):
                break  # sent twice
            number += 1
        return replace(new, id=owned(identity, user))
    own_id = owned(new.id, user)
    if own_id in assets and assets[own_id] != _stored(new, new.id, user):
        problem = f"There is a {CALLED.get(kind, kind)} {new.id!r} already."
        raise FormError(problem, {"id": problem})
    return replace(new, id=own_id)


def _stored(new: Asset, identity: str, user: int) -> Asset:
    """Returns something new as it would be kept under an id."""
    read = as_read(replace(new, id=identity))
    return replace(read, id=owned(identity, user))


async def set_field(
    engine: Engine, client: Client, subject_text: str, field: str, text: str, *, command: str
) -> None:
    """Changes one field, or with no ``text`` shows it; ``command`` is the command so far, for messages."""
    field = field.lower()
    async with engine.asset_edits.one_at_a_time:
        subject = await subject_of(engine, client, subject_text)
        spec = next((spec for spec in subject.specs if spec.name == field), None)
        if spec is None:
            names = ", ".join(spec.name for spec in subject.specs)
            raise CommandError(f"Which field? {command} takes one of {names}.")
        if not text.strip():
            now = text_of(spec, specs.field_values(subject.thing)[field])
            client.notify(f"{subject.name}, {field}: {now or 'nothing'}")
            return
        emptied = text.strip().lower() in ("off", "none") and not spec.needed and spec.kind != "flag"
        typed = "" if emptied else _from_line(spec, text)
        new = specs.changed(subject.thing, read_all([spec], {field: typed}))
        if new != subject.thing:
            await store(engine, client, subject, new)
        client.notify(f"✓ {named(new)}, {field}: changed.")


def _from_line(spec: Spec, text: str) -> str:
    """Returns what was typed in one line as the text of a field: parts of a list are between bars there."""
    breaks = {"texts": "\n%\n", "lines": "\n", "words": ", "}
    if spec.kind not in breaks or "|" not in text:
        return text
    return breaks[spec.kind].join(part.strip() for part in text.split("|"))
