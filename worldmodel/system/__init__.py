"""What every room needs of the operating system: files, processes, devices, signals, progress, errors."""
