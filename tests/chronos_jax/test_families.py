import pytest

from chronos_jax.chronos2.config import Chronos2Config, UnsupportedConfigError
from chronos_jax.chronos2.params import weight_table
from chronos_jax.families import family_of


def test_a_configuration_leads_to_its_familys_weight_table():
    config = Chronos2Config(d_model=16, num_layers=2)
    assert family_of(config.to_dict()) == ("Chronos-2", weight_table(config))


def test_a_configuration_of_no_known_family_is_refused():
    with pytest.raises(UnsupportedConfigError, match=r"not the config\.json of a Chronos checkpoint"):
        family_of({"model_type": "bert"})
