"""Reading aloud: which sentences, in whose voice, and that silence comes at once."""

from __future__ import annotations

import shutil
import sys
import wave
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.tui.render.messages import MessageView
from flower.tui.speech import (
    QUEUE,
    SENTENCE_CHARS,
    Sentences,
    Speech,
    SpeechSettings,
    Utterance,
    arguments,
    utterances,
)
from flower.tui.state.transcript import Transcript

TEXT = 'The door opens. "Come in," says Ines. *She* smiles! [2d6: 3 + 4 = 7, it works]\n\nRain'


def test_every_sentence_is_taken_once_however_the_text_grows() -> None:
    """Letter by letter or at once, the same sentences come out, and nothing twice."""
    whole = Sentences().take(TEXT, ended=True)
    growing = Sentences()
    parts = [one for end in range(len(TEXT) + 1) for one in growing.take(TEXT[:end])]
    parts += growing.take(TEXT, ended=True)
    assert parts == whole
    assert whole == ["The door opens.", '"Come in," says Ines.', "She smiles!", "Rain"]


def test_a_sentence_without_an_end_is_read_in_parts() -> None:
    assert Sentences().take("word " * SENTENCE_CHARS) != []


def test_a_text_taken_back_is_no_trouble() -> None:
    """A reply that becomes shorter is read on from its new end."""
    sentences = Sentences()
    assert sentences.take("One. Two. ") == ["One.", "Two."]
    assert sentences.take("One. ") == []
    assert sentences.take("One. Three. ") == ["Three."]


@pytest.mark.parametrize(
    ("what", "read"),
    [
        ("narration", [Utterance("says Ines.")]),
        ("dialogue", [Utterance("Come in,", True, "Ines")]),
        ("all", [Utterance("Come in,", True, "Ines"), Utterance("says Ines.")]),
    ],
)
def test_what_is_read(what: str, read: list[Utterance]) -> None:
    assert list(utterances('"Come in," says Ines.', ["Ines"], what)) == read


def test_without_voices_a_sentence_stays_whole() -> None:
    assert list(utterances('"Come in," says Ines.', [], "all")) == [Utterance('"Come in," says Ines.')]


def test_the_voice_stands_in_the_command() -> None:
    """A character's voice, else the narrator's, else the option is left out."""
    settings = SpeechSettings("say -v {voice} --fast", "en", {"Ines": "en+f3"})
    assert arguments(settings, "Ines") == ["say", "-v", "en+f3", "--fast"]
    assert arguments(settings, "") == ["say", "-v", "en", "--fast"]
    assert arguments(settings._replace(voice=""), "") == ["say", "--fast"]


# --- with real programs -----------------------------------------------------------------------------
def story(text: str, status: str = "streaming", turn: str = "t1") -> Transcript:
    return Transcript(
        (MessageView(1, "user", "Hello."), MessageView(2, "assistant", text, turn=turn, status=status))
    )


def writer(path: Path) -> str:
    """A program that adds what it is given to a file."""
    code = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    return f'{sys.executable} -S -c "{code}" {path}'


async def read_aloud(speech: Speech, *stories: Transcript) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speech.run)
        before = Transcript(stories[0].messages[:1])
        for after in stories:
            speech.follow(before, after)
            before = after
        await silence(speech)
        nursery.cancel_scope.cancel()


async def silence(speech: Speech) -> None:
    with trio.fail_after(20):
        while speech.on and speech.speaking:
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_finished_sentences_go_to_the_program_in_order(tmp_path: Path) -> None:
    out = tmp_path / "said"
    speech = Speech(SpeechSettings(writer(out)), pytest.fail)
    await read_aloud(speech, story("One. Tw"), story("One. Two. Thr"), story("One. Two. Three", ""))
    assert out.read_text().splitlines() == ["One.", "Two.", "Three"]


async def test_what_was_there_before_is_not_read(tmp_path: Path) -> None:
    """Opening a story reads nothing of it, and a continued reply only what is new."""
    out = tmp_path / "said"
    speech = Speech(SpeechSettings(writer(out)), pytest.fail)
    speech.follow(Transcript(), story("Old. Older. ", ""))
    assert not speech.speaking
    speech.follow(story("Old. ", ""), story("Old. New. "))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speech.run)
        await silence(speech)
        nursery.cancel_scope.cancel()
    assert out.read_text() == "New.\n"


async def test_silence_comes_at_once_and_lasts(tmp_path: Path) -> None:
    """The program and what it started are gone, what waited is dropped, the rest of the reply is not read."""
    mark = tmp_path / "pid"
    command = f"sh -c 'sleep 600 & echo $! > {mark}; wait'"
    speech = Speech(SpeechSettings(command), pytest.fail)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speech.run)
        speech.follow(Transcript(story("").messages[:1]), story("One. Two. "))
        with trio.fail_after(20):
            while not mark.exists() or not mark.read_text():
                await trio.testing.wait_all_tasks_blocked(0.01)
        speech.stop()
        with trio.fail_after(20):
            await silence(speech)
        assert not alive(int(mark.read_text()))
        speech.follow(story("One. Two. "), story("One. Two. Three. "))
        assert not speech.speaking
        nursery.cancel_scope.cancel()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked for its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_new_line_ends_the_reading_of_the_old_reply() -> None:
    speech = Speech(SpeechSettings("sleep 600"), pytest.fail)
    speech.follow(Transcript(story("").messages[:1]), story("One. Two. "))
    assert speech.speaking
    more = story("One. Two. ", "")
    speech.follow(more, more._replace(messages=(*more.messages, MessageView(3, "user", "On."))))
    assert not speech.speaking


async def test_the_queue_is_bounded() -> None:
    speech = Speech(SpeechSettings("cat"), pytest.fail)
    speech.follow(Transcript(story("").messages[:1]), story("Word. " * 10 * QUEUE))
    assert len(speech._waiting) == QUEUE


@pytest.mark.parametrize(
    "command", ["/nowhere/speaks", "false", "say 'open"], ids=["missing", "fails", "open quotation"]
)
async def test_a_program_that_does_not_work_is_named_once(command: str) -> None:
    told: list[str] = []
    speech = Speech(SpeechSettings(command), told.append)
    await read_aloud(speech, story("One. Two. Three. "))
    assert len(told) == 1
    assert "speech.command" in told[0]
    assert not speech.on


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
async def test_espeak_reads_a_sentence(tmp_path: Path) -> None:
    """A real speaking program gets the sentence and makes sound of it."""
    sound = tmp_path / "said.wav"
    speech = Speech(SpeechSettings(f"espeak-ng -v {{voice}} -w {sound}", "en-gb"), pytest.fail)
    await read_aloud(speech, story("The lamp is lit. "))
    with wave.open(str(sound)) as heard:
        assert heard.getnframes() > heard.getframerate() // 2


def test_the_settings_are_read(tmp_path: Path) -> None:
    """Section ``speech`` of the configuration reaches the screen."""
    from flower.settings.config import parse

    told = {"command": "cat", "voice": "en", "voices": {"Ines": "f3"}, "what": "dialogue"}
    speech = parse({"speech": told}, {}, {}).speech
    assert (speech.command, speech.voice, dict(speech.voices), speech.what) == tuple(told.values())


async def test_changed_settings_are_used_for_what_comes(tmp_path: Path) -> None:
    """A program that failed is forgotten with the settings that named it; nothing is restarted."""
    out, told = tmp_path / "said", []
    speech = Speech(SpeechSettings("no-such-program-anywhere"), told.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speech.run)
        speech.follow(Transcript(story("").messages[:1]), story("One. Two. "))
        await silence(speech)
        assert len(told) == 1
        assert not speech.on
        speech.use(SpeechSettings(writer(out)))
        assert speech.on
        speech.follow(story("One. Two. "), story("One. Two. Three. "))
        later = story("One. Two. Three. ")
        again = Transcript((*later.messages, later.messages[-1]._replace(key=9, turn="t9", text="")))
        speech.follow(later, again)
        grown = again._replace(
            messages=(*again.messages[:-1], again.messages[-1]._replace(text="Four. Five. "))
        )
        speech.follow(again, grown)
        await silence(speech)
        nursery.cancel_scope.cancel()
    assert out.read_text().splitlines() == ["Four.", "Five."]
