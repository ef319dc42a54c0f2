"""The names of subjects."""

from __future__ import annotations

from streamfan.events import check_stream_id


def subject_of(prefix: str, id: str) -> str:
    """The subject of a stream.

    An id is letters, digits, "-" and "_", which all may stand in one part of a subject.

    Raises:
        UsageError: It is no such id, and could be a wildcard or the subject of another stream.
    """
    check_stream_id(id)
    return f"{prefix}.{id}"
