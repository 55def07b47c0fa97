"""Sixteen float32 side by side, as one value that numba kernels load, add, multiply and store.

LLVM turns each operation into the widest vector instructions of the processor. Plain loops over arrays do not get them, because
numba cannot promise LLVM that the arrays do not overlap.

    a = load(source, i)                  source[i : i + LANES], flat array
    store(target, i, scale * a + b)      a float32 multiplies all lanes
    evens(a, b), odds(a, b)              every second one of the 32 numbers of a and b
    weave_low(a, b), weave_high(a, b)    a and b in turns: the first and the last sixteen numbers
    shrink(power, least)                 max(0, 1 - least / power): what is left of coefficients of that power
    to_unit_ball(power)                  1 / max(1, √power): what keeps vectors of that power in the unit ball
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
VECTOR = ir.VectorType(ir.FloatType(), LANES)
ALIGNMENT = 4  # bytes: rows need not start at vector boundaries
TINY = 1e-30

Typed = tuple[Any, Callable[..., Any]]  # what an intrinsic returns: its signature and the function that emits it


class LanesType(types.Type):
    """The type of the value, for numba."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


lanes = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """Its representation: one LLVM vector."""

    def __init__(self, manager: Any, kind: LanesType) -> None:  # noqa: ANN401 - numba calls it
        super().__init__(manager, kind, VECTOR)  # type: ignore[no-untyped-call]


def _address(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, index: Any) -> Any:  # noqa: ANN401
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


def _load(typing: Any, array: Any, index: Any) -> Typed:  # noqa: ANN401, ARG001
    """The lanes at `array[index : index + LANES]`; nothing checks the bounds."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        loaded = builder.load(_address(context, builder, signature.args[0], *arguments))
        loaded.align = ALIGNMENT
        return loaded

    return lanes(array, types.intp), emit


def _store(typing: Any, array: Any, index: Any, value: Any) -> Typed:  # noqa: ANN401, ARG001
    """Put lanes at `array[index : index + LANES]`; nothing checks the bounds."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        builder.store(arguments[2], _address(context, builder, signature.args[0], *arguments[:2]), align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes), emit


def _splat(typing: Any, value: Any) -> Typed:  # noqa: ANN401, ARG001
    """A float32 in all lanes."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        return _in_all_lanes(builder, arguments[0])

    return lanes(types.float32), emit


def _shrink(typing: Any, power: Any, least: Any) -> Typed:  # noqa: ANN401, ARG001
    """max(0, 1 - least / power), of lanes and a float32."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        zero, one, tiny = (ir.Constant(VECTOR, [x] * LANES) for x in (0.0, 1.0, TINY))
        safe = builder.select(builder.fcmp_ordered(">", arguments[0], tiny), arguments[0], tiny)
        ratio = builder.fdiv(_in_all_lanes(builder, arguments[1]), safe, flags=("fast",))
        factor = builder.fsub(one, ratio, flags=("fast",))
        return builder.select(builder.fcmp_ordered(">", factor, zero), factor, zero)

    return lanes(lanes, types.float32), emit


def _to_unit_ball(typing: Any, power: Any) -> Typed:  # noqa: ANN401, ARG001
    """1 / √max(1, power)."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        one = ir.Constant(VECTOR, [1.0] * LANES)
        outside = builder.select(builder.fcmp_ordered(">", arguments[0], one), arguments[0], one)
        kind = ir.FunctionType(VECTOR, [VECTOR])
        root = builder.call(builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}f32", (), kind), [outside])
        return builder.fdiv(one, root, flags=("fast",))

    return lanes(lanes), emit


def _in_all_lanes(builder: ir.IRBuilder, value: Any) -> Any:  # noqa: ANN401
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _arithmetic(name: str) -> Any:  # noqa: ANN401
    """Lanes (operation) lanes; products and sums may fuse."""

    def operation(typing: Any, a: Any, b: Any) -> Typed:  # noqa: ANN401, ARG001
        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            return getattr(builder, name)(*arguments, flags=("fast",))

        return lanes(lanes, lanes), emit

    return intrinsic(operation)


def _permutation(places: list[int]) -> Any:  # noqa: ANN401
    """The lanes of a and b at these places of their sequence."""

    def operation(typing: Any, a: Any, b: Any) -> Typed:  # noqa: ANN401, ARG001
        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            return builder.shuffle_vector(*arguments, ir.Constant(ir.VectorType(ir.IntType(32), LANES), places))

        return lanes(lanes, lanes), emit

    return intrinsic(operation)


def _overload(sign: Callable[..., Any], operation: Any) -> None:  # noqa: ANN401
    """Let kernels write the operation with its sign; a float32 on the left is taken into all lanes."""

    @overload(sign)
    def typed(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - numba compares it with the lambdas
        if not isinstance(b, LanesType):
            return None
        if isinstance(a, LanesType):
            return lambda a, b: operation(a, b)
        return (lambda a, b: operation(splat(a), b)) if a == types.float32 else None


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
splat: Any = intrinsic(_splat)
shrink: Any = intrinsic(_shrink)
to_unit_ball: Any = intrinsic(_to_unit_ball)
add, subtract, multiply = _arithmetic("fadd"), _arithmetic("fsub"), _arithmetic("fmul")
evens, odds = _permutation(list(range(0, 2 * LANES, 2))), _permutation(list(range(1, 2 * LANES, 2)))
_woven = [place for i in range(LANES) for place in (i, i + LANES)]
weave_low, weave_high = _permutation(_woven[:LANES]), _permutation(_woven[LANES:])
_overload(operator.add, add)
_overload(operator.sub, subtract)
_overload(operator.mul, multiply)
