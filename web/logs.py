"""The log: lines of text, or a JSON object per line. Neither contains pictures, addresses or tokens."""

import json
import logging
from datetime import UTC, datetime

FIELDS = (
    "request_id", "label", "verdict", "confidence", "latency_ms", "source", "model_revision", "row_id", "code",
)  # fmt: skip
"""Fields that a record may have besides its message; all others are left out."""


class JsonLines(logging.Formatter):
    """One JSON object per record: `time` (UTC), `level`, `logger`, `message`, its `FIELDS`, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up_log(level: str, log_format: str) -> None:
    """Set the root logger's level and format; `log_format` is `text` or `json`."""
    root = logging.getLogger()
    root.setLevel(level)
    if log_format == "json":
        for handler in root.handlers:
            handler.setFormatter(JsonLines())
