"""`worldmodel compare`: methods side by side on one world, and the article's claims about them.

candidates         the methods that are compared, and the settings each is tuned over
scale              sizes of networks, trainings and evaluations
laboratory         one world: trains and measures an encoder for each cell, keeps finished cells
encoder_cells      a cell (one training of an encoder) and the figures kept of it
recovery           measures of an encoder's latents
shifts             test sets out of the training distribution
measurements       the rows of the table, through memory and planning_success
constant_reading   physical constants from contexts on a method's latents
claims             the article's claims, judged by the rows
light_study        the study of the lit ball
running            `compare`
study_figures      its figures
compare_result     its typed results
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
