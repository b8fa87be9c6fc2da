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
    """All settings of an adaptation.

    model: a `transformers` folder or hub name, or a llama2.c file; by default, a small decoder
        that is trained for `decoder_steps` on `task`.
    items: a JSON Lines file, see `nas.jobs.adapt.items`; by default, held-out expressions.
    answers: how to judge choices: by the "letters" before them, or by the "likelihoods" of their
        texts.
    samples: the number of items to search chains for, one search per item.
    others: the most other items; half of them fit static chains and the router, the other half
        test both.
    edits: the most edits that make a chain. batch: the chains that a tree proposes at a time.
    objective, by: see `nas.jobs.adapt.oracle.Search`.
    menu: the number of chains that the router chooses from; 0 for no router.
    static: whether to search for one chain for all inputs. tolerance: accuracy that it may lose.
    generate: the tokens with which the full and the static chain answer the test items in free
        text; 0 for none.
    heal_steps: training steps for a chain of half the layers; 0 for none.
    group: samples per worker call. memory: the MiB of hidden states that each worker caches.
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
