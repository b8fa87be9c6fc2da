"""A short causal convolution of each feature along time, with a tail that is carried on."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ShortConvolution(nn.Module):
    """Convolves each of C features over the last `taps` steps, followed by SiLU."""

    def __init__(self, features: int, taps: int) -> None:
        super().__init__()
        bound = taps**-0.5
        self.weight = nn.Parameter(torch.empty(taps, features).uniform_(-bound, bound))

    def forward(
        self,
        x: Tensor,
        tail: Tensor | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the result `[B, T, C]` and the last inputs `[B, taps - 1, C]`.

        tail: inputs before the first step; zeros when absent.
        resets: booleans `[B, T]`; a step reads none from before the latest reset.
        """
        batch, steps, features = x.shape
        before = len(self.weight) - 1
        if tail is None:
            tail = x.new_zeros(batch, before, features)
        every = torch.cat([tail, x], 1)
        episode = None if resets is None else functional.pad(resets.long().cumsum(1), (before, 0))
        total = x * self.weight[-1]
        for back in range(1, before + 1):
            read = every[:, before - back : before - back + steps]
            if episode is not None:
                same = episode[:, before - back : before - back + steps] == episode[:, before:]
                read = read * same.unsqueeze(-1)
            total = total + read * self.weight[-1 - back]
        last = last_steps(every, before, lengths)
        return functional.silu(total), last


def last_steps(every: Tensor, count: int, lengths: Tensor | None) -> Tensor:
    """Return the last steps of each sequence, `[B, count, C]`.

    every: `count` steps from before the sequences, then theirs, `[B, count + T, C]`.
    lengths: steps of each sequence, `[B]`; all T when absent.
    """
    if lengths is None:
        return every[:, every.shape[1] - count :]
    places = lengths.unsqueeze(1) + torch.arange(count, device=every.device)
    return every.gather(1, places.unsqueeze(-1).expand(-1, -1, every.shape[2]))
