"""`python -m benchmarks.trust what=fuzz`: thousands of changed files for each reader, and how they were received.

texts, archives, columnar, media  one change of a valid file, by its format
valid                             the valid files
readers                           the file, the change and the function of every reader
attempts                          one reader and one changed file: outcome and cost
campaign                          many attempts, in a process that may die
"""
