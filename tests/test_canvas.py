"""Canvases: every kind of picture gives one, every broken one an error that names it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixprompt.canvas import ASPECTS, Canvas, decode, from_array, to_rgb
from pixprompt.core import ConfigError, ImageError, PromptError, RangeError, ShapeError

from .images import ORIENTATIONS, bomb, jpeg, picture, save_turned, write_broken, write_readable


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def distance(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(pixels(first) - pixels(second)).mean())


# Decoding ------------------------------------------------------------------------------------------------------------


def test_every_readable_file_becomes_upright_rgb_and_a_canvas(tmp_path: Path) -> None:
    for path in write_readable(tmp_path):
        for aspect in ASPECTS:
            canvas = Canvas((32, 24), aspect=aspect).make(decode(path))
            assert (canvas.shape, canvas.dtype) == ((32, 24, 3), np.uint8), path.name


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("cmyk.jpg", 12),
        ("grey16.png", 0),
        ("palette.png", 60),
        ("animated.gif", 60),
        ("turned.jpg", 8),
        ("photo.webp", 8),
        ("scan.tif", 0),
        ("plain.bmp", 0),
    ],
)
def test_odd_files_show_the_same_picture(tmp_path: Path, name: str, close: float) -> None:
    write_readable(tmp_path)
    truth = picture().convert("L").convert("RGB") if "grey" in name else picture()
    read = decode(tmp_path / name)
    assert read.size == truth.size
    assert distance(read, truth) <= close
    # Negative control: an inverted or turned picture is far off.
    assert distance(read, truth.transpose(Image.Transpose.ROTATE_180)) > close + 10


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (pixels(decode(tmp_path / "a.gif")) == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    image.putpixel((1, 2), (0, 0, 0, 0))
    image.putpixel((3, 3), (0, 0, 0, 51))
    converted = pixels(to_rgb(image.convert(mode)))
    assert (converted[0, 0] == 0).all()
    assert (converted[2, 1] == 255).all()
    assert (converted[3, 3] == 204).all()


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "p.png", transparency=0)
    pixels_read = pixels(decode(tmp_path / "p.png"))
    assert pixels_read[0, 0].tolist() == [255, 255, 255]
    assert pixels_read[1, 1].tolist() == [200, 10, 10]


def test_16_bit_grey_is_scaled_with_rounding(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "g.png")
    expected = np.floor(values / 65535 * 255 + 0.5).astype(int)
    assert pixels(decode(tmp_path / "g.png"))[..., 0].tolist() == expected.tolist()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_exif_orientation_gives_the_upright_canvas(tmp_path: Path, orientation: int, aspect: str) -> None:
    upright, path, canvas = picture(), tmp_path / "turned.png", Canvas((24, 32), aspect=aspect)
    save_turned(upright, orientation, path)
    assert np.array_equal(canvas.make(decode(path)), canvas.make(upright))
    if orientation > 1:  # negative control: the file does lie on its side
        with Image.open(path) as stored:
            assert not np.array_equal(canvas.make(stored.convert("RGB")), canvas.make(upright))


def test_a_turned_jpeg_is_turned_back(tmp_path: Path) -> None:
    for orientation in ORIENTATIONS:
        save_turned(picture(64, 32), orientation, tmp_path / "t.jpg")
        assert distance(decode(tmp_path / "t.jpg"), picture(64, 32)) < 8


def test_bytes_and_path_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(picture()))
    assert np.array_equal(pixels(decode(path)), pixels(decode(path.read_bytes())))
    assert np.array_equal(pixels(decode(path)), pixels(decode(str(path))))


@pytest.mark.parametrize("name", ["truncated.jpg", "text.png", "empty.jpg", "bomb.png", "missing.png", "."])
def test_what_cannot_be_read_is_named_with_a_reason(tmp_path: Path, name: str) -> None:
    write_broken(tmp_path)
    with pytest.raises(ImageError) as error:
        decode(tmp_path / name)
    reason = str(error.value).removeprefix(f"{tmp_path / name}: ")
    assert reason != str(error.value)
    words = {"bomb.png": "too large", "missing.png": "No such file", ".": "directory", "truncated.jpg": "truncated"}
    assert words.get(name, "not a readable image") in reason
    assert "0x" not in reason


def test_bytes_that_are_no_image_do_not_show_an_object_in_the_message() -> None:
    with pytest.raises(ImageError, match=r"^image: not a readable image \(of no known format\)\.$"):
        decode(b"nothing")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_of_a_bomb_is_on_the_declared_size() -> None:
    with pytest.raises(ImageError, match="too large"):
        decode(bomb(200_000, 1000))
    with pytest.raises(ImageError, match="not a readable image"):  # large, allowed, and cut short
        decode(bomb(100_000, 1000))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_never_raise_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reasons = set()
    for path in write_readable(tmp_path):
        whole = path.read_bytes()
        for _ in range(12):
            damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            for position in rng.integers(0, len(damaged), 6):
                damaged[position] = rng.integers(0, 256)
            try:
                assert decode(bytes(damaged)).mode == "RGB"
            except ImageError as error:
                reasons.add(str(error)[:7])
    assert reasons == {"image: "}


def test_floating_point_images_are_refused() -> None:
    with pytest.raises(ImageError, match="no known range"):
        to_rgb(Image.new("F", (2, 2)))


def test_from_array_takes_grey_rgb_and_rgba() -> None:
    assert pixels(from_array(np.full((2, 3), 7, np.uint8))).tolist() == [[[7] * 3] * 3] * 2
    assert pixels(from_array(np.full((2, 3, 3), 7, np.uint8))).tolist() == [[[7] * 3] * 3] * 2
    assert pixels(from_array(np.zeros((2, 3, 4), np.uint8))).tolist() == [[[255] * 3] * 3] * 2


def test_from_array_refuses_other_types_and_shapes() -> None:
    with pytest.raises(RangeError, match="float64"):
        from_array(np.zeros((2, 2, 3)))
    for shape in ((2,), (2, 2, 2), (1, 2, 2, 3), (0, 2, 3)):
        with pytest.raises(ShapeError):
            from_array(np.zeros(shape, np.uint8))


# Canvases ------------------------------------------------------------------------------------------------------------


def test_an_image_of_the_canvas_size_is_untouched() -> None:
    image = picture(32, 24)
    for aspect in ASPECTS:
        assert np.array_equal(Canvas((24, 32), aspect=aspect).make(image), np.asarray(image))


def test_shrink_leaves_the_frame_free() -> None:
    image = picture(40, 40)
    canvas = Canvas((32, 32), fit="shrink", frame=5, fill=(9, 8, 7)).make(image)
    inside = np.zeros((32, 32), bool)
    inside[5:-5, 5:-5] = True
    assert (canvas[~inside] == (9, 8, 7)).all()
    assert np.array_equal(canvas[5:-5, 5:-5], Canvas((22, 22)).make(image))


def test_letterbox_keeps_all_and_fills_the_rest() -> None:
    canvas = Canvas((30, 30), aspect="letterbox", fill=(1, 2, 3)).make(Image.new("RGB", (60, 20), "white"))
    assert (canvas[10:20] == 255).all()
    assert (canvas[:10] == (1, 2, 3)).all()
    assert (canvas[20:] == (1, 2, 3)).all()


def test_crop_keeps_the_centre_and_squash_keeps_all() -> None:
    halves = np.zeros((10, 40, 3), np.uint8)
    halves[:, :10] = 255
    image = Image.fromarray(halves)
    assert Canvas((10, 10), resample="nearest").make(image).max() == 0
    assert (Canvas((10, 12), resample="nearest", aspect="squash").make(image)[:, :3] == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (3000, 40), (223, 224), (500, 333), (333, 500)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.875])
def test_crop_equals_resize_and_centre_crop_of_torchvision(size: tuple[int, int], crop_pct: float) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    image = picture(*size)
    prompted = Canvas((224, 224), crop_pct=crop_pct).make(image)
    assert prompted.shape == (224, 224, 3)
    if max(size) / min(size) > 16:  # there the canvas is cut first, on purpose
        return
    resize = transforms.Resize(int(224 / crop_pct), interpolation=transforms.InterpolationMode.BICUBIC)
    assert np.array_equal(prompted, np.asarray(transforms.CenterCrop(224)(resize(image))))


def test_a_real_photo_gives_the_canvas_of_torchvision(assets: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    photos = sorted((assets / "data/flowers5/test").rglob("*.*"))[:3]
    assert len(photos) == 3
    for photo in photos:
        with Image.open(photo) as opened:
            reference = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(opened.convert("RGB"))
        prompted = Canvas((224, 224), resample="bilinear", crop_pct=0.875).make(decode(photo))
        assert np.array_equal(prompted, np.asarray(reference))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fit": "shrnk"}, "Did you mean 'shrink'"),
        ({"resample": "cubic"}, "unknown resize filter"),
        ({"aspect": "wide"}, "unknown aspect"),
        ({"size": (0, 4)}, "at least 1x1"),
        ({"crop_pct": 0.0}, "crop_pct"),
        ({"crop_pct": float("nan")}, "crop_pct"),
        ({"frame": 3}, "does not go with a frame"),
        ({"fit": "shrink"}, "does not go with a frame"),
        ({"fit": "shrink", "frame": 16}, "leaves no inside .* the largest is 15"),
        ({"fill": (256, 0, 0)}, "0..255 each"),
        ({"fit": "shrink", "frame": -4}, "leaves no inside .* the largest is 15"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Canvas(**{"size": (32, 32), **options})  # type: ignore[arg-type]


def test_the_largest_frame_leaves_a_pixel() -> None:
    assert Canvas((32, 32), fit="shrink", frame=15).make(picture()).shape == (32, 32, 3)


def test_json_round_trip() -> None:
    canvas = Canvas((32, 24), "shrink", 3, "lanczos", 0.9, "letterbox", (1, 2, 3))
    values = canvas.to_json()
    assert (values["filter"], values["orientation"]) == ("lanczos", "exif")
    assert Canvas.from_json({**values, "size": [32, 24], "fill": [1, 2, 3]}) == canvas


@pytest.mark.parametrize(
    "change",
    [
        {"orientation": "none"},
        {"new": 1},
        {"filter": "sinc"},
        {"size": 3},
        {"size": None},
        {"size": [32, "a"]},
        {"size": [32.0, 32.0]},
        {"size": [32, 32, 3]},
        {"frame": "3"},
        {"fill": [1, 2]},
    ],
)
def test_json_that_describes_no_canvas_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PromptError):
        Canvas.from_json({**Canvas((32, 32)).to_json(), **change})


@pytest.mark.parametrize("missing", ["size", "filter", "orientation"])
def test_json_with_a_missing_field_is_refused(missing: str) -> None:
    values = Canvas((32, 32)).to_json()
    del values[missing]
    with pytest.raises(PromptError, match=missing):
        Canvas.from_json(values)


def test_struct_is_the_only_way_to_lie_about_size() -> None:
    assert struct.unpack(">II", bomb()[16:24]) == (60_000, 60_000)
    assert len(bomb()) < 200
