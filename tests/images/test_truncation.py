import numpy as np
import pytest
from PIL import Image

from humanmade.images.decode import BrokenPictureError, decode, upright
from humanmade.images.truncation import END, lacks_end
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
    assert lacks_end(data[:-2]) and not lacks_end(data)
    assert not lacks_end(data + bytes(9000)), "what follows an end does not matter"
    noted = encoded(PICTURE, "JPEG", comment=data)
    assert lacks_end(noted[:-2]) and not lacks_end(noted)
    assert not lacks_end(encoded(PICTURE, "PNG")[:-50])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_an_end_put_on_after_the_cut_is_no_end(mode: str):
    data, kept = encoded(Image.fromarray(PICTURE).convert(mode), "JPEG", quality=90), 0
    whole = decode(data)
    assert not upright(data)[1]
    for size in np.linspace(len(data) // 2, len(data) - 200, 40).astype(int).tolist():
        try:
            shown, cut = upright(data[:size] + END)
        except BrokenPictureError as error:
            assert "less than 90% of it can be decoded" in str(error) and not kept
        else:
            kept += 1
            assert cut and (np.asarray(shown)[:286] == whole[:286]).all()
    assert 1 <= kept <= 10


@pytest.mark.parametrize("grey", [127, 128])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "restart_marker_rows": 1}])
def test_grey_that_is_in_the_picture_is_no_cut(grey: int, options: dict[str, object]):
    picture, asked = PICTURE.copy(), 0
    for rows in range(0, 320, 20):
        picture[rows:] = grey
        data = encoded(picture, "JPEG", optimize=rows % 40 == 0, **options)
        image, cut = upright(data)
        asked += image.getpixel((479, 319)) == (grey,) * 3
        assert not cut and (np.asarray(image) == decode(data, trusted=True)).all()
    assert asked > 10, "of these the other ending is asked"
