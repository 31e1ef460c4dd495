import pickle

import pytest

from humanmade.errors import KaggleError, UserError, did_you_mean


@pytest.mark.parametrize("kind", [UserError, KaggleError])
def test_whatever_it_quotes_an_error_is_one_line(kind: type[Exception]):
    error = kind("a.csv: id 'x\r\n\x1b[31my\u2028z\udcff' is not there\n")
    assert str(error) == "a.csv: id 'x   [31my z ' is not there"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_only_what_is_near_is_meant():
    assert did_you_mean("prob", ["probe", "network"]) == "; did you mean 'probe'?"
    assert did_you_mean("zzz", ["probe"]) == did_you_mean("probe", []) == ""
