"""Commands that walk and change a story's tree: variants, edits, undo, trash, branches.

What they do to the tree is in ``flower.engine.store``; that every watcher sees it, in ``turns``. Those at the end look
at it without changing it: its outline, and any message in it.
"""

from __future__ import annotations

from flower import limits
from flower.engine.commands.lookup import story_of
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import branches, hiding, outline, stories, trash, tree
from flower.engine.store.connection import Connection
from flower.engine.store.outline import Outline
from flower.engine.store.outline_fold import Node
from flower.errors import CommandError
from flower.protocol import tree_text
from flower.protocol.messages import ShownMessage, State, StoryTree, TreeNode
from flower.text import counted, one_line

VARIANTS_LISTED = 50
OUTLINE_LINES = 80  # of an outline as text: what a person reads
SHOWN_CHARS = 16_000  # of one message that is looked at: more than the largest screen

WHO = {"user": "you", "assistant": "narrator", "system": "note"}
STEPS = {"next": 1, "previous": -1}


# --- variants -----------------------------------------------------------------------------------


async def retry(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    message = (
        message_number(argument, "/retry 12 lets message 12 be written anew.") if argument else None
    )

    def open_reply(db: Connection, session_id: str, model: str, now: float) -> branches.Opened:
        return branches.open_variant(db, session_id, message, model, now)

    await engine.edits.rewrite(session, client.chosen, open_reply)


async def cancel(engine: Engine, client: Client, argument: str) -> None:
    drafted = engine.drafts.tasks.cancel(client) or engine.character_drafts.tasks.cancel(client)
    aside = engine.side_tasks.cancel(client)
    if client.session is not None and engine.turns.cancel(client.session):
        return
    stopped = "✓ No draft then." if drafted else "✓ Stopped."
    client.notify(stopped if drafted or aside else "Nothing is being written.")


async def go_on(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    await engine.edits.go_on(session, client.chosen)


async def list_variants(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    message = message_number(argument, "/variants 12 lists those of message 12.") if argument else None
    database = engine.services.database
    here = await database.read(tree.find, session.id, message)
    others = await database.read(tree.siblings, here)
    listed = others[-VARIANTS_LISTED:]
    rows = [
        f"{'›' if other.id == here.id else ' '} {number}  {preview(other.content)}"
        for number, other in enumerate(listed, start=len(others) - len(listed) + 1)
    ]
    head = f"Variants of message {here.id}; /variant N {here.id} goes on with another one:"
    client.notify("\n".join([head, *rows]))


async def choose_variant(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    usage = (
        "/variant 2 shows the second one, /variant 2 12 that of message 12; next and previous work too."
    )
    which, _, rest = argument.partition(" ")
    message = message_number(rest, usage) if rest.strip() else None
    step = which.lower() in STEPS
    number = STEPS[which.lower()] if step else message_number(which, usage)
    at, count = await engine.edits.change(session, branches.choose_variant, message, number, step=step)
    client.notify(f"✓ Variant {at} of {count}.")


async def edit(engine: Engine, client: Client, argument: str) -> None:
    """A changed line is answered anew; a changed reply stays as it was written."""
    session = story_of(client)
    database = engine.services.database
    first, _, rest = argument.partition(" ")
    target = None
    if first.isdecimal() and rest.strip():
        target = await database.read(stories.visible, session.id, int(first[:18]))
    text = rest.strip() if target is not None else argument
    if not text:
        raise CommandError(
            "Write the new text behind it: /edit I knock twice. Or /edit 12 I knock twice."
        )
    message = target if target is not None else await database.read(tree.last_line, session.id)
    if message.role == "user":

        def open_reply(db: Connection, session_id: str, model: str, now: float) -> branches.Opened:
            return branches.open_edit(db, session_id, message.id, text, model, now)

        await engine.edits.rewrite(session, client.chosen, open_reply)
        return
    made = await engine.edits.change(session, branches.edit_reply, message.id, text, engine.now())
    await engine.turns.after.remember_edit(session, made)
    client.notify(f"✓ Changed. /variant previous {made.id} shows what it said before.")


# --- back and forth -----------------------------------------------------------------------------


async def undo(engine: Engine, client: Client, argument: str) -> None:
    gone = await engine.edits.change(story_of(client), tree.undo)
    client.notify(f"✓ Undone: “{preview(gone.content)}” /redo brings it back.")


async def redo(engine: Engine, client: Client, argument: str) -> None:
    back = await engine.edits.change(story_of(client), tree.redo)
    client.notify(f"✓ Done again: “{preview(back.content)}”")


async def goto(engine: Engine, client: Client, argument: str) -> None:
    message = message_number(argument, "/goto 12 goes on from message 12.")
    there = await engine.edits.change(story_of(client), branches.goto, message, engine.now())
    client.notify(f"✓ The story goes on from message {there.id}: {preview(there.content)}")


# --- what the narrator does not read -------------------------------------------------------------


async def hide(engine: Engine, client: Client, argument: str) -> None:
    await _hide(engine, client, argument, hidden=True)


async def unhide(engine: Engine, client: Client, argument: str) -> None:
    await _hide(engine, client, argument, hidden=False)


async def _hide(engine: Engine, client: Client, argument: str, *, hidden: bool) -> None:
    """One message, or all between two on the present branch."""
    example = "/hide 12 hides message 12, /hide 12-18 those up to 18; /unhide shows them again."
    one, _, two = argument.replace(" ", "").partition("-")
    first = message_number(one, example)
    last = message_number(two, example) if two else first
    session = story_of(client)
    count = await engine.edits.change(session, hiding.set_hidden, first, last, hidden)
    done = "hidden from the narrator" if hidden else "told to the narrator again"
    client.notify(f"✓ {count} message{'' if count == 1 else 's'} {done}.")


async def remove(engine: Engine, client: Client, argument: str) -> None:
    message = message_number(argument, "/remove 12 takes message 12 out and keeps what follows.")
    gone = await engine.edits.change(story_of(client), hiding.without, message, engine.now())
    client.notify(f"✓ Without: {preview(gone.content)} /branches has the way with it.")


# --- the trash ----------------------------------------------------------------------------------


async def delete(engine: Engine, client: Client, argument: str) -> None:
    message = message_number(argument, "/delete 12 puts message 12 and all below it into the trash.")
    count = await engine.edits.change(story_of(client), trash.discard, message, engine.now())
    days = round(limits.TRASH_KEPT_S / 86_400)
    more = f" and {count - 1} below it" if count > 1 else ""
    client.notify(
        f"✓ Message {message}{more} went into the trash. /restore {message} takes it back within {days} days."
    )


async def restore(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    if argument:
        message = message_number(argument, "/restore 12 takes message 12 back.")
        count = await engine.edits.change(session, trash.restore_messages, message)
        client.notify(f"✓ Back: {count} message{'s' if count > 1 else ''}.")
        return
    deleted = await engine.services.database.read(trash.list_messages, session.id)
    if not deleted:
        raise CommandError("No message of this story is in the trash.")
    rows = [f"{d.id:>6}  {WHO[d.role]}, {d.messages} in all: {preview(d.content)}" for d in deleted]
    client.notify("\n".join(["In the trash; /restore MESSAGE takes it back:", *rows]))


# --- named branches -----------------------------------------------------------------------------


async def branch(engine: Engine, client: Client, argument: str) -> None:
    first, _, rest = argument.partition(" ")
    message = int(first[:18]) if first.isdecimal() else None
    name = " ".join((rest if message is not None else argument).split())
    made = await engine.edits.change(story_of(client), branches.begin, message, name, engine.now())
    client.notify(f"✓ On branch {made}. /branches lists them, /checkout NAME goes to another.")


async def list_branches(engine: Engine, client: Client, argument: str) -> None:
    ends = await engine.services.database.read(branches.ends, story_of(client).id)
    rows = []
    for end in ends:
        last = (
            f"message {end.last.id}: {preview(end.last.content)}" if end.last is not None else "empty"
        )
        mark = "›" if end.active else " "
        rows.append(
            f"{mark} {end.name or '(no name)'}, {counted(end.messages, 'message')}, ends at {last}"
        )
    head = "Where this story can go on; /checkout NAME or /goto MESSAGE goes there:"
    client.notify("\n".join([head, *rows]))


async def checkout(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which branch? /branches lists them.")
    name = await engine.edits.change(story_of(client), branches.checkout, argument, engine.now())
    client.notify(f"✓ On branch {name}.")


# --- shared -------------------------------------------------------------------------------------


def preview(text: str) -> str:
    """Returns the beginning of a text on one line."""
    return one_line(text, limits.PREVIEW_CHARS)


def message_number(text: str, usage: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        raise CommandError(f"A number is needed here: {usage}")
    return int(text[:18])


# --- Commands that look at a story's tree without changing it: its outline, and any message in it.


async def show_tree(engine: Engine, client: Client, argument: str) -> None:
    """Tells the asking client alone; what clients draw is in the state, the content is for reading."""
    session = story_of(client)
    focus = message_number(argument, "/tree 12 shows the part around message 12.") if argument else None
    tree_part = await engine.services.database.read(outline.read, session.id, focus)
    nodes = tuple(_node(session, tree_part, node) for node in tree_part.nodes)
    tree = StoryTree(
        session=session.id,
        focus=tree_part.focus,
        stands=tree_part.leaf,
        messages=tree_part.messages,
        nodes=nodes,
    )
    size = counted(tree_part.messages, "message")
    head = f"The story's tree, {size}; /goto MESSAGE goes on from one, @ is where it stands:"
    text = tree_text.as_text(nodes, tree_part.leaf, tree_part.focus, OUTLINE_LINES)
    client.notify(f"{head}\n{text}", State(tree=tree))


def _node(session: Session, tree_part: Outline, node: Node) -> TreeNode:
    """Returns a node as it goes to clients; a reply that grows has more words than its row."""
    words = tree_part.words.get(node.message) if not node.folded else None
    role, status, text = (words.role, words.status, words.beginning) if words else ("", "", "")
    growing = _growing(session, node.message)
    return TreeNode(
        message=node.message,
        parent=node.parent,
        role=role,
        text=preview(growing if growing is not None else text),
        status=status if status != "complete" else "",
        variant=node.variant,
        variants=node.variants,
        branches=tuple(tree_part.names.get(node.message, ())) if not node.folded else (),
        active=node.active,
        chosen=node.chosen,
        leaf=node.leaf,
        below=node.below,
        thrown=node.deleted,
        folded=node.folded,
        ends=node.ends,
    )


async def show_message(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    message_id = message_number(argument, "/show 12 shows message 12.")
    message, deleted = await engine.services.database.read(outline.message, session.id, message_id)
    growing = _growing(session, message.id)
    text = growing if growing is not None else message.content
    event = ShownMessage(
        session=session.id,
        message=message.id,
        role=message.role,
        status=message.status if message.status != "complete" else "",
        model=message.model,
        thrown=deleted,
        cut=len(text) > SHOWN_CHARS,
    )
    client.notify(text[:SHOWN_CHARS], State(shown=event))


def _growing(session: Session, message_id: int) -> str | None:
    """Returns the text of a message that the disk does not have whole yet."""
    if session.reply is not None and session.reply.message_id == message_id:
        return session.reply.text
    unsaved = session.unsaved.get(message_id)
    return unsaved.text if unsaved is not None else None
