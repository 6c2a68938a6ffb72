"""The home directory: private, made on the first start, never undone by a later one."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest

from flower import home as home_module
from flower.errors import ConfigError
from flower.home import Home, default_path, load_config, open_home, own_token
from flower.settings.config import Config


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_everything_private(tmp_path: Path) -> None:
    """Folders 0700, files 0600, whatever the umask is."""
    old = os.umask(0)
    try:
        home = open_home(tmp_path / "deep" / "home", {})
    finally:
        os.umask(old)
    for folder in (home.root, home.assets, home.index, home.logs, home.models, home.run):
        assert mode(folder) == 0o700, folder
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert home.config in files
    assert {path.parent.name for path in files} >= {"worlds", "characters", "rules"}
    assert {mode(path) for path in files} == {0o600}


def test_the_starter_config_means_defaults(home: Home) -> None:
    assert load_config(home, {}) == Config()


def test_a_later_start_keeps_what_the_user_did(home: Home) -> None:
    """Edits stay, deleted examples stay deleted, and lax permissions are tightened."""
    home.config.write_text("default_model: mine\n")
    home.config.chmod(0o644)
    home.root.chmod(0o755)
    example = next(home.assets.rglob("*.yaml"))
    example.unlink()
    again = open_home(home.root, {})
    assert load_config(again, {}).default_model == "mine"
    assert not example.exists()
    assert (mode(home.root), mode(home.config)) == (0o700, 0o600)


def test_a_missing_folder_or_config_comes_back(home: Home) -> None:
    home.config.unlink()
    home.run.rmdir()
    open_home(home.root, {})
    assert home.config.exists()
    assert home.run.is_dir()


def test_first_starts_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        homes = list(pool.map(lambda _: open_home(tmp_path / "home", {}), range(8)))
    starter = (home_module._STARTER / "config.yaml").read_bytes()
    assert all(home.config.read_bytes() == starter for home in homes)


def test_a_place_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot use .*file/home as .*set FLOWER_HOME or --home"):
        open_home(tmp_path / "file" / "home", {})
    with pytest.raises(ConfigError, match="choose a folder of its own"):
        open_home(Path.home(), {})
    with pytest.raises(ConfigError, match="choose a folder of its own"):
        open_home(Path("/"), {})


def test_flower_home_wins_over_the_default() -> None:
    assert default_path({"FLOWER_HOME": "/srv/flower"}) == Path("/srv/flower")
    assert default_path({"FLOWER_HOME": "~/f"}) == Path.home() / "f"


@pytest.mark.parametrize("base", ["", " ", "/data"])
def test_the_default_is_what_platformdirs_says(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short cut that saves 15 ms at every start must not move anybody's stories."""
    monkeypatch.setenv("XDG_DATA_HOME", base)
    expected = Path(platformdirs.user_data_dir("flower", appauthor=False))
    assert default_path(os.environ | {"FLOWER_HOME": ""}) == expected


def test_a_broken_config_names_file_and_line(home: Home) -> None:
    home.config.write_text("engine:\n  port: [\n")
    with pytest.raises(ConfigError, match=r"config\.yaml, line 2: broken YAML"):
        load_config(home, {})
    home.config.write_text("a: &x 1\nb: *x\n")
    with pytest.raises(ConfigError, match=r"config\.yaml, line 2: aliases"):
        load_config(home, {})


def test_a_missing_config_is_no_error_but_an_unreadable_one_is(home: Home) -> None:
    home.config.unlink()
    assert load_config(home, {"MODEL_NAME": "m"}).default_model == "m"
    home.config.mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(home, {})


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("# token: a\n", None),
        ("engine:\n  token: abc\n", "abc"),
        ("{engine: {token: 'abc'}}", "abc"),
        ("engine: {port: 1}", None),
        ("engine: {token: abc", None),
    ],
)
def test_a_face_knows_the_token_of_its_own_engine(home: Home, text: str, token: str | None) -> None:
    """Plain `flower` must get into the engine it started, whatever the config asks of others."""
    home.config.write_text(text)
    assert own_token(home, {}) == token
    home.config.unlink()
    assert own_token(home, {}) is None


def test_a_config_of_comments_alone_is_read_without_yaml(home: Home) -> None:
    """A new home has nothing set, so no screen loads PyYAML; whatever YAML sees as a setting is one."""
    assert home_module._sets_nothing(home.config.read_bytes())
    assert home_module._sets_nothing(b"# one\r\n\n   # two")
    for text in ("default_model: mine", "# \u2028default_model: mine", "---\n"):
        assert not home_module._sets_nothing(text.encode())
    home.config.write_text("# a comment\ndefault_model: mine\n")
    assert load_config(home, {}).default_model == "mine"
