"""What a callable takes and returns, inferred from one grey image; every query is counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ...core import Access, AnswerKind, ConfigError, Model, ModelError, ModelSpec
from ...replies.parse import Reply, replies
from ...replies.readers import is_distribution, reader_for
from ...tensor_checks import check_outputs
from ..frozen import frozen
from ..torch_model import TorchModel
from .callable_model import CallableModel, query_callable
from .input_forms import likely_forms

__all__ = ["probe"]

_log = logging.getLogger(__name__)
_GREY = 0.5
_WANTS_NO_GRAD = "requires grad"
"""Part of torch's message when a function leaves torch (`images.numpy()`)."""


class _Function(nn.Module):
    """A plain function where a net is expected; what it raises is somebody else's and is wrapped."""

    def __init__(self, function: Callable[..., object], name: str) -> None:
        super().__init__()
        self.function = function
        self.name = name

    def forward(self, images: Tensor) -> object:
        try:
            return self.function(images)
        except Exception as error:
            raise ModelError(
                f"model {self.name!r} failed on {len(images)} images: {type(error).__name__}: {error}"
            ) from error


def probe(
    function: Callable[..., object],
    spec: ModelSpec,
    form: str | None,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    answer: AnswerKind | None,
) -> Model:
    """Makes a model of a callable after one grey image, or after several where it is not said what it takes.

    A callable that leaves torch when it gets a tensor gets a PIL image before it gets a tensor again, one without
    gradients: whatever takes PIL images may take tensors for arrays.

    Args:
        function: A net or a plain callable.
        spec: With num_outputs 0 where any will do.
        form: One of INPUT_FORMS; None to infer it.
        mean: Of the normalisation of tensors.
        std: Of the same, per channel.
        answer: What the numbers are; None to infer it.

    Raises:
        ConfigError: Labels or kind of answer do not go with what is returned.
        ModelError: It fails in every form, or returns what cannot be read.
    """
    prober = _Prober(function, spec, mean, std, answer)
    for step in _steps(function, form):
        model = prober.attempt(step)
        if model is None:
            continue
        if form is None and isinstance(model, CallableModel) and model.takes == "tensor":
            _log.warning(
                "%s answered a float tensor (N, 3, H, W), so it gets such tensors; if it takes PIL images or "
                "arrays, say takes='image', 'images' or 'array'",
                spec.name,
            )
        return model
    raise prober.trouble()


def _steps(function: Callable[..., object], form: str | None) -> list[str]:
    forms = list(likely_forms(function) if form is None else (form,))
    if "tensor" in forms:
        later = forms.index("image") if "image" in forms else -1
        forms.insert(max(later, forms.index("tensor")) + 1, "detached")
    return forms


class _Prober:
    """Queries a callable, counts the queries, and collects the errors."""

    def __init__(
        self,
        function: Callable[..., object],
        spec: ModelSpec,
        mean: Sequence[float],
        std: Sequence[float],
        answer: AnswerKind | None,
    ) -> None:
        self.function = function
        self.is_net = isinstance(function, nn.Module)
        self.net = function if isinstance(function, nn.Module) else _Function(function, spec.name)
        self.model = TorchModel(self.net, spec, mean=mean, std=std).to(_device(self.net))
        self.spec = spec
        self.answer = answer
        self.queries = 0
        self.left_torch = False
        self.raised: dict[str, Exception] = {}
        self.unread: list[ConfigError | ModelError] = []

    def attempt(self, step: str) -> Model | None:
        """Sends one query; returns None where it fails in a way that another form may mend."""
        if step == "detached" and not self.left_torch:
            return None
        try:
            if step in ("tensor", "detached"):
                return self._with_tensor(step == "tensor")
            grey = torch.full((1, 3, *self.spec.image_size), _GREY)
            self.queries += 1
            return self._callable_model(query_callable(self.function, grey, step, self.spec.name)[0], step)
        except _Final as error:
            raise error.reason from error.reason.__cause__
        except (ConfigError, ModelError) as error:
            self.unread.append(error)
        except Exception as error:
            self.left_torch |= step == "tensor" and _WANTS_NO_GRAD in str(error)
            self.raised[step] = error
        return None

    def trouble(self) -> ConfigError | ModelError:
        """Returns what to raise after the last attempt: what was returned counts for more than what was raised."""
        if self.unread:
            return self.unread[0]
        if "detached" in self.raised:
            del self.raised["tensor"]
        height, width = self.spec.image_size
        tried = "; ".join(
            f"{'tensor' if form == 'detached' else form}: {type(error).__name__}: {error}"
            for form, error in self.raised.items()
        )
        trouble = ModelError(
            f"model {self.spec.name!r} failed on one grey image (1, 3, {height}, {width}), given as {tried}. "
            "Does it expect another size? python:module:attribute@SIZE, or image_size=. Another form? takes=."
        )
        trouble.__cause__ = next(iter(self.raised.values()))
        return trouble

    def _with_tensor(self, wants_grad: bool) -> Model:
        grey = torch.full((1, 3, *self.spec.image_size), _GREY, device=self.model.mean.device)
        grey = self.model.normalize(grey).requires_grad_(wants_grad)
        self.queries += 1
        with frozen(self.net), torch.set_grad_enabled(wants_grad):
            returned = self.function(grey)
        if self.is_net or isinstance(returned, Tensor):
            try:
                return self._torch(returned, grey)
            except (ConfigError, ModelError) as error:
                raise _Final(error) from error  # who answers a tensor with a tensor takes tensors
        return self._callable_model(replies(returned, 1, self.spec.name)[0], "tensor")

    def _torch(self, returned: object, grey: Tensor) -> Model:
        spec = self.spec
        outputs = check_outputs(returned, 1, spec.num_outputs or None, spec.name)
        if spec.labels is not None and len(spec.labels) != outputs.shape[1]:
            raise ConfigError(f"got {len(spec.labels)} labels for {outputs.shape[1]} outputs.")
        flows = outputs.requires_grad
        if flows:
            flows = torch.autograd.grad(outputs.sum(), grey, allow_unused=True)[0] is not None
        kind = self.answer or AnswerKind.LOGITS
        if self.answer is None and not flows and is_distribution(outputs[0].detach().double().cpu().numpy()):
            kind = AnswerKind.PROBABILITIES
        self.model.access = Access.SCORES if not flows else Access.INTERNALS if self.is_net else Access.GRADIENTS
        self.model.spec = replace(spec, num_outputs=outputs.shape[1], answer=kind)
        self.model.probe_queries = 0 if self.is_net else self.queries
        return self.model

    def _callable_model(self, first: Reply, takes: str) -> Model:
        spec = self.spec
        reader = reader_for(
            first, answer=self.answer, labels=spec.labels, num_outputs=spec.num_outputs or None, name=spec.name
        )
        return CallableModel(
            self.function, spec, takes=takes, reader=reader, prepare=self.model.normalize, probe_queries=self.queries
        )


class _Final(Exception):
    """Trouble that no other form can mend."""

    def __init__(self, reason: ConfigError | ModelError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _device(net: nn.Module) -> torch.device:
    for tensor in (*net.parameters(), *net.buffers()):
        return tensor.device
    return torch.device("cpu")
