"""Runs and their results: the run directory, typed results, and the one reader and writer of both.

    run             Run, an opened run: settings, model, results
    results         results of train, control, surprise and view; *_result: those of the verb of that name
    summary         summary.json, and files with one result: read, checked, written
    version1        results of version 0.1, converted to those of this version
    run_directory   the files of a run, its lock, its log
    trackers        TensorBoard, Trackio, Weights & Biases
    process_info    command, versions, machine
    zoo/            runs that come with the package

Other rooms import from here.
"""

from worldmodel.runs.cells import CellKey, CellStore, cell_key
from worldmodel.runs.choice_result import ChoiceResult, ShortTraining
from worldmodel.runs.demo_result import DemoResult
from worldmodel.runs.doubt_result import DoubtResult
from worldmodel.runs.identify_result import (
    CombinationEstimate,
    ConstantEstimate,
    FitQuality,
    HeldOutCheck,
    IdentifyResult,
    NextExcitation,
    NuisanceEstimate,
    RecordingUsed,
)
from worldmodel.runs.imagine_result import Disagreement, ImagineResult, StateErrors, StatePath
from worldmodel.runs.probe_result import (
    ContextCorrelations,
    ContextErrors,
    PositionErrors,
    ProbedVariable,
    ProbeResult,
    SequentialCount,
    ShiftedReading,
    WindowLengths,
)
from worldmodel.runs.process_info import Hardware, command_line, peak_memory_mb, this_machine, versions
from worldmodel.runs.results import (
    ChangeResult,
    ControllerName,
    ControllerResult,
    ControlResult,
    DataUsed,
    EventResult,
    ModelSize,
    PredictionErrors,
    Regret,
    Returns,
    Success,
    SurpriseResult,
    TaskProtocol,
    TrainResult,
    ViewResult,
)
from worldmodel.runs.robust_result import CLEAN, LookResult, RobustResult, SuiteSetting
from worldmodel.runs.run import Run, find_runs
from worldmodel.runs.run_directory import LogLine, MetricsLog, RunDirectory, scratch_run
from worldmodel.runs.stage_results import (
    DecodingResult,
    PictureQuality,
    RewardResult,
    RobustEncoderResult,
    StepsOff,
    TrainingRound,
)
from worldmodel.runs.summary import Record, Summary, check_out, read_record, read_summary, write_record
from worldmodel.runs.trackers import Tracker, check_tracker, open_tracker, show_media, track_result

__all__ = [
    "CLEAN",
    "CellKey",
    "CellStore",
    "ChangeResult",
    "ChoiceResult",
    "CombinationEstimate",
    "ConstantEstimate",
    "ContextCorrelations",
    "ContextErrors",
    "ControlResult",
    "ControllerName",
    "ControllerResult",
    "DataUsed",
    "DecodingResult",
    "DemoResult",
    "Disagreement",
    "DoubtResult",
    "EventResult",
    "FitQuality",
    "Hardware",
    "HeldOutCheck",
    "IdentifyResult",
    "ImagineResult",
    "LogLine",
    "LookResult",
    "MetricsLog",
    "ModelSize",
    "NextExcitation",
    "NuisanceEstimate",
    "PictureQuality",
    "PositionErrors",
    "PredictionErrors",
    "ProbeResult",
    "ProbedVariable",
    "Record",
    "RecordingUsed",
    "Regret",
    "Returns",
    "RewardResult",
    "RobustEncoderResult",
    "RobustResult",
    "Run",
    "RunDirectory",
    "SequentialCount",
    "ShiftedReading",
    "ShortTraining",
    "StateErrors",
    "StatePath",
    "StepsOff",
    "Success",
    "SuiteSetting",
    "Summary",
    "SurpriseResult",
    "TaskProtocol",
    "Tracker",
    "TrainResult",
    "TrainingRound",
    "ViewResult",
    "WindowLengths",
    "cell_key",
    "check_out",
    "check_tracker",
    "command_line",
    "find_runs",
    "open_tracker",
    "peak_memory_mb",
    "read_record",
    "read_summary",
    "scratch_run",
    "show_media",
    "this_machine",
    "track_result",
    "versions",
    "write_record",
]
