"""Two-point control by its numbers: where the band lies, and what happens on its very edges."""

import pytest

from stoker.core.control import Band, band, wants_heat


def test_the_band_lies_around_the_target() -> None:
    assert band(20.0, 0.5) == Band(on_below=19.75, off_above=20.25)
    assert band(20.0, 0.0) == Band(20.0, 20.0)


@pytest.mark.parametrize("heating", [False, True])
@pytest.mark.parametrize(
    ("celsius", "wants"),
    [(18.9, True), (19.0, "as before"), (20.0, "as before"), (21.0, "as before"), (21.1, False)],
)
def test_on_below_the_band_and_off_above_it_and_in_it_and_on_its_edges_as_before(
    celsius: float, wants: bool | str, heating: bool
) -> None:
    assert wants_heat(celsius, Band(19.0, 21.0), heating) is (heating if wants == "as before" else wants)


@pytest.mark.parametrize("heating", [False, True])
def test_without_a_band_the_target_itself_counts_as_reached(heating: bool) -> None:
    limits = band(20.0, 0.0)
    assert [wants_heat(celsius, limits, heating) for celsius in (19.9, 20.0, 20.1)] == [True, False, False]
