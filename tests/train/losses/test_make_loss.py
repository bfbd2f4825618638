import inspect

import pytest

from chronos_jax.sharding import make_mesh
from train.losses import Loss, make_loss


@pytest.mark.parametrize("form", ["plain", "ring", "tiles"])
@pytest.mark.parametrize("kind", ["infonce", "sigmoid", "focal_sigmoid"])
def test_every_loss_comes_in_every_form(kind, form) -> None:
    assert isinstance(make_loss(kind, form, make_mesh()), Loss)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("softmax", "ring"), r"unknown loss 'softmax': .*'infonce', 'sigmoid', 'focal_sigmoid'"),
        (("infonce", "rings"), r"unknown implementation 'rings': .*'plain', 'ring', 'tiles'"),
    ],
)
def test_unknown_names_are_refused(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(make_loss)(*arguments, make_mesh())


def test_a_tile_holds_at_least_one_pair() -> None:
    with pytest.raises(ValueError, match="tile is 0: it must be at least 1"):
        make_loss("infonce", "tiles", make_mesh(), tile=0)
