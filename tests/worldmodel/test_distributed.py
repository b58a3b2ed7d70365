"""Several processes compute what one computes: losses, gradients, statistics, checkpoints."""

import shutil
from pathlib import Path

import parallel_fakes as fakes
import pytest
import torch

from benchmarks.exactness import CPU, gradient_differences, in_processes
from worldmodel.settings import METHODS, PredictorOptim, TrainConfig
from worldmodel.system.distributed import Processes, in_parallel, places
from worldmodel.system.errors import UserError

ALONE = Processes(CPU)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    fakes.write_data(folder)
    return folder


@pytest.mark.parametrize(("num", "strategy"), [(4, "ddp"), (2, "fsdp")])
def test_gradients_of_several_processes_are_those_of_one(data: Path, num: int, strategy: str):
    differences = gradient_differences(data, num, strategy)
    assert {*METHODS, "predictor", "context lejepa"} <= differences.keys()
    assert max(differences.values()) < 1e-5, differences


def test_a_parallel_run_cut_off_resumes_to_the_bit_and_in_one_process_too(tmp_path: Path, data: Path):
    whole = in_processes(2, "fsdp", fakes.train, data, tmp_path / "whole")
    assert in_processes(2, "fsdp", fakes.train, data, tmp_path / "cut", 2) == {}
    shutil.copytree(tmp_path / "cut", tmp_path / "alone")
    resumed = in_processes(2, "fsdp", fakes.train, data, tmp_path / "cut")
    alone = fakes.train(ALONE, data, tmp_path / "alone")
    assert whole.keys() == resumed.keys() == alone.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
        if name.endswith("weight"):  # the sign of a zero gradient, which Adam follows in a bias, is rounding
            torch.testing.assert_close(alone[name], value, atol=1e-3, rtol=1e-3)


def test_alone_nothing_is_shared():
    x = torch.randn(5, 3)
    assert torch.equal(in_parallel(torch.nn.Identity(), lambda part: 2 * part, x), 2 * x)
    assert ALONE.is_first and ALONE.agree([3, 0]) == [3, 0]


SHARDED_MUON = {"strategy": "fsdp", "predictor_training": PredictorOptim(optimizer="muon")}


@pytest.mark.parametrize("wrong", [{"devices": 0}, {"strategy": "magic"}, SHARDED_MUON])
def test_wrong_settings(wrong: dict[str, object]):
    with pytest.raises(UserError, match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("devices", "environ", "found"),
    [
        (1, {}, (1, 1)),
        (8, {}, (8, 1)),
        (1, {"TORCHELASTIC_RUN_ID": "a", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "12"}, (4, 3)),
        (8, {"SLURM_STEP_NUM_NODES": "4", "SLURM_STEP_NUM_TASKS": "32"}, (8, 4)),
        (1, {"SLURM_STEP_NUM_NODES": "4", "SLURM_STEP_NUM_TASKS": "4"}, (1, 4)),
        (1, {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "8"}, (1, 1)),  # a shell in an allocation of tasks
    ],
)
def test_torchrun_and_srun_say_how_many_machines_there_are(devices: int, environ: dict[str, str], found: tuple):
    assert places(devices, environ) == found


def test_weights_do_not_depend_on_the_processes_so_neither_do_the_settings_of_a_stage():
    assert TrainConfig(devices=2, strategy="fsdp").stage_settings() == TrainConfig().stage_settings()
