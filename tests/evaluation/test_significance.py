from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from humanmade import competition, metrics
from humanmade.evaluation import significance
from humanmade.evaluation.significance import Difference, differences, sample

RNG = np.random.default_rng(0)


def rows(count: int = 600, folds: int = 3, size: int = 2) -> pd.DataFrame:
    """Pairs of a photo and its counterpart, `size` rows a group."""
    ids = [f"{number:06}" for number in range(count)]
    groups = np.arange(count) // size
    return pd.DataFrame({"id": ids, "label": np.arange(count) % 2, "fold": groups % folds, "group": groups})


def with_logits(table: pd.DataFrame, apart: float, noise: np.ndarray) -> pd.DataFrame:
    return table.assign(logit=apart * table["label"] + noise)


def test_a_difference_is_the_mean_of_the_folds_and_has_an_interval_around_it():
    table = rows()
    noise = RNG.normal(size=len(table))
    good, bad = with_logits(table, 2.0, noise), with_logits(table, 1.0, noise)
    found = differences(sample(good, 0.5), sample(bad, 0.5))["auc"]
    by_hand = [
        metrics.auc(a["label"], a["logit"]) - metrics.auc(b["label"], b["logit"])
        for (_, a), (_, b) in zip(good.groupby("fold"), bad.groupby("fold"), strict=True)
    ]
    assert found.folds == pytest.approx(by_hand) and found.mean == pytest.approx(np.mean(by_hand))
    assert found.low < found.mean < found.high and found.verdict == "better"
    assert found.error == pytest.approx(np.std(by_hand, ddof=1) / np.sqrt(3))
    assert differences(sample(bad, 0.5), sample(good, 0.5))["auc"].verdict == "worse"


@pytest.mark.slow
def test_noise_is_told_apart_as_rarely_as_it_says():
    table, wrong = rows(200), 0
    for seed in range(100):
        one, other = np.random.default_rng(seed).normal(size=(2, len(table)))
        samples = [sample(with_logits(table, 1.5, noise), 0.5) for noise in (one, other)]
        wrong += differences(*samples)["auc"].verdict != "not told apart"
    assert 1 <= wrong <= 11, "five of a hundred are expected"


def test_pairing_tells_small_differences_apart():
    table = rows()
    noise = RNG.normal(size=len(table))
    one, near = (sample(with_logits(table, apart, noise), 0.5) for apart in (1.5, 1.75))
    assert differences(near, one)["auc"].verdict == "better", "the noise that both share cancels"
    assert differences(one, one)["f1"].verdict == "not told apart"


def test_the_interval_is_that_of_a_plain_bootstrap():
    table = rows(400, folds=1)
    good = with_logits(table, 2.0, RNG.normal(size=len(table)))
    bad = with_logits(table, 1.2, RNG.normal(size=len(table)))
    found = differences(sample(good, 0.5), sample(bad, 0.5))["auc"]
    plain = []
    for _ in range(200):
        drawn = (2 * RNG.integers(0, 200, 200)[:, None] + np.arange(2)).ravel()
        scores = [metrics.auc(p["label"].iloc[drawn], p["logit"].iloc[drawn]) for p in (good, bad)]
        plain.append(scores[0] - scores[1])
    assert [found.low, found.high] == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)
    assert found.error is None


def test_groups_are_drawn_whole():
    """Rows that say the same add no evidence."""
    table = rows(200, size=2, folds=1)
    noise = np.repeat(RNG.normal(size=100), 2)
    copies = pd.concat([table.assign(id=table["id"] + f"-{copy}") for copy in range(4)])
    widths = []
    for part, drawn in ((table, noise), (copies, np.tile(noise, 4))):
        first = with_logits(part, 1.0, drawn * np.where(part["label"] == 1, 1, -0.5))
        second = with_logits(part, 0.5, drawn)
        found = differences(sample(first, 0.5), sample(second, 0.5))["auc"]
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.05)


def test_f1_is_cut_at_the_prevalence():
    table = rows(300, folds=1)
    logits = with_logits(table, 1.0, RNG.normal(size=len(table)))
    cut = metrics.labels_at_prevalence(logits["id"].tolist(), logits["logit"], 0.3)
    found = sample(logits, 0.3)[0]
    assert found.scores["f1"] == pytest.approx(metrics.f1(logits["label"], cut))
    assert all(len(scores) == significance.RESAMPLES == 1000 for scores in found.resampled.values())
    assert found.scores["auc"] == pytest.approx(metrics.auc(logits["label"], logits["logit"]))
    assert np.mean(found.resampled["auc"]) == pytest.approx(found.scores["auc"], abs=0.01)
    assert np.mean(found.resampled["f1"]) == pytest.approx(found.scores["f1"], abs=0.01)


def test_an_interval_holds_the_middle_95_of_100():
    scores = {"f1": 0.5, "auc": 0.5}
    ones, zeros = (dict.fromkeys(scores, values) for values in (np.arange(1001.0), np.zeros(1001)))
    first, second = ({0: significance.FoldSample(7, scores, values)} for values in (ones, zeros))
    found = differences(first, second)["auc"]
    assert (found.mean, found.low, found.high) == (0, pytest.approx(25), pytest.approx(975))


def test_the_noise_of_a_leaderboard_by_hand(monkeypatch: pytest.MonkeyPatch):
    # Two scores, each an F1 on 200 pictures, half of them generated: 1.96 sqrt(2) standard errors.
    assert significance.leaderboard_noise(0.8, 200) == pytest.approx(1.96 * np.sqrt(2 * 0.16 / 100), rel=1e-3)
    assert significance.leaderboard_noise(0.8, 0) == significance.leaderboard_noise(0.8, 2)
    contest = replace(competition.CURRENT, metric="auc", prevalence=0.25)
    monkeypatch.setattr(competition, "CURRENT", contest)
    error = metrics.auc_error(0.8, 50, 150)
    assert significance.leaderboard_noise(0.8, 200) == pytest.approx(1.96 * np.sqrt(2) * error, rel=1e-3)


def test_only_the_same_rows_are_paired():
    table = rows(60)
    noise = RNG.normal(size=len(table))
    whole, other = with_logits(table, 1.0, noise), with_logits(table.assign(group=0), 1.0, noise)
    assert not differences(sample(whole, 0.5), sample(other, 0.5))
    first = whole[whole["fold"] == 0]
    assert len(differences(sample(whole, 0.5), sample(first, 0.5))["auc"].folds) == 1
    shuffled = whole.sample(frac=1, random_state=1)
    assert differences(sample(whole, 0.5), sample(shuffled, 0.5))["auc"].high == 0, "matched by id"
    one_class = whole[whole["label"] == 1]
    assert not sample(one_class, 0.5)


def test_it_says_so_in_words():
    said = str(Difference("auc", 0.0123, 0.004, 0.0206, (0.01, 0.0146)))
    assert said == "AUC +0.0123 (95 %: +0.0040 to +0.0206; 2 folds, standard error over them 0.0023): better"
    said = str(Difference("f1", -0.01, -0.02, 0.0, (-0.01,)))
    assert said == "F1 -0.0100 (95 %: -0.0200 to +0.0000; 1 fold): not told apart"
    found = {"f1": Difference("f1", 0, 0, 0, (0,)), "auc": Difference("auc", 1, 1, 1, (1,))}
    assert significance.decisive(found) is found[competition.CURRENT.metric]
