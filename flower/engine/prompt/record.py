"""What is stored of a prompt: for the prompts that follow, and for ``/why``. Pure."""

from __future__ import annotations

from flower.engine.prompt import state_sections
from flower.engine.prompt.assemble import Assembled
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.fresh import Fresh
from flower.engine.prompt.lore_entries import entry_key, reason, rows_of, rows_of_held
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.scripted import rows_of_scripts
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.store.exchanges import LineNotes, PromptRecord
from flower.engine.store.extra import ManifestEntry

IN_VIEW = "already in view"


def record_of(
    turn: TurnInput,
    model: ChosenModel,
    context: PromptContext,
    fresh: Fresh,
    assembled: Assembled,
    *,
    prefill: bool,
) -> PromptRecord:
    """Returns what is stored of a prompt: for the next prompt and for /why."""
    path = context.path
    line_of_player = bool(path) and path[-1].role != "assistant"
    notes = LineNotes(
        recalled=fresh.recalled,
        private=fresh.private,
        recalled_ids=[item.passage.id for item in fresh.found],
        entries=[entry_key(entry) for entry in fresh.entries],
        stands=[(state_sections.key_of(section), section.text) for section in assembled.tail],
    )
    entries = context.entries
    variables = context.direction.variables if entries.variables is None else entries.variables
    return PromptRecord(
        session_id=turn.session_id,
        line_id=turn.leaf,
        reply_id=turn.reply_id,
        line=notes if line_of_player else None,
        manifest=_manifest(model, context, fresh, assembled, prefill=prefill),
        window_start=assembled.window_start,
        speaker=context.direction.speaker,
        on_stage=[one.id for one in context.direction.played],
        variables=variables if line_of_player else None,
        lore_timed=entries.timed,
        nearly=rows_of_held(entries.held),
    )


def _manifest(
    model: ChosenModel, context: PromptContext, fresh: Fresh, assembled: Assembled, *, prefill: bool
) -> list[ManifestEntry]:
    """Returns the parts of a prompt as /why lists them."""
    ids = {item.passage.id for item in fresh.found}
    entries = context.entries
    again = {entry.id for entry in entries.with_line if entry not in fresh.entries}
    own = " (the speaker's own)" if context.direction.model == model.id else ""
    return [
        ManifestEntry("model", f"{model.id}{own}", 0),
        *assembled.manifest,
        *(ManifestEntry(section.name, section.source, 0, IN_VIEW) for section in fresh.known),
        *rows_of_scripts(context.acted),
        *rows_of(entries.fired, again),
        *(
            ManifestEntry(
                item.passage.kind,
                (item.passage.title if item.passage.kind == "lore" else "") or item.passage.source,
                item.tokens,
                reason(item) if item.passage.id in ids else f"{reason(item)}; {IN_VIEW}",
            )
            for item in context.found
            if not prefill
        ),
        *(
            ManifestEntry(
                "nearly",
                " ".join(f"{item.passage.kind} {item.passage.id} {item.passage.title}".split()),
                0,
                f"left out, {why}: {reason(item)}",
            )
            for item, why in context.nearly
        ),
    ]
