import pytest

from train.compilation.costs import matrix_flops, memory_traffic
from train.compilation.hlo import parse_program


def entry(*lines: str, before: str = "") -> str:
    return before + "\nENTRY %main (x: f32[1]) -> f32[] {\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"


A, B = "%a = bf16[64,256]{1,0} parameter(0)", "%b = bf16[256,32]{1,0} parameter(1)"


@pytest.mark.parametrize(
    ("lines", "multiplications"),
    [
        (
            [A, B, "ROOT %c = f32[64,32]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}"],
            64 * 32 * 256,
        ),
        # How a TPU multiplies: without a window, and with the batch of products as a window over dilated rows.
        ([A, B, "ROOT %c = f32[64,32]{1,0} convolution(%a, %b), dim_labels=bf_io->bf"], 64 * 32 * 256),
        (
            [
                "%a = bf16[8,6,64]{2,1,0} parameter(0)",
                "%b = bf16[8,5,64]{2,1,0} parameter(1)",
                "ROOT %c = f32[8,6,5]{2,1,0} convolution(%a, %b), window={size=8 stride=7 lhs_dilate=8}, "
                "dim_labels=0bf_0oi->0bf",
            ],
            8 * 6 * 5 * 64,
        ),
        # An ordinary convolution, whose window leaves the image at both ends.
        (
            [
                "%a = f32[1,10,3]{2,1,0} parameter(0)",
                "%b = f32[3,3,4]{2,1,0} parameter(1)",
                "ROOT %c = f32[1,10,4]{2,1,0} convolution(%a, %b), window={size=3 pad=1_1}, dim_labels=b0f_0io->b0f",
            ],
            (10 * 3 - 2) * 3 * 4,
        ),
        # A kernel written by hand, which says itself what it does; and one that does not.
        (
            [
                A,
                '%c = f32[64,256]{1,0} custom-call(%a), custom_call_target="tpu_custom_call", backend_config='
                '{"custom_call_config":{"body":"TUzv","cost_estimate":{"flops":"640","transcendentals":"7"}}}',
                'ROOT %d = f32[64,256]{1,0} custom-call(%c), custom_call_target="ConcatBitcast"',
            ],
            320,
        ),
    ],
)
def test_products_count_what_they_multiply(lines: list[str], multiplications: int) -> None:
    assert matrix_flops(parse_program(entry(*lines))) == 2 * multiplications


SLICED = """
%sliced (p0: f32[12,64,64], p1: s32[]) -> f32[64,64] {
  %p0 = f32[12,64,64]{2,1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %slice = f32[1,64,64]{2,1,0} dynamic-slice(%p0, %p1, %zero, %zero), dynamic_slice_sizes={1,64,64}
  ROOT %flat = f32[64,64]{1,0} bitcast(%slice)
}

%outer (q0: f32[12,64,64], q1: s32[]) -> f32[64,64] {
  %q0 = f32[12,64,64]{2,1,0} parameter(0)
  %q1 = s32[] parameter(1)
  %inner = f32[64,64]{1,0} fusion(%q0, %q1), kind=kLoop, calls=%sliced
  ROOT %tanh = f32[64,64]{1,0} tanh(%inner)
}

%updated (r0: f32[12,64,64], r1: f32[1,64,64], r2: s32[]) -> f32[12,64,64] {
  %r0 = f32[12,64,64]{2,1,0} parameter(0)
  %r1 = f32[1,64,64]{2,1,0} parameter(1)
  %r2 = s32[] parameter(2)
  ROOT %update = f32[12,64,64]{2,1,0} dynamic-update-slice(%r0, %r1, %r2, %r2, %r2)
}
"""
STACK = ["%x = f32[12,64,64]{2,1,0} parameter(0)", "%i = s32[]{:S(6)} parameter(1)"]
ONE = 64 * 64 * 4


@pytest.mark.parametrize(
    ("lines", "bytes_moved"),
    [
        (["%x = f32[64,64]{1,0} parameter(0)", "ROOT %y = f32[64,64]{1,0} tanh(%x)"], 2 * ONE),
        # Scratch memory costs nothing, neither to read nor to write.
        (["%x = f32[64,64]{1,0:S(1)} parameter(0)", "ROOT %y = f32[64,64]{1,0} tanh(%x)"], ONE),
        (["%x = f32[64,64]{1,0} parameter(0)", "ROOT %y = f32[64,64]{1,0:T(8,128)S(1)} tanh(%x)"], ONE),
        # One layer's weights of a stack.
        ([*STACK, "ROOT %y = f32[64,64]{1,0} fusion(%x, %i), kind=kLoop, calls=%outer"], 2 * ONE),
        # One layer's place in a stack.
        (
            [
                *STACK,
                "%u = f32[1,64,64]{2,1,0} parameter(2)",
                "ROOT %y = f32[12,64,64]{2,1,0} fusion(%x, %u, %i), kind=kLoop, calls=%updated",
            ],
            2 * ONE,
        ),
        # A copy into scratch memory that runs beside other work counts once.
        (
            [
                "%x = f32[64,64]{1,0} parameter(0)",
                "%s = (f32[64,64]{1,0:S(1)}, f32[64,64]{1,0}, u32[]{:S(2)}) copy-start(%x)",
                "ROOT %y = f32[64,64]{1,0:S(1)} copy-done(%s)",
            ],
            ONE,
        ),
        (["%x = f32[64,64]{1,0} parameter(0)", "ROOT %y = f32[4096]{0} bitcast(%x)"], 0),
    ],
)
def test_what_moves_from_and_to_main_memory(lines: list[str], bytes_moved: int) -> None:
    assert memory_traffic(parse_program(entry(*lines, before=SLICED))) == bytes_moved
