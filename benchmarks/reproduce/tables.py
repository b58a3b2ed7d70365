"""Every table by name."""

from benchmarks.reproduce import (
    circles,
    excitation,
    generalised_normal,
    lambda_rho,
    misspecified,
    mixings,
    reacher_ou,
    reacher_trajectories,
    scaling,
    straight_line,
    time_to_r2,
)
from benchmarks.reproduce.definitions import Table

_MODULES = (
    mixings,
    scaling,
    generalised_normal,
    lambda_rho,
    reacher_ou,
    reacher_trajectories,
    straight_line,
    time_to_r2,
    excitation,
    misspecified,
    circles,
)
TABLES: dict[str, Table] = {module.TABLE.name: module.TABLE for module in _MODULES}
