"""Files, processes, signals and progress: what every room needs of the operating system."""
