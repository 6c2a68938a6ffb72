"""Commands that make, change, copy and delete what stories are played with; in effect at once.

Each is also a form where the client shows forms: ``new`` and ``edit`` without more words open one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from flower.engine.assets.kinds import Character
from flower.engine.assets.shelves import owned, owner_of
from flower.engine.assets.yaml_files import Asset
from flower.engine.commands import edited_rows, editing
from flower.engine.commands.editing import ASSETS, CALLED, Subject
from flower.engine.commands.lookup import closest
from flower.engine.forms import specs
from flower.engine.forms.values import read_all
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store.library import books, characters, personas
from flower.engine.store.library.books import StoredBook
from flower.engine.store.library.personas import StoredPersona
from flower.errors import CommandError, FormError
from flower.protocol.messages import State
from flower.settings import validators
from flower.text import counted

T = TypeVar("T")
ROWS = 200  # of the entries of a book
ROW_CHARS = 300
SECOND = {"character": "persona", "world": "start_message", "rules": "prompt", "persona": "description"}
EXAMPLES = {
    "character": "/character new Old Ned|Keeps the ferry, says little, forgets nothing.",
    "world": "/world new The salt road|Wind, and a road of white stones.",
    "rules": "/rules new Brief|Answer in at most three sentences.",
    "persona": "/persona new Ines|A surveyor, dry and exact.",
    "lorebook": "/lorebook new The harbour",
}


async def new(kind: str, engine: Engine, client: Client, argument: str) -> None:
    """Something new: a form for it, or at once with ``NAME|TEXT``."""
    async with engine.asset_edits.one_at_a_time:
        subject = await editing.subject_of(engine, client, kind)
        if kind != "persona":
            await check_room(engine, client)
        if not argument:
            await editing.open_form(engine, client, subject)
            return
        name, bar, text = (part.strip() for part in argument.partition("|"))
        typed = {"name": name} | ({SECOND[kind]: text} if kind in SECOND and (text or bar) else {})
        needed = [spec.name for spec in subject.specs if spec.needed]
        needed += [SECOND[kind]] if kind in ASSETS else []
        if any(not typed.get(field) for field in needed):
            raise CommandError(f"It needs a name and a text: {EXAMPLES[kind]}")
        try:
            made = specs.changed(subject.thing, read_all(subject.specs, typed))
        except FormError as wrong:
            raise CommandError(f"{wrong} For example {EXAMPLES[kind]}") from wrong
        client.notify(await editing.store(engine, client, subject, made))


async def edit_asset(kind: str, engine: Engine, client: Client, argument: str) -> None:
    """A form of a character, world or rule, or one of its fields."""
    asset_id, _, rest = argument.partition(" ")
    if not asset_id:
        asset_id = {"character": client.chosen.character_id, "world": client.chosen.world_id}.get(
            kind, ""
        )
    asset = _asset(kind, engine, client, asset_id)
    client.check_own(owner_of(asset.id), f"/{kind} copy {asset.id} ID")
    await _edit(engine, client, f"{kind} {asset.id}", rest, f"/{kind} edit {asset.id}")


async def edit_persona(engine: Engine, client: Client, argument: str) -> None:
    persona, rest = await _persona(engine, client, argument)
    await _edit(engine, client, f"persona {persona.id}", rest, f"/persona edit {persona.name}")


async def edit_book(engine: Engine, client: Client, argument: str) -> None:
    """A form of a lorebook, of one of its entries, or of a new one; or one field."""
    stored, rest = await _own_book(engine, client, argument)
    word, _, more = rest.partition(" ")
    if not word or any(spec.name == word.lower() for spec in specs.BOOK):
        await _edit(engine, client, f"lorebook {stored.id}", rest, f"/lorebook edit {stored.id}")
        return
    if word.lower() == "new":
        await _new_entry(engine, client, stored, more)
        return
    uid, more = await _entry(engine, stored, rest)
    await _edit(engine, client, f"entry {stored.id} {uid}", more, f"/lorebook edit {stored.id} {uid}")


async def _new_entry(engine: Engine, client: Client, stored: StoredBook, argument: str) -> None:
    """A form for an entry, or at once with ``KEY, KEY|TEXT``."""
    async with engine.asset_edits.one_at_a_time:
        subject = await editing.subject_of(engine, client, f"entry {stored.id}")
        if not argument:
            await editing.open_form(engine, client, subject)
            return
        keys, _, text = argument.partition("|")
        if not text.strip():
            raise CommandError(
                f"Keys, a bar and the text: /lorebook edit {stored.id} new bell, tower|The bell rings by itself."
            )
        typed = {"keys": "\n".join(key.strip() for key in keys.split(",")), "content": text}
        made = specs.changed(subject.thing, read_all(subject.specs, typed))
        client.notify(await editing.store(engine, client, subject, made))


async def _edit(engine: Engine, client: Client, subject: str, rest: str, command: str) -> None:
    field, _, text = rest.strip().partition(" ")
    if field:
        await editing.set_field(engine, client, subject, field, text, command=command)
    else:
        await editing.open_form(engine, client, await editing.subject_of(engine, client, subject))


async def copy_asset(kind: str, engine: Engine, client: Client, argument: str) -> None:
    """The same under another id; without one a form, in which it gets a name of its own."""
    source, _, identity = argument.partition(" ")
    asset, identity = _asset(kind, engine, client, source), identity.strip().lower()
    async with engine.asset_edits.one_at_a_time:
        await check_room(engine, client)
        empty = await editing.subject_of(engine, client, kind)
        if not identity:
            values = {
                n: v
                for n, v in specs.field_values(asset).items()
                if v != specs.field_values(empty.thing).get(n)
            }
            names = {spec.name for spec in empty.specs}
            drafted = {n: v for n, v in values.items() if n in names and n != "id"}
            await editing.open_form(
                engine, client, Subject(kind, empty.specs, replace(asset, id="")), drafted
            )
            return
        try:
            validators.identifier(identity, ("ID",))
        except validators.WrongValueError as wrong:
            raise CommandError(f"The copy needs an id of its own: {wrong}.") from None
        new_id = owned(identity, client.visitor.id)
        if new_id in editing.assets_of(kind, engine, client):
            raise CommandError(f"There is a {CALLED.get(kind, kind)} {identity!r} already.")
        await editing.store(engine, client, empty, replace(asset, id=identity))
    client.notify(f"✓ {identity} is a copy of {asset.id}.")


async def draft(engine: Engine, client: Client, argument: str) -> None:
    """Lets the model draft a character; a form to edit it, or /character keep as it is."""
    if not argument:
        raise CommandError("Of whom? A word or two: /character draft a tired lighthouse keeper")
    await check_room(engine, client)

    def done(texts: Mapping[str, str]) -> None:
        client.drafted = texts
        subject = editing.new_asset("character")
        form = editing.form_of(subject, read_all(subject.specs, dict(texts)))
        parts = [f"{field.label}: {field.value}" for field in form.fields if field.name in texts]
        hint = "A draft; /character keep keeps it, /character edit changes it then:"
        client.notify("\n".join([hint, *parts]), State(form=form))

    engine.character_drafts.begin(client, argument, done)


async def keep(engine: Engine, client: Client, argument: str) -> None:
    """Stores the character that was drafted last, as it was drafted."""
    if not client.drafted:
        raise CommandError(
            "Nothing was drafted yet; /character draft A WORD OR TWO lets the model draft one."
        )
    async with engine.asset_edits.one_at_a_time:
        await check_room(engine, client)
        subject = editing.new_asset("character")
        made = specs.changed(subject.thing, read_all(subject.specs, dict(client.drafted)))
        client.notify(await editing.store(engine, client, subject, made))
    client.drafted = {}


async def copy_persona(engine: Engine, client: Client, argument: str) -> None:
    source, _, name = (part.strip() for part in argument.partition("|"))
    persona, _ = await _persona(engine, client, source)
    if not name:
        raise CommandError(
            f"What is the copy called? /persona copy {persona.name}|{persona.name} the Elder"
        )
    made = replace(persona, id=0, name=name, title="", is_default=False)
    client.notify(await edited_rows.write(engine, client, "persona", replace(persona, id=0), made))


async def copy_book(engine: Engine, client: Client, argument: str) -> None:
    source, _, name = (part.strip() for part in argument.partition("|"))
    stored, _ = await _book(engine, client, source)
    await check_room(engine, client)
    if not name:
        raise CommandError(
            f"What is the copy called? /lorebook copy {stored.name}|{stored.name}, later"
        )
    book = await engine.services.database.read(books.read, stored.id)
    client.notify(await edited_rows.write(engine, client, "lorebook", book, replace(book, name=name)))


async def delete_asset(kind: str, engine: Engine, client: Client, argument: str) -> None:
    """The file is put aside, an imported card leaves the library; stories stay."""
    asset = _asset(kind, engine, client, argument.strip())
    client.check_own(owner_of(asset.id), f"/{kind} copy {asset.id} ID")
    if client.visitor.id:
        await _delete_own(engine, client, asset)
        return
    async with engine.asset_edits.one_at_a_time:
        aside = await engine.asset_edits.put_aside(type(asset), asset.id)
        if aside is not None:
            back = (
                " The one that it took the place of is back."
                if asset.id in editing.assets_of(kind, engine, client)
                else ""
            )
            client.notify(f"✓ {asset.name} is deleted; the text is in {aside}.{back}")
            return
        gone = isinstance(asset, Character) and await engine.services.database.write(
            characters.remove, asset.id
        )
        if not gone:
            raise CommandError(f"{asset.name} comes with Flower and stays.")
        engine.imports.drop(asset.id)
    client.notify(f"✓ {asset.name} is no longer in the library; importing the card brings it back.")


async def _delete_own(engine: Engine, client: Client, asset: Asset) -> None:
    async with engine.asset_edits.one_at_a_time:
        back = await engine.asset_edits.remove_own(client.visitor.id, asset)
    more = " The card that it was written over is back." if back else ""
    client.notify(f"✓ {asset.name} is no longer in your library.{more}")


async def delete_book(engine: Engine, client: Client, argument: str) -> None:
    """A lorebook for all who have it, or one of its entries."""
    stored, rest = await _own_book(engine, client, argument)
    async with engine.asset_edits.one_at_a_time:
        if rest:
            uid, _ = await _entry(engine, stored, rest)
            await edited_rows.remove_entry(engine, stored.id, uid)
            client.notify(f"✓ Entry {uid} is no longer in {stored.name}.")
            return
        await engine.services.database.write(books.remove, stored.id)
    client.notify(f"✓ {stored.name} is no longer in the library.")


async def show_book(engine: Engine, client: Client, argument: str) -> None:
    """The entries of a lorebook, those that have the words."""
    stored, words = await _book(engine, client, argument)
    book = await engine.services.database.read(books.read, stored.id)
    rows = []
    for entry in book.entries:
        keys = ", ".join(entry.keys[:6]) or ("always" if entry.constant else "no key")
        row = f"  {entry.uid:>4}  {entry.comment or entry.name or keys}  ({keys}){'' if entry.enabled else ', off'}"
        if all(word in f"{row} {entry.content}".casefold() for word in words.casefold().split()):
            rows.append(row[:ROW_CHARS])
    more = (
        [f"and {len(rows) - ROWS} more; /lorebook show {stored.id} WORDS finds some"]
        if len(rows) > ROWS
        else []
    )
    head = f"{stored.name}, {counted(len(rows), 'entry', 'entries')}; /lorebook edit {stored.id} NUMBER changes one:"
    client.notify("\n".join([head, *rows[:ROWS], *more]))


# --- who is meant -------------------------------------------------------------------------------


async def check_room(engine: Engine, client: Client) -> None:
    """Raises ``CommandError`` when a user's library or disk has no room for more."""
    if client.visitor.id:
        await engine.allowances.check_library(client.visitor.id, client.visitor.name)


def _asset(kind: str, engine: Engine, client: Client, asset_id: str) -> Asset:
    assets, called = editing.assets_of(kind, engine, client), CALLED.get(kind, kind)
    asset = assets.get(asset_id.lower()) if asset_id else None
    if asset is None:
        raise CommandError(
            f"Which {called}? There is no {asset_id!r}.{closest(asset_id, list(assets))}"
        )
    return asset


async def _persona(engine: Engine, client: Client, argument: str) -> tuple[StoredPersona, str]:
    listed = await engine.services.database.read(personas.listed, client.visitor.id)
    return _begun(
        argument, listed, lambda one: (str(one.id), one.name, f"{one.name} ({one.title})"), "persona"
    )


async def _own_book(engine: Engine, client: Client, argument: str) -> tuple[StoredBook, str]:
    """The same of one that a client may change."""
    stored, rest = await _book(engine, client, argument)
    client.check_own(stored.library, f"/lorebook copy {stored.id}|NAME")
    return stored, rest


async def _book(engine: Engine, client: Client, argument: str) -> tuple[StoredBook, str]:
    listed = await engine.services.database.read(books.listed, client.visitor.id)
    return _begun(argument, listed, lambda one: (str(one.id), one.name), "lorebook")


async def _entry(engine: Engine, stored: StoredBook, argument: str) -> tuple[str, str]:
    book = await engine.services.database.read(books.read, stored.id)
    entry, rest = _begun(argument, book.entries, lambda one: (one.uid, one.comment, one.name), "entry")
    return entry.uid, rest


def _begun(
    argument: str, things: Sequence[T], names: Callable[[T], tuple[str, ...]], kind: str
) -> tuple[T, str]:
    """Returns what the argument begins with, by the longest name that fits, and the rest of it.

    Raises ``CommandError`` when nothing of the kind is called that.
    """
    typed, best, size = argument.strip().casefold(), None, 0
    for one in things:
        for name in names(one):
            folded = name.casefold()
            fits = folded and (typed == folded or typed.startswith(f"{folded} "))
            if fits and len(folded) > size:
                best, size = one, len(folded)
    if best is None:
        called = [names(one)[1] for one in things]
        raise CommandError(
            f"Which {kind}? There is no {argument.strip()!r}.{closest(argument, called)}"
        )
    return best, argument.strip()[size:].strip()
