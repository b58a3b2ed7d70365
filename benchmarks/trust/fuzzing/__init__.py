"""`python -m benchmarks.trust what=fuzz`: changed files, thousands for each reader, and what became of them.

texts, archives, columnar, media  one change of a valid file, by its format
valid                             the valid files
readers                           which reader gets which of them
attempts                          one reader and one changed file, and what it took
campaign                          many, in a process that may die
"""
