"""The official Penn Treebank tokeniser of COCO captions: Stanford's, in Java, from the jar inside pycocoevalcap."""

import functools
import shutil
import subprocess
from collections.abc import Sequence
from importlib.resources import files

from finetune.evaluate.metrics.ptb import drop_punctuation, to_one_line

_CLASS = "edu.stanford.nlp.process.PTBTokenizer"


@functools.cache
def is_java_available() -> bool:
    """Whether a `java` on the path runs (some systems carry one that only asks to be installed)."""
    java = shutil.which("java")
    return java is not None and subprocess.run([java, "-version"], capture_output=True, check=False).returncode == 0


def tokenize_with_java(texts: Sequence[str]) -> list[str]:
    """Return each text's tokens, joined by spaces, in lower case and without punctuation.

    The jar is fed through a pipe: pycocoevalcap's own wrapper writes into its package folder, which may be read-only.

    Raises:
        RuntimeError: If Java fails, with what it said.
    """
    jar = files("pycocoevalcap") / "tokenizer" / "stanford-corenlp-3.4.1.jar"
    command = ["java", "-cp", str(jar), _CLASS, "-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    lines = "".join(f"{to_one_line(text)}\n" for text in texts)
    done = subprocess.run(command, input=lines.encode(errors="replace"), capture_output=True, check=False)
    tokens = done.stdout.decode().split("\n")[: len(texts)]
    if done.returncode != 0 or len(tokens) != len(texts):
        raise RuntimeError(f"the Java tokeniser failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return [drop_punctuation(line.split(" ")) for line in tokens]
