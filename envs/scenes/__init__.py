"""The project's own MJCF worlds, one folder each."""
