import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from humanmade.images.decode import BrokenPictureError, decode
from tests.conftest import scene
from tests.images.zoo import empty_png, encoded, swapped_profile

PICTURE = scene(1, (40, 60))


def close(a: np.ndarray, b: np.ndarray, within: float = 6.0) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(float) - b).mean()) < within


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {"quality": 95}), ("JPEG", {"quality": 95, "progressive": True}),
     ("WEBP", {"lossless": True}), ("TIFF", {}), ("BMP", {})],
)  # fmt: skip
def test_ordinary_files(kind: str, options: dict[str, object]):
    assert close(decode(encoded(PICTURE, kind, **options)), PICTURE)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LA", "PNG")],
)
def test_other_colour_models(mode: str, kind: str):
    image = Image.fromarray(PICTURE).convert(mode)
    assert close(decode(encoded(image, kind)), np.asarray(image.convert("RGB")), 12)


def test_palette_and_gif_take_the_first_frame():
    first, second = Image.fromarray(PICTURE).quantize(64), Image.new("P", (60, 40))
    data = encoded(first, "GIF", save_all=True, append_images=[second])
    assert close(decode(data), np.asarray(first.convert("RGB")))


def test_transparency_is_shown_on_white():
    layered = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    layered[:20, :, 3] = 255
    shown = decode(encoded(layered, "PNG"))
    assert close(shown[:20], PICTURE[:20]) and (shown[20:] == 255).all()


def test_sixteen_bit_grey_keeps_its_range():
    deep = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    shown = decode(encoded(deep, "PNG"))
    assert shown.min() == 0 and shown.max() == 255 and abs(shown.mean() - 127.5) < 1


def test_floating_point_tiff():
    values = np.linspace(-1, 1, 40 * 60).reshape(40, 60).astype(np.float32)
    shown = decode(encoded(values, "TIFF"))
    assert shown.min() == 0 and shown.max() == 255


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(PICTURE, "JPEG", exif=exif.tobytes(), quality=95)
    assert close(decode(data), np.rot90(PICTURE, -1), 8)


def test_a_profile_that_cannot_be_used_leaves_the_pixels():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    swapped = encoded(PICTURE, "PNG", icc_profile=profile.tobytes())
    assert close(decode(swapped), PICTURE), "a profile of another colour model leaves the pixels alone"
    assert close(decode(encoded(PICTURE, "PNG", icc_profile=b"nonsense")), PICTURE)


def test_colours_of_a_profile_are_brought_to_srgb():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert swapped_profile() != srgb
    plain, exchanged = (decode(encoded(PICTURE, "PNG", icc_profile=p)) for p in (srgb, swapped_profile()))
    assert (plain == PICTURE).all() and close(exchanged, PICTURE[..., [1, 0, 2]])


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\xff\xd8\xff\xe0", empty_png(40_000, 40_000), empty_png(12_000, 10_000),
     encoded(PICTURE, "PNG")[:200],
     b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"],
    ids=["empty", "text", "stub", "bomb", "large", "cut-png", "eps"],
)  # fmt: skip
def test_what_is_no_picture_is_broken(data: bytes):
    with pytest.raises(BrokenPictureError) as error:
        decode(data)
    assert str(error.value)


def test_random_damage_never_escapes_as_another_error():
    rng, decoded, broken = np.random.default_rng(0), 0, 0
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF"):
        data = encoded(PICTURE, kind)
        for _ in range(60):
            damaged = bytearray(data[: rng.integers(1, 2 * len(data))])
            for place in rng.integers(0, len(damaged), 4):
                damaged[place] = rng.integers(256)
            try:
                assert decode(bytes(damaged)).shape[2] == 3
                decoded += 1
            except BrokenPictureError:
                broken += 1
    assert decoded > 10 and broken > 100, "both ends are reached"


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2, "progressive": True}])
def test_a_trusted_jpeg_has_the_same_pixels(
    mode: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    read: list[int] = []
    imdecode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, how: (read.append(len(data)), imdecode(data, how))[1])
    data = encoded(Image.fromarray(scene(3, (33, 57))).convert(mode), "JPEG", quality=80, **options)
    turned = Image.Exif()
    turned[0x0112] = 6
    turned_data = encoded(PICTURE, "JPEG", exif=turned.tobytes())
    by_xmp = encoded(PICTURE, "JPEG", xmp=b'<x tiff:Orientation="6"/>')
    for whole in (data, data[:-2], turned_data, by_xmp):
        shown = decode(whole, trusted=True)
        assert (shown == decode(whole)).all() and shown.flags.writeable
    assert read == ([] if mode == "CMYK" else [len(data)]), "OpenCV reads plain and whole ones"
