"""What the engine says, as changes of the model.

Pure. Every event of ``flower.protocol.messages`` has one function here. The laws of the wire are relied on and
not checked again: a piece that does not fit where the stream was asks for a resync, once.
"""

from __future__ import annotations

import base64
from typing import Any, assert_never

import flower
from flower import limits
from flower.client.events import Send
from flower.protocol import messages
from flower.protocol.messages import UNSET
from flower.tui.render.messages import MessageView
from flower.tui.state import engine_forms, library_list, popups, scroll, status_line, transcript
from flower.tui.state.model import (
    Bell,
    Effect,
    Meter,
    Model,
    Notice,
    Picture,
    Popup,
    ReadSettings,
    Replica,
    Scroll,
    SetTitle,
    TurnState,
)
from flower.tui.state.status_line import Result, notify
from flower.tui.state.transcript import Transcript

ROLES = ("user", "assistant", "system")
ENDED_WELL = frozenset({"done", ""})


def receive(model: Model, event: messages.Event) -> Result:
    """Applies one event."""
    match event:
        case messages.SystemUpdate():
            return _system_update(model, event)
        case messages.SyncState():
            return _sync_state(model, event)
        case messages.ChatHistory():
            return _history(model, event.metadata)
        case messages.ChatMessage():
            return _message(model, event), ()
        case messages.ChatChunk():
            return _chunk(model, event)
        case messages.ChatReasoning():
            meta = event.metadata
            story = transcript.add_reasoning(model.story, _or(meta.turn, ""), event.content, meta.model)
            return model._replace(story=story), ()
        case messages.ChatEnd():
            return _end(model, event.metadata)
        case messages.ErrorEvent():
            return _error(model, event)
        case messages.Recall():
            return model._replace(recalled=event.metadata.items), ()
        case _:
            assert_never(event)


def _or(value: Any, default: Any) -> Any:
    return default if value is UNSET or value is None else value


# --- state --------------------------------------------------------------------------------------


def _system_update(model: Model, event: messages.SystemUpdate) -> Result:
    model = _merge(model, event.metadata)
    content = event.content.strip()
    asked = model.asked
    if event.metadata.settings is not UNSET and model.popup and model.popup.kind == "settings":
        return model, ()  # the list is open and has them now
    if event.metadata.problems is not UNSET and not asked.startswith("/problems"):
        after, effects = _told(model, event, content, asked)
        return after, (*effects, ReadSettings())  # files have changed, the screen's own maybe
    return _told(model, event, content, asked)


def _told(model: Model, event: messages.SystemUpdate, content: str, asked: str) -> Result:
    """Applies what an update says in words."""
    if content:
        model = model._replace(asked="")
    if content.startswith("✓"):
        model = engine_forms.saved(model, _or(event.metadata.request, ""))
    if event.metadata.listing is not UNSET:
        return library_list.came(model, event.metadata.listing), ()
    if event.metadata.form is not UNSET:
        return engine_forms.came(model, event.metadata.form), ()
    if event.metadata.portrait is not UNSET:
        return _pictured(model, event.metadata.portrait), ()
    if event.metadata.draft is not UNSET:
        model = _drafted(model, event.metadata.draft)
    if event.metadata.suggestions is not UNSET and event.metadata.suggestions:
        offered = event.metadata.suggestions[: limits.QUICK_REPLIES]
        return popups.came(
            model._replace(suggestions=offered), Popup("suggestions", subject=content), content, asked
        ), ()
    if event.metadata.found is not UNSET and event.metadata.found:
        model = model._replace(found=event.metadata.found)
        return popups.came(model, Popup("found"), content, asked), ()
    if "\n" in content:
        return popups.came(model, Popup("text", subject=content), content, asked), ()
    if not content:
        return model, ()
    kind = {"✓": "good", "✗": "bad"}.get(content[0], "info")
    words = content.lstrip("✓✗ ")
    if kind != "bad" and not status_line.fits(model, words):
        return popups.came(model, Popup("text", subject=words), words, asked), ()
    return notify(model, words, kind), ()


def _pictured(model: Model, told: messages.Portrait) -> Model:
    """Returns the model with a character's picture; one whose pixels are not those of its size is none."""
    try:
        pixels = base64.b64decode(told.pixels, validate=True)
    except ValueError:
        pixels = b""
    if not pixels or len(pixels) != 3 * told.width * told.height:
        return model._replace(picture=Picture(told.character))
    return model._replace(picture=Picture(told.character, told.width, told.height, pixels))


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
    """Returns the model with every state key that the engine told; another session clears the story."""
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
    """Returns the model that knows since when the progress it is told of goes on."""
    if "progress" not in changes:
        return model
    now, before = changes["progress"], model.replica.progress
    if now is None:
        return model._replace(progress_from=None)
    if before is None or before.what != now.what or now.done < before.done:
        return model._replace(progress_from=(model.now, now.done))
    return model


# --- the story ----------------------------------------------------------------------------------


def _history(model: Model, meta: messages.HistoryMeta) -> Result:
    page = [_from_history(item) for item in meta.history]
    session = _or(meta.session, model.replica.session_id)
    more = _or(meta.more, 0)
    if meta.before is not UNSET:
        if session != model.story.session or meta.before != model.story.more:
            return model._replace(story=model.story._replace(loading=False)), ()
        return _toward_goal(model._replace(story=transcript.show_older(model.story, page, more)))
    if meta.sheet is not UNSET:
        model = model._replace(replica=model.replica._replace(sheet=meta.sheet))
    turn = _or(meta.turn, "")
    if turn and page and page[-1].role == "assistant":
        page[-1] = page[-1]._replace(turn=turn, status="streaming")
    story = transcript.show_page(model.story, session, page, more)
    state = "streaming" if turn and page and page[-1].text else "waiting" if turn else "idle"
    model = model._replace(
        story=story,
        selected=_still_selected(model, story),
        turn=TurnState(state, turn),
        link=model.link._replace(state="online", note="", gap=False),
    )
    model, effects = _send_again(model)
    model, more_effects = _toward_goal(model)
    return model, (*effects, *more_effects)


def _still_selected(model: Model, story: Transcript) -> int | None:
    """Returns the key of the chosen message in ``story``; of what is in its place if it is gone.

    Its place is behind the message that came before it: another variant has the same one.
    """
    if model.selected is None or not story.messages:
        return None
    if any(message.key == model.selected for message in story.messages):
        return model.selected
    place = transcript.index_of(model.story, model.selected)
    before = model.story.messages[place - 1].message if place else 0
    found = transcript.find_message(story, before)
    place = place if found is None else found + 1
    return story.messages[min(place, len(story.messages) - 1)].key


def _toward_goal(model: Model) -> Result:
    """Brings the wanted message into view, or asks for the page before while it is not here."""
    if not model.goal:
        return model, ()
    index = transcript.find_message(model.story, model.goal)
    if index is not None:
        return scroll.reveal_match(model._replace(goal=0), model.story.messages[index]), ()
    if not model.story.more or model.story.detached:
        return notify(model._replace(goal=0), "That message is not on this branch of the story."), ()
    story = model.story._replace(loading=True)
    return model._replace(story=story), (Send(f"/history {story.more}"),)


def _from_history(item: messages.HistoryItem) -> MessageView:
    status = _or(item.status, "")
    return MessageView(
        0,
        item.role if item.role in ROLES else "notice",
        _or(item.shown, item.content),
        message=_or(item.message, 0),
        request=_or(item.request, ""),
        variant=_or(item.variant, 0),
        variants=_or(item.variants, 0),
        status="" if status in ENDED_WELL or status == "complete" else status,
        model=_or(item.model, ""),
        hidden=_or(item.hidden, False),
        written=item.content if item.shown is not UNSET else "",
    )


def _send_again(model: Model) -> Result:
    """Returns the model with the lines that arrived confirmed; those of a lost connection are sent again.

    Sending twice is safe: the engine knows a request by its id.
    """
    story, waiting = model.story, []
    effects: list[Effect] = []
    for draft in model.unconfirmed:
        index = transcript.find_request(story, draft.request)
        if index is None or story.messages[index].message:
            continue
        waiting.append(draft)
        if story.messages[index].status == "sent":
            continue  # it went out on this very connection and will be answered
        effects.append(Send(draft.text, draft.request))
        story = transcript.replace(story, index, story.messages[index]._replace(status="sent"))
    model = model._replace(story=story, unconfirmed=tuple(waiting))
    if waiting and model.turn.state == "idle":
        model = model._replace(turn=TurnState("waiting"))
    return model, tuple(effects)


def _message(model: Model, event: messages.ChatMessage) -> Model:
    meta = event.metadata
    if meta.session != model.story.session:
        return model
    request, turn = _or(meta.request, ""), _or(meta.turn, "")
    if request and any(draft.request == request for draft in model.unconfirmed):
        waiting = tuple(draft for draft in model.unconfirmed if draft.request != request)
        story = transcript.confirm(model.story, request, meta.message, event.content)
        return model._replace(story=story, unconfirmed=waiting)
    starts = meta.role == "assistant" and bool(turn)
    line = MessageView(
        0,
        meta.role if meta.role in ROLES else "notice",
        event.content,
        message=meta.message,
        turn=turn,
        status="streaming" if starts else "",
        model=_or(meta.model, ""),
    )
    known = transcript.find_message(model.story, meta.message)
    if known is not None:  # a reply that is taken up again, or something said twice
        before = model.story.messages[known]
        line = line._replace(key=before.key, request=before.request, reasoning=before.reasoning)
        story = transcript.replace(model.story, known, line)
    elif model.story.detached:
        return model
    else:
        story = transcript.append(model.story, line)
    model = model._replace(story=story)
    return model._replace(turn=TurnState("waiting", turn)) if starts else model


def _chunk(model: Model, event: messages.ChatChunk) -> Result:
    meta = event.metadata
    if model.link.gap or model.story.detached:
        return model, ()
    turn, offset = _or(meta.turn, ""), _or(meta.offset, None)
    if not turn and model.unconfirmed:  # an old engine confirms a line by answering it
        story = model.story
        for draft in model.unconfirmed:
            story = transcript.confirm(story, draft.request, 0)
        model = model._replace(story=story, unconfirmed=())
    try:
        before = model.story
        if meta.replace:
            before = transcript.take_back(before, turn, offset or 0)
        story = transcript.add_piece(before, turn, offset, event.content, meta.model)
    except transcript.Gap:
        return model._replace(link=model.link._replace(gap=True)), (Send("/sync"),)
    state = "stopping" if model.turn.state == "stopping" else "streaming"
    words = 0 if model.scroll.follow else event.content.count(" ")
    meter = model.meter._replace(
        live_tokens_per_second=meta.tokens_per_second, live_new_words=model.meter.live_new_words + words
    )
    return model._replace(story=story, turn=TurnState(state, turn), meter=meter), ()


def _end(model: Model, meta: messages.EndMeta) -> Result:
    turn, reason = _or(meta.turn, ""), _or(meta.reason, "done")
    story = model.story
    index = transcript.find_turn(story, turn)
    if index is not None:
        reply = story.messages[index]
        status = "" if reason in ENDED_WELL else reason
        reply = reply._replace(status=status, message=_or(meta.message, reply.message))
        story = transcript.replace(story, index, reply)
    rate = _or(meta.tokens_per_second, model.meter.live_tokens_per_second)
    meter = model.meter._replace(
        total_tokens=meta.total_tokens,
        cost=model.meter.cost + _or(meta.cost, 0.0),
        seconds=_or(meta.seconds, 0.0),
        ended_at=model.clock,
        tokens_per_second=rate,
        live_tokens_per_second=rate,
        new_words=model.meter.live_new_words,
    )
    ours = not turn or turn == model.turn.turn or not model.turn.turn
    notice = Notice() if model.turn.state == "stopping" else model.notice
    model = model._replace(
        story=story,
        meter=meter,
        turn=TurnState() if ours else model.turn,
        notice=notice if ours else model.notice,
    )
    return model, _signal(model)


def _signal(model: Model) -> tuple[Effect, ...]:
    """Returns how to tell a user who looks elsewhere that a reply has ended."""
    if model.focused or model.settings.bell == "off":
        return ()
    return (Bell(),) if model.settings.bell == "bell" else (SetTitle("Flower: the narrator is done"),)


def _answers_a_line(model: Model, meta: messages.ErrorMeta) -> bool:
    """Whether an error only says that what was just typed is wrong: no part of the story for ever.

    An engine without a version is an old one, whose errors do not tell what they are about.
    """
    return bool(model.replica.version) and meta.kind is UNSET and meta.turn is UNSET


def _error(model: Model, event: messages.ErrorEvent) -> Result:
    asked, request = model.asked, _or(event.metadata.request, "")
    wrong = dict(_or(event.metadata.problems, {}))
    if (of_form := engine_forms.refused(model, request, event.content, wrong)) is not None:
        return of_form, ()
    model = notify(model._replace(asked=""), event.content, "bad")
    refused = next((draft for draft in model.unconfirmed if draft.request == request), None)
    if refused is not None:
        waiting = tuple(draft for draft in model.unconfirmed if draft != refused)
        model = model._replace(
            unconfirmed=waiting, story=transcript.without(model.story, request), turn=TurnState()
        )
        if not model.input.text:
            model = model._replace(input=model.input.with_text(refused.text))
    if model.replica.session_id and not _answers_a_line(model, event.metadata):
        story = transcript.append(model.story, MessageView(0, "notice", event.content))
        model = model._replace(story=story, notice=model.notice._replace(in_story=True))
    elif not status_line.fits(model, event.content):
        model = popups.came(model, Popup("text", subject=event.content), event.content, asked)
    if model.turn.state == "waiting" and not model.turn.turn:
        model = model._replace(turn=TurnState())
    return model, ()
