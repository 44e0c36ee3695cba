"""One run: a diagnosis is a run as well, done once, and an error becomes an outcome."""

from __future__ import annotations

from pathlib import Path

from pixprompt.bench.runs import Run, attempt

from ..cli.toy import Toy


def diagnosis(**options: str) -> Run:
    return Run("a diagnosis", "diagnose", {"inception_file": "none", "lpips_file": "none", **options}, {}, 1)


def test_a_diagnosis_is_a_run_that_is_done_once(toy: Toy) -> None:
    run = diagnosis(data=toy.data, reference=str(toy.folder / "images"))
    state = attempt(run, Path("run"))
    assert not state.failed, state.line
    assert state.line["result"]["data"]["n"] == 57
    before = Path("run/result.json").stat().st_mtime_ns
    again = attempt(run, Path("run"))
    assert again.line["result"] == state.line["result"]
    assert Path("run/result.json").stat().st_mtime_ns == before


def test_an_error_is_an_outcome_and_wrong_settings_are_final(toy: Toy) -> None:
    failed = attempt(diagnosis(data="no-such-data", reference="digits"), Path("run"), 2)
    assert (failed.failed, failed.final, failed.line["attempt"]) == (True, True, 2)
    assert "no-such-data" in failed.line["error"]
    broken = attempt(Run("x", "diagnose", {"colour": 3}, {}, 2), Path("run"))
    assert (broken.failed, broken.final) == (True, False)
