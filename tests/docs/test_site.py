"""The built site: run by `make docs`."""

import re
import zlib
from pathlib import Path

import pytest

import nas
from tests.docs.blocks import ROOT

SITE = ROOT / ".site"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SITE.is_dir(), reason="the site is not built: run make docs"),
]
LOADED = re.compile(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?([^\"\s>]+)")


def html() -> list[Path]:
    return sorted(SITE.rglob("*.html"))


def test_no_page_loads_anything_from_another_server() -> None:
    for page in html():
        for address in LOADED.findall(page.read_text()):
            assert "://" not in address and not address.startswith("//"), (page, address)


def test_no_style_loads_anything_from_another_server() -> None:
    for style in SITE.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_the_reference_has_every_verb_and_every_check() -> None:
    inventory = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    names = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    from nas import testing

    expected = {f"nas.api.{verb}" for verb in nas.VERBS}
    expected |= {f"{getattr(testing, n).__module__}.{n}" for n in testing.__all__}
    expected |= {"kernels.layers.LSTM", "kernels.layers.GRU", "kernels.layers.Recurrent"}
    expected |= {"search_spaces.decisions.Decisions", "nas.tasks.loader_task.LoaderTask"}
    assert expected <= names, expected - names


def test_every_page_has_a_title_and_text() -> None:
    for page in html():
        if page.name != "404.html":
            text = page.read_text()
            assert re.search(r"<h1[ >]", text), page
            assert len(re.sub(r"<[^>]+>", "", text)) > 500, page
