"""Statistics of arrays: identifiability, intervals, canonical readouts, probes. Imports no other room."""
