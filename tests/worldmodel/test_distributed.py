"""Several processes compute what one computes: losses, gradients, statistics, checkpoints."""

import shutil
from pathlib import Path

import parallel_fakes as fakes
import pytest
import torch
from torch import Tensor

from worldmodel.distributed import Processes, in_parallel
from worldmodel.errors import UserError
from worldmodel.settings import TrainConfig

ALONE = Processes(fakes.CPU)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    fakes.write_data(folder)
    return folder


def assert_equal_gradients(method: str, one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Largest difference over the largest entry, tensor by tensor, under 1e-5.

    A bias before BatchNorm, or one that only shifts latents whose place does not matter, has the gradient zero: what is
    computed for it is rounding, and measured against the rest.
    """
    assert one.keys() == other.keys()
    largest = max(float(value.abs().max()) for value in one.values())
    for name, value in one.items():
        scale = max(float(value.abs().max()), 1e-2 * largest)
        assert float((value - other[name]).abs().max()) < 1e-5 * scale, (method, name)


@pytest.mark.parametrize(("num", "strategy"), [(2, "ddp"), (4, "ddp"), (2, "fsdp")])
def test_gradients_of_several_processes_are_those_of_one(tmp_path: Path, data: Path, num: int, strategy: str):
    together = fakes.in_processes(num, strategy, fakes.every_gradient, tmp_path, data)
    alone = fakes.every_gradient(ALONE, data)
    assert alone.keys() == together.keys()
    for name, gradients in alone.items():
        assert_equal_gradients(name, gradients, together[name])


def test_a_parallel_run_cut_off_resumes_to_the_bit_and_in_one_process_too(tmp_path: Path, data: Path):
    whole = fakes.in_processes(2, "fsdp", fakes.train, tmp_path, data, tmp_path / "whole")
    assert fakes.in_processes(2, "fsdp", fakes.train, tmp_path, data, tmp_path / "cut", 2) == {}
    shutil.copytree(tmp_path / "cut", tmp_path / "alone")
    resumed = fakes.in_processes(2, "fsdp", fakes.train, tmp_path, data, tmp_path / "cut")
    alone = fakes.train(ALONE, data, tmp_path / "alone")
    assert whole.keys() == resumed.keys() == alone.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
        if name.endswith("weight"):  # the sign of a zero gradient, which Adam follows in a bias, is rounding
            torch.testing.assert_close(alone[name], value, atol=1e-3, rtol=1e-3)


def test_alone_nothing_is_shared():
    x = torch.randn(5, 3)
    assert torch.equal(in_parallel(lambda part: 2 * part, x), 2 * x)
    assert ALONE.is_first and ALONE.agree(3) == 3


@pytest.mark.parametrize("wrong", [{"devices": 0}, {"nodes": 0}, {"strategy": "magic"}])
def test_wrong_settings(wrong: dict[str, object]):
    with pytest.raises(UserError, match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]


def test_the_result_does_not_depend_on_the_processes_so_neither_does_the_fingerprint():
    assert TrainConfig(devices=2, nodes=3, strategy="fsdp").fingerprint() == TrainConfig().fingerprint()
