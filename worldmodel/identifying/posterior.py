"""Estimates and intervals in the units of the world, from the best parameters and their covariance."""

import numpy as np

from worldmodel.designing.information import readable_combinations
from worldmodel.envs.factors import Factor
from worldmodel.identifying.explained import Explained
from worldmodel.measures.statistics import Z_95
from worldmodel.runs import CombinationEstimate, ConstantEstimate, NuisanceEstimate
from worldmodel.runs.identify_result import Known
from worldmodel.runs.results import Interval

_WELL, _NOT = 0.2, 0.5
"""Posterior variances, the prior's being 1, up to which a constant is known well, and from which it is not known."""


def constants_found(explained: Explained, trusted: bool) -> list[ConstantEstimate]:
    """Every constant that was sought; without intervals where the fit is not to be trusted."""
    factors, deviations = explained.simulator.world.factors, explained.deviations
    found = []
    for place, name, number in explained.sought():
        factor, deviation = factors[name], float(deviations[place])
        t = float(explained.coordinates(number or 0)[explained.simulator.constants.index(name)])
        true = explained.recordings[number or 0].factors
        learned, learned_interval = _learned(explained, name, number)
        found.append(
            ConstantEstimate(
                name=name,
                recording=None if number is None else explained.tracks[number].name,
                unit=factor.unit,
                value=factor.value(t),
                interval=_between(factor, t, deviation) if trusted else None,
                prior_interval=_between(factor, 0.0, 1.0),
                nominal=factor.nominal,
                known=_known(deviation),
                learned=learned,
                learned_interval=learned_interval,
                true=None if true is None else true.get(name),
            )
        )
    return found


def _learned(explained: Explained, name: str, number: int | None) -> tuple[float | None, Interval | None]:
    """The value read from the learned context, and its interval."""
    read, reader = explained.learned[number or 0], explained.calibration.context_reader
    if read is None or reader is None or (number is None and len(explained.tracks) > 1):
        return None, None
    factor, index = explained.simulator.world.factors[name], explained.simulator.constants.index(name)
    t, width = float(read[index]), float(reader.width[index])
    return factor.value(t), (factor.value(t - width), factor.value(t + width))


def _between(factor: Factor, t: float, deviation: float) -> tuple[float, float]:
    return factor.value(t - Z_95 * deviation), factor.value(t + Z_95 * deviation)


def _known(deviation: float) -> Known:
    return "well" if deviation**2 <= _WELL else "not" if deviation**2 >= _NOT else "in part"


def correlations(explained: Explained) -> list[list[float]]:
    """Correlations of the errors of all constants that were sought, in their order."""
    places = [place for place, _, _ in explained.sought()]
    covariance = explained.solution.covariance[np.ix_(places, places)]
    deviation = np.sqrt(np.diag(covariance))
    return (covariance / np.outer(deviation, deviation)).round(4).tolist()


def combinations(explained: Explained, trusted: bool) -> list[CombinationEstimate]:
    """Products of powers of constants that the recordings determine, where they do not determine each constant well."""
    deviations = explained.deviations[explained.place(0)]
    factors = [explained.simulator.world.factors[name] for name in explained.simulator.constants]
    logs = [index for index, factor in enumerate(factors) if factor.transform == "log"]
    if (deviations**2 <= _WELL).all() or len(logs) < 2:
        return []
    scales = np.array([factors[index].prior_scale for index in logs])
    covariance = explained.widened()[0][np.ix_(logs, logs)]
    values = np.array([factors[index].value(explained.coordinates(0)[index]) for index in logs])
    names, found = [factors[index].name for index in logs], []
    for item in readable_combinations(covariance, names, scales):
        if len(item.exponents) > 1:
            form = np.array([item.exponents.get(name, 0.0) for name in names])
            value = float(np.exp(form @ np.log(values)))
            reach = float(np.exp(Z_95 * np.sqrt((scales * form) @ covariance @ (scales * form))))
            interval = (value / reach, value * reach) if trusted else None
            found.append(CombinationEstimate(item.text, value, interval))
    return found


def nuisances_found(explained: Explained, trusted: bool) -> list[NuisanceEstimate]:
    """The fitted nuisances of every recording."""
    num, found = len(explained.simulator.constants), []
    for track, place in zip(explained.tracks, explained.layout.places, strict=True):
        for parameter, (name, (unit, size)) in zip(place[num:], track.nuisances.units.items(), strict=False):
            value, reach = size * explained.solution.x[parameter], Z_95 * size * explained.deviations[parameter]
            interval = (float(value - reach), float(value + reach)) if trusted else None
            found.append(NuisanceEstimate(name, track.name, unit, float(value), interval))
    return found
