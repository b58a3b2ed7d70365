"""`python -m benchmarks.recipes`: which criterion without labels finds good settings, and how much better they are.

options      the command's options, the worlds, one training and its figures
criteria     what=criteria: candidates of every world, and the rank correlation of each criterion with what counts
comparison   what=comparison: worlds without a recipe: the automatic recipe, beside the settings that they had before
__main__     the command
"""
