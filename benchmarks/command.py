"""How a benchmark reads its options: `key=value` arguments onto a typed configuration."""

import sys
from collections.abc import Callable
from typing import TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from worldmodel.system.errors import UserError

ConfigT = TypeVar("ConfigT")


def run(schema: type[ConfigT], work: Callable[[ConfigT], str]) -> int:
    """Parse the command line into `schema`, call `work` and print what it returns; 1 on an error of the user's."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{schema.__doc__}\n\n{OmegaConf.to_yaml(OmegaConf.structured(schema))}")
        return 0
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.from_cli(sys.argv[1:]))
        settings = OmegaConf.to_object(merged)
        assert isinstance(settings, schema)
        print(work(settings))
    except OmegaConfBaseException as error:
        print(f"error: {str(error).splitlines()[0]}; --help lists the options", file=sys.stderr)
        return 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
