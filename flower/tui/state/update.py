"""The only place where the model changes: ``update(model, input) -> (model, effects)``.

The map of what happens, for every kind of ``model.Input``:

=============  ================================================================================================
a key          ``keyboard`` looks what is open: a popup (``popup_keys``), a form (``form_dialog``), the tree
               (``tree_keys``), a search or chosen messages (``viewport``), else the input line (``editor``).
               Keys that are bound (``bindings``) name an action (``actions``); Enter is ``sending``, which tells
               a prompt, a command of the engine and one of our own (``client_commands``) apart. ``commands``
               knows them all and completes them.
a paste        into what is open, as a key; the wheel of the mouse moves it
an event       ``tree_state`` takes outlines, ``events`` the state, lists, forms (``form_dialog``) and words (into
               ``status_line`` or ``popups``), ``story_events`` the story: into the ``transcript``
the link       waiting lines are pending until ``story_events.history`` sends them again
a tick         here: numbers, news that have been read, the place in the story (``viewport``), what is asked of the
               engine as time passes (``tree_state``, ``popup_items``, older pages)
the app        here: another size, settings, texts from $EDITOR, what was looked up on the disk
=============  ================================================================================================

All of these return the next model, and ``effects`` that ``app`` carries out; the view draws the model and nothing else.
A new input is a value in ``model`` and a case here.
"""

from __future__ import annotations

from typing import assert_never

from flower import limits
from flower.client.events import LinkChanged, Received, Send
from flower.tui.render.layout import too_small
from flower.tui.render.messages import StoryPane
from flower.tui.state import (
    actions,
    commands,
    events,
    form_dialog,
    keyboard,
    popup_items,
    popups,
    sending,
    status_line,
    tree_keys,
    tree_state,
    viewport,
)
from flower.tui.state.effects import Effect, ListPaths, SetTitle
from flower.tui.state.model import (
    AppInput,
    Configured,
    Edited,
    Input,
    LinkState,
    Model,
    Notice,
    Notified,
    PathsListed,
    PicturesShown,
    Resized,
    Restored,
    Search,
    SettingsListed,
    Tick,
    TurnState,
)
from flower.tui.state.status_line import Result, notify
from flower.tui.state.viewport import layout_of
from flower.tui.term.inputs import Focus, Key, Mouse, Paste, Reply

METER_S = 1.0  # numbers on screen move at most this often: every change is bytes
NOTICE_CHARS_PER_S = 15.0  # long news stay as long as a slow reader needs
NOTICE_S = 4.0  # news in the status line: long enough to read a sentence
NOTICE_BAD_S = 12.0  # bad news: long enough to look up first

WHEEL_ROWS = 3
TYPING_S = 3.0  # between two signs that a line is typed


def update(model: Model, happened: Input) -> Result:
    """Returns the next model and what has to be done for it; the same object when nothing changed."""
    after, effects = _updated(model, happened)
    after, requests = _followed_by_picture(after)
    effects = (*effects, *requests)
    if after.input is model.input:
        return after, effects
    if _shows_typing(after, happened):
        after = after._replace(typing_sent_at=after.now)
        effects = (Send("/typing"), *effects)
    elif after.replica.preparing and isinstance(happened, Key | Paste):
        # The model works ahead, on a small machine with all of it: the line that begins comes first.
        after = after._replace(replica=after.replica._replace(preparing=False))
        effects = (Send("/typing"), *effects)
    typed = commands.typed_path(after.input.text)
    if typed is None or typed == after.typed_path:
        return after, effects
    return after._replace(typed_path=typed), (*effects, ListPaths(typed))


def _shows_typing(model: Model, happened: Input) -> bool:
    """Whether the others at a table are to see now that the player types a line."""
    if not model.replica.table or not isinstance(happened, Key | Paste):
        return False
    is_line = bool(model.input.text) and not model.input.text.startswith("/")
    return is_line and model.now - model.typing_sent_at >= TYPING_S


def _updated(model: Model, happened: Input) -> Result:
    match happened:
        case Received():
            return _receive(model, happened)
        case Tick():
            return _tick(model, happened)
        case Key():
            return keyboard.press(model, happened)
        case Paste():
            return _paste(model, happened), ()
        case Mouse():
            return _mouse(model, happened)
        case Focus():
            seen = happened.gained and model.settings.bell == "title"
            return model._replace(focused=happened.gained), (SetTitle("Flower"),) if seen else ()
        case Reply():
            return model, ()  # the terminal's answers concern the app, not the story
        case LinkChanged():
            return _link_changed(model, happened), ()
        case _:
            return _of_app(model, happened), ()


def _of_app(model: Model, happened: AppInput) -> Model:
    match happened:
        case Resized():
            return model._replace(columns=happened.columns, rows=happened.rows)
        case Edited():
            return _edited(model, happened)
        case Restored():
            return sending.with_line(model, model.input.text or happened.text)
        case Configured():
            return _configured(model, happened)
        case PicturesShown():
            return model._replace(pictures=happened.how, picture_asked="")
        case SettingsListed():
            return model._replace(own_settings=happened.options)
        case Notified():
            return model._replace(notice=happened.notice)
        case PathsListed():
            return model._replace(paths=happened.paths) if happened.typed == model.typed_path else model
        case _:
            assert_never(happened)


def _receive(model: Model, received: Received) -> Result:
    answered = tree_state.answered(model, received.event)
    if answered is not None:
        return answered, ()
    model, effects = events.receive(model, received.event)
    return tree_state.followed(model, received.event), effects


def _followed_by_picture(model: Model) -> Result:
    """Asks for the picture of whoever speaks now, where pictures are shown."""
    speaks = model.replica.speaker or model.replica.character_id
    if (
        not model.pictures
        or not speaks
        or speaks == model.picture_asked
        or model.link.state != "online"
    ):
        return model, ()
    if not commands.offers(model.replica, "/portrait"):  # an older engine
        return model, ()
    return model._replace(picture_asked=speaks), (Send(f"/portrait {speaks}"),)


def _tick(model: Model, tick: Tick) -> Result:
    """Prepares the next frame: moves the story, and the numbers at most once a second."""
    model = model._replace(now=tick.now, wall=tick.wall, clock=tick.clock)
    meter = model.meter
    live = (meter.live_tokens_per_second, meter.live_new_words)
    if live != (meter.tokens_per_second, meter.new_words) and tick.now - meter.shown_at >= METER_S:
        meter = meter._replace(tokens_per_second=live[0], new_words=live[1], shown_at=tick.now)
        model = model._replace(meter=meter)
    model = _age_notice(model)
    if too_small(model.columns, model.rows):
        return model, ()
    layout = layout_of(model)
    place = viewport.settled(model, layout)
    status_rows = layout.input_top - layout.status
    if status_rows < model.status_rows and place.follow:
        place = viewport.bottom(model, layout)  # the rows that news had taken are the story's again
    if status_rows != model.status_rows:
        model = model._replace(status_rows=status_rows)
    if place != model.scroll:
        model = model._replace(scroll=place)
    model, effects = tree_state.ticked(model)
    model, listing = popup_items.next_page(model)
    model, older = _fetch_older(model, layout.pane_rows)
    return model, (*effects, *listing, *older)


def _age_notice(model: Model) -> Model:
    notice = model.notice
    if not notice.text:
        return model
    if not notice.until:
        lasts = NOTICE_BAD_S if notice.kind == "bad" else NOTICE_S
        lasts = max(lasts, len(notice.text) / NOTICE_CHARS_PER_S)
        return model._replace(notice=notice._replace(until=model.now + lasts))
    return model._replace(notice=Notice()) if model.now >= notice.until else model


def _fetch_older(model: Model, near: int) -> Result:
    """Asks for older messages when the reader comes near the oldest one here."""
    story = model.story
    can_ask = story.more and not story.loading and model.link.state == "online" and story.messages
    if not can_ask or model.scroll.follow:
        return model, ()
    if viewport.rows_above(model, layout_of(model), model.scroll, near) > near:
        return model, ()
    effects: tuple[Effect, ...] = (Send(f"/history {story.more}"),)
    return model._replace(story=story._replace(loading=True)), effects


def next_wake(model: Model) -> float | None:
    """Returns when the screen changes by itself, in monotonic seconds; None: not before an input."""
    wakes: list[float] = []
    if spinning(model):
        wakes.append((model.now // limits.SPINNER_S + 1) * limits.SPINNER_S)
    meter = model.meter
    if (meter.live_tokens_per_second, meter.live_new_words) != (
        meter.tokens_per_second,
        meter.new_words,
    ):
        wakes.append(meter.shown_at + METER_S)
    if model.notice.text:
        wakes.append(model.notice.until)
    wakes += tree_state.wakes(model) + popup_items.page_times(model)
    return min(wakes, default=None)


def story_arrived(model: Model) -> bool:
    """Whether no story is on its way to the screen: it is there, or nobody can send one now."""
    if model.link.state == "online":
        return bool(model.story.messages) or not model.replica.session_id
    return model.link.state in ("lost", "starting")


def spinning(model: Model) -> bool:
    """Whether something on the screen turns while the user waits."""
    return model.turn.state == "waiting" and not model.settings.reduced_motion


def _paste(model: Model, paste: Paste) -> Model:
    text = paste.text.replace("\r\n", "\n").replace("\r", "\n")
    first = text[: limits.FILTER_CHARS + 1].partition("\n")[0]
    if model.popup is not None and model.popup.kind != "text":
        return popups.filtered(model, model.popup.filter + first)
    model = model._replace(popup=None)
    if model.form is not None:
        return form_dialog.pasted(model, text)
    if model.tree is not None and model.tree.asking:
        return tree_keys.written(model, model.tree.typed + first)
    if model.search.typing:
        term = (model.search.term + first)[: limits.FILTER_CHARS]
        return model._replace(search=Search(term, typing=True))
    model = model._replace(menu=-1, selected=None, pending_command="")
    line = model.input
    if len(line.text) + len(text) <= limits.PROMPT_CHARS:
        return model._replace(input=line.insert(text))
    model = sending.with_line(model, line.text[: line.cursor] + text + line.text[line.cursor :])
    if not paste.lost:
        return model
    most = limits.PASTE_BYTES // limits.MIB
    return notify(
        model, f"A paste may have {most} MiB: the last {paste.lost:,} bytes were left out.", "bad"
    )


def _edited(model: Model, edited: Edited) -> Model:
    if model.form is not None:
        return _kept_whole(form_dialog.edited(model, edited.text), edited)
    return _kept_whole(sending.with_line(model._replace(rest=""), edited.text), edited)


def _kept_whole(model: Model, edited: Edited) -> Model:
    if not edited.path:
        return model
    return notify(model, f"That is too long; all of it is in {edited.path}.", "bad")


def _mouse(model: Model, mouse: Mouse) -> Result:
    if mouse.kind not in ("wheel_up", "wheel_down"):
        return model, ()
    up = mouse.kind == "wheel_up"
    if model.popup is not None:
        return popups.moved(model, -1 if up else 1, around=False), ()
    if model.form is not None:
        return form_dialog.press(model, Key("up" if up else "down"), None)
    if model.tree is not None:
        return tree_keys.moved(model, -WHEEL_ROWS if up else WHEEL_ROWS), ()
    return actions.scroll_by(model, -WHEEL_ROWS if up else WHEEL_ROWS)


def _link_changed(model: Model, change: LinkChanged) -> Model:
    if (change.state, change.note) == (model.link.state, model.link.note):
        return model
    model = model._replace(link=LinkState(change.state, change.note))
    if change.state != "lost":
        return model
    waiting = {draft.request for draft in model.unconfirmed}
    messages = tuple(
        message._replace(status="pending")
        if message.request in waiting and message.request
        else message
        for message in model.story.messages
    )
    story = model.story._replace(messages=messages, loading=False)
    model = model._replace(story=story, turn=TurnState(), pending_command="")
    return form_dialog.unanswered(tree_state.unanswered(model))


def _configured(model: Model, event: Configured) -> Model:
    settings = event.settings._replace(sidebar=model.settings.sidebar)
    drawn = (model.settings.styles, model.settings.own_themes)
    model = model._replace(settings=settings, bindings=event.bindings)
    same = event.theme.name == model.theme.name and event.theme.glyphs == model.theme.glyphs
    if not same or (settings.styles, settings.own_themes) != drawn:
        model = model._replace(theme=event.theme, pane=StoryPane(event.theme))
    before, model = model.own_problems, model._replace(own_problems=event.problems)
    if not event.problems or event.problems == before:
        return model
    problems = event.problems[0]
    if len(event.problems) > 1:
        key = status_line.key_of(model, "problems")
        problems = problems if problems.endswith((".", "?", "!")) else f"{problems}."
        problems += f" And {len(event.problems) - 1} more: {key}."
    if model.link.state == "online":
        return notify(model, problems, "bad")
    return model._replace(held=problems)


def draft_of(model: Model) -> str:
    """Returns what the user has typed and not sent, the lines without an answer included."""
    unsent = [draft.text for draft in model.unconfirmed]
    return "\n".join([*unsent, *(text for text in (model.input.text, model.rest) if text)])
