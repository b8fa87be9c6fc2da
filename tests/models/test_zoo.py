"""The models of the zoo, and published weights for them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas.core.errors import BadInput
from nas.core.registry import BUILT_IN, create
from nas.models.cifar_resnet import resnet20
from nas.models.weights import load_weights
from nas.tasks.images import IMAGENET_DEVIATION, IMAGENET_MEAN, _cifar

CHECKPOINTS = {
    "resnet20": ("resnet20-12fca82f.th", 915),
    "resnet32": ("resnet32-d509ac18.th", 928),
    "resnet44": ("resnet44-014dd654.th", 933),
    "resnet56": ("resnet56-4bfd9763.th", 926),
}
PARAMETERS = {"resnet20": 269_722, "resnet56": 853_018, "resnet18": 11_173_962, "vgg11": 9_231_114}


@pytest.mark.parametrize(
    "name",
    [n if n == "resnet20" else pytest.param(n, marks=pytest.mark.slow) for n in CHECKPOINTS],
)
def test_a_public_checkpoint_has_its_published_accuracy(name: str, data_folder: Path) -> None:
    file, expected = CHECKPOINTS[name]
    model = create("models", name)
    load_weights(model, data_folder / "weights" / file)
    with np.load(data_folder / "vision" / "cifar10_test1k.npz") as stored:
        pixels, labels = _cifar(dict(stored)), torch.tensor(stored["labels"]).long().flatten()
    images = (torch.tensor(pixels) - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_DEVIATION)
    with torch.inference_mode():
        answers = model.eval()(images.permute(0, 3, 1, 2))
    assert int((answers.argmax(1) == labels).sum()) == expected


OF_SEQUENCES = ("lstm-classifier", "gru-classifier", "llama8")


@pytest.mark.parametrize("name", [n for n in BUILT_IN["models"] if n not in OF_SEQUENCES])
def test_a_model_answers_every_image_with_one_logit_per_class(name: str) -> None:
    with torch.device("meta"):
        model = create("models", name, {"classes": 7})
        assert model(torch.empty(2, 3, 32, 32)).shape == (2, 7)
        if name in PARAMETERS:
            model = create("models", name)
            assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["lstm-classifier", "gru-classifier"])
def test_padding_does_not_change_the_answer_to_a_sequence(name: str) -> None:
    torch.manual_seed(0)
    model = create("models", name, {"channels": 3, "hidden": 5})
    x = torch.randn(2, 6, 3)
    padded = torch.cat([x, torch.ones(2, 4, 3)], dim=1)
    torch.testing.assert_close(model(padded, torch.tensor([6, 6])), model(x))


def test_weights_from_data_parallel_fit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher, student = resnet20(), resnet20()
    torch.save({"state_dict": nn.DataParallel(teacher).state_dict()}, tmp_path / "w.th")
    load_weights(student, tmp_path / "w.th")
    assert torch.equal(student.linear.weight, teacher.linear.weight)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save_file(resnet20(classes=3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(BadInput, match=r'"linear.weight" is 3×64, but the model needs 10×64'):
        load_weights(resnet20(), tmp_path / "w.safetensors")
    save_file({"conv1.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "less.safetensors")
    with pytest.raises(BadInput, match=r'less.safetensors lacks "bn1.weight" 16:'):
        load_weights(resnet20(), tmp_path / "less.safetensors")


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    torch.save(resnet20(), tmp_path / "whole.pt")
    for name in ("text.pt", "whole.pt", "none.pt"):
        with pytest.raises(BadInput, match=name):
            load_weights(resnet20(), tmp_path / name)
