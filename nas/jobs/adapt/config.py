"""The settings of an adaptation."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from nas.core.errors import BadInput
from nas.core.registry import reference_of
from nas.core.settings import Named, RunSettings, Section, flat
from nas.jobs.adapt.items import read_items

Action = Literal["skip", "repeat"]
Objective = Literal["shorter", "correct"]
By = Literal["gold", "agreement", "confidence"]
Healing = Literal["full", "lora"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Method = Literal["both-ends", "removal", "greedy", "beam", "tree", "cola"]

STAGES = ("others", "static", "tolerance", "menu", "generate", "heal_steps", "heal", "gguf")


JUDGES = ("harness", "harness_files")


class Decoder(Section):
    """The small decoder that is trained for `steps` if no model is given."""

    layers: int = Field(default=8, ge=1, le=64, description="layers of the decoder")
    steps: int = Field(default=600, ge=1, description="optimiser steps of its training")


class AdaptConfig(RunSettings):
    """All settings of an adaptation.

    model: a `transformers` folder or hub name, or a llama2.c file; by default, a small decoder
        that is trained on `task`.
    device: where the decoder runs: "cpu", "cuda", "cuda:1", "auto", or "spread" over all devices.
    dtype: of its weights; "auto" keeps that of the checkpoint.
    items: a JSON Lines file, see `nas.jobs.adapt.items`; by default, held-out expressions.
    text: a plain text instead of items: chains for all inputs, judged by perplexity. windows: the
        most windows of `window` tokens that choose chains, and as many that test them.
    answers: how to judge choices: by the "letters" before them, or by the "likelihoods" of their
        texts.
    task: what the small decoder is trained on, such as "arithmetic" or "python-text".
    samples: the number of items to search chains for, one search per item.
    others: the most other items; half of them fit static chains and the router, the other half
        test both.
    search: the method that proposes chains, see `nas.jobs.adapt.searches`.
    edits: the most edits that make a chain of the tree. batch: the chains proposed at a time.
    objective, by: see `nas.jobs.adapt.oracle.Search`.
    menu: the number of chains that the router chooses from; 0 for no router.
    static: whether to search for one chain for all inputs. tolerance: accuracy that it may lose.
    generate: the tokens with which the full and the static chain answer the test items in free
        text; 0 for none.
    heal_steps: training steps for a chain of half the layers; 0 for none. heal: what to train: all
        weights ("full"), or low-rank adapters that are merged ("lora").
    gguf: whether to write exported decoders for llama.cpp too.
    harness: tasks of lm-eval that judge the model and its exports. harness_files: a folder with
        your own tasks.
    group: samples per worker call. memory: the MiB of hidden states that each worker caches.
    """

    model: str = ""
    device: str = "cpu"
    dtype: Dtype = "auto"
    items: Path | None = None
    text: Path | None = None
    windows: int = Field(default=64, ge=1)
    window: int = Field(default=128, ge=2, description="tokens of a window of `text`")
    answers: Literal["letters", "likelihoods"] = "letters"
    task: Named = Named(name="arithmetic")
    decoder: Decoder = Decoder()
    samples: int = Field(default=64, ge=1)
    others: int = Field(default=1024, ge=0)
    simulations: int = Field(default=200, ge=1)
    actions: tuple[Action, ...] = ("skip", "repeat")
    search: Method = "both-ends"
    edits: int = Field(default=4, ge=1)
    batch: int = Field(default=8, ge=1)
    objective: Objective = Field(
        default="shorter",
        description="shorter: use all simulations; correct: stop at the first correct answer",
    )
    by: By = Field(
        default="gold",
        description="what to reward: gold answers; or agreement with the full decoder or its "
        "confidence, which need no labels",
    )
    static: bool = True
    tolerance: float = Field(default=0.01, ge=0)
    menu: int = Field(default=8, ge=0)
    generate: int = Field(default=0, ge=0)
    heal_steps: int = Field(default=300, ge=0)
    heal: tuple[Healing, ...] = ("full",)
    gguf: bool = False
    harness: tuple[str, ...] = ()
    harness_files: Path | None = None
    group: int = Field(default=16, ge=1)
    memory: float = Field(default=512, gt=0)
    run: Path = Path("runs/adapt")

    @field_validator("actions", "heal", "harness", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return tuple(dict.fromkeys(given.split(","))) if isinstance(given, str) else given

    @property
    def model_name(self) -> str:
        """The model, as reports show it."""
        return self.model or f"llama{self.decoder.layers}"

    def check(self) -> None:
        reference_of("tasks", self.task.name)
        if self.items is not None:
            read_items(self.items)
        if self.items is not None and self.text is not None:
            raise BadInput("--items and --text: give one of them")
        if self.search == "removal" and "skip" not in self.actions:
            raise BadInput("--search removal needs --actions skip: choose another search")
        if "lora" in self.heal and find_spec("peft") is None:
            raise BadInput('--heal lora needs peft: pip install "peft>=0.21", or use --heal full')

    def identity(self) -> dict[str, Any]:
        free = {"run", "execution", "storage", "memory", "device", *STAGES, *JUDGES}
        return flat(self.model_dump(mode="json", exclude=free))

    def stages(self) -> dict[str, Any]:
        """Return the settings of the stages after the search, which may change between runs."""
        return self.model_dump(mode="json", include=set(STAGES))
