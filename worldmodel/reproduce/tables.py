"""Every table by name."""

from worldmodel.reproduce import generalised_normal, lambda_rho, mixings, reacher_ou, scaling
from worldmodel.reproduce.core import Table

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE for module in (mixings, scaling, generalised_normal, lambda_rho, reacher_ou)
}
