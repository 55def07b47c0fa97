"""What a process answers on its way to the client, and what is remembered of it."""

from __future__ import annotations

import numpy as np

from knerve.server.bulletin import Notice
from knerve.server.connection import Outbox
from knerve.server.framing import Frame
from knerve.server.job import PREVIEW_SERIES
from knerve.server.messages import IMAGE_HEAD, MessageId, Text
from knerve.server.spoken import is_error
from knerve.server.wire import decode


class Delivery:
    """Passes TEXT and IMAGE messages on.

    Attributes:
        words: the last TEXT; nothing before the first.
        refused: whether one of them said why there are no images.
        sent: `image_index` of the images that went out, previews not counted.
    """

    def __init__(self, outbox: Outbox, notice: Notice) -> None:
        self._outbox, self._notice = outbox, notice
        self.words = ""
        self.refused = False
        self.sent: tuple[int, ...] = ()

    def take(self, frame: Frame) -> None:
        """Pass one message on."""
        if frame.kind == MessageId.TEXT:
            message = decode(frame)
            assert isinstance(message, Text), "that is how a TEXT is decoded"
            self.words = message.text
            self.refused |= is_error(message.text)
        else:
            head = np.frombuffer(frame.content, IMAGE_HEAD, 1)[0]
            if head["image_series_index"] != PREVIEW_SERIES:
                self.sent = (*self.sent, int(head["image_index"]))
        self._outbox.put(frame)
        self._notice.answer(frame)
