from reference import walks

from benchmarks.counts.compilations import compilations


def test_only_what_is_new_is_compiled() -> None:
    counted = compilations(
        {
            "first": lambda pipeline: pipeline.predict(walks(2, 1, 40), 16),
            "again": lambda pipeline: pipeline.predict(walks(2, 1, 45), 10),
            "longer": lambda pipeline: pipeline.predict(walks(2, 1, 60), 16),
            "another function": lambda pipeline: pipeline.embed(walks(2, 1, 60)),
        }
    )
    assert counted == {
        "compilations: first": 1,
        "compilations: again": 0,
        "compilations: longer": 1,
        "compilations: another function": 1,
    }
