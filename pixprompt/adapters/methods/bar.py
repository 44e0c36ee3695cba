"""BAR, with the settings of its paper (arXiv 2007.08714)."""

from ..method import Learning, Method, register

register(
    Method(
        name="bar",
        line="BAR: an opaque frame around the shrunk image, learned from answers (arXiv 2007.08714)",
        learning=Learning.ANSWERS,
        make="pixprompt.adapters.bar:BarPrompter",
        file="prompt.png",
        answer_defaults={
            "optimizer": "bar",
            "blend": "over",
            "fit": "shrink",
            "output": "frequency",
            "loss": "focal",
        },
        idle=("basis_size", "surrogate"),
    )
)
