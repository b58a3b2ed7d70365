"""Our own MJCF worlds, one folder each."""
