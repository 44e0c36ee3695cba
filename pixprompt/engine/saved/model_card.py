"""The README.md of a run: a model card as the Hugging Face Hub reads it, and as people do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ..config.train_config import TrainConfig
from ..result import RUNGS, Result, Score

__all__ = ["model_card"]

_TITLES = {
    "no_prompt": "no prompt",
    "output_only": "no prompt, best output transform from the same labelled answers",
    "prompt_float": "as trained",
    "prompt_png": "as saved, re-read from the file",
}
_LAST = ("prompt_float", "prompt_png")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_MANY = 30


def model_card(result: Result, config: TrainConfig, *, preview: bool = False) -> str:
    """Returns the card of a finished run: what, on what, how good, how to use it, and a licence field.

    Args:
        preview: Whether `preview.png` lies beside it.
    """
    return "\n".join([*_front_matter(result), "", *_body(result, config, preview), ""])


def _front_matter(result: Result) -> Iterator[str]:
    """Yields YAML; its texts are JSON, which YAML contains."""
    reached = _reached(result)
    tags = ["pixprompt", "visual-prompting", result.method]
    yield "---"
    yield "license: unknown"
    yield "library_name: pixprompt"
    yield "pipeline_tag: image-classification"
    yield f"tags: {json.dumps(tags)}"
    if reached is not None and reached.test is not None:
        value = {"type": "accuracy", "value": round(reached.test, 4), "name": "test accuracy"}
        dataset = {"type": _slug(_data(result)), "name": _data(result)}
        task = {"type": "image-classification"}
        yield "model-index:"
        yield f"- name: {json.dumps(_title(result))}"
        yield f"  results: {json.dumps([{'task': task, 'dataset': dataset, 'metrics': [value]}], ensure_ascii=False)}"
    yield "---"


def _body(result: Result, config: TrainConfig, preview: bool) -> Iterator[str]:
    yield f"# {_plain(_title(result))}"
    yield ""
    yield _what_it_is(result, config)
    yield ""
    names = ", ".join(map(_plain, result.classes[:_MANY])) + (", ..." if len(result.classes) > _MANY else "")
    yield f"**{len(result.classes)} classes:** {names}"
    yield ""
    if preview:
        yield "![Images before and after, and the confusion of the test images](preview.png)"
        yield ""
    yield "## How good it is"
    yield ""
    yield from _quality(result)
    yield ""
    yield "## How to use it"
    yield ""
    yield from _use(result, config)
    yield ""
    yield "## Limits"
    yield ""
    yield (
        "The figures hold for images like those that it was measured on. It answers with one of the classes above "
        "whatever it is shown, and its probabilities are not calibrated. It works with the model above and no other."
    )
    yield ""
    yield "## Licence"
    yield ""
    yield "None was chosen. The field `license` at the top of this file is the place to say it."


def _what_it_is(result: Result, config: TrainConfig) -> str:
    model, data = _plain(_model(result)), _plain(_data(result))
    if result.best == "none":
        what = "An output transform alone: no prompt was better than the images as they are, so the saved one is empty."
    elif result.best == "adapter":
        what = f"What `{config.method.name}` has learned: {result.parameters:,} parameters beside a model."
    else:
        what = f"A visual prompt of {result.parameters:,} parameters, put on every image before a model sees it."
    train = f"Learned on {result.counts['train']:,} labelled images of the data set {data}, with seed {result.seed}"
    return f"{what} The model, **{model}**, is unchanged and not part of this. {train}, by pixprompt."


def _quality(result: Result) -> Iterator[str]:
    reached, baseline = _reached(result), _baseline(result)
    if reached is not None and reached.test is not None:
        yield f"On {result.counts['test']:,} test images it reads **{_share(reached)}** right."
        yield _against(result, reached, baseline)
        yield ""
    yield "| | test accuracy | 95% interval | output transform |"
    yield "|---|---|---|---|"
    for rung in RUNGS:
        score = result.accuracy.get(rung)
        if score is not None and score.test is not None:
            low, high = score.ci95 or (0.0, 1.0)
            yield f"| {_TITLES[rung]} | {score.test:.1%} | {low:.1%} to {high:.1%} | {_plain(score.output)} |"
    per_prediction = result.queries.get("per_prediction", 1)
    if per_prediction != 1:
        yield ""
        yield f"Each prediction takes {per_prediction:g} queries of the model, one for each view of the prompt."


def _against(result: Result, reached: Score, baseline: Score | None) -> str:
    if baseline is None or baseline.test is None or reached.test is None:
        return ""
    rung = next(name for name, score in result.accuracy.items() if score is baseline)
    change = next((change for change in result.changes if change.before == rung and change.after in _LAST), None)
    verb = "reads" if baseline.test < reached.test else "reads as many or more,"
    what = f"the output transform {_plain(baseline.output)} on the images as they are"
    paired = f": {change} on the same images" if change else ""
    return f"The strongest baseline, {what}, {verb} {_share(baseline)}{paired}."


def _use(result: Result, config: TrainConfig) -> Iterator[str]:
    whole_run = config.method.per_image
    file = "the folder of the run" if whole_run else "adapter.safetensors" if result.best == "adapter" else "prompt.png"
    model = json.dumps(_model(result), ensure_ascii=False)
    yield "```python"
    yield "import pixprompt"
    yield ""
    yield f"with pixprompt.deploy({json.dumps(file)}, model={model}) as model:"
    yield '    found = model("photo.jpg")'
    yield "    print(found.label, found.probability)"
    yield "```"
    yield ""
    yield "From a hub, `hf:OWNER/NAME` stands for the file. Weights that the name does not bring go in as `weights=`."
    if result.best != "adapter" and not whole_run:
        yield ""
        yield (
            "`pixprompt apply prompt.png photos --out prompted` puts the prompt on images for any other caller, and "
            "`pixprompt export` writes what other languages need."
        )


def _reached(result: Result) -> Score | None:
    return result.accuracy.get("prompt_png") or result.accuracy.get("prompt_float")


def _baseline(result: Result) -> Score | None:
    """Returns the better of the rungs without a prompt."""
    scores = [result.accuracy.get(rung) for rung in ("no_prompt", "output_only")]
    known = [score for score in scores if score is not None and score.test is not None]
    return max(known, key=lambda score: score.test or 0.0, default=None)


def _share(score: Score) -> str:
    low, high = score.ci95 or (0.0, 1.0)
    return f"{score.test:.1%} (95% interval {low:.1%} to {high:.1%})"


def _title(result: Result) -> str:
    what = "Adapter" if result.best == "adapter" else "Visual prompt"
    return f"{what} for {_model(result)} on {_data(result)}"


def _model(result: Result) -> str:
    """Returns the name of the model, of a folder of this machine its last part."""
    kind, local, path = result.model.partition("local-dir:")
    return f"{kind}{local}{path.rstrip('/').split('/')[-1]}"


def _data(result: Result) -> str:
    """Returns the name of the data, of files of this machine the last part of their path."""
    kind, colon, path = result.data.partition(":")
    is_local = colon and kind in ("ade20k", "csv", "folder", "lists", "webdataset")
    return path.rstrip("/").split("/")[-1] if is_local else result.data


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text) or "data"


def _plain(text: str) -> str:
    """Returns a text that Markdown and HTML show as it is."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return _SPECIAL.sub(r"\\\1", printable)
