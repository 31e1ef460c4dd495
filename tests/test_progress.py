import time

import pytest

from humanmade import progress


def test_a_log_gets_a_line_a_minute_from_all_bars_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr("tqdm.std.time", lambda: clock)
    monkeypatch.setattr(progress._Lines, "last", 0.0)
    for fold in range(2):
        with progress.stage(f"fold {fold}"):
            for _ in progress.progress(range(100), "predicting", "batches", 100):
                clock += 1.0
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 4, "of 200 seconds"
    assert lines[0].startswith("fold 0: predicting: ") and lines[-1].startswith("fold 1: predicting: ")
    assert "/100 [" in lines[0] and max(map(len, lines)) <= 110
    assert not progress._stage.get()


def test_a_last_batch_that_is_not_full_ends_the_bar_at_its_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = 1000.0
    monkeypatch.setattr("tqdm.std.time", lambda: clock)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    for _ in progress.progress(range(3), "features", "pictures", 60, 25):
        clock += 2.0
    assert "60/60" in capsys.readouterr().err.splitlines()[-1]


def test_threads_are_handed_a_part_of_the_items_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "AHEAD", 4)
    begun: list[int] = []
    saved: list[list[int]] = []

    def work(item: int) -> int:
        begun.append(item)
        return -item

    def save(results: list[int]) -> None:
        assert max(begun) < len(results) + sum(map(len, saved)) + 4
        saved.append(results)

    progress.in_threads(work, range(50), "", save, 7)
    assert sorted(begun) == [*range(50)] and [len(part) for part in saved] == [7] * 7 + [1]
    assert [result for part in saved for result in part] == [-item for item in range(50)]
