"""What the engine says, as changes of the model.

Pure. Every event of ``flower.protocol.messages`` has one function: those about the state are here, those about the
story in ``story_events``.
"""

from __future__ import annotations

import base64
from typing import Any, assert_never

import flower
from flower import limits
from flower.protocol import messages
from flower.protocol.messages import UNSET
from flower.tui.state import form_dialog, popup_items, popups, status_line, story_events, transcript
from flower.tui.state.effects import ReadSettings
from flower.tui.state.model import Meter, Model, Notice, Picture, Popup, Replica, Scroll, TurnState
from flower.tui.state.status_line import Result, notify
from flower.tui.state.story_events import value_or
from flower.tui.state.transcript import Transcript


def receive(model: Model, event: messages.Event) -> Result:
    """Applies one event."""
    match event:
        case messages.SystemUpdate():
            return _system_update(model, event)
        case messages.SyncState():
            return _sync_state(model, event)
        case messages.ChatHistory():
            return story_events.history(model, event.metadata)
        case messages.ChatMessage():
            return story_events.message(model, event), ()
        case messages.ChatChunk():
            return story_events.chunk(model, event)
        case messages.ChatReasoning():
            meta = event.metadata
            story = transcript.add_reasoning(
                model.story, value_or(meta.turn, ""), event.content, meta.model
            )
            return model._replace(story=story), ()
        case messages.ChatEnd():
            return story_events.end(model, event.metadata)
        case messages.ErrorEvent():
            return story_events.error(model, event)
        case messages.Recall():
            return model._replace(recalled=event.metadata.items), ()
        case _:
            assert_never(event)


def _system_update(model: Model, event: messages.SystemUpdate) -> Result:
    model = _merge(model, event.metadata)
    content = event.content.strip()
    command = model.pending_command
    if event.metadata.settings is not UNSET and model.popup and model.popup.kind == "settings":
        return model, ()  # the list is open and has them now
    if event.metadata.problems is not UNSET and not command.startswith("/problems"):
        after, effects = _apply_words(model, event, content, command)
        return after, (*effects, ReadSettings())  # files have changed, the screen's own maybe
    return _apply_words(model, event, content, command)


def _apply_words(model: Model, event: messages.SystemUpdate, content: str, command: str) -> Result:
    """Applies what an update says in words."""
    if content:
        model = model._replace(pending_command="")
    if content.startswith("✓"):
        model = form_dialog.saved(model, value_or(event.metadata.request, ""))
    if event.metadata.listing is not UNSET:
        return popup_items.page_arrived(model, event.metadata.listing), ()
    if event.metadata.form is not UNSET:
        return form_dialog.came(model, event.metadata.form), ()
    if event.metadata.portrait is not UNSET:
        return _pictured(model, event.metadata.portrait), ()
    if event.metadata.draft is not UNSET:
        model = _drafted(model, event.metadata.draft)
    if event.metadata.suggestions is not UNSET and event.metadata.suggestions:
        offered = event.metadata.suggestions[: limits.QUICK_REPLIES]
        return popups.arrived(
            model._replace(suggestions=offered), Popup("suggestions", subject=content), content, command
        ), ()
    if event.metadata.found is not UNSET and event.metadata.found:
        model = model._replace(hits=event.metadata.found)
        return popups.arrived(model, Popup("found"), content, command), ()
    if "\n" in content:
        return popups.arrived(model, Popup("text", subject=content), content, command), ()
    if not content:
        return model, ()
    kind = {"✓": "good", "✗": "bad"}.get(content[0], "info")
    words = content.lstrip("✓✗ ")
    if kind != "bad" and not status_line.fits(model, words):
        return popups.arrived(model, Popup("text", subject=words), words, command), ()
    return notify(model, words, kind), ()


def _pictured(model: Model, portrait: messages.Portrait) -> Model:
    """Returns the model with a character's picture; one whose pixels are not those of its size is none."""
    try:
        pixels = base64.b64decode(portrait.pixels, validate=True)
    except ValueError:
        pixels = b""
    if not pixels or len(pixels) != 3 * portrait.width * portrait.height:
        return model._replace(picture=Picture(portrait.character))
    return model._replace(picture=Picture(portrait.character, portrait.width, portrait.height, pixels))


def _drafted(model: Model, draft: str) -> Model:
    """Returns the model with a line that was written for the player, where nothing is lost by it."""
    if not model.input.text:
        return model._replace(input=model.input.with_text(draft))
    return notify(
        model._replace(input=model.input.remembering(draft)), "A draft is ready: Up brings it."
    )


def _sync_state(model: Model, event: messages.SyncState) -> Result:
    client = event.metadata.client
    if client is not UNSET and client and client != model.client:
        return model, ()  # meant for another client
    was_online = model.link.state == "online"
    model = _merge(model, event.metadata)
    model = model._replace(link=model.link._replace(state="online", note=""))
    if not was_online and model.notice.kind == "bad":
        model = model._replace(notice=Notice())
    version = model.replica.version
    if not was_online and version and version != flower.BUILD:
        model = notify(
            model,
            f"The engine is Flower {version}, this screen is {flower.BUILD}. Restart the older one; no story is lost.",
        )
    if model.held:
        model = notify(model._replace(held=""), model.held, "bad")
    if model.replica.session_id or not model.unconfirmed:
        return model, ()
    # There is no story to send the waiting lines to: they become the draft again.
    waiting = "\n".join(draft.text for draft in model.unconfirmed)
    model = model._replace(
        unconfirmed=(), story=Transcript(next_key=model.story.next_key), turn=TurnState()
    )
    return (model if model.input.text else model._replace(input=model.input.with_text(waiting))), ()


def _merge(model: Model, state: messages.State) -> Model:
    """Returns the model with every state key that the engine sent; another session clears the story."""
    changes: dict[str, Any] = {}
    for name in Replica._fields:
        value = getattr(state, name)
        if value is not UNSET:
            changes[name] = value
    if not changes:
        return model
    if changes.get("session_id", model.replica.session_id) != model.replica.session_id:
        changes = {"table": (), "typing": (), **changes}
    model = _timed(model, changes)
    if changes.get("model", model.replica.model) != model.replica.model:
        meter = model.meter._replace(tokens_per_second=0.0, live_tokens_per_second=0.0)
        model = model._replace(meter=meter)  # it was the speed of another model
    model = model._replace(replica=model.replica._replace(**changes))
    if "session_id" in changes and changes["session_id"] != model.story.session:
        model = model._replace(replica=model.replica._replace(speaker=changes.get("speaker", "")))
        story = Transcript(session=changes["session_id"], next_key=model.story.next_key)
        model = model._replace(
            story=story,
            turn=TurnState(),
            recalled=(),
            suggestions=(),
            scroll=Scroll(),
            meter=Meter(),
            selected=None,
            step=-1,
        )
    return model


def _timed(model: Model, changes: dict[str, Any]) -> Model:
    """Returns the model that knows since when the progress that it shows goes on."""
    if "progress" not in changes:
        return model
    now, before = changes["progress"], model.replica.progress
    if now is None:
        return model._replace(progress_from=None)
    if before is None or before.what != now.what or now.done < before.done:
        return model._replace(progress_from=(model.now, now.done))
    return model
