"""Statistics of arrays: identifiability, intervals, canonical correlations, regression probes."""
