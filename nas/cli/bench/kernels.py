"""`nas bench kernels`: time compiled cells beside the other ways to run them."""

from pathlib import Path
from typing import Annotated

from typer import Option


def kernels(
    cell: Annotated[
        list[str] | None, Option(help="Known cell such as lstm, or an architecture file.")
    ] = None,
    recipes: Annotated[
        Path | None, Option(help="File of cells, as for `nas score`; choose with --id.")
    ] = None,
    id_: Annotated[list[str] | None, Option("--id", help="Id of a cell in that file.")] = None,
    shape: Annotated[
        list[str] | None,
        Option(help="nas-bench-nlp, or inputs and units: 64, 64-512-512; default: four shapes."),
    ] = None,
    batch: Annotated[list[int] | None, Option(min=1, help="Sequences; default: 20.")] = None,
    steps: Annotated[int, Option(min=1, help="Steps of a sequence.")] = 70,
    inference: Annotated[bool, Option("--inference", help="Time the forward pass only.")] = False,
    ragged: Annotated[
        bool, Option("--ragged", help="Sequences of different lengths, packed for PyTorch.")
    ] = False,
    torch_compile: Annotated[
        bool, Option("--torch-compile", help="Add torch.compile; it compiles for minutes.")
    ] = False,
    dtype: Annotated[str, Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    threads: Annotated[int, Option(min=1, help="CPU threads.")] = 1,
    repeats: Annotated[
        int, Option(min=1, help="Measurements per median; each median is taken three times.")
    ] = 5,
    figure: Annotated[
        Path | None, Option(help="File to draw a bar chart to, .png or .svg.")
    ] = None,
    page: Annotated[
        Path | None, Option(help="File to write an interactive page to, .html.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time compiled cells beside an eager loop, PyTorch's layers and onnxruntime."""
    import torch

    from nas.bench import kernels as bench
    from nas.cli.output import check_files, say, say_json
    from nas.core.errors import BadInput
    from nas.models.architecture_files import read_architecture, read_recipes
    from nas.training import best_device
    from search_spaces.rnn_cell.recipe import cell_of

    check_files(figure=figure, page=page)

    shapes = shape or list(bench.SHAPES)
    for given in shapes:
        bench.sizes_of(given)
    if dtype not in ("float32", "float64", "bfloat16", "float16"):
        raise BadInput(f'unknown dtype "{dtype}"; choose float32, float64, bfloat16, float16')
    names = cell or ([] if recipes else ["rnn-tanh", "lstm", "gru", "rhn"])
    cells = {name: cell_of(read_architecture(name)) for name in names}
    known = {str(key): found for key, found in read_recipes(recipes)} if recipes else {}
    for key in id_ or list(known)[:4]:
        if key not in known:
            where = recipes or "the empty --recipes"
            raise BadInput(f"cell {key} is not in {where}: pass a file that has it")
        cells[key] = cell_of(known[key])
    torch.set_num_threads(threads)
    setting = bench.Setting(
        steps=steps,
        dtype=getattr(torch, dtype),
        device=best_device(),
        inference=inference,
        ragged=ragged,
        torch_compile=torch_compile,
    )
    rows = list(bench.measure(cells, shapes, batch or [20], setting, repeats))
    if figure:
        bench.figure(rows, figure)
    if page:
        from nas.reporting.report import write_page

        write_page(page, "Times of cells", bench.table(rows), bench.explored(rows))
    if json:
        say_json(bench.as_json(rows, setting))
    else:
        about = ", ".join(f"{name} {value}" for name, value in bench.machine().items())
        say(f"{about}\n{setting}, {threads} threads\n")
        say(bench.table(rows))
