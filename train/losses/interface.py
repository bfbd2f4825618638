"""What every loss takes and gives, in whichever form it is computed."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int

Kind = Literal["infonce", "sigmoid", "focal_sigmoid"]
Implementation = Literal["plain", "ring", "tiles"]


class Matches(NamedTuple):
    """Which text fits which window, in memory linear in the batch: text j fits window i if its number is i's own.

    A text must fit the window that it was drawn for (row i holds `text_ids_B[i]`), so that no row is without.
    """

    own_texts_BxC: Int[Array, "b c"]  # numbers of all texts that fit window i, padded with a number that no text has
    text_ids_B: Int[Array, " b"]  # number of the text drawn for window j


class Negatives(NamedTuple):
    """Further texts, not of this batch, that each window is to be told apart from (see `train.negatives`)."""

    cosine_BxK: Float[Array, "b k"]  # of the window with each of its K texts
    valid_BxK: Bool[Array, "b k"]  # False: nothing there, or a caption of that very window


class Contrast(NamedTuple):
    """How well windows and texts of a batch are told apart.

    An accuracy is the share of rows whose nearest fitting partner is strictly nearer than every one that does not fit,
    so that embeddings that all fall on one point score 0. No gradient flows through it.
    """

    loss: Float[Array, ""]
    accuracy_window_to_text: Float[Array, ""]
    accuracy_text_to_window: Float[Array, ""]


@runtime_checkable
class Loss(Protocol):
    """What `make_loss` returns: a function of a whole batch, to be called inside jax.jit."""

    def __call__(
        self,
        sensor_BxD: Float[Array, "b d"],
        text_BxD: Float[Array, "b d"],
        logit_scale: Float[Array, ""],
        logit_bias: Float[Array, ""],
        matches: Matches,
        negatives: Negatives | None = None,
    ) -> Contrast:
        """The loss of a batch.

        Args:
            sensor_BxD: Unit embeddings of the windows.
            text_BxD: Unit embeddings of one caption of each window.
            logit_scale: Inverse temperature, positive.
            logit_bias: Added to every logit of the sigmoid losses; softmax does not feel a constant.
            matches: Which text fits which window.
            negatives: Further columns for the direction from window to text.
        """
        ...


def fitting(own_texts_RxC: Int[Array, "r c"], text_ids_S: Int[Array, " s"]) -> Bool[Array, "r s"]:
    """Whether each of some texts (columns) fits each of some windows (rows)."""
    return (own_texts_RxC[:, :, None] == text_ids_S[None, None, :]).any(axis=1)
