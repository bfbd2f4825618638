"""How activities are described in words, where the home's description does not say."""

import warnings
from collections.abc import Iterable

from train.smarthome.names import readable

# Labels of the public CASAS homes. What is said of place and time is common knowledge, not taken from any data: it is
# what zero-shot recognition has to go by.
_DESCRIPTIONS = {
    "bathe": "bathing or showering in the bathroom",
    "bed_to_toilet": "going from the bed in the bedroom to the bathroom and back at night",
    "bed_toilet_transition": "going from the bed in the bedroom to the bathroom and back at night",
    "cook": "cooking in the kitchen",
    "cook_breakfast": "cooking breakfast in the kitchen in the morning",
    "cook_dinner": "cooking dinner in the kitchen in the evening",
    "cook_lunch": "cooking lunch in the kitchen around noon, in the afternoon",
    "dress": "getting dressed at the wardrobe or closet in the bedroom",
    "drink": "having a drink in the kitchen",
    "eat": "eating a meal at the table in the dining room",
    "eat_breakfast": "eating breakfast at the table in the dining room in the morning",
    "eat_dinner": "eating dinner at the table in the dining room in the evening",
    "eat_lunch": "eating lunch at the table in the dining room around noon, in the afternoon",
    "eating": "eating a meal at the table in the dining room",
    "enter_home": "coming home through the front door at the entry",
    "entertain_guests": "entertaining guests in the living room",
    "eve_meds": "taking medicine in the kitchen in the evening",
    "evening_meds": "taking medicine in the kitchen in the evening",
    "exercise": "doing physical exercise in the living room",
    "go_to_sleep": "going to bed in the bedroom at night",
    "groom": "grooming in the bathroom",
    "housekeeping": "cleaning and tidying all over the home",
    "laundry": "doing the laundry",
    "leave_home": "leaving home through the front door at the entry",
    "meal_preparation": "preparing a meal in the kitchen",
    "morning_meds": "taking medicine in the kitchen in the morning",
    "nap": "taking a nap in the afternoon",
    "other_activity": "moving about between several rooms of the home",
    "personal_hygiene": "washing and brushing teeth in the bathroom",
    "phone": "talking on the phone",
    "read": "reading in a chair in the living room",
    "relax": "relaxing in a chair in the living room",
    "sleep": "sleeping in bed in the bedroom for hours at night",
    "sleep_out_of_bed": "sleeping in a chair in the living room",
    "sleeping": "sleeping in bed in the bedroom for hours at night",
    "step_out": "stepping out of the front door for a moment",
    "take_medicine": "taking medicine in the kitchen",
    "toilet": "using the toilet in the bathroom",
    "wake_up": "waking up in the bedroom in the morning",
    "wash_breakfast_dishes": "washing the dishes at the kitchen sink after breakfast in the morning",
    "wash_dinner_dishes": "washing the dishes at the kitchen sink after dinner in the evening",
    "wash_dishes": "washing the dishes at the kitchen sink",
    "wash_lunch_dishes": "washing the dishes at the kitchen sink after lunch in the afternoon",
    "watch_tv": "watching television on the sofa in the living room in the evening",
    "work": "working at the desk in the office",
    "work_at_desk": "working at the desk in the office for hours",
    "work_at_table": "working at a table in the work area",
    "work_on_computer": "working on a computer at the desk in the office",
}


# Around a description, in words that captions use too: a prompt ensemble (Radford et al. 2021, section 3.1.4).
_WORDINGS = ("{}", "somebody was {}", "the person was {}")


def describe_label(label: str) -> list[str]:
    """An activity in several wordings: of a known CASAS label, whatever its case; else the label's name in words."""
    description = _DESCRIPTIONS.get(label.lower())
    return [readable(label)] if description is None else [wording.format(description) for wording in _WORDINGS]


def warn_of_undescribed(labels: Iterable[str], where: object) -> None:
    """Warns of labels of which `describe_label` knows no more than the name, with their number."""
    if bare := [label for label in labels if label.lower() not in _DESCRIPTIONS]:
        warnings.warn(
            f"{where}: {len(bare)} labels have no description, such as {bare[0]}: their names in words stand for it. "
            "Descriptions are given to train.prepare (--home), under label_to_text",
            stacklevel=3,
        )
