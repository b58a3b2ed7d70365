"""See `worldmodel.pretrained`."""

from worldmodel.pretrained import main

main()
