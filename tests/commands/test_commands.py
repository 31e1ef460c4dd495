import inspect
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from humanmade import commands
from humanmade.commands import main
from humanmade.commands._verb import SECTIONS, Verb

TOP = click.Context(commands.humanmade)
VERBS = commands.humanmade.list_commands(TOP)
HEAVY = ("torch", "timm", "albumentations", "pandas", "numpy", "scipy", "PIL", "cv2", "pydantic", "kaggle")


def verb_of(name: str) -> Verb:
    verb = commands.humanmade.get_command(TOP, name)
    assert verb
    return verb


def test_a_verb_is_a_file_of_the_folder():
    names = {path.stem for path in Path(commands.__file__).parent.glob("[!_]*.py")}
    assert names == set(VERBS) >= {"cv", "evaluate", "submit", "weights"}
    assert all(verb_of(name).name == name and verb_of(name).section in SECTIONS for name in VERBS)


def test_help_is_free_of_heavy_imports():
    code = f"""if True:
        import sys
        from humanmade.commands import main
        for verb in {VERBS}:
            assert main([verb, "--help"]) == 0
        assert main(["--help"]) == 0
        print([name for name in {HEAVY} if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself_with_an_example_that_parses(name: str, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    verb = verb_of(name)
    assert f"\n  example: {verb.example}\n" in text
    words = shlex.split(verb.example)
    assert words[:2] == ["humanmade", name]
    with verb.make_context(name, words[2:]) as context:
        assert verb.callback
        arguments = set(inspect.signature(verb.callback).parameters) - {"context"}
        assert set(context.params) == arguments, "what click passes is what the function takes"
    for parameter in verb.params:
        assert not isinstance(parameter, click.Option) or (parameter.help and not parameter.hidden)


def test_alone_it_lists_the_verbs_by_the_part_of_the_day(capsys):
    assert main([]) == 2
    text = capsys.readouterr().out
    places = [text.index(f"\n{section}:\n") for section in SECTIONS]
    assert places == sorted(places)
    assert text.index("\nJudge:") < text.index("\n  audit") < text.index("\nSubmit:")
    assert all(f"\n  {name} " in text for name in VERBS)
    assert main(["--version"]) == 0 and capsys.readouterr().out.startswith("humanmade ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evalute"], "no verb 'evalute'; did you mean 'evaluate'? See humanmade --help"),
        (["nonsense"], "no verb 'nonsense'; verbs are audit, bench,"),
        (["cv", "--prevalance", "0.5"], "No such option '--prevalance'. Did you mean '--prevalence'?"),
        (["cv", "--nonsense"], "No such option '--nonsense'"),
        (["cv", "--prevalence", "1.5"], "'--prevalence': '1.5' is not a share between 0 and 1."),
        (["cv", "--prevalence", "nan"], "'nan' is not a share between 0 and 1."),
        (["cv", "--limit", "0"], "'--limit': '0' is not a positive whole number."),
        (["cv", "--hours", "-1"], "'--hours': '-1' is not a positive number of hours."),
        (["cv", "--fold", "half"], "'--fold': 'half' is not a fold's number, or all."),
        (["cv", "--split", "random"], "'random' is not one of 'pairs', 'source'."),
        (["blend", "a"], "Missing option '--out'."),
        (["blend"], "Missing argument 'RUN|CSV...'."),
        (
            ["push"],
            "Missing argument 'KERNEL'. Choose from: train, predict, blend, explore. See humanmade",
        ),
        (["push", "train", "--hours", "13"], "'13' is not a number of hours above 0, at most 11.5"),
        (["cv", "a", "b"], "Got unexpected extra argument (b)"),
        (["cv", "nonsense", "--data", "."], "recipe 'nonsense': not found"),
        (["cv", "probe_lite0", "--data", "absent"], "absent: no such folder"),
        (["evaluate", "absent", "--data", "."], "run 'absent': not found; in runs/: none"),
        (["check", "absent.csv", "--data", "."], "neither manifest.csv"),
        (["compare"], "no runs in runs/"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(words: list[str], says: str, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert says in error and error.startswith("humanmade: ") and error.count("\n") == 1


def test_outputs_are_not_overwritten_silently(run: Path, capsys):
    Path("e.csv").write_text("mine")
    for verb in (["evaluate", "tinyprobe"], ["predict", "tinyprobe"], ["blend", "tinyprobe"]):
        words = [*verb, "--data", str(run), "--out", "e.csv"]
        assert main(words) == 2
        assert "e.csv: exists" in capsys.readouterr().err and Path("e.csv").read_text() == "mine"
    assert main([*words, "--force"]) == 0


def test_the_shell_completes_verbs_options_and_choices():
    for words, expected in (("humanmade ev", "evaluate"), ("humanmade cv --sp", "--split"),
                            ("humanmade cv --split s", "source")):  # fmt: skip
        environment = os.environ | {
            "_HUMANMADE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        command = [sys.executable, "-m", "humanmade"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"plain,{expected}\n"


def test_a_reader_that_went_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "humanmade", "recipes"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_given_weights_are_looked_for_while_the_verb_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from humanmade import places
    from humanmade.run import Run

    seen = []
    monkeypatch.setattr(Run, "find", lambda name: seen.append(places.weights()) or Run(tmp_path))
    main(["predict", "r", "--data", "absent", "--out", "o.csv", "--weights", str(tmp_path)])
    assert seen == [tmp_path] and places.weights() is None


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """Runs a verb that raises, and gives its exit code."""

    def run(error: BaseException) -> int:
        monkeypatch.setattr(commands.humanmade, "invoke", lambda _: (_ for _ in ()).throw(error))
        return main(["recipes"])

    return run


def test_memory_that_is_too_short_is_one_line(fail: Callable[[BaseException], int], capsys):
    import torch

    assert fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")) == 2
    assert "memory is too short; lower inference_batch or image_size" in capsys.readouterr().err
    assert fail(RuntimeError("FIND was unable to find an engine to execute this computation")) == 2
    with pytest.raises(RuntimeError, match="ours"):
        fail(RuntimeError("ours"))


def test_an_interruption_while_a_compiled_module_loads_is_one(fail: Callable[[BaseException], int], capsys):
    failed = ImportError("initialization failed")
    with pytest.raises(ImportError, match="initialization failed"):
        fail(failed)
    failed.__cause__ = KeyboardInterrupt()
    assert fail(failed) == 130
    assert capsys.readouterr().err == "humanmade: interrupted; the same command goes on from here\n"
