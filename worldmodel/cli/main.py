"""The `worldmodel` command: one verb a stage, Hydra overrides after it."""

import os
import sys
import textwrap
import traceback
from functools import partial

from worldmodel.system import interrupts
from worldmodel.system.errors import UserError
from worldmodel.system.printable import say, terminal_width

USAGE = "usage: worldmodel COMMAND [key=value ...] [--help] [--traceback] [-m]"
ABOUT = "Train a world model on MuJoCo pixels, check what its latents are, plan in them, and read physical constants."
FLAGS = {
    "worldmodel COMMAND --help": "the command's options, their defaults and units",
    "--traceback": "show where an error came from",
    "-m": "sweep: comma-separated values, any Hydra launcher (hydra/launcher=joblib)",
    "--version": "the version of the package",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 on success, 1 on an error that the user can mend, 130 on an interrupt, 143 on SIGTERM."""
    arguments = sys.argv[1:] if arguments is None else arguments
    show_traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    try:
        with interrupts.sigterm_raises():
            return _dispatch(arguments)
    except (KeyboardInterrupt, interrupts.Terminated) as error:
        asked, status = ("interrupted", 130) if isinstance(error, KeyboardInterrupt) else ("terminated", 143)
        print(f"\n{asked}; {_afterwards(arguments)}", file=sys.stderr)
        return status
    except BrokenPipeError:  # the reader of the output has closed it: worldmodel train --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from worldmodel.cli.error_lines import one_line
        from worldmodel.system.progress import end_open_bars

        end_open_bars()
        if show_traceback:
            traceback.print_exc()
        else:
            say(f"error: {one_line(error)}", to_stderr=True)
        return 1


def _afterwards(arguments: list[str]) -> str:
    """What happens when an interrupted command is given again."""
    from worldmodel.cli.verbs import VERBS

    continues = VERBS[arguments[0]].continues if arguments and arguments[0] in VERBS else False
    if isinstance(continues, tuple):
        continues = any(argument.removeprefix("what=") in continues for argument in arguments[1:])
    if continues:
        return "what was finished is kept, and the same command continues from there"
    return "earlier results are as they were, and the same command begins anew"


def _dispatch(arguments: list[str]) -> int:
    from worldmodel.cli.verbs import VERBS

    if arguments[:1] == ["help"]:  # help VERB is VERB --help
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name in ("--version", "-V", "version"):
        from worldmodel import __version__

        print(f"worldmodel {__version__}")
        return 0
    if name not in VERBS:
        from worldmodel.settings.recipes import unknown

        raise UserError(unknown("command", name, VERBS))
    if name in ("data", "runs") and rest and "=" not in rest[0] and not rest[0].startswith("-"):  # data verify path=…
        rest[0] = f"what={rest[0]}"
    options = [argument for argument in rest if argument not in _FLAGS]
    if {"-h", "--help"} & set(rest):
        from worldmodel.cli.help import help_text
        from worldmodel.cli.overrides import values

        verb = VERBS[name]
        say(help_text(name, verb.summary, verb.settings, verb.common, values(options, verb.settings)))
    elif {"-m", "--multirun"} & set(rest):
        from worldmodel.cli.overrides import quoted
        from worldmodel.cli.settings_of import settings_of
        from worldmodel.cli.sweep import sweep

        cls = VERBS[name].settings
        sweep(name, [quoted(option, cls) for option in options], partial(_run, name), partial(settings_of, cls))
    else:
        _run(name, options)
    return 0


def _usage() -> str:
    """What the program is and its verbs, as wide as the terminal."""
    from worldmodel.cli.verbs import VERBS

    def wrapped(text: str, indent: int) -> str:
        return textwrap.fill(text, terminal_width(), subsequent_indent=" " * indent)

    verbs = "\n".join(wrapped(f"  {name:10}{verb.summary}", 12) for name, verb in VERBS.items())
    flags = "\n".join(wrapped(f"  {flag:28}{meaning}", 30) for flag, meaning in FLAGS.items())
    return "\n\n".join([wrapped(USAGE, 7), wrapped(ABOUT, 0), verbs, flags])


_FLAGS = ("-h", "--help", "-m", "--multirun")


def _run(name: str, options: list[str], suffix: str = "") -> None:
    """Run a verb and print what it says; a sweep's job adds `suffix` to the name of its run."""
    from worldmodel.cli.settings_of import settings_of
    from worldmodel.cli.verbs import VERBS

    verb = VERBS[name]
    say(verb.run(settings_of(verb.settings, options, suffix)))
