"""One call of `generate()`, from the prompt to the end: its rows, and what it may and may not put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamfan.errors import StreamerMisuse
from streamfan.streamer.ids import check_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamfan.streamer.rows import Row


class Run:
    """The rows of one call of `generate()`.

    Within a run every put has the same shape: one id for each row (or, for a single row, several), or a block of ids
    for each row. So a prompt that comes in the middle, because the call before was left by an exception, is mostly
    recognized: it has another shape, or another number of rows, or is empty.
    """

    def __init__(self, rows: Sequence[Row], prompt_length: int) -> None:
        self.rows = rows
        self._prompt_length = prompt_length
        self._in_blocks: bool | None = None

    def put(self, ids: list[Any]) -> None:
        """Give each row what was generated for it.

        Raises:
            StreamerMisuse: This belongs to another run, or begins one with what are no ids; the text of this run is not
                complete.
        """
        try:
            in_blocks = bool(ids) and isinstance(ids[0], list)
        except TypeError:
            # Not even a list; asked for every token, that would cost more than it is worth.
            check_ids(ids)
            raise
        if in_blocks is not self._in_blocks:
            self._check_first(in_blocks)
            check_ids(ids)
        if len(self.rows) == 1 and not in_blocks:
            self.rows[0].put(ids)
            return
        blocks = ids if in_blocks else [[id] for id in ids]
        if len(blocks) != len(self.rows) or [] in blocks:
            raise self._misuse()
        for row, block in zip(self.rows, blocks, strict=True):
            row.put(block)

    def stopped(self, input_ids: Any) -> Any:
        """Which rows are to be generated no further: True for all, False for none, else a tensor of one bool each."""
        count = input_ids.shape[1] - self._prompt_length
        stopped = [row.stop_after(count) for row in self.rows]
        if all(stopped):
            return True
        # Built by the tensor that is at hand, so that torch need not be imported here.
        return input_ids.new_tensor(stopped) != 0 if any(stopped) else False

    def end(self) -> None:
        """End what has not ended."""
        for row in self.rows:
            row.end()

    def cut(self, error: BaseException) -> None:
        """End what has not ended, because of `error`."""
        for row in self.rows:
            row.cut(error)

    def abandon(self) -> None:
        """End what has not ended: nobody will ever put again."""
        self.cut(StreamerMisuse("the streamer was dropped before end(): generate() did not run to its end"))

    def _check_first(self, in_blocks: bool) -> None:
        if self._in_blocks is not None:
            raise self._misuse()
        self._in_blocks = in_blocks

    def _misuse(self) -> StreamerMisuse:
        return StreamerMisuse(
            f"a run of {len(self.rows)} row(s) has not ended, and here begins another: generate() was left half-way\n"
            "Try: `with fan.streamer(...) as streamer:` around each call of generate()"
        )
