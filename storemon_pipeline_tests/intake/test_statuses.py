"""Statuses are forgiven their case and the spaces around them, and nothing else."""

from storemon_pipeline_tests.intake.place import POLLS, Place


def test_case_and_surrounding_spaces_are_forgiven(place: Place):
    said = ["active", "Active", "ACTIVE", " active", "active ", "  aCtIvE\t", '" active "']
    place.put(
        "store_status.csv",
        POLLS,
        *(f"a{n},{word},2023-01-25 10:00:00 UTC" for n, word in enumerate(said)),
        *(
            f"b{n},{word.lower().replace('a', 'Ina', 1)},2023-01-25 10:00:00 UTC"
            for n, word in enumerate(said)
        ),
    )
    place.take_in()
    assert place.quarantined() == []
    statuses = {store: status for store, _, status in place.polls()}
    assert statuses == {
        f"{letter}{n}": status
        for n in range(len(said))
        for letter, status in (("a", "active"), ("b", "inactive"))
    }


def test_any_other_word_is_a_bad_row(place: Place):
    words = ["", " ", "activ", "actived", "in active", "in-active", "open", "1", "true", "null"]
    place.put(
        "store_status.csv",
        POLLS,
        *(f"{n},{word},2023-01-25 10:00:00 UTC" for n, word in enumerate(words)),
    )
    place.take_in()
    assert place.polls() == []
    reasons = [reason for *_, reason in place.quarantined()]
    assert len(reasons) == len(words)
    assert all(reason.endswith("must be active or inactive") for reason in reasons)
    assert reasons[0] == "status is empty and must be active or inactive"
    assert reasons[6] == "status is 'open' and must be active or inactive"
