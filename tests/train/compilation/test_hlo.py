import pytest

from train.compilation.hlo import parse_program

LOOP = """HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[8]{0})->f32[8]{0}}

%fused_computation (param_0.1: f32[8]) -> f32[8] {
  %param_0.1 = f32[8]{0:T(128)} parameter(0)
  ROOT %tanh.1 = f32[8]{0:T(128)} tanh(%param_0.1), metadata={op_name="jit(f)/(tanh)"}
}

%body (wide.param: (s32[], f32[8])) -> (s32[], f32[8]) {
  %wide.param = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %get-tuple-element.1 = s32[]{:T(128)} get-tuple-element(%wide.param), index=0
  %constant.1 = s32[]{:T(128)} constant(1)
  %add.1 = s32[]{:T(128)} add(%get-tuple-element.1, %constant.1)
  %get-tuple-element.2 = f32[8]{0:T(128)S(1)} get-tuple-element(%wide.param), index=1
  %fusion.1 = f32[8]{0:T(128)S(1)} fusion(%get-tuple-element.2), kind=kLoop, calls=%fused_computation
  ROOT %tuple.1 = (s32[]{:T(128)}, /*index=1*/f32[8]{0:T(128)S(1)}) tuple(%add.1, %fusion.1)
}

%condition (wide.param.2: (s32[], f32[8])) -> pred[] {
  %constant.5 = s32[]{:T(128)} constant(12)
  %wide.param.2 = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %get-tuple-element.3 = s32[]{:T(128)} get-tuple-element(%wide.param.2), index=0
  ROOT %lt.3 = pred[]{:T(512)} compare(%get-tuple-element.3, %constant.5), direction=LT
}

ENTRY %main (param: f32[8]) -> f32[8] {
  %constant.8 = s32[]{:T(128)} constant(2)
  %copy.9 = s32[]{:T(128)} copy(%constant.8)
  %param = f32[8]{0:T(128)} parameter(0)
  %tuple.13 = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) tuple(%copy.9, %param)
  %while.9 = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) while(%tuple.13), condition=%condition, body=%body
  ROOT %get-tuple-element.55 = f32[8]{0:T(128)} get-tuple-element(%while.9), index=1
}
"""


def runs(text: str, into_fusions: bool = True) -> dict[str, int]:
    return {execution.instruction.name: execution.times for execution in parse_program(text).executions(into_fusions)}


def test_what_a_loop_runs_counts_once_per_trip() -> None:
    times = runs(LOOP)
    assert times["while.9"] == 1
    assert times["fusion.1"] == times["tanh.1"] == 10  # from 2 up to 12


def test_instructions_within_fusions_are_left_out_where_not_asked_for() -> None:
    assert "tanh.1" not in runs(LOOP, into_fusions=False)


def test_what_the_compiler_notes_of_a_loop_comes_first() -> None:
    noted = LOOP.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"7"}}')
    assert runs(noted)["fusion.1"] == 7


def test_a_loop_that_ends_by_data_counts_once() -> None:
    assert runs(LOOP.replace("s32[]{:T(128)} copy(%constant.8)", "s32[]{:T(128)} negate(%constant.8)"))["fusion.1"] == 1
    assert runs(LOOP.replace("direction=LT", "direction=NE"))["fusion.1"] == 1


def test_loops_within_loops_multiply() -> None:
    inner = "%fusion.1 = f32[8]{0:T(128)S(1)} fusion(%get-tuple-element.2), kind=kLoop, calls=%fused_computation"
    nested = LOOP.replace(
        inner, inner.replace("kind=kLoop, ", "").replace("fusion(", "call(").replace("calls=", "to_apply=")
    )
    nested = nested.replace(
        "ROOT %tanh.1 = f32[8]{0:T(128)} tanh(%param_0.1)",
        "%again = (f32[8]{0}) while(%param_0.1), condition=%never, body=%trivial, "
        'backend_config={"known_trip_count":{"n":"3"}}\n  ROOT %tanh.1 = f32[8]{0:T(128)} tanh(%param_0.1)',
    ).replace("%body (", "%trivial (p: f32[8]) -> f32[8] {\n  ROOT %p = f32[8]{0} parameter(0)\n}\n\n%body (")
    assert runs(nested)["p"] == 30


def test_arrays_know_their_bytes_and_where_they_lie() -> None:
    program = parse_program(LOOP)
    carried = program.computations["body"].by_name["wide.param"].results
    assert [(array.sizes, array.bytes, array.space) for array in carried] == [((), 4, 0), ((8,), 32, 1)]


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(ValueError, match="no ENTRY"):
        parse_program("HloModule nothing")
