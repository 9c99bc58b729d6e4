"""Published checkpoints: recognised by their keys, opened without unpickling, written back under their names."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cropflow.config.models.parcels import PseLtae as Settings
from cropflow.config.models.patches import ConvLstm as ConvLstmSettings
from cropflow.errors import CropflowError
from cropflow.models import load_published
from cropflow.models.batch import NO_DATE, Batch, Series, batch_of
from cropflow.models.network import Inputs
from cropflow.models.networks.conv_lstm import ConvLstm
from cropflow.models.networks.pse_ltae import PseLtae
from cropflow.models.published import conv_lstm, names, pse_ltae, saving

SMALL = Settings(
    pixel_widths=(4, 6), date_width=8, attention_width=8, heads=2, key_size=4, width=8, decoder_widths=(8,),
    norm="published",
)  # fmt: skip


def small(**changed) -> PseLtae:
    torch.manual_seed(0)
    settings = SMALL.model_copy(update=changed)
    return PseLtae(settings, Inputs({"sentinel2": 3}, 5, features=4, lags=2)).eval()


@pytest.fixture
def state() -> dict[str, Tensor]:
    """A small checkpoint under the published names."""
    return pse_ltae.save(SMALL, small().state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("holder", ["bare", "state_dict", "model_state_dict", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_found_wherever_training_programs_put_them(state, tmp_path, holder, prefix):
    named = {f"{prefix}{name}": value.contiguous() for name, value in state.items()}
    path = tmp_path / ("weights.safetensors" if holder == "safetensors" else "weights.pth.tar")
    if holder == "safetensors":
        save_file(named, path)
    else:
        torch.save(named if holder == "bare" else {"epoch": 3, holder: named, "optimizer": {"lr": 1e-3}}, path)
    network = load_published(path)
    assert not network.training
    assert same(network.state_dict(), small().state_dict())


@pytest.mark.parametrize("history", ["none", "bag"])
def test_what_is_saved_under_published_names_loads_as_the_same_network(history, tmp_path):
    network = small(history=history)
    torch.save(pse_ltae.save(network.settings, network.state_dict()), tmp_path / "weights.pth")
    again = load_published(tmp_path / "weights.pth")
    assert again.settings.history == history
    assert same(again.state_dict(), network.state_dict())


@pytest.mark.parametrize("variant", ["Mdec", "Mmixed"])
def test_a_published_checkpoint_gives_its_published_scores(shared, variant):
    network = load_published(shared / "checkpoints" / f"deep_crop_rotation_{variant}_fold1.pth.tar")
    expected = json.loads((shared / "reference" / "classes" / "A_checkpoint_forward_reference.json").read_text())
    values = torch.from_numpy(np.sin(0.37 * np.arange(3 * 36 * 10 * 64)).astype(np.float32).reshape(3, 36, 10, 64))
    features = torch.cos(0.5 * torch.arange(12.0)).view(3, 4)
    history = torch.zeros(3, 2, 21)
    history[torch.arange(3), 0, torch.tensor([0, 4, 2])] = 1
    history[:, 1, -1] = 1
    for name, missing in (("full", 0), ("pad7", 7)):
        dates = (10 * torch.arange(36, dtype=torch.int32) - 240).repeat(3, 1)
        valid = torch.ones(3, 36, 64, dtype=torch.bool)
        valid[:, 36 - missing :] = False
        dates[:, 36 - missing :] = NO_DATE
        series = Series(values * valid.unsqueeze(2), dates, valid)
        with torch.no_grad():
            scores = network(Batch({"sentinel2": series}, features=features, history=history))
        logits = torch.tensor(expected["logits"][f"{variant}/Fold_1"][name])
        torch.testing.assert_close(scores, logits, atol=1e-3, rtol=0)


@pytest.mark.parametrize("variant", ["Mdec", "Mmixed"])
def test_a_published_checkpoint_is_written_back_as_it_was(shared, variant):
    path = shared / "checkpoints" / f"deep_crop_rotation_{variant}_fold1.pth.tar"
    network = load_published(path)
    original = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    assert same(pse_ltae.save(network.settings, network.state_dict()), original)


def test_the_published_conv_lstm_gives_its_scores_and_is_written_back(shared):
    path = shared / "checkpoints" / "cropland_mapping_convlstm.pth"
    network = load_published(path)
    expected = json.loads((shared / "reference" / "classes" / "D_checkpoint_forward_reference.json").read_text())
    for dates in (3, 4):
        values = np.sin(0.37 * np.arange(2 * dates * 5 * 65 * 65)).astype(np.float32).reshape(2, dates, 5, 65, 65)
        with torch.no_grad():
            scores = network(batch_of(torch.from_numpy(values)))
        torch.testing.assert_close(scores, torch.tensor(expected[f"T{dates}_B2_logits"]), atol=1e-3, rtol=0)
    original = torch.load(path, map_location="cpu", weights_only=True)
    assert same(conv_lstm.save(ConvLstmSettings(), network.state_dict()), original)


@pytest.mark.parametrize("bands", [2, 5])
def test_the_bands_of_a_checkpoint_are_told_by_its_weights(bands):
    assert conv_lstm.bands(ConvLstm(bands, 4, hidden=(8, 6))) == bands
    assert pse_ltae.bands(PseLtae(SMALL, Inputs({"sentinel2": bands}, 5, features=4, lags=2))) == bands


def test_a_cut_checkpoint_is_one_line_of_whole_words(state, tmp_path):
    torch.save(state, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:4000])
    with pytest.raises(
        CropflowError, match=r"cut\.pth is no whole PyTorch checkpoint \(.*\)\. Download it again\."
    ) as told:
        load_published(tmp_path / "cut.pth")
    said = str(told.value).split("(")[1].split(")")[0].removesuffix(" ...")
    with pytest.raises(RuntimeError) as original:
        torch.load(tmp_path / "cut.pth", weights_only=True)
    assert str(original.value)[len(said) :][:1] in ("", " ", "\n")


def test_a_conv_lstm_with_days_is_not_the_published_one():
    with pytest.raises(CropflowError, match=r"has days: true; .* Train with days: false"):
        conv_lstm.save(ConvLstmSettings(days=True), {})


@pytest.mark.parametrize("lost", ["decoder.0.bias", "temporal_encoder.mlp.1.weight"])
def test_a_checkpoint_that_lacks_a_tensor_is_one_line(state, tmp_path, lost):
    torch.save({name: value for name, value in state.items() if name != lost}, tmp_path / "weights.pth")
    with pytest.raises(CropflowError, match=r"no whole PSE-LTAE: .*Missing key"):
        load_published(tmp_path / "weights.pth")


def test_a_checkpoint_whose_tensors_do_not_fit_is_one_line(tmp_path):
    state = conv_lstm.save(ConvLstmSettings(), ConvLstm(3, 4, hidden=(8, 8)).state_dict())
    torch.save(state | {"fc.weight": torch.ones(4, 9)}, tmp_path / "weights.pth")
    with pytest.raises(CropflowError, match=r"keys of a conv_lstm and does not fit together: .*size mismatch"):
        load_published(tmp_path / "weights.pth")


def export(monkeypatch, tmp_path: Path, settings: Settings, weights: dict[str, Tensor], sensors=1):
    layouts = [SimpleNamespace(sensor=f"sensor{number}", told=dict) for number in range(sensors)]
    told = SimpleNamespace(settings=settings, layouts=layouts, legend="cropflow", classes=(3, 5), statistics=())
    monkeypatch.setattr(saving, "read_description", lambda folder: told)
    monkeypatch.setattr(saving, "read_weights", lambda path: weights)
    return saving.save_published(tmp_path, tmp_path / "weights.pth")


def test_a_trained_model_is_exported_with_what_the_original_keeps_elsewhere(monkeypatch, tmp_path):
    network = small()
    counts = export(monkeypatch, tmp_path, SMALL, network.state_dict())
    assert counts["tensors"] == len(network.state_dict())
    assert same(load_published(tmp_path / "weights.pth").state_dict(), network.state_dict())
    assert json.loads((tmp_path / "weights.json").read_text())["classes"] == [3, 5]


def test_a_network_that_nobody_published_is_not_exported(monkeypatch, tmp_path):
    weights = small().state_dict()
    with pytest.raises(CropflowError, match="norm of the pse_ltae is 'date'; the published network has published"):
        export(monkeypatch, tmp_path, SMALL.model_copy(update={"norm": "date"}), weights)
    with pytest.raises(CropflowError, match="takes one sensor"):
        export(monkeypatch, tmp_path, SMALL, weights, sensors=2)
    assert not list(tmp_path.glob("weights*"))


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_python_objects_are_not_unpickled(state, tmp_path):
    torch.save({"state_dict": state, "args": Bomb(tmp_path / "unpickled")}, tmp_path / "weights.pth")
    with pytest.raises(CropflowError, match=r"holds Python objects.*save its state_dict anew"):
        load_published(tmp_path / "weights.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "unpickled")))
    with pytest.raises(CropflowError, match="holds Python objects"):
        load_published(tmp_path / "plain.pkl")
    assert not (tmp_path / "unpickled").exists()


def test_a_cut_or_foreign_file_is_one_line(state, tmp_path):
    torch.save(state, tmp_path / "weights.pth")
    whole = (tmp_path / "weights.pth").read_bytes()
    for name, content in (("cut.pth", whole[: len(whole) // 2]), ("empty.pth", b""), ("text.pth", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CropflowError, match=name):
            load_published(tmp_path / name)
    (tmp_path / "cut.safetensors").write_bytes(b"12345")
    with pytest.raises(CropflowError, match="no whole safetensors file"):
        load_published(tmp_path / "cut.safetensors")
    with pytest.raises(CropflowError, match="There is no checkpoint"):
        load_published(tmp_path / "absent.pth")
    with pytest.raises(CropflowError, match="is a folder"):
        load_published(tmp_path)


def test_unknown_keys_are_named_with_what_is_known(tmp_path):
    torch.save({"encoder.weight": torch.ones(2), "encoder.bias": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(CropflowError, match=r"2 tensors \(encoder\.weight, encoder\.bias\) .* pse_ltae, conv_lstm"):
        load_published(tmp_path / "weights.pth")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "weights.pth")
    with pytest.raises(CropflowError, match=r"holds epoch, lr where tensors are due"):
        load_published(tmp_path / "weights.pth")


def test_names_go_there_and_back():
    pairs = (("a.{}.lin.", "x.{}.linear."), ("a.", "y."))
    one = {"a.3.lin.weight": torch.ones(1), "a.bias": torch.zeros(1), "other": torch.ones(1)}
    there = names.renamed(one, pairs)
    assert set(there) == {"x.3.linear.weight", "y.bias", "other"}
    assert same(names.renamed(there, names.swapped(pairs)), one)
