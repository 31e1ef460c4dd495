import pytest

from humanmade.commands import main


def test_help_says_what_the_verb_says(capsys: pytest.CaptureFixture[str]):
    for word, flags in (("cv", ["cv", "--help"]), (None, ["--help"])):
        assert main(["help", *([word] if word else [])]) == 0
        told = capsys.readouterr().out
        assert main(flags) == 0
        assert told == capsys.readouterr().out and "Usage: humanmade" in told
    assert main(["help", "evalute"]) == 2
    assert "no verb 'evalute'; did you mean 'evaluate'?" in capsys.readouterr().err
