"""The API that programs rely on stays; see `tests/test_contract.py`."""

import httpx

from tests.test_contract import CONTRACT, fields, operations


def test_every_operation_and_every_field_of_the_api_is_still_there(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    now = operations(document)
    for name, statuses in CONTRACT["operations"].items():
        assert set(statuses) <= set(now[name]), name
    assert set(CONTRACT["fields"]) <= set(fields(document))
