"""The command `nas`: its verbs and exit codes."""

import functools
import sys
from collections.abc import Callable

import typer

from nas.cli import (
    adapt,
    cache,
    compress,
    doctor,
    export,
    init,
    ls,
    report,
    score,
    search,
    sweep,
    train,
)
from nas.cli.bench import graphs, kernels, mixers, rungs, scores
from nas.cli.bench import search as bench_search
from nas.cli.output import results_on_stdout
from nas.cli.pages import epilog
from nas.cli.problems import say_error, say_usage_error, use_utf8

app = typer.Typer(
    name="nas",
    help="Search architectures, score them without training, train and export the best.",
    epilog=epilog("nas"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _ended_well(verb: Callable[..., None]) -> Callable[..., None]:
    """Wrap a verb: results go to stdout, an error becomes one line and an exit code."""

    @functools.wraps(verb)
    def run(*arguments: object, **options: object) -> None:
        try:
            with results_on_stdout():
                verb(*arguments, **options)
        except BaseException as error:
            raise typer.Exit(say_error(error)) from None

    return run


for verb in (
    init.init,
    search.search,
    score.score,
    train.train,
    sweep.sweep,
    compress.compress,
    adapt.adapt,
    report.report,
    export.export,
    ls.ls,
    doctor.doctor,
):
    app.command(verb.__name__, epilog=epilog(f"nas {verb.__name__}"))(_ended_well(verb))


benches = typer.Typer(help="Measure this machine.", no_args_is_help=True, rich_markup_mode=None)
BENCHES = (
    *(kernels.kernels, mixers.mixers, bench_search.search),
    *(scores.scores, rungs.rungs, graphs.graphs),
)
for bench in BENCHES:
    name = bench.__name__
    benches.command(name, epilog=epilog(f"nas bench {name}"))(_ended_well(bench))
app.add_typer(benches, name="bench")

caches = typer.Typer(help="Compiled cells.", no_args_is_help=True, rich_markup_mode=None)
caches.callback()(lambda: None)  # otherwise typer takes the only command for the group
caches.command("clear", epilog=epilog("nas cache clear"))(_ended_well(cache.clear))
app.add_typer(caches, name="cache")


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 failed, 2 bad input, 3 target not met, 75 run in use, 130 and 143
    interrupted.
    """
    use_utf8()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = 130
    except Exception as error:
        code = say_usage_error(error)
    sys.exit(code)
