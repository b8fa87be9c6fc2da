"""`nas cache`: the folder of compiled libraries."""

from typing import Annotated

from typer import Option


def clear(json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False) -> None:
    """Delete the compiled cells; they are compiled again when they are needed."""
    from kernels.cell.cpu.build import cache_folder, clear_cache
    from nas.cli.output import say, say_json

    number, size = clear_cache()
    if json:
        say_json({"folder": str(cache_folder()), "libraries": number, "bytes": size})
    else:
        say(f"{cache_folder()}: {number} libraries deleted, {size / 2**20:.1f} MiB")
