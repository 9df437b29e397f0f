"""Statuses may differ in case and surrounding spaces only."""

from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace


def test_status_ignores_case_and_spaces(workspace: Workspace):
    words = ["active", "Active", "ACTIVE", " active", "active ", "  aCtIvE\t", '" active "']
    workspace.write(
        "store_status.csv",
        POLLS,
        *(f"a{n},{word},2023-01-25 10:00:00 UTC" for n, word in enumerate(words)),
        *(
            f"b{n},{word.lower().replace('a', 'Ina', 1)},2023-01-25 10:00:00 UTC"
            for n, word in enumerate(words)
        ),
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    statuses = {store: status for store, _, status in workspace.polls()}
    assert statuses == {
        f"{letter}{n}": status
        for n in range(len(words))
        for letter, status in (("a", "active"), ("b", "inactive"))
    }


def test_unknown_status_is_a_bad_row(workspace: Workspace):
    words = ["", " ", "activ", "actived", "in active", "in-active", "open", "1", "true", "null"]
    workspace.write(
        "store_status.csv",
        POLLS,
        *(f"{n},{word},2023-01-25 10:00:00 UTC" for n, word in enumerate(words)),
    )
    workspace.ingest()
    assert workspace.polls() == []
    reasons = [reason for *_, reason in workspace.quarantined()]
    assert len(reasons) == len(words)
    assert all(reason.endswith("must be active or inactive") for reason in reasons)
    assert reasons[0] == "status is empty and must be active or inactive"
    assert reasons[6] == "status is 'open' and must be active or inactive"
