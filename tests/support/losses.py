"""A contract suite whose destination really loses replies, and shows that it does."""

from __future__ import annotations

import pytest

from streamfan.retry import may_pass
from streamfan.testing import LoseReply, SinkContract
from streamfan.testing.kit import Kit
from streamfan.testing.values import chunks, new_stream


class LossyContract(SinkContract):
    """The contract, with a fixture `lose_reply` that is not allowed to do nothing."""

    def test_lost_reply_is_noticed(self, kit: Kit, lose_reply: LoseReply) -> None:
        sink, stream = kit.connected(), new_stream()
        kit.open(sink, stream)
        (chunk,) = chunks(stream, "text")

        lose_reply()
        with pytest.raises(Exception, match=r".") as raised:
            sink.write(chunk)

        assert may_pass(raised.value)
        assert kit.held(stream).text == "text"
