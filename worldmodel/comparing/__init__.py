"""`worldmodel compare`: methods side by side on one world, and the article's claims about them.

candidates        who is compared, and what each is tuned over
scale             how much of everything
laboratory        one world: trains and measures an encoder for each cell, keeps what is finished
cells, recovery   what a cell is, what is read from its latents
shifts            test sets out of the training distribution
measurements      the rows of the table, through memory and planning_success
claims            what the rows say about the article's claims
light_study       the study of the lit ball
study             `compare`
result            what is found
"""

from worldmodel.comparing.result import (
    BallReading,
    CompareResult,
    Grade,
    LitBallResult,
    Measured,
    MethodRow,
    PairCondition,
    Verdict,
)
from worldmodel.comparing.study import compare, study_folder

__all__ = [
    "BallReading",
    "CompareResult",
    "Grade",
    "LitBallResult",
    "Measured",
    "MethodRow",
    "PairCondition",
    "Verdict",
    "compare",
    "study_folder",
]
