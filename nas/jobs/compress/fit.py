"""The user's own training of a student: `--fit package.module:function`.

The function is called as `fit(model, steps)` and trains the network in place; what it returns is
ignored. A student is trained in stretches: each call trains `steps` more steps, from the weights
that the last call left. The students are validated, and ranked, by the task as ever.

With Lightning, where `Student` is your `LightningModule` around a network:

    def fit(model, steps):
        trainer = lightning.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False
        )
        trainer.fit(Student(model), DataLoader(TRAIN, 64, shuffle=True))

With `transformers`, where the network takes `labels` and returns the loss:

    def fit(model, steps):
        arguments = TrainingArguments("out", max_steps=steps, save_strategy="no", report_to=[])
        Trainer(model, arguments, train_dataset=TRAIN).train()
"""

import inspect
from collections.abc import Callable

from torch import nn

from nas.core.errors import BadInput
from nas.core.registry import imported

Fit = Callable[[nn.Module, int], None]


def find_fit(reference: str) -> Fit:
    """Return the function that a reference names.

    Raises `BadInput` if it cannot be imported or does not take a network and a number of steps.
    """
    what = f'fit "{reference}"'
    fit = imported(what, reference)
    try:
        inspect.signature(fit).bind(None, 1)
    except TypeError:
        raise BadInput(
            f"{what} does not take a network and a number of steps: define it as fit(model, steps)"
        ) from None
    return fit
