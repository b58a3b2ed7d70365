"""The `worldmodel` command: parse, call the library, print. The only room that knows Hydra."""
