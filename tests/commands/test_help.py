from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from humanmade.commands import humanmade, main


def test_help_says_what_the_verb_says(capsys: pytest.CaptureFixture[str]):
    for word, flags in (("cv", ["cv", "--help"]), (None, ["--help"])):
        assert main(["help", *([word] if word else [])]) == 0
        told = capsys.readouterr().out
        assert main(flags) == 0
        assert told == capsys.readouterr().out and "Usage: humanmade" in told
    assert main(["help", "evalute"]) == 2
    assert "no verb 'evalute'; did you mean 'evaluate'? See" in capsys.readouterr().err
    assert main(["xyz"]) == 2 and "; verbs are audit, bench, " in capsys.readouterr().err


def test_a_shell_completes_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "recipe.toml").write_text("")

    def completed(*words: str) -> list[tuple[str, str]]:
        found = ShellComplete(humanmade, {}, "humanmade", "").get_completions([*words[:-1]], words[-1])
        return [(item.type, item.value) for item in found]

    assert completed("cv", "probe_l") == completed("recipes", "show", "probe_l") == [("plain", "probe_lite0")]
    assert completed("predict", "") == [("plain", "first"), ("plain", "second")]
    assert completed("compare", "first", "sec") == [("plain", "second")]
    assert completed("cv", "./my") == [("file", "./my")], "a file of one's own"
    assert completed("eval") == [("plain", "evaluate")]
