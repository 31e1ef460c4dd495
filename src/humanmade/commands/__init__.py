"""The command line: one file a verb, found by its name.

To add the verb `name`, write `name.py` beside this file, with a function `name` decorated by
`_verb.verb(section, example)`: its docstring is the help (the first sentence is the line in the list of
verbs), each `_verb.option` above it is an option, and values arrive as its typed arguments. Nothing else
lists it. A verb reads options, loads, calls and prints; what decides anything belongs to the module that
owns the matter. Import that module inside the function, so that `--help` stays quick. A test goes into
`tests/commands/test_name.py`.

The library is click, because kernels run this command line in Kaggle's image, which has it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

import click

from humanmade import __version__
from humanmade.commands._verb import SECTIONS, Verb
from humanmade.errors import COMPLAINT, Interrupted, KaggleError, UserError, did_you_mean, out_of_memory
from humanmade.files import is_of_the_disk


class Verbs(click.Group):
    """The verbs of this folder; one that is run is imported alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the verbs."""
        return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> Verb | None:
        """Import a verb; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        verb: Verb = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the first word names, or an error with the nearest one and all others."""
        name, verbs = args[0], self.list_commands(ctx)
        if name not in verbs and not name.startswith("-"):
            hint = did_you_mean(name, verbs, cutoff=0.6) or f"; verbs are {', '.join(verbs)}."
            raise click.UsageError(f"no verb '{name}'{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by the part of a competitor's day that they belong to."""
        verbs = [verb for name in self.list_commands(ctx) if (verb := self.get_command(ctx, name))]
        for section in SECTIONS:
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (verb.name or "", verb.get_short_help_str(100))
                        for verb in verbs
                        if verb.section == section
                    ]
                )


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    subcommand_metavar="VERB ...",
    context_settings={"max_content_width": 120},
    epilog="humanmade help VERB tells a verb's options, with an example.",
)
@click.version_option(__version__, message="humanmade %(version)s")
@click.pass_context
def humanmade(context: click.Context) -> None:
    """Tell human-made pictures from generated ones, and foresee the leaderboard score."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad input or refused, 3 Kaggle said no, 130 interrupted.
    """
    # Set before anything imports albumentations, which else asks its package index at import.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if "_HUMANMADE_COMPLETE" in os.environ:
        humanmade.main(prog_name="humanmade")  # a shell asks for completions; this ends the process
    if words is None:  # a process of its own, which removes what it was writing however it is asked to end
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        arguments = list(sys.argv[1:] if words is None else words)
        with humanmade.make_context("humanmade", arguments) as context:
            humanmade.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        verb = error.ctx.command_path if error.ctx else "humanmade"
        text = " ".join(error.format_message().split())
        _complain(f"{text}{'' if text[-1] in '.?)' else '.'} See {verb} --help.")
        return 2
    except (UserError, KaggleError) as error:
        _complain(str(error))
        return 3 if isinstance(error, KaggleError) else 2
    except (Interrupted, KeyboardInterrupt) as stopped:
        return _interrupted(str(stopped))
    except ImportError as error:
        # Compiled modules that are interrupted while they load fail, because of it.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return _interrupted()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        _complain("memory is too short; lower inference_batch or image_size (--set), or take a larger GPU")
        return 2
    except BrokenPipeError:
        # The reader of our output (head, say) went away; that is not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if not (is_of_the_disk(error) or error.errno == errno.ENAMETOOLONG):
            raise
        place = error.filename or "the disk"
        _complain(f"{place}: {error.strerror}; choose another place, or make it readable")
        return 2
    return 0


def _interrupted(said: str = "") -> int:
    _complain(f"interrupted; {said or 'the same command goes on from here'}", ended=True)
    return 130


def _complain(text: str, ended: bool = False) -> None:
    """Say why the command ends; of torchrun's processes, the first to fail says it for all."""
    unknown = (
        ended and "humanmade.training.distributed" not in sys.modules
    )  # it was ended while torch was imported
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not unknown:
        from humanmade.training.distributed import process_group

        if not process_group().fail():
            return
    print(f"{COMPLAINT}{text}", file=sys.stderr)
