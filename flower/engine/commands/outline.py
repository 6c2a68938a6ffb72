"""Commands that look at a story's tree without changing it: its outline, and any message in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower import limits, treelines
from flower.engine.commands.tree import message_number, preview, session_of
from flower.engine.outline import Node
from flower.engine.session import Session
from flower.engine.store import outline
from flower.engine.store.outline import Outline
from flower.protocol import State
from flower.storytree import ShownMessage, StoryTree, TreeNode

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine


async def show_tree(engine: Engine, client: Client, argument: str) -> None:
    """Tells the asking client alone; what faces draw is in the state, the content is for reading."""
    session = session_of(client)
    focus = message_number(argument, "/tree 12 shows the part around message 12.") if argument else None
    found = await engine.services.database.read(outline.read, session.id, focus)
    nodes = tuple(_node(session, found, node) for node in found.nodes)
    told = StoryTree(session.id, found.focus, found.stands, found.messages, nodes)
    head = f"The story's tree, {found.messages} messages; /goto MESSAGE goes on from one, @ is where it stands:"
    text = treelines.as_text(nodes, found.stands, found.focus, limits.OUTLINE_LINES)
    client.tell(f"{head}\n{text}", State(tree=told))


def _node(session: Session, found: Outline, node: Node) -> TreeNode:
    """Returns a node as it goes to faces; a reply that grows has more words than its row."""
    words = found.words.get(node.message) if not node.folded else None
    role, status, text = (words.role, words.status, words.beginning) if words else ("", "", "")
    growing = _growing(session, node.message)
    return TreeNode(
        node.message,
        node.parent,
        role,
        preview(growing if growing is not None else text),
        status if status != "complete" else "",
        node.variant,
        node.variants,
        tuple(found.names.get(node.message, ())) if not node.folded else (),
        node.active,
        node.chosen,
        node.leaf,
        node.below,
        node.thrown,
        node.folded,
        node.ends,
    )


async def show_message(engine: Engine, client: Client, argument: str) -> None:
    session = session_of(client)
    wanted = message_number(argument, "/show 12 shows message 12.")
    found, thrown = await engine.services.database.read(outline.message, session.id, wanted)
    growing = _growing(session, found.id)
    text = growing if growing is not None else found.content
    shown = ShownMessage(
        session.id,
        found.id,
        found.role,
        found.status if found.status != "complete" else "",
        found.model,
        thrown,
        len(text) > limits.SHOWN_CHARS,
    )
    client.tell(text[: limits.SHOWN_CHARS], State(shown=shown))


def _growing(session: Session, message_id: int) -> str | None:
    """Returns the text of a message that the disk does not have whole yet."""
    if session.reply is not None and session.reply.message_id == message_id:
        return session.reply.text
    unsaved = session.unsaved.get(message_id)
    return unsaved.text if unsaved is not None else None
