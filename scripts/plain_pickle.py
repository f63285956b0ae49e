"""Plain data out of a file that Python's pickle wrote, without ever running what is written there.

A pickle is a program for a small stack machine. Most of its instructions put a number, a text or an empty list on the
stack, or what is on the stack into a list or a dict; a few others import a function and call it, and are why a file of
unknown origin must not be unpickled. This machine knows the harmless ones alone, of every protocol, and refuses a file
at the first other one.

Source:
    The list of instructions in CPython's Lib/pickletools.py.
"""

import ast
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_MARK = object()
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_EMPTY: dict[bytes, Callable[[], object]] = {b"]": list, b"}": dict, b")": list}
# How a number, a text's length or a place in the memo stands behind its instruction.
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_TEXTS = {b"U": "<B", b"T": "<I", b"X": "<I", b"\x8c": "<B"}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_PROTOCOL, _FRAME, _LONG, _MEMOIZE, _STOP = b"\x80", b"\x95", b"\x8a", b"\x94", b"."


class NotPlainError(ValueError):
    """The file is no pickle, or one of more than lists, dicts, texts and numbers."""


def read_plain(encoded: bytes) -> object:
    """Return the lists (tuples become lists), dicts, texts, numbers, booleans and None that a pickle holds.

    Raises:
        NotPlainError: At the first instruction that makes something else, naming its place.
    """
    machine = _Machine(encoded=encoded)
    try:
        while (opcode := machine.take(1)) != _STOP:
            machine.step(opcode)
        return machine.stack.pop()
    except (IndexError, KeyError, TypeError, ValueError, struct.error, SyntaxError) as error:
        if isinstance(error, NotPlainError):
            raise
        raise NotPlainError(f"is no intact pickle: byte {machine.position} makes no sense there") from error


@dataclass(slots=True, kw_only=True)
class _Machine:
    encoded: bytes
    position: int = 0
    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def take(self, length: int) -> bytes:
        end = self.position + length
        if length < 0 or end > len(self.encoded):
            raise NotPlainError("is no intact pickle: it ends too soon")
        taken, self.position = self.encoded[self.position : end], end
        return taken

    def step(self, opcode: bytes) -> None:
        """Do one instruction."""
        if opcode in (_PROTOCOL, _FRAME):
            self.take(1 if opcode == _PROTOCOL else 8)
        elif opcode in _PUTS or opcode in (b"p", _MEMOIZE):
            self.memo[self._slot(opcode)] = self.stack[-1]
        elif opcode in _GETS or opcode == b"g":
            self.stack.append(self.memo[self._slot(opcode)])
        elif opcode in b"sauedlt(" or opcode in _TUPLES:
            self._gather(opcode)
        else:
            self.stack.append(self._value(opcode))

    def _value(self, opcode: bytes) -> object:
        """Read a value that stands in the file itself."""
        if opcode in _CONSTANTS:
            return _CONSTANTS[opcode]
        if opcode in _EMPTY:
            return _EMPTY[opcode]()
        if opcode in _NUMBERS:
            return self._number(_NUMBERS[opcode])
        if opcode in _TEXTS:
            return _decode(self.take(int(self._number(_TEXTS[opcode]))))
        if opcode == _LONG:
            return int.from_bytes(self.take(int(self._number("<B"))), "little", signed=True)
        if opcode in b"ILFSV":
            return _read_line(opcode, self._line())
        message = f"instruction {opcode!r} at byte {self.position - 1} is not carried out"
        raise NotPlainError(f"holds more than plain data: {message}")

    def _gather(self, opcode: bytes) -> None:
        """Put what is on the stack into a list or a dict."""
        if opcode == b"(":
            self.stack.append(_MARK)
        elif opcode in _TUPLES:
            self.stack.append([self.stack.pop() for _ in range(_TUPLES[opcode])][::-1])
        elif opcode in b"lt":
            self.stack.append(self._since_mark())
        elif opcode == b"d":
            self.stack.append(_pairs(self._since_mark()))
        else:
            values = [self.stack.pop() for _ in range({b"a": 1, b"s": 2}[opcode])][::-1] if opcode in b"as" else None
            self._extend(values if values is not None else self._since_mark(), is_dict=opcode in b"su")

    def _extend(self, values: list[object], *, is_dict: bool) -> None:
        target = self.stack[-1]
        if is_dict and isinstance(target, dict):
            target.update(_pairs(values))
        elif not is_dict and isinstance(target, list):
            target.extend(values)
        else:
            raise NotPlainError(f"is no intact pickle: byte {self.position} adds to neither list nor dict")

    def _since_mark(self) -> list[object]:
        values: list[object] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _slot(self, opcode: bytes) -> int:
        if opcode == _MEMOIZE:
            return len(self.memo)
        return int(self._line()) if opcode in b"pg" else int(self._number((_PUTS | _GETS)[opcode]))

    def _number(self, form: str) -> int | float:
        number: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return number

    def _line(self) -> bytes:
        end = self.encoded.index(b"\n", self.position)
        return self.take(end + 1 - self.position)[:-1]


def _pairs(values: Sequence[object]) -> dict[object, object]:
    return dict(zip(values[::2], values[1::2], strict=True))


def _read_line(opcode: bytes, line: bytes) -> object:
    """Read a value that stands on a line of its own, as protocol 0 writes them."""
    if opcode == b"I":
        return line == b"01" if line in (b"00", b"01") else int(line)
    if opcode == b"L":
        return int(line.removesuffix(b"L"))
    if opcode == b"F":
        return float(line)
    if opcode == b"V":
        return line.decode("raw-unicode-escape")
    literal = ast.literal_eval(f"b{line.decode('ascii')}")
    if not isinstance(literal, bytes):
        raise NotPlainError("is no intact pickle: a text stands without quotes")
    return _decode(literal)


def _decode(text: bytes) -> str:
    """Return a text that Python 2 kept as bytes."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
