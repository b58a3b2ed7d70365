"""Data sets on disk, and the pairs and clips that training draws from them."""
