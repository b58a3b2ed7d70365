"""See `worldmodel.runs.pretrained`."""

from worldmodel.runs.pretrained import main

main()
