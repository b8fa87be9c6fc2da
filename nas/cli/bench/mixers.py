"""`nas bench mixers`: time compiled recurrences beside chunks and a loop in PyTorch."""

from typing import Annotated

from typer import Option


def mixers(
    point: Annotated[
        list[str] | None, Option(help="Recurrence such as gla or deltanet; default: four of them.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        Option(help="Batch, heads, steps and features: 4x4x512x32; default: three shapes."),
    ] = None,
    loop: Annotated[
        bool, Option("--loop", help="Also time the loop in PyTorch, for seconds a row.")
    ] = False,
    repeats: Annotated[
        int, Option(min=1, help="Measurements per median; each median is taken three times.")
    ] = 5,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time compiled recurrences with a matrix state, one thread, float32."""
    import torch

    from nas.bench import mixers as bench
    from nas.bench.kernels import machine
    from nas.cli.output import say, say_json

    points = point or ["scalar-decay", "gla", "deltanet", "deltaproduct-2"]
    shapes = shape or list(bench.SHAPES)
    for name in points:
        bench.recurrence_of(name, 1)
    for given in shapes:
        bench.sizes_of(given)
    torch.set_num_threads(1)
    rows = list(bench.measure(points, shapes, repeats, loop))
    if json:
        say_json({**machine(), **bench.as_json(rows)})
    else:
        about = ", ".join(f"{name} {value}" for name, value in machine().items())
        say(f"{about}\nmilliseconds of process time, float32, 1 thread\n")
        say(bench.table(rows))
