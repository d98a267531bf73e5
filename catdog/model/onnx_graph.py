"""The part of an ONNX file that some of its outputs need. ONNX Runtime computes all that a file holds, asked or not.

An ONNX file is one message of Protocol Buffers, <https://protobuf.dev/programming-guides/encoding/>, and cutting a
graph only leaves messages out: the few fields that this takes are read here, so that serving does not need the package
`onnx`. Numbers of fields are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_GRAPH = 7  # of a model
_NODE, _INITIALIZER, _OUTPUT, _VALUE_INFO = 1, 5, 12, 13  # of a graph
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4
_WITH_GRAPHS = frozenset((b"If", b"Loop", b"Scan", b"SequenceMap"))
"""The operators that hold graphs of their own."""
_NAME = {_INITIALIZER: 8, _OUTPUT: 1, _VALUE_INFO: 1}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    number: int
    whole: bytes
    """With its tag and length."""
    value: bytes
    """Empty where the field is a number."""


def output_names(model: bytes) -> tuple[str, ...]:
    """The names of a file's outputs.

    Raises:
        ValueError: it is not an ONNX file.
    """
    return tuple(_name(field).decode() for field in fields(_graph(model).value) if field.number == _OUTPUT)


def cut(model: bytes, outputs: Sequence[str]) -> bytes:
    """The same file with these outputs alone, and without what only others need.

    Raises:
        ValueError: it is not an ONNX file.
    """
    graph = _graph(model)
    parts = list(fields(graph.value))
    nodes = [(field, _values(field)) for field in parts if field.number == _NODE]
    if any(not _WITH_GRAPHS.isdisjoint(node[_NODE_OPERATOR]) for _, node in nodes):
        return model  # what is inside may use names from outside
    needed, kept = {name.encode() for name in outputs}, set()
    for field, node in reversed(nodes):  # each node comes after those that it needs
        if not needed.isdisjoint(node[_NODE_OUTPUT]):
            kept.add(id(field))
            needed.update(node[_NODE_INPUT])

    def stays(field: Field) -> bool:
        if field.number == _NODE:
            return id(field) in kept
        if field.number == _OUTPUT:
            return _name(field).decode() in outputs
        return field.number not in (_INITIALIZER, _VALUE_INFO) or _name(field) in needed

    smaller = b"".join(field.whole for field in parts if stays(field))
    others = b"".join(field.whole for field in fields(model) if field.number != _GRAPH)
    return others + _varint(_GRAPH << 3 | _BYTES) + _varint(len(smaller)) + smaller


def _graph(model: bytes) -> Field:
    found = [field for field in fields(model) if field.number == _GRAPH]
    if len(found) != 1:
        raise ValueError("no graph")
    return found[0]


def _name(field: Field) -> bytes:
    return next((each.value for each in fields(field.value) if each.number == _NAME[field.number]), b"")


def _values(field: Field) -> defaultdict[int, list[bytes]]:
    """What a message holds, by the number of the field."""
    found = defaultdict(list)
    for each in fields(field.value):
        found[each.number].append(each.value)
    return found


def fields(message: bytes) -> Iterator[Field]:
    """The fields of one message.

    Raises:
        ValueError: it is none.
    """
    start = 0
    while start < len(message):
        tag, at = _read_varint(message, start)
        value = at
        if tag & 7 == _VARINT:
            _, end = _read_varint(message, at)
            value = end
        elif tag & 7 == _BYTES:
            size, value = _read_varint(message, at)
            end = value + size
        elif tag & 7 in (_FIXED32, _FIXED64):
            value = end = at + (4 if tag & 7 == _FIXED32 else 8)
        else:
            raise ValueError("no message of Protocol Buffers")
        if end > len(message):
            raise ValueError("a message that is cut short")
        yield Field(tag >> 3, message[start:end], message[value:end])
        start = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, at
    raise ValueError("a number that is cut short")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:  # noqa: PLR2004
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))
