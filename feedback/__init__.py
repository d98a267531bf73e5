"""From a press of the button to rows in a data set: the journal, its rows, and their way out."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame"]


def frame(data_dir: Path | str | None = None, *, pictures: bool = False) -> "pd.DataFrame":
    """All feedback that counts, from the journal and the Hub, with what was decided about it; a row each.

    The settings say where it is (`CATDOG_DATA_DIR`, `CATDOG_FEEDBACK_REPO`). A read-only copy of a data folder will do.

    Args:
        data_dir: Another data folder.
        pictures: Whether there is a column `image` with JPEG bytes.

    Returns:
        The columns of a feedback row, then `status` (pending, accepted or rejected), `label` (the one that counts),
        `decided_by`, `decided_at` and `reason`. Times are in UTC.

    Raises:
        SettingsError: a setting is wrong, or a newer version wrote the journal.
        HubError: the Hub can't be reached, or refuses.
        FeedbackError: the journal can't be read.
    """
    from feedback.dataframe import read_frame  # noqa: PLC0415 - pandas, which only this needs

    return read_frame(None if data_dir is None else Path(data_dir), pictures=pictures)
