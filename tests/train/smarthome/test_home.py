import json
from pathlib import Path

import numpy as np
import pytest

from train.smarthome.events import Events
from train.smarthome.home import Home, layout, read_home

# As in the public CASAS metadata, shortened; keys that this project does not know are left as they are there.
MILAN = {
    "num_residents": 1,
    "sensor_location": {"M004": "living_room", "D003": "kitchen", "T001": "kitchen"},
    "sensor_coordinates": {"M004": [1700, 1900], "D003": [1000, 100], "T001": [1500, 200]},
    "sensor_details": {"M004": "armchair ", "D003": "garage door in kitchen", "T001": None},
    "sensor_type": {"M004": "motion", "D003": "door", "T001": "temperature"},
    "label_to_text": {
        "Read": {"short_desc": "reading a book", "long_desc": ["Reading near the armchair."]},
        "Chores": {"long_desc": ["Cleaning the house.", "Tidying."]},
        "Sleep": "asleep",
    },
    "label_l2": {"Read": "Relax"},
}


def events_of(sensors: list[str], locations: list[str] | None) -> Events:
    return Events(
        timestamp=np.arange(len(sensors)),
        sensor=np.array(sensors),
        location=None if locations is None else np.array(locations),
        state=np.full(len(sensors), "ON"),
        label=np.full(len(sensors), ""),
        form="annotated",
        malformed=(),
    )


def write(folder: Path, content: object) -> Path:
    path = folder / "home.json"
    path.write_text(json.dumps(content))
    return path


class TestReading:
    def test_one_home(self, tmp_path: Path) -> None:
        home = read_home(write(tmp_path, MILAN))
        assert home.sensor_location["D003"] == "kitchen"
        assert home.sensor_coordinates["T001"] == (1500, 200)

    def test_one_of_several_homes(self, tmp_path: Path) -> None:
        path = write(tmp_path, {"milan": MILAN, "aruba": {"sensor_location": {"M001": "hall"}}})
        assert read_home(path, "aruba").sensor_location == {"M001": "hall"}
        with pytest.raises(ValueError, match=r"describes the homes \['aruba', 'milan'\]: choose one with home_name"):
            read_home(path)
        with pytest.raises(ValueError, match="given: cairo"):
            read_home(path, "cairo")

    def test_the_only_one_of_several_homes_needs_no_name(self, tmp_path: Path) -> None:
        assert read_home(write(tmp_path, {"milan": MILAN})) == read_home(write(tmp_path, MILAN))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([], "is a JSON list; expected an object"),
            ({"rooms": {}}, "has none of the keys"),
            ({"sensor_coordinates": {"M001": [1]}}, "sensor_coordinates.M001"),
            ({"sensor_coordinates": {"M001": [1, float("nan")]}}, "sensor_coordinates.M001"),
            ({"sensor_location": {"M001": 3}}, "sensor_location.M001"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, content: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            read_home(write(tmp_path, content))

    def test_not_json(self, tmp_path: Path) -> None:
        (tmp_path / "home.json").write_text("{")
        with pytest.raises(ValueError, match="is not JSON"):
            read_home(tmp_path / "home.json")

    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no home description"):
            read_home(tmp_path / "home.json")


class TestRooms:
    def test_the_description_comes_before_the_location_column(self) -> None:
        home = Home(sensor_location={"A": "Attic"})
        assert home.rooms(events_of(["A", "B"], ["Cellar", "Hall"])).tolist() == ["Attic", "Hall"]

    def test_without_either_the_sensors_name_tells(self) -> None:
        rooms = Home().rooms(events_of(["Kitchen2", "LivingRoom", "M003", "D001"], None))
        assert rooms.tolist() == ["Kitchen", "LivingRoom", "Home", "Home"]


class TestTexts:
    HOME = Home.model_validate(MILAN)

    def test_sensors(self) -> None:
        assert self.HOME.sensor_text("M004") == "armchair sensor"
        assert self.HOME.sensor_text("T001") == "temperature sensor T001"
        assert Home().sensor_text("WorkArea") == "work area sensor"
        assert Home().sensor_text("M003") == "sensor M003"

    def test_labels(self) -> None:
        assert self.HOME.label_texts("Read") == ["reading a book", "Reading near the armchair."]
        assert self.HOME.label_texts("Chores") == ["Cleaning the house.", "Tidying."]
        assert self.HOME.label_texts("Sleep") == ["asleep"]
        assert self.HOME.label_texts("Feed_Cat") == ["feed cat"]
        assert len(set(self.HOME.label_texts("Cook"))) == 3
        assert Home.model_validate({"label_to_text": {"Nap": {"short_desc": None}}}).label_texts("Nap")


class TestLayout:
    def test_described_coordinates_fill_the_unit_square(self) -> None:
        places = layout(Home.model_validate(MILAN), [])
        assert places.points["living_room"]["M004"] == (1.0, 1.0)
        assert places.points["kitchen"]["D003"] == (0.0, 0.0)
        assert places.bounds == {"x": (1000, 1700), "y": (100, 1900)}

    def test_a_sensor_without_coordinates_has_no_place(self) -> None:
        places = layout(Home.model_validate(MILAN), [("M999", "kitchen")])
        xy = places.locate(np.array(["M999", "D003"]), np.array(["kitchen", "kitchen"]))
        assert np.isnan(xy[:, 0]).all()
        assert xy[:, 1].tolist() == [0.0, 0.0]

    def test_coordinates_on_one_line_are_in_the_middle_of_the_other_axis(self) -> None:
        home = Home(sensor_location={"A": "r", "B": "r"}, sensor_coordinates={"A": (0, 7), "B": (2, 7)})
        assert layout(home, []).points == {"r": {"A": (0.0, 0.5), "B": (1.0, 0.5)}}

    def test_without_coordinates_rooms_are_laid_out_on_a_grid(self) -> None:
        pairs = [("A", "Bath"), ("B", "Kitchen"), ("C", "Kitchen"), ("D", "Living")]
        points = layout(Home(), pairs).points
        assert points["Bath"] == {"A": (0.25, 0.25)}
        assert points["Kitchen"] == {"B": (0.625, 0.25), "C": (0.875, 0.25)}
        assert points["Living"] == {"D": (0.25, 0.75)}

    def test_a_grid_that_is_not_full_still_fills_the_unit_square(self) -> None:
        points = layout(Home(), [("A", "Bath"), ("B", "Kitchen")]).points
        assert points == {"Bath": {"A": (0.25, 0.5)}, "Kitchen": {"B": (0.75, 0.5)}}

    def test_the_grid_does_not_depend_on_the_order_of_events(self) -> None:
        pairs = [(f"S{number}", f"R{number % 5}") for number in range(20)]
        assert layout(Home(), pairs).points == layout(Home(), pairs[::-1]).points

    def test_a_pair_that_training_never_saw_has_no_place(self) -> None:
        places = layout(Home(), [("A", "Bath")])
        assert np.isnan(places.locate(np.array(["A"]), np.array(["Kitchen"]))).all()
