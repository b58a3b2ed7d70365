"""`worldmodel compare`: methods side by side on one world, and the article's claims about them.

candidates         who is compared, and what each is tuned over
scale              how much of everything
laboratory         one world: trains and measures an encoder for each cell, keeps what is finished
encoder_cells      what a cell is
recovery           what is read from its latents
shifts             test sets out of the training distribution
measurements       the rows of the table, through memory and planning_success
constant_reading   physical constants from contexts on a method's latents
claims             what the rows say about the article's claims
light_study        the study of the lit ball
running            `compare`
study_figures      its figures
compare_result     what is found
"""

from worldmodel.comparing.compare_result import (
    BallReading,
    CompareResult,
    ConstantsRead,
    Grade,
    LitBallResult,
    Measured,
    MethodRow,
    PairCondition,
    Verdict,
)
from worldmodel.comparing.running import compare, study_folder

__all__ = [
    "BallReading",
    "CompareResult",
    "ConstantsRead",
    "Grade",
    "LitBallResult",
    "Measured",
    "MethodRow",
    "PairCondition",
    "Verdict",
    "compare",
    "study_folder",
]
