from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from torch import distributed

from humanmade.errors import UserError
from humanmade.training.budget import OutOfTimeError
from humanmade.training.distributed import ProcessGroup, process_group, sharing


def together(store: distributed.Store, work) -> list[object]:
    """What two ranks return from the same work, done side by side."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda rank: work(ProcessGroup(rank, 2, store)), range(2)))


def test_ranks_hear_one_another_in_order():
    def work(member: ProcessGroup) -> object:
        return [member.meet(f"I am {member.rank}"), member.any(member.rank == 1), member.any(False)]

    assert together(distributed.HashStore(), work) == [[["I am 0", "I am 1"], True, False]] * 2


def test_rank_0_goes_first(tmp_path: Path):
    file = tmp_path / "made"

    def work(member: ProcessGroup) -> object:
        with member.first():
            there = file.exists()
            file.touch()
        return there

    assert together(distributed.HashStore(), work) == [False, True]


def test_every_row_is_in_one_share_and_a_picture_in_the_same_of_every_table():
    rows = pd.DataFrame({"id": [f"r{i}" for i in range(40)]})
    shares = [set(ProcessGroup(rank, 3).share(rows)["id"]) for rank in range(3)]
    assert sum(map(len, shares)) == 40 and set.union(*shares) == set(rows["id"])
    assert all(len(part) > 4 for part in shares)
    half = [set(ProcessGroup(rank, 3).share(rows[20:])["id"]) for rank in range(3)]
    assert all(part < whole for part, whole in zip(half, shares, strict=True))
    assert ProcessGroup().share(rows) is rows


def test_one_rank_reports_a_failure_and_says_it_again_when_asked_again():
    firsts = together(distributed.HashStore(), lambda member: (member.fail(), member.fail()))
    assert sorted(map(repr, firsts)) == ["(False, False)", "(True, True)"]


@pytest.mark.parametrize(
    ("error", "down"), [(None, 1), (OutOfTimeError(), 1), (UserError("x"), 0), (OSError(), 0)]
)
def test_a_group_is_taken_down_only_where_all_ranks_leave_it(
    error: Exception | None, down: int, monkeypatch: pytest.MonkeyPatch
):
    calls = []
    monkeypatch.setattr(distributed, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: calls.append(1))
    ends = pytest.raises(type(error)) if error else nullcontext()
    with ends, ProcessGroup(0, 2, distributed.HashStore()).sharing():
        if error:
            raise error
    assert len(calls) == down, "NCCL would wait in it for a rank that computes"


def test_alone_nothing_waits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    process_group.cache_clear()
    alone = process_group()
    assert alone.leads and alone.meet("x") == ["x"] and alone.fail()
    with alone.first(), alone.sharing():
        assert not sharing()
