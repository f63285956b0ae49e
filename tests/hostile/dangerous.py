"""Code that may run what it reads, or reach a network: found in the source itself, without running any of it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Calls by their whole dotted name, as imports resolve it.
_CALLS = {
    "eval": "eval",
    "exec": "exec",
    "compile": "compile",
    "__import__": "__import__",
    "os.system": "a shell",
    "os.popen": "a shell",
    "subprocess.getoutput": "a shell",
    "subprocess.getstatusoutput": "a shell",
    "yaml.load": "yaml.load",
    "yaml.unsafe_load": "yaml.load",
    "yaml.full_load": "yaml.load",
    "hydra.utils.instantiate": "hydra's instantiate",
    "hydra.utils.call": "hydra's instantiate",
    "hydra.utils.get_method": "hydra's instantiate",
    "hydra.utils.get_class": "hydra's instantiate",
    "torch.hub.load": "torch.hub",
    "torch.jit.load": "torch.jit.load",
    "torch.distributed.checkpoint.load": "DCP, whose metadata is a pickle",
    "shutil.unpack_archive": "an archive, unpacked whole",
}
_MODULES = {
    "pickle": "pickle",
    "cPickle": "pickle",
    "dill": "pickle",
    "cloudpickle": "pickle",
    "joblib": "pickle",
    "shelve": "pickle",
    "marshal": "marshal",
    "torch.distributed.checkpoint": "DCP, whose metadata is a pickle",
}
_NETWORK = ("requests", "httpx", "httpx2", "aiohttp", "urllib.request", "urllib3", "http.client", "ftplib", "smtplib",
            "ssl", "huggingface_hub", "paramiko", "boto3")  # fmt: skip
# What these may do and nobody else: (file, kind).
ALLOWED = {
    # Each asks the hub only for what the user named, and only for JSON, safetensors and rows.
    ("finetune/hub.py", "network"),
    ("finetune/model/hub.py", "network"),
    ("finetune/tokens/mask_codec_file.py", "network"),
    ("datasets_adapters/hf_images.py", "network"),
    ("datasets_adapters/hf_open.py", "network"),
    # A free port of this machine, for ranks that it starts itself.
    ("finetune/chaos/laboratory.py", "network"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place, and what is dangerous there."""

    path: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}"


def findings_in(root: Path, folders: tuple[str, ...]) -> list[Finding]:
    """Look through every Python file of some folders for what is allowed nowhere, or not there."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    found = [finding for path in paths for finding in findings_of(path.read_text(), str(path.relative_to(root)))]
    return [finding for finding in found if (finding.path, finding.kind) not in ALLOWED]


def findings_of(source: str, path: str) -> list[Finding]:
    """Look through one file."""
    tree = ast.parse(source)
    names = _imported_names(tree)
    return [
        Finding(path=path, line=getattr(node, "lineno", 0), kind=kind)
        for node in ast.walk(tree)
        for kind in _kinds(node, names)
    ]


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for: `np` is numpy, `load` torch.load."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def _kinds(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _kinds_of_import(node)
    if isinstance(node, ast.Call):
        yield from _kinds_of_call(_dotted(node.func, names), node)


def _kinds_of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    else:
        modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    for module in modules:
        if kind := _MODULES.get(module) or _MODULES.get(module.partition(".")[0]):
            yield kind
        if any(f"{module}.".startswith(f"{name}.") for name in _NETWORK) and ".errors" not in module:
            yield "network"


def _kinds_of_call(name: str, node: ast.Call) -> Iterator[str]:
    if name in _CALLS:
        yield _CALLS[name]
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name == "torch.load":
        yield "torch.load"
    if _is(given.get("weights_only"), False):
        yield "weights_only=False"
    if _is(given.get("shell"), True):
        yield "a shell"
    if not _is(given.get("trust_remote_code", ast.Constant(value=False)), False):
        yield "trust_remote_code"
    if name.startswith("numpy.") and name.endswith("load") and not _is(given.get("allow_pickle"), False):
        yield "numpy's load without allow_pickle=False"
    if name.rpartition(".")[2] in ("extractall", "extract") and not _is(given.get("filter"), "data"):
        yield "an archive, unpacked whole"
    if name.endswith((".create_connection", ".connect_ex")) or name in ("socket.socket", "datasets.load_dataset"):
        yield "network"


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted name that is called; "" for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value, names)
        return f"{inner}.{node.attr}" if inner else f".{node.attr}"
    return ""


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value
