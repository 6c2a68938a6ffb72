"""What the engine says of the story, as changes of the model. Pure.

The laws of the wire are relied on and not checked again: a piece that does not fit where the stream was asks for a
resync, once.
"""

from __future__ import annotations

from typing import Any

from flower.client.events import Send
from flower.protocol import messages
from flower.protocol.messages import UNSET
from flower.tui.render.messages import MessageView
from flower.tui.state import form_dialog, popups, status_line, transcript, viewport
from flower.tui.state.effects import Bell, Effect, SetTitle
from flower.tui.state.model import Model, Notice, Popup, TurnState
from flower.tui.state.status_line import Result, notify
from flower.tui.state.transcript import Transcript

ROLES = ("user", "assistant", "system")
ENDED_WELL = frozenset({"done", ""})


def value_or(value: Any, default: Any) -> Any:
    """Returns what an event says, ``default`` where it says nothing."""
    return default if value is UNSET or value is None else value


def history(model: Model, meta: messages.HistoryMeta) -> Result:
    """Applies a page of the story: its end, or what is above that."""
    page = [_from_history(item) for item in meta.history]
    session = value_or(meta.session, model.replica.session_id)
    more = value_or(meta.more, 0)
    if meta.before is not UNSET:
        if session != model.story.session or meta.before != model.story.more:
            return model._replace(story=model.story._replace(loading=False)), ()
        return _toward_goal(model._replace(story=transcript.show_older(model.story, page, more)))
    if meta.sheet is not UNSET:
        model = model._replace(replica=model.replica._replace(sheet=meta.sheet))
    turn = value_or(meta.turn, "")
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
    index = transcript.find_message(story, before)
    place = place if index is None else index + 1
    return story.messages[min(place, len(story.messages) - 1)].key


def _toward_goal(model: Model) -> Result:
    """Brings the wanted message into view, or asks for the page before while it is not here."""
    if not model.goal:
        return model, ()
    index = transcript.find_message(model.story, model.goal)
    if index is not None:
        return viewport.reveal_match(model._replace(goal=0), model.story.messages[index]), ()
    if not model.story.more or model.story.detached:
        return notify(model._replace(goal=0), "That message is not on this branch of the story."), ()
    story = model.story._replace(loading=True)
    return model._replace(story=story), (Send(f"/history {story.more}"),)


def _from_history(item: messages.HistoryItem) -> MessageView:
    status = value_or(item.status, "")
    return MessageView(
        0,
        item.role if item.role in ROLES else "notice",
        value_or(item.shown, item.content),
        message=value_or(item.message, 0),
        request=value_or(item.request, ""),
        variant=value_or(item.variant, 0),
        variants=value_or(item.variants, 0),
        status="" if status in ENDED_WELL or status == "complete" else status,
        model=value_or(item.model, ""),
        hidden=value_or(item.hidden, False),
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


def message(model: Model, event: messages.ChatMessage) -> Model:
    """Returns the model with a message that has come, or with a line of the player's confirmed."""
    meta = event.metadata
    if meta.session != model.story.session:
        return model
    request, turn = value_or(meta.request, ""), value_or(meta.turn, "")
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
        model=value_or(meta.model, ""),
    )
    index = transcript.find_message(model.story, meta.message)
    if index is not None:  # a reply that is taken up again, or something said twice
        before = model.story.messages[index]
        line = line._replace(key=before.key, request=before.request, reasoning=before.reasoning)
        story = transcript.replace(model.story, index, line)
    elif model.story.detached:
        return model
    else:
        story = transcript.append(model.story, line)
    model = model._replace(story=story)
    return model._replace(turn=TurnState("waiting", turn)) if starts else model


def chunk(model: Model, event: messages.ChatChunk) -> Result:
    """Applies a piece of a reply."""
    meta = event.metadata
    if model.link.gap or model.story.detached:
        return model, ()
    turn, offset = value_or(meta.turn, ""), value_or(meta.offset, None)
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


def end(model: Model, meta: messages.EndMeta) -> Result:
    """Applies the end of a reply."""
    turn, reason = value_or(meta.turn, ""), value_or(meta.reason, "done")
    story = model.story
    index = transcript.find_turn(story, turn)
    if index is not None:
        reply = story.messages[index]
        status = "" if reason in ENDED_WELL else reason
        reply = reply._replace(status=status, message=value_or(meta.message, reply.message))
        story = transcript.replace(story, index, reply)
    rate = value_or(meta.tokens_per_second, model.meter.live_tokens_per_second)
    meter = model.meter._replace(
        total_tokens=meta.total_tokens,
        cost=model.meter.cost + value_or(meta.cost, 0.0),
        seconds=value_or(meta.seconds, 0.0),
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


def error(model: Model, event: messages.ErrorEvent) -> Result:
    """Applies an error: of a form, of a line that was sent, or of what was just typed."""
    command, request = model.pending_command, value_or(event.metadata.request, "")
    wrong = dict(value_or(event.metadata.problems, {}))
    if (of_form := form_dialog.refused(model, request, event.content, wrong)) is not None:
        return of_form, ()
    model = notify(model._replace(pending_command=""), event.content, "bad")
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
        model = popups.arrived(model, Popup("text", subject=event.content), event.content, command)
    if model.turn.state == "waiting" and not model.turn.turn:
        model = model._replace(turn=TurnState())
    return model, ()
