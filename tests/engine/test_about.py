"""What a list says about a world or a character: one sentence, from whatever its author wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.assets import loader
from flower.engine.sessions import snapshot


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (("# The town\n\nOrrin is a rock. It has one road.",), "Orrin is a rock."),
        (("", "Rain drums on the roof!  Somebody knocks."), "Rain drums on the roof!"),
        (("- a list\n- of things\n\nThen prose",), "Then prose"),
        (("She is lean,\nbrown and tidy. More.",), "She is lean, brown and tidy."),
        (('"Sit," she says. Then waits.',), '"Sit," she says.'),
        (("",), ""),
        ((), ""),
    ],
)
def test_the_first_sentence_of_the_first_prose_is_told(texts: tuple[str, ...], told: str) -> None:
    assert snapshot.of("Orrin", *texts) == told


def test_an_example_of_a_new_home_says_that_it_is_one() -> None:
    assert snapshot.of("My first world (edit me)", "Rain drums.") == snapshot.STARTER


@given(st.text(max_size=5000))
def test_whatever_the_text_it_is_a_short_line(text: str) -> None:
    told = snapshot.of("x", text)
    assert len(told) <= snapshot.ABOUT_CHARS + 2
    assert told == told.strip()


def test_every_shipped_world_and_character_has_a_sentence() -> None:
    shipped = loader.load_assets([loader.SHIPPED])
    for world in shipped.worlds.values():
        assert snapshot.of(world.name, world.lore).endswith((".", "…"))
    for character in shipped.characters.values():
        assert snapshot.of(character.name, character.persona).endswith((".", "…"))
