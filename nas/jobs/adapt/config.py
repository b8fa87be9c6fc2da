"""The settings of an adaptation."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from nas.core.registry import reference_of
from nas.core.settings import Named, RunSettings, flat
from nas.jobs.adapt.items import read_items

Action = Literal["skip", "repeat"]
Objective = Literal["shorter", "correct"]
By = Literal["gold", "agreement", "confidence"]


class AdaptConfig(RunSettings):
    """A whole adaptation.

    model: a folder or hub name of `transformers`, or a llama2.c file; a small decoder that is
        trained for `decoder_steps` on `task` if not given.
    items: JSON lines of questions, see `nas.jobs.adapt.items`; held-out expressions if not given.
    answers: what is judged of items with choices: "letters" put before them, or the "likelihoods"
        of their texts.
    samples: items that a chain is searched for, each by itself.
    others: items besides, at most; half of them choose static chains and teach the router, the
        other half judge both.
    edits: that a chain is made by, at most. batch: chains that a tree proposes at a time.
    objective, by: see `nas.jobs.adapt.oracle.Search`.
    menu: chains that the router chooses from; 0 for no router.
    static: whether to look for one chain for all inputs. tolerance: accuracy that it may lose.
    generate: tokens that the full and the static chain answer the test items with, in free text;
        0 for none.
    heal_steps: of training a chain of half the layers; 0 for none.
    group: samples that go to a worker together. memory: MiB of hidden states of each worker.
    """

    model: str = ""
    items: Path | None = None
    answers: Literal["letters", "likelihoods"] = "letters"
    task: Named = Named(name="arithmetic")
    decoder_steps: int = Field(default=600, ge=1)
    samples: int = Field(default=64, ge=1)
    others: int = Field(default=1024, ge=0)
    simulations: int = Field(default=200, ge=1)
    actions: tuple[Action, ...] = ("skip", "repeat")
    edits: int = Field(default=4, ge=1)
    batch: int = Field(default=8, ge=1)
    objective: Objective = "shorter"
    by: By = "gold"
    static: bool = True
    tolerance: float = Field(default=0.01, ge=0)
    menu: int = Field(default=8, ge=0)
    generate: int = Field(default=0, ge=0)
    heal_steps: int = Field(default=300, ge=0)
    group: int = Field(default=16, ge=1)
    memory: float = Field(default=512, gt=0)
    run: Path = Path("runs/adapt")

    @field_validator("actions", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return tuple(dict.fromkeys(given.split(","))) if isinstance(given, str) else given

    def check(self) -> None:
        reference_of("tasks", self.task.name)
        if self.items is not None:
            read_items(self.items)

    def identity(self) -> dict[str, Any]:
        free = {"run", "execution", "storage", "memory", "others", "static", "tolerance", "menu"}
        return flat(self.model_dump(mode="json", exclude={*free, "heal_steps", "generate"}))
