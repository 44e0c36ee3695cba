"""What the code may not do, read off the code itself; every scan is tried on a snippet that it must flag."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pixprompt

ROOT = Path(pixprompt.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in FILES}

_DRAWS = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("normal_", "uniform_", "bernoulli_", "random_", "exponential_", "cauchy_", "log_normal_", "geometric_"),
}
_NEVER = {"rand_like", "randn_like", "randint_like", "manual_seed_all", "set_rng_state", "dropout"}
_NUMPY = {"default_rng", "Generator", "SeedSequence", "PCG64"}


def dotted(node: ast.AST) -> str:
    """`torch.nn.init` of the expression that says so; an empty first part for anything but a name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(tree: ast.Module, package: str = "pixprompt") -> Iterator[str]:
    """Every module that a file imports, absolute, at whatever place."""
    parts = package.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [start, node.module or ""]))
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def package_of(name: str) -> str:
    return ".".join(["pixprompt", *Path(name).parent.parts])


# Scans: each takes a tree and yields what is wrong -------------------------------------------------------------------


def global_randomness(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            yield f"line {node.lineno}: from random"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, _, name = dotted(node.func).rpartition(".")
        words = {keyword.arg for keyword in node.keywords}
        if owner in ("np.random", "numpy.random"):
            wrong = name not in _NUMPY or not (node.args or words)
        elif owner == "random":
            wrong = name != "SystemRandom"  # never seeded, so nothing that is reported can hang on it
        elif owner == "torch" and name in ("manual_seed", "seed"):
            wrong = True
        else:
            wrong = name in _NEVER or (name in _DRAWS and _is_torch(owner, name) and "generator" not in words)
        if wrong:
            yield f"line {node.lineno}: {owner}.{name}"


def _is_torch(owner: str, name: str) -> bool:
    return owner.startswith("torch") or name.endswith("_")


def forbidden_statements(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"line {node.lineno}: assert"
        if isinstance(node, ast.Name) and node.id in ("print", "hasattr", "NotImplementedError", "eval", "exec"):
            yield f"line {node.lineno}: {node.id}"
        if dotted(node).startswith("pickle.") and dotted(node) != "pickle.UnpicklingError":
            yield f"line {getattr(node, 'lineno', 0)}: {dotted(node)}"
    for name in imported(tree):
        if name.startswith(("pickle.", "cPickle", "dill", "joblib", "shelve", "marshal")):
            yield f"imports {name}"


def unsafe_loads(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        expected = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}.get(dotted(node.func))
        faults = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
        if expected and faults.get(expected[0]) is not expected[1]:
            yield f"line {node.lineno}: {dotted(node.func)} without {expected[0]}={expected[1]}"


def long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = (first.end_lineno or 0) - first.lineno + 1 if is_text else 0
            lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
            if lines >= 50:
                yield f"line {node.lineno}: {node.name} has {lines} lines without its docstring"


def unsorted_names(tree: ast.Module) -> Iterator[str]:
    """Constants, classes, functions, as ruff's RUF022 sorts them."""
    names = public_names(tree)
    if names is None:
        if any(isinstance(node, (ast.Assign, ast.FunctionDef, ast.ClassDef)) for node in tree.body):
            yield "no __all__"
    elif names != sorted(names, key=_as_ruff_sorts):
        yield f"__all__ is not sorted: {names}"


def public_names(tree: ast.Module) -> list[str] | None:
    """What `__all__` says, or, where `lazy_names` makes it, the names that are imported under themselves."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        if dotted(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
        if isinstance(node.value, ast.Call) and dotted(node.value.func) == "lazy_names":
            imports = [name for part in ast.walk(tree) if isinstance(part, ast.ImportFrom) for name in part.names]
            return sorted((name.name for name in imports if name.asname == name.name), key=_as_ruff_sorts)
    return None


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    return 0 if name.isupper() else 1 if name[0].isupper() else 2, name


SCANS: list[tuple[Callable[[ast.Module], Iterator[str]], list[str], list[str]]] = [
    (
        global_randomness,
        [
            *("torch.rand(3)", "torch.randn(2, device='cpu')", "torch.randint(0, 3, (2,))", "torch.randperm(5)"),
            *("np.random.rand(3)", "np.random.seed(0)", "np.random.default_rng()", "torch.manual_seed(0)"),
            *("random.shuffle(x)", "from random import choice", "x.normal_()", "nn.init.normal_(x)"),
            "torch.rand_like(x)",
        ],
        ["torch.rand(3, generator=g)", "np.random.default_rng(0)", "Generator().manual_seed(3)", "rng.normal(3)"],
    ),
    (
        forbidden_statements,
        [
            *("assert x", "print(1)", "import dill", "from pickle import loads", "pickle.load(f)", "hasattr(x, 'y')"),
            *("def f():\n    raise NotImplementedError", "eval('1')"),
        ],
        ["raise ValueError", "click.echo(1)", "try:\n    f()\nexcept pickle.UnpicklingError:\n    g()"],
    ),
    (
        unsafe_loads,
        ["torch.load(p)", "torch.load(p, weights_only=False)", "torch.load(p, weights_only=x)", "np.load(p)"],
        ["torch.load(p, weights_only=True)", "np.load(p, allow_pickle=False)", "json.load(p)"],
    ),
    (
        long_functions,
        ["def f():\n" + "    x = 1\n" * 49],
        ["def f():\n    '''" + "\n" * 60 + "'''\n" + "    x = 1\n" * 48],
    ),
    (unsorted_names, ["__all__ = ['b', 'a']", "__all__ = ['f', 'A']", "x = 1"], ["__all__ = ['B_C', 'Ab', 'f']"]),
]


@pytest.mark.parametrize(("scan", "wrong", "right"), SCANS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_package_is_clean_and_the_scan_sees(
    scan: Callable[[ast.Module], Iterator[str]], wrong: list[str], right: list[str]
) -> None:
    faults = {name: list(scan(tree)) for name, tree in TREES.items()}
    assert {name: lines for name, lines in faults.items() if lines} == {}
    for snippet in wrong:  # negative controls
        assert list(scan(ast.parse(snippet))), snippet
    for snippet in right:
        assert not list(scan(ast.parse(snippet))), snippet


def too_long(lengths: dict[str, int]) -> list[str]:
    return [name for name, lines in lengths.items() if lines > 400]


@pytest.mark.parametrize("folder", [ROOT, Path(__file__).parent])
def test_files_are_short(folder: Path) -> None:
    assert too_long({str(path): len(path.read_text("utf-8").splitlines()) for path in folder.rglob("*.py")}) == []
    assert too_long({"a": 401, "b": 400}) == ["a"]  # negative control


# Imports -------------------------------------------------------------------------------------------------------------


def strays(tree: ast.Module, package: str, forbidden: tuple[str, ...]) -> list[str]:
    """What a file imports from places that are forbidden to it."""
    return [name for name in imported(tree, package) if name.startswith(forbidden)]


def test_optimizers_know_neither_models_nor_adapters() -> None:
    forbidden = ("pixprompt.models", "pixprompt.adapters")
    for name, tree in TREES.items():
        if name.startswith("optimizers/"):
            assert strays(tree, package_of(name), forbidden) == [], name
    for snippet in (
        "from ..models import DirectQuerier",
        "from .. import adapters",
        "import pixprompt.models.wrappers",
    ):
        assert strays(ast.parse(snippet), "pixprompt.optimizers", forbidden), snippet  # negative controls


def test_requests_is_imported_in_remote_only() -> None:
    forbidden = ("requests", "urllib3", "httpx", "aiohttp")
    for name, tree in TREES.items():
        if not name.startswith("remote/"):
            assert strays(tree, package_of(name), forbidden) == [], name
    assert strays(ast.parse("def f():\n    from requests import get"), "pixprompt", forbidden)  # negative control


def borrowed(trees: dict[str, ast.Module]) -> list[str]:
    """Names that one module takes from another although that one does not offer them in its `__all__`."""
    modules = {".".join(["pixprompt", *Path(name).with_suffix("").parts]): tree for name, tree in trees.items()}
    offers = {name.removesuffix(".__init__"): public_names(tree) or [] for name, tree in modules.items()}
    faults = []
    for name, tree in trees.items():
        for target in imported(tree, package_of(name)):
            module, _, what = target.rpartition(".")
            if module in offers and target not in offers and module != "pixprompt" and what not in offers[module]:
                faults.append(f"{name} takes {what} from {module}")
    return faults


def test_modules_take_from_each_other_only_what_is_offered() -> None:
    assert borrowed(TREES) == []
    wrong = {"a.py": ast.parse("__all__ = ['f']\ng = 1"), "b.py": ast.parse("from .a import f, g")}
    wrong["c/__init__.py"] = ast.parse("from ..a import f as f\n__all__, get, names = lazy_names(__name__)")
    wrong["d.py"] = ast.parse("from .c import f, h")
    assert borrowed(wrong) == ["b.py takes g from pixprompt.a", "d.py takes h from pixprompt.c"]  # negative controls


def lint_imports(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", code, "--config", str(config), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_the_layers_hold(tmp_path: Path) -> None:
    """With the project's own contract, on the package and on a small one that breaks it."""
    pytest.importorskip("importlinter")
    config = ROOT.parent / "setup.cfg"
    process = lint_imports(ROOT.parent, config)
    assert process.returncode == 0, process.stdout + process.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", process.stdout)
    settings = configparser.ConfigParser()
    settings.read(config)
    layers = re.findall(r"pixprompt\.(\w+)", settings["importlinter:contract:layers"]["layers"])
    assert layers[0] == "cli"
    assert layers[-1] == "core"
    inner = re.findall(r"pixprompt\.([\w.]+)", settings["importlinter:contract:run"]["layers"])
    for layer in (*layers, *inner):
        (tmp_path / "pixprompt" / layer.replace(".", "/")).mkdir(parents=True, exist_ok=True)
    for folder in [path for path in (tmp_path / "pixprompt").rglob("*") if path.is_dir()]:
        (folder / "__init__.py").write_text("")
    (tmp_path / "pixprompt/__init__.py").write_text("")
    assert lint_imports(tmp_path, config).returncode == 0
    for low, high in (("models", "..engine"), ("engine/learners/by_answers", "...ladder")):  # negative controls
        module = tmp_path / "pixprompt" / low / "__init__.py"
        module.write_text(f"from {high} import x")
        assert lint_imports(tmp_path, config).returncode == 1
        module.write_text("")


def test_light_modules_load_no_torch() -> None:
    commands = ", ".join(f"pixprompt.cli.prompts.{name}" for name in ("apply", "export", "inspect_", "sharing"))
    assert heavy(f"pixprompt, pixprompt.cli, {commands}, pixprompt.export, pixprompt.views") == []
    assert heavy("pixprompt.cli.serving.proxy, pixprompt.serving.proxy.proxy, pixprompt.serving.prompt_service") == []
    assert heavy("requests, safetensors") == ["requests", "safetensors"]  # negative control


def heavy(modules: str) -> list[str]:
    """The large libraries that importing some modules brings along."""
    names = (
        "torch",
        "torchvision",
        "timm",
        "open_clip",
        "matplotlib",
        "sklearn",
        "scipy",
        "requests",
        "safetensors",
        "onnx",
        "huggingface_hub",
    )
    code = f"import sys, {modules}; print(*[name for name in {names} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return process.stdout.split()
