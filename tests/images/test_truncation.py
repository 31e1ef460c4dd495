import numpy as np
import pytest

from humanmade.images.decode import BrokenPictureError, decode
from humanmade.images.truncation import is_truncated_jpeg
from tests.images.zoo import CODECS, PICTURE, encoded


@pytest.mark.parametrize("codec", ["baseline", "progressive"])
@pytest.mark.parametrize("white", [0, 200])
def test_what_is_kept_of_a_cut_file_has_nine_tenths_of_its_rows(codec: str, white: int):
    picture = PICTURE.copy()
    picture[-white or 320 :] = 255
    kind, options = CODECS[codec]
    data = encoded(picture, kind, **options)
    whole, kept = decode(data), 0
    for size in np.linspace(len(data) // 2, len(data) - 1, 60).astype(int).tolist():
        try:
            shown = decode(data[:size])
        except BrokenPictureError as error:
            # Between two scans the cut may go through a table, which libjpeg refuses by itself.
            assert "less than 90% of it can be decoded" in str(error) or "is truncated" in str(error)
            assert not kept, "what is longer has more"
        else:
            kept += 1
            assert (shown[:286] == whole[:286]).all()
    assert 1 <= kept <= 25


def test_an_end_is_looked_for_behind_the_header_only():
    data = encoded(PICTURE, "JPEG")
    assert is_truncated_jpeg(data[:-2]) and not is_truncated_jpeg(data)
    assert not is_truncated_jpeg(data + bytes(9000)), "what follows an end does not matter"
    noted = encoded(PICTURE, "JPEG", comment=data)
    assert is_truncated_jpeg(noted[:-2]) and not is_truncated_jpeg(noted)
    assert not is_truncated_jpeg(encoded(PICTURE, "PNG")[:-50])
