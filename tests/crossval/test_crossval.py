import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade.commands import main
from humanmade.data import inventory
from humanmade.detectors.network import Network
from humanmade.evaluation import inference
from humanmade.training.loop import Trainer
from tests.conftest import MakeFolder
from tests.training.test_curves import points


def cv(*arguments: object) -> int:
    return main(["cv", *map(str, arguments)])


def bytes_of(run: Path, *names: str) -> list[bytes]:
    return [(run / name).read_bytes() for name in names]


def test_a_run_folder_is_complete(tiny_network: Path, competition_folder: MakeFolder, capsys):
    folder = competition_folder(pairs=12, test=6)
    assert cv(tiny_network, "--data", folder) == 0
    run = Path("runs/tiny")
    folds, oof, test = (pd.read_csv(run / name) for name in ("folds.csv", "oof.csv", "test.csv"))
    assert list(folds.columns) == ["id", "fold", "group"] and sorted(set(folds["fold"])) == [0, 1, 2]
    assert list(oof.columns) == ["id", "label", "fold", "logit"] and set(oof["id"]) == set(folds["id"])
    assert list(test.columns) == ["id", "logit"]
    ids = (folder / "test.csv").read_text().split()[1:]
    assert test["id"].tolist() == ids == pd.read_csv(run / "submission.csv")["id"].tolist()
    parts = [pd.read_csv(run / f"fold{k}/test.csv").set_index("id")["logit"] for k in range(3)]
    assert np.allclose(test.set_index("id")["logit"], sum(part[ids] for part in parts) / 3)
    scores = json.loads((run / "scores.json").read_text())
    assert scores["recipe"] == "tiny" and not scores["unfinished"] and len(scores["folds"]) == 3
    assert scores["scale"] == pytest.approx(oof["logit"].std(ddof=0))
    for key in ("f1", "auc", "logloss", "versions", "seed", "commit", "data", "sources"):
        assert key in scores
    promised = {"fold", "f1", "auc", "logloss", "seconds", "images_per_second"}
    assert set(scores["folds"][0]) == promised
    drawn = points(run / "fold2")
    assert drawn["train/loss"], "TensorBoard shows the training, and what came of it"
    assert drawn["fold/auc"] == [(2, pytest.approx(scores["folds"][2]["auc"]))]
    assert main(["check", str(run / "submission.csv"), "--data", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "answering 1 everywhere scores F1 0.667" in out and "3 labelled 1" in out


def test_a_finished_run_is_reused_and_a_different_one_refused(
    tiny_probe: Path, competition_folder: MakeFolder, capsys
):
    folder = competition_folder(pairs=8, test=2)
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0
    before = bytes_of(Path("r"), "oof.csv", "test.csv", "fold0/scores.json")
    capsys.readouterr()
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0
    assert "finished folds are kept: 0, 1, 2\n" in capsys.readouterr().out
    assert bytes_of(Path("r"), "oof.csv", "test.csv", "fold0/scores.json") == before
    for arguments, says in (
        (["--set", "pool=mean_std"], 'pool: "mean" there, "mean_std" now'),
        (["--seed", 3], "seeds: [0] there, [3] now"),
        (["--limit", 10], "the data"),
    ):
        assert cv(tiny_probe, "--data", folder, "--out", "r", *arguments) == 2
        assert says in capsys.readouterr().err
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("")
    assert cv(tiny_probe, "--data", folder, "--out", "notes") == 2
    assert "exists and is not a run" in capsys.readouterr().err


def test_single_folds_add_up_to_the_whole(tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8, test=2)
    assert cv(tiny_network, "--data", folder, "--out", "whole") == 0
    for k in (2, 0, 1):
        assert cv(tiny_network, "--data", folder, "--out", "parts", "--fold", k) == 0
        held = pd.read_csv("parts/oof.csv")
        assert json.loads(Path("parts/scores.json").read_text())["unfinished"] == (k != 1)
        assert k in set(held["fold"])
    assert bytes_of(Path("whole"), "oof.csv", "test.csv") == bytes_of(Path("parts"), "oof.csv", "test.csv")


def test_fold_all_refits_on_everything(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8, test=2)
    assert cv(tiny_probe, "--data", folder, "--out", "r", "--fold", "all") == 0
    assert Path("r/foldall/head.safetensors").is_file() and not Path("r/oof.csv").exists()
    scores = json.loads(Path("r/scores.json").read_text())
    assert scores["auc"] is None and not scores["unfinished"]
    assert Path("r/submission.csv").is_file()
    assert cv(tiny_probe, "--data", folder, "--out", "r", "--fold", "7") == 2
    assert "--fold 7: expected 0 to 2, or all" in capsys.readouterr().err


def test_seeds_are_averaged(tiny_probe: Path, tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8, test=2)
    for name, seeds in (("both", "[1, 2]"), ("one", "1"), ("two", "2")):
        assert cv(tiny_network, "--data", folder, "--out", name, "--set", f"seeds={seeds}", "--fold", 0) == 0
    both, one, two = (pd.read_csv(f"{name}/oof.csv")["logit"] for name in ("both", "one", "two"))
    assert np.allclose(both, (one + two) / 2, atol=1e-6) and not np.allclose(one, two)
    assert Path("both/fold0/seed2/model.safetensors").is_file()


def test_no_test_rows_no_submission(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    assert cv(tiny_probe, "--data", manifest_folder(pairs=8)) == 0
    assert not Path("runs/tinyprobe/test.csv").exists() and not Path("runs/tinyprobe/submission.csv").exists()
    assert capsys.readouterr().out.count("no test rows, so no test.csv and no submission.csv") == 1


def test_labels_of_test_rows_change_nothing(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8, test=4)
    assert cv(tiny_probe, "--data", folder, "--out", "a") == 0
    table = pd.read_csv(folder / "manifest.csv")
    table.loc[table["split"] == "test", "label"] = 1 - table["label"]
    table.to_csv(folder / "manifest.csv", index=False)
    assert cv(tiny_probe, "--data", folder, "--out", "b") == 0
    names = ("folds.csv", "oof.csv", "test.csv", "submission.csv")
    assert bytes_of(Path("a"), *names) == bytes_of(Path("b"), *names)


def test_folds_do_not_depend_on_the_recipe(tiny_probe: Path, tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8)
    assert cv(tiny_probe, "--data", folder, "--out", "a") == 0
    assert cv(tiny_network, "--data", folder, "--out", "b", "--fold", 0) == 0
    assert bytes_of(Path("a"), "folds.csv") == bytes_of(Path("b"), "folds.csv")


def test_source_folds_score_inside_folds(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=12, sources=["a", "b", "c"])
    assert cv(tiny_probe, "--data", folder, "--split", "source", "--out", "r") == 0
    scores = json.loads(Path("r/scores.json").read_text())
    assert scores["auc"] == pytest.approx(np.mean([fold["auc"] for fold in scores["folds"]]))
    named = {name: value for name, value in scores["sources"].items() if name != "worst"}
    assert set(named) == {f"{kind}-{x}" for kind in ("gen", "photo") for x in "abc"}
    assert scores["sources"]["worst"] == min(named.values())


def test_broken_test_pictures_get_the_median(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8, test=4)
    (folder / "images/009_1.png").write_bytes(b"broken")
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 2
    assert "009_1.png" in capsys.readouterr().err and not Path("r").exists()
    assert cv(tiny_probe, "--data", folder, "--out", "r", "--skip-broken") == 0
    test = pd.read_csv("r/test.csv").set_index("id")["logit"]
    assert len(test) == 8
    assert test["images/009_1.png"] == pytest.approx(test.drop("images/009_1.png").median())


def test_extra_rows_train_and_are_never_scored(tiny_probe: Path, manifest_folder: MakeFolder):
    data, extra = manifest_folder("data", 8), manifest_folder("extra", 4, first_seed=500)
    assert cv(tiny_probe, "--data", data, "--out", "without") == 0
    assert cv(tiny_probe, "--data", data, "--extra", extra, "--out", "with") == 0
    without, added = pd.read_csv("without/oof.csv"), pd.read_csv("with/oof.csv")
    assert without["id"].tolist() == added["id"].tolist()
    assert not np.allclose(without["logit"], added["logit"])


def test_a_used_up_budget_keeps_what_is_finished(tiny_network: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8, test=2)
    assert cv(tiny_network, "--data", folder, "--out", "r", "--fold", 0) == 0
    assert cv(tiny_network, "--data", folder, "--out", "r", "--hours", 1e-7) == 0
    scores = json.loads(Path("r/scores.json").read_text())
    assert scores["unfinished"] and len(scores["folds"]) == 1 and Path("r/submission.csv").is_file()
    assert "time budget is used up" in capsys.readouterr().err
    assert cv(tiny_network, "--data", folder, "--out", "r") == 0
    assert cv(tiny_network, "--data", folder, "--out", "whole") == 0
    assert bytes_of(Path("r"), "oof.csv", "test.csv") == bytes_of(Path("whole"), "oof.csv", "test.csv")


def test_ctrl_c_saves_and_the_same_command_goes_on(tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8, test=2)
    arguments = [
        "cv",
        str(tiny_network),
        "--data",
        str(folder),
        "--set",
        "epochs=30",
        "--folds",
        "2",
        "--fold",
        "0",
    ]
    command = [sys.executable, "-m", "humanmade", *arguments, "--out", "stopped"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    log = Path("stopped/fold0/log.jsonl")
    deadline = time.monotonic() + 60
    while not log.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command goes on from here" in errors and "Traceback" not in errors
    assert Path("stopped/fold0/last.pt").is_file()
    assert len(log.read_text().splitlines()) < 30
    assert main([*arguments, "--out", "stopped"]) == 0
    assert main([*arguments, "--out", "whole"]) == 0
    names = ("oof.csv", "test.csv", "fold0/log.jsonl", "fold0/model.safetensors")
    assert bytes_of(Path("stopped"), *names) == bytes_of(Path("whole"), *names)


def test_predicting_later_repeats_the_runs_own_logits(tiny_network: Path, competition_folder: MakeFolder):
    folder = competition_folder(pairs=8, test=5)
    assert cv(tiny_network, "--data", folder, "--out", "r", "--set", 'views=["crop_5", "hflip"]') == 0
    assert main(["predict", "r", "--data", str(folder), "--out", "again.csv"]) == 0
    assert Path("again.csv").read_bytes() == Path("r/test.csv").read_bytes()
    assert inference.fill_broken(
        np.array([1.0, 9.0, 3.0]), pd.DataFrame({"broken": [False, True, False]})
    ).tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["oof.csv", "test.csv"])
@pytest.mark.parametrize(
    "damage", [lambda t: t[: len(t) // 2], lambda t: t.replace(".", "x", 1), lambda t: ""]
)
def test_damaged_fold_files_are_named(
    tiny_probe: Path, manifest_folder: MakeFolder, capsys, name: str, damage
):
    folder = manifest_folder(pairs=8, test=4)
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0
    path = Path("r/fold1") / name
    path.write_text(damage(path.read_text()))
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 2
    error = capsys.readouterr().err
    assert f"r/fold1/{name}" in error and "remove r/fold1 and run cv again" in error


def test_damaged_run_files_are_refused(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8, test=2)
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0
    for name, content in (
        ("scores.json", "[]"),
        ("scores.json", "{"),
        ("fold0/scores.json", "{}"),
        ("fold0/head.safetensors", "garbage"),
        ("folds.csv", "id,fold,group\n"),
    ):
        path = Path("r") / name
        before = path.read_bytes()
        path.write_text(content)
        capsys.readouterr()
        assert cv(tiny_probe, "--data", folder, "--out", "r") == 2
        error = capsys.readouterr().err
        assert f"{path}: " in error and error.count("humanmade: ") == 1
        read = path == Path("r/scores.json")
        assert main(["compare", "r"]) == (2 if read else 0), "compare reads the run's scores and no more"
        assert (f"{path}: " in capsys.readouterr().err) == read
        path.write_bytes(before)
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0


@pytest.mark.parametrize(
    "bad",
    [
        "backbone=resnet5000",
        "layers=[99]",
        'backbone="cifake_cnn"',  # has no depths
        'backbone="test_vit"',  # whose patches do not fit 40 pixels
    ],
)
def test_a_refused_start_leaves_nothing_behind(tiny_probe: Path, manifest_folder: MakeFolder, bad: str):
    folder = manifest_folder(pairs=8)
    more = ["--set", "shrinkage=[0.1, 1]", "--set", "image_size=40"]
    assert cv(tiny_probe, "--data", folder, "--out", "r", *more, "--set", bad) == 2
    assert not Path("r").exists()
    assert cv(tiny_probe, "--data", folder, "--out", "r", *more) == 0


@pytest.mark.parametrize(
    ("recipe", "bad", "says"),
    [
        ("vae", "optimiser=nonsense", "optimiser 'nonsense' cannot be used here"),
        ("tiny", "optimiser=adahessian", "optimiser 'adahessian' cannot be used here"),
        ("tiny", "lora=4", "lora needs a transformer"),
        ("tiny", 'backbone="test_vit"', "test_vit cannot be used at image_size = 40"),
        ("vae", "shrinkage=[0.1, 1]", "only 2 groups to train on"),
    ],
)
def test_what_a_first_fold_would_end_at_leaves_nothing_behind(
    tiny_network: Path, manifest_folder: MakeFolder, recipe: str, bad: str, says: str, capsys
):
    folder = manifest_folder(pairs=3)
    words = ["--out", "r", "--set", "image_size=40", "--set", "folds=3", "--set", bad]
    assert cv(tiny_network if recipe == "tiny" else recipe, "--data", folder, *words) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("humanmade: ") == 1 and not Path("r").exists()


def test_a_start_that_was_killed_while_it_began_is_begun_again(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8)
    Path("r").mkdir()
    Path("r/folds.csv").write_text("id,fo")
    Path("r/.pictures.csv.x1").write_text("half")
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0
    assert len(pd.read_csv("r/folds.csv")) == 16
    Path("s").mkdir()
    Path("s/thesis.txt").write_text("not ours")
    assert cv(tiny_probe, "--data", folder, "--out", "s") == 2


def test_training_that_diverges_says_so(tiny_network: Path, manifest_folder: MakeFolder, capsys):
    arguments = ["--set", "lr=100", "--set", "optimiser=sgd", "--set", "clip_grad=0", "--set", "epochs=40"]
    assert cv(tiny_network, "--data", manifest_folder(pairs=8), "--out", "r", *arguments) == 2
    assert "training diverged" in capsys.readouterr().err


def test_a_trained_seed_is_not_trained_again(
    tiny_network: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    folder = manifest_folder(pairs=8)
    arguments = [tiny_network, "--data", folder, "--out", "r", "--fold", 0, "--set", "seeds=[1, 2]"]
    seeds: list[int] = []
    fit = Network.fit

    def stop_at_two(self, train, valid, seed, place, budget):
        seeds.append(seed)
        if seed == 2 and len(seeds) == 2:
            raise KeyboardInterrupt
        return fit(self, train, valid, seed, place, budget)

    monkeypatch.setattr(Network, "fit", stop_at_two)
    assert cv(*arguments) == 130
    assert cv(*arguments) == 0
    assert seeds == [1, 2, 2]
    assert json.loads(Path("r/scores.json").read_text())["folds"][0]["images_per_second"] > 0


def test_hours_hold_for_probes_too(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    assert cv(tiny_probe, "--data", manifest_folder(pairs=8, test=2), "--out", "r", "--hours", 1e-9) == 0
    out = capsys.readouterr()
    assert "time budget" in out.err and "no fold is finished, so no submission yet" in out.out


def test_odd_ids_survive_to_the_submission(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8, test=2)
    table = pd.read_csv(folder / "manifest.csv")
    table["id"] = [f'{i}, "q"\u2028\u0085é' for i in range(len(table))]
    table.to_csv(folder / "manifest.csv", index=False)
    assert cv(tiny_probe, "--data", folder, "--out", "r") == 0
    assert main(["check", "r/submission.csv", "--data", str(folder)]) == 0


def test_no_readable_test_picture(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8, test=1)
    for name in ("008_0.png", "008_1.png"):
        (folder / "images" / name).write_bytes(b"broken")
    assert cv(tiny_probe, "--data", folder, "--skip-broken") == 2
    assert "none of the 2 test pictures can be read" in capsys.readouterr().err


def test_reading_the_pictures_is_part_of_the_hours(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, capsys
):
    attach, clock, late = inventory.attach, time.monotonic, 0.0

    def slow(*arguments):
        nonlocal late
        late = 3600.0
        return attach(*arguments)

    monkeypatch.setattr(inventory, "attach", slow)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + late)
    assert cv(tiny_probe, "--data", manifest_folder(pairs=8, test=2), "--hours", 0.9) == 0
    assert "time budget is used up" in capsys.readouterr().err


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only work moves: a minute a step of training, 12 seconds a picture that is predicted."""
    now, update, predict = [0.0], Trainer._update, Network._predict

    def slow_update(self: Trainer) -> None:
        now[0] += 60
        update(self)

    def slow_predict(self: Network, network, rows, views, what):
        now[0] += 12 * len(rows) * len(views)
        return predict(self, network, rows, views, what)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Trainer, "_update", slow_update)
    monkeypatch.setattr(Network, "_predict", slow_predict)
    return now


LONG = ["--set", "epochs=10"]
"""20 steps of a minute, 10 looks at 5 or 6 held-out pictures, and then every corruption of them: a fold."""


def test_the_hours_hold_with_predicting(
    tiny_network: Path, manifest_folder: MakeFolder, slow: list[float], capsys
):
    folder = manifest_folder(pairs=8, test=5)
    assert cv(tiny_network, "--data", folder, *LONG, "--out", "whole", "--fold", 0) == 0
    fold = slow[0]
    stages = json.loads(Path("whole/fold0/scores.json").read_text())["stages"]
    after = stages["predicting"] + stages["scoring"]
    assert after > 600, "enough to break a promise"
    for out, seconds, done in (
        ("one", fold - after + 100, 0),
        ("two", 2 * fold - after + 100, 1),
        ("all", 4 * fold, 3),
    ):
        capsys.readouterr()
        slow[0] = 0.0
        code = cv(tiny_network, "--data", folder, *LONG, "--out", out, "--hours", seconds / 3600)
        assert code == (0 if done else 2), "a fold that could be trained, but not predicted, is refused"
        if not done:
            continue
        assert slow[0] <= seconds + max(120, 0.02 * seconds), (
            "training ended in time, predicting would not have"
        )
        told = capsys.readouterr()
        assert ("time budget is used up" in told.err) == (done < 3)
        assert len(json.loads(Path(out, "scores.json").read_text())["folds"]) == done
        assert Path(out, "submission.csv").is_file()
    assert f"about {round(2 * fold / 60)} min for 2 more" in told.out


def test_hours_that_hold_no_fold_are_refused_at_once(
    tiny_network: Path, manifest_folder: MakeFolder, slow: list[float], capsys
):
    command = [tiny_network, "--data", manifest_folder(pairs=8, test=5), *LONG, "--out", "r", "--hours"]
    assert cv(*command, 0.4) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanmade: ")]
    assert len(said) == 1 and "--hours 0.4: holds no fold" in said[0] and "give more hours" in said[0]
    assert slow[0] < 20 * 60, "long before the end"
    assert cv(*command, 10) == 0
