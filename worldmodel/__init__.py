"""Train world models on MuJoCo pixels, prove what their latents are, plan in them, and read physical constants out."""

__version__ = "0.1.0"
