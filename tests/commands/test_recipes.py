import json
import re
from pathlib import Path

import pytest

from humanmade import recipe as recipes
from humanmade.commands import main


def test_the_list_says_what_is_known(capsys: pytest.CaptureFixture[str]):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("probe_lite0 "))
    assert "  CPU  Frozen EfficientNet-Lite0" in lines[place]
    told = [line.strip() for line in lines[place + 1 : place + 4]]
    assert [line.split(" ")[0] for line in told] == ["takes", "measured:", "needs"]
    assert told[2] == "needs tf_efficientnet_lite0" and "AUC 0.605 on wild" in told[1]
    listed = {}
    for words in ([], ["--for", "CPU"], ["--for", "GPU"]):
        assert main(["recipes", *words, "--json"]) == 0
        listed[words[-1] if words else ""] = [one["name"] for one in json.loads(capsys.readouterr().out)]
    assert listed[""] == recipes.shipped() == sorted(listed["CPU"] + listed["GPU"])
    assert "robust_clip" in listed["CPU"] and "efficientnet_lite0" in listed["GPU"]


def test_what_was_measured_is_what_the_documents_say():
    told = {name: recipes.summary(name)["scores"] for name in recipes.shipped()}
    root = recipes.SHIPPED.parents[2]
    seen = 0
    for name, scores in told.items():
        for figures, document in re.findall(r"([^()]*)\(([^()]+)\)", scores):
            rows = [line for line in (root / document).read_text().splitlines() if f"`{name}" in line]
            for figure in re.findall(r"0\.\d+", figures):
                assert any(figure in row for row in rows), (name, figure, document)
                seen += 1
    assert seen > 20


def test_what_a_file_says_of_itself_is_no_key_of_its_detector(capsys: pytest.CaptureFixture[str]):
    text = 'about.machine = "GPU"\ndetector = "spectrum"\n'
    Path("mine.toml").write_text(text)
    assert "about" not in recipes.load("mine.toml").model_dump()
    assert recipes.load("mine.toml") == recipes.change(recipes.load("spectrum"), name="mine", image_size=224)
    for wrong, says in (
        ("about.memori", "about has no key 'memori'; did you mean 'memory'?"),
        ("about.time = 3\nabout.scores", "about.time = 3; expected a valid string"),
    ):
        Path("mine.toml").write_text(text.replace("about.machine", wrong))
        assert main(["cv", "mine.toml"]) == 2
        assert says in capsys.readouterr().err


def test_a_new_recipe_is_its_source_under_another_name(capsys: pytest.CaptureFixture[str]):
    assert main(["recipes", "new", "mine", "--from", "robust_cpu"]) == 0
    text = Path("mine.toml").read_text()
    assert recipes.load("mine.toml") == recipes.change(recipes.load("robust_cpu"), name="mine")
    assert main(["recipes", "new", "mine.toml", "--from", "spectrum"]) == 2
    assert "mine.toml: exists" in capsys.readouterr().err and Path("mine.toml").read_text() == text
    assert main(["recipes", "show", "mine.toml"]) == 0
    assert capsys.readouterr().out == recipes.to_toml(recipes.load("mine.toml"))
    assert main(["recipes", "diff", "mine.toml", "robust_cpu"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "      mine.toml  robust_cpu",
        'name  "mine"     "robust_cpu"',
    ]
    assert main(["recipes", "diff", "mine.toml", "robust_cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": ["mine", "robust_cpu"]}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["shwo", "demo"], "'shwo' is not show, diff or new"),
        (["diff", "demo"], "recipes diff: takes 2 names, not 1"),
        (["new", "mine"], "--from R goes with new, and new needs it"),
        (["show", "demo", "--for", "CPU"], "--for chooses among the recipes that are listed; leave out show"),
        (["show", "demo", "--from", "spectrum"], "--from R goes with new"),
        (["new", "mine", "--from", "demo", "--json"], "--json does not go with new"),
        (["new", "spectrum", "--from", "demo"], "spectrum.toml: is a shipped recipe's name"),
        (["new", "a/b", "--from", "demo"], 'name = "a/b"; expected a plain name'),
        (["show", "probe_lit0"], "recipe 'probe_lit0': not found; did you mean 'probe_lite0'?"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], says: str, capsys):
    assert main(["recipes", *words]) == 2
    assert says in capsys.readouterr().err and not list(Path().glob("*.toml"))


def test_a_recipe_file_that_is_misspelt_is_found(capsys):
    Path("mine.toml").write_text("")
    assert main(["recipes", "show", "mines.toml"]) == 2
    assert "did you mean 'mine.toml'?" in capsys.readouterr().err
