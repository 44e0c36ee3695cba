"""Nothing but the output transform."""

from ..method import Learning, Method, register

register(
    Method(
        name="none",
        line="no prompt: the output transform alone, fitted on answers",
        learning=Learning.ANSWERS,
        file=None,
        idle=("basis_size", "surrogate"),
    )
)
