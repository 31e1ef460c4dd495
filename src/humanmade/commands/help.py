import click

from humanmade.commands._verb import argument, verb


@verb("Other", "humanmade help cv")
@argument("name", required=False, metavar="[VERB]")
@click.pass_context
def help(context: click.Context, name: str | None) -> None:
    """Tell a verb's options, with an example; alone, list the verbs.

    It says what VERB --help says.
    """
    top = context.parent
    assert top and isinstance(top.command, click.Group), "verbs stand below humanmade"
    if name is None:
        click.echo(top.get_help())
        return
    _, command, _ = top.command.resolve_command(top, [name])
    assert command, "a name that is no verb's is refused"
    with click.Context(command, info_name=name, parent=top, **command.context_settings) as asked:
        click.echo(asked.get_help())
