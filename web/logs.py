"""The log: lines for people, or a JSON object a line for machines. Neither holds pictures, addresses or tokens."""

import json
import logging
from datetime import UTC, datetime

FIELDS = (
    "request_id", "label", "verdict", "confidence", "latency_ms", "source", "model_revision", "row_id", "code",
)  # fmt: skip
"""What a record may carry besides its message; anything else is left out, whoever adds it."""


class JsonLines(logging.Formatter):
    """One JSON object a record: `time` (UTC), `level`, `logger`, `message`, of `FIELDS` what it has, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def set_up_log(level: str, log_format: str) -> None:
    """Set what the root logger says, and how; `log_format` is `text` or `json`."""
    root = logging.getLogger()
    root.setLevel(level)
    if log_format == "json":
        for handler in root.handlers:
            handler.setFormatter(JsonLines())
