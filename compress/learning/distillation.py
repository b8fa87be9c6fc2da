"""Distillation: the loss that makes a student imitate its teacher's answers."""

from torch import Tensor
from torch.nn import functional

from compress.names import Distillation


def distillation_loss(
    student: Tensor, teacher: Tensor, method: Distillation, temperature: float
) -> Tensor:
    """Return the distance between the student's and the teacher's logits `[…, classes]`, a scalar.

    "mse" is the mean over all answers of ‖student - teacher‖² (Ba and Caruana 2014,
    https://arxiv.org/abs/1312.6184, eq. 1; N2N uses it too). "kl" is the cross-entropy of the
    softened answers, minus the teacher's entropy, times temperature² (Hinton et al. 2015,
    https://arxiv.org/abs/1503.02531, section 2).
    """
    if method == "mse":
        return (student - teacher).square().sum(dim=-1).mean()
    softened = functional.log_softmax(student.flatten(0, -2) / temperature, dim=-1)
    wanted = functional.log_softmax(teacher.flatten(0, -2) / temperature, dim=-1)
    divergence = functional.kl_div(softened, wanted, reduction="batchmean", log_target=True)
    return divergence * temperature**2
