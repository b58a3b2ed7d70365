"""Train world models on MuJoCo pixels, prove what their latents are, plan in them, and read physical constants out."""

from pathlib import Path

__version__ = "0.1.0"

# The repository's top-level folders `envs`, `planners` and `configs` belong to this package: a wheel holds them here, a
# clone links to them from here. Where the links are missing (some archives; Windows without the right to make them),
# the folder beside this one is searched as well.
_HERE = Path(__file__).parent
if not (_HERE / "envs").is_dir():
    __path__.append(str(_HERE.parent))
