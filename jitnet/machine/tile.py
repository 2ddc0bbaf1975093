"""A tile: rows x cols vectors of 16 float32, held in registers as one value inside a kernel.

The loops stay explicit and in the kernels; a tile only says which numbers are in registers while a loop runs. A
compiler cannot decide that here: it does not know that two arrays do not overlap, so it keeps sums in memory. LLVM
splits a 16-lane vector where the CPU's are shorter (AVX2: two halves, NEON: four quarters), so one source serves all.

Every operation is written twice below: as plain Python over NumPy, which defines it and runs when compilation is off
(`NUMBA_DISABLE_JIT=1`), and as the few LLVM instructions that it becomes. All arrays are flat and float32; offsets and
strides count elements. Nothing is bounds-checked: a kernel's caller sizes its arrays.

`blocks` has the rows and columns of the kernels' tiles. A row is whole panels; `apart` is the distance from a panel to
the next, which are contiguous by default. `panels` is how many of a tile's panels are in use, at least one: the others
do not change, and nothing is read or stored for them. So one loop serves any number of panels up to a tile's, and LLVM
makes a loop for each.
"""

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import config, types
from numba.extending import models, overload, register_model

from jitnet.compiler.intrinsics import intrinsic
from jitnet.compiler.numba_parts import cgutils
from jitnet.machine.blocks import LANES, PANEL, PANEL_COLS

__all__ = [
    "prefetch",
    "tile_add_outer",
    "tile_add_scaled",
    "tile_floor",
    "tile_larger",
    "tile_load",
    "tile_max",
    "tile_power2",
    "tile_prefetch",
    "tile_repeat",
    "tile_sqrt",
    "tile_store",
    "tile_sum",
    "tile_transpose",
    "tile_zero",
]  # fmt: skip


Place = int | np.integer[Any]

_ALL = 1 << 30
"""All panels of a tile."""


def _panel_widths(cols: int, panels: int) -> list[tuple[int, int]]:
    """Return the index of each panel in use, and how many of its columns the tile has."""
    columns = min(cols * LANES, panels * PANEL)
    return [(panel, min(PANEL, columns - panel * PANEL)) for panel in range(-(-columns // PANEL))]


def tile_zero(rows: int, cols: int) -> np.ndarray:
    """A tile of zeros."""
    return np.zeros((rows, cols * LANES), np.float32)


def tile_load(
    rows: int, cols: int, source: np.ndarray, offset: Place, stride: int, apart: int = PANEL, panels: int = _ALL
) -> np.ndarray:
    """tile[r, c] = source[offset + r * stride + c]. Panels that are not in use are left out, compiled they are zero."""
    begins = [offset + r * stride for r in range(rows)]
    pieces = _panel_widths(cols, panels)
    return np.stack([np.concatenate([source[at + p * apart : at + p * apart + n] for p, n in pieces]) for at in begins])


def tile_repeat(rows: int, cols: int, source: np.ndarray, offset: int, panels: int = _ALL) -> np.ndarray:
    """tile[r, c] = source[offset + c], the same in every row."""
    return tile_load(rows, cols, source, offset, 0, PANEL, panels)


def tile_store(
    tile: np.ndarray, target: np.ndarray, offset: int, stride: int, apart: int = PANEL, panels: int = _ALL
) -> None:
    """target[offset + r * stride + c] = tile[r, c]."""
    for r, row in enumerate(tile):
        for panel, count in _panel_widths(len(row) // LANES, panels):
            at = offset + r * stride + panel * apart
            target[at : at + count] = row[panel * PANEL : panel * PANEL + count]


def tile_prefetch(rows: int, cols: int, source: np.ndarray, offset: int, stride: int, apart: int = PANEL) -> None:
    """Prefetch the cache lines that `tile_load` would read; any address is allowed."""


def tile_add_outer(
    tile: np.ndarray,
    column: np.ndarray,
    at: Place,
    stride: int,
    row: np.ndarray,
    offset: Place,
    apart: int = PANEL,
    panels: int = _ALL,
) -> np.ndarray:
    """tile[r, c] + column[at + r * stride] * row[offset + c]: one term of a matrix product."""
    rows, width = tile.shape
    factors = np.array([column[at + r * stride] for r in range(rows)], np.float32)
    added = tile_load(1, width // LANES, row, offset, 0, apart, panels)
    return tile[:, : added.shape[1]] + factors[:, None] * added


def tile_add_scaled(
    tile: np.ndarray,
    scale: np.float32,
    source: np.ndarray,
    offset: Place,
    stride: int,
    apart: int = PANEL,
    panels: int = _ALL,
) -> np.ndarray:
    """tile[r, c] + scale * source[offset + r * stride + c]."""
    rows, width = tile.shape
    added = tile_load(rows, width // LANES, source, offset, stride, apart, panels)
    return tile[:, : added.shape[1]] + np.float32(scale) * added


def tile_max(tile: np.ndarray, minimum: np.float32) -> np.ndarray:
    """The larger of each number and `minimum`; a NaN stays NaN."""
    return np.where(tile < np.float32(minimum), np.float32(minimum), tile)


def tile_larger(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The larger of two tiles' numbers; where `right` is NaN, `left`'s."""
    return np.where(left < right, right, left)


def tile_sqrt(tile: np.ndarray) -> np.ndarray:
    """Square root of each number."""
    return np.sqrt(tile)


def tile_floor(tile: np.ndarray) -> np.ndarray:
    """Largest whole number not above each number."""
    return np.floor(tile)


def tile_power2(tile: np.ndarray) -> np.ndarray:
    """2**n for whole numbers n from -126 to 127."""
    return np.ldexp(np.float32(1.0), tile.astype(np.int32))


def tile_sum(tile: np.ndarray) -> np.float32:
    """Sum of all numbers, in a fixed order."""
    return np.float32(tile.sum(dtype=np.float32))


def tile_transpose(tile: np.ndarray) -> np.ndarray:
    """Rows as columns, of a tile of LANES rows and one vector a row."""
    return tile.T.copy()


def prefetch(source: np.ndarray, offset: int) -> None:
    """Prefetch the cache line of source[offset] into the second cache; of any element type, and any address is
    allowed."""


class TileType(types.Type):  # type: ignore[misc]
    """Numba's type of a tile: its shape is part of the type."""

    def __init__(self, rows: int, cols: int) -> None:
        self.rows, self.cols = rows, cols
        super().__init__(f"Tile({rows}, {cols})")


@register_model(TileType)
class TileModel(models.PrimitiveModel):  # type: ignore[misc]
    """A tile is an LLVM array of vectors, which LLVM keeps in registers."""

    def __init__(self, manager: Any, tile: TileType) -> None:
        super().__init__(manager, tile, ir.ArrayType(_VECTOR, tile.rows * tile.cols))


_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INDEX = types.intp
# Numba adds the decorator's flags to instructions that have none. With `reassoc` and `contract` LLVM may round each
# copy of a loop differently, and the bits of nesterov would depend on where a range begins.
_EXACT = ("nsz",)


def _constant(value: int, bits: int = 64) -> ir.Constant:
    return ir.Constant(ir.IntType(bits), value)


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return context.make_array(array_type)(context, builder, array).data


def _address(builder: Any, data: Any, offset: Any) -> Any:
    return builder.bitcast(builder.gep(data, [offset]), _VECTOR.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    vector = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _constant(0, 32))
    return _shuffle(builder, vector, vector, [0] * LANES)


def _shuffle(builder: Any, left: Any, right: Any, lanes: list[int]) -> Any:
    """Return a vector of these lanes: those of `left`, and from LANES on those of `right`."""
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes))


def _call(builder: Any, name: str, *args: Any) -> Any:
    function_type = ir.FunctionType(_VECTOR, [_VECTOR] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.v{LANES}f32"), args)


def _pack(builder: Any, vectors: list[Any]) -> Any:
    value = ir.Constant(ir.ArrayType(_VECTOR, len(vectors)), ir.Undefined)
    for at, vector in enumerate(vectors):
        value = builder.insert_value(value, vector, at)
    return value


def _unpack(builder: Any, tile: TileType, value: Any) -> list[Any]:
    return [builder.extract_value(value, at) for at in range(tile.rows * tile.cols)]


def _addresses(builder: Any, tile: TileType, data: Any, offset: Any, stride: Any, apart: Any) -> list[Any]:
    """Return the address of each vector of a tile."""
    addresses = []
    for r in range(tile.rows):
        row = builder.add(offset, builder.mul(stride, _constant(r)))
        for c in range(tile.cols):
            panel, within = divmod(c, PANEL_COLS)
            at = builder.add(builder.add(row, builder.mul(apart, _constant(panel))), _constant(within * LANES))
            addresses.append(_address(builder, data, at))
    return addresses


def _zeros(tile: TileType) -> list[Any]:
    return [ir.Constant(_VECTOR, None)] * (tile.rows * tile.cols)


def _panel_by_panel(
    builder: Any, tile: TileType, panels: Any, before: list[Any], make: Callable[[int], Any]
) -> list[Any]:
    """Return make(k) for each vector k of the panels in use, and `before` for the others; panels None: all are in use.

    After each panel there is a branch if there is another. It is invariant in a loop, so LLVM unswitches the loop: one
    for each result. It does so up to some code size only, and this form is the shortest.
    """
    if panels is None:
        return [make(k) for k in range(len(before))]
    end, after, branches = builder.append_basic_block("end"), list(before), []
    for panel in range(tile.cols // PANEL_COLS):
        if panel > 0:
            another = builder.append_basic_block("another")
            branches.append((list(after), builder.block))
            builder.cbranch(builder.icmp_signed(">", panels, _constant(panel)), another, end)
            builder.position_at_end(another)
        for k in range(len(before)):
            if k % tile.cols // PANEL_COLS == panel:
                after[k] = make(k)
    return _join(builder, end, [*branches, (after, builder.block)])


def _by_count(builder: Any, tile: TileType, panels: Any, compute: Callable[[int], list[Any]]) -> list[Any]:
    """Return compute(count) for the count of panels in use; panels None: all are in use.

    Each count has separate code, which may go through the rows one after the other, with as few factors at a time as
    fit the registers beside the sums.
    """
    all_panels = tile.cols // PANEL_COLS
    if panels is None or all_panels == 1:
        return compute(all_panels)
    end, branches = builder.append_basic_block("end"), []
    for count in range(1, all_panels):
        these, more = builder.append_basic_block("these"), builder.append_basic_block("more")
        builder.cbranch(builder.icmp_signed("==", panels, _constant(count)), these, more)
        builder.position_at_end(these)
        branches.append((compute(count), builder.block))
        builder.branch(end)
        builder.position_at_end(more)
    return _join(builder, end, [*branches, (compute(all_panels), builder.block)])


def _join(builder: Any, end: Any, branches: list[tuple[list[Any], Any]]) -> list[Any]:
    """Return the vectors at `end`, where the blocks of all branches join; the builder is in the last of them."""
    builder.branch(end)
    builder.position_at_end(end)
    vectors = []
    for k in range(len(branches[0][0])):
        vector = builder.phi(_VECTOR)
        for values, block in branches:
            vector.add_incoming(values[k], block)
        vectors.append(vector)
    return vectors


def _prefetch(builder: Any, pointer: Any, locality: int) -> None:
    """Emit a prefetch. locality: 3 is the first cache, 2 the second."""
    pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, *[ir.IntType(32)] * 3])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, _constant(0, 32), _constant(locality, 32), _constant(1, 32)])


if not config.DISABLE_JIT:

    @intrinsic(prefer_literal=True)
    def tile_zero(typing, rows, cols):
        def codegen(context, builder, signature, args):
            return ir.Constant(context.get_value_type(signature.return_type), None)

        return _tile(rows, cols)(rows, cols), codegen

    def _tile(rows: Any, cols: Any) -> TileType:
        """Return the type of a tile, from the types of two literal numbers in a call."""
        return TileType(rows.literal_value, cols.literal_value)

    def _count(panels: Any) -> Any:
        """Return the type of `panels` in a signature: another type where it has its default, since the code differs."""
        return types.literal(_ALL) if panels == _ALL else _INDEX

    def _panels_in_use(signature: Any, args: Any) -> Any:
        """Return the last argument, a number of panels; None where it has its default, and all are in use."""
        return None if isinstance(signature.args[-1], types.Literal) else args[-1]

    @intrinsic(prefer_literal=True)
    def tile_load(typing, rows, cols, source, offset, stride, apart=PANEL, panels=_ALL):
        def codegen(context, builder, signature, args):
            tile = signature.return_type
            data = _data(context, builder, signature.args[2], args[2])
            addresses = _addresses(builder, tile, data, *args[3:6])

            def load(k):
                return builder.load(addresses[k], align=4)

            return _pack(builder, _panel_by_panel(builder, tile, _panels_in_use(signature, args), _zeros(tile), load))

        return _tile(rows, cols)(rows, cols, source, _INDEX, _INDEX, _INDEX, _count(panels)), codegen

    @intrinsic(prefer_literal=True)
    def tile_repeat(typing, rows, cols, source, offset, panels=_ALL):
        def codegen(context, builder, signature, args):
            tile = signature.return_type
            line = TileType(1, tile.cols)
            data = _data(context, builder, signature.args[2], args[2])
            addresses = _addresses(builder, line, data, args[3], _constant(0), _constant(PANEL))

            def load(k):
                return builder.load(addresses[k], align=4)

            row = _panel_by_panel(builder, line, _panels_in_use(signature, args), _zeros(line), load)
            return _pack(builder, row * tile.rows)

        return _tile(rows, cols)(rows, cols, source, _INDEX, _count(panels)), codegen

    @intrinsic
    def tile_store(typing, tile, target, offset, stride, apart=PANEL, panels=_ALL):
        def codegen(context, builder, signature, args):
            tile = signature.args[0]
            data = _data(context, builder, signature.args[1], args[1])
            addresses, vectors = _addresses(builder, tile, data, *args[2:5]), _unpack(builder, tile, args[0])

            def store(k):
                builder.store(vectors[k], addresses[k], align=4)
                return vectors[k]

            _panel_by_panel(builder, tile, _panels_in_use(signature, args), vectors, store)

        return types.void(tile, target, _INDEX, _INDEX, _INDEX, _count(panels)), codegen

    @intrinsic(prefer_literal=True)
    def tile_prefetch(typing, rows, cols, source, offset, stride, apart=PANEL):
        def codegen(context, builder, signature, args):
            tile = _tile(*signature.args[:2])
            data = _data(context, builder, signature.args[2], args[2])
            for address in _addresses(builder, tile, data, *args[3:]):
                _prefetch(builder, address, 3)

        return types.void(rows, cols, source, _INDEX, _INDEX, _INDEX), codegen

    @intrinsic
    def tile_add_outer(typing, tile, column, at, stride, row, offset, apart=PANEL, panels=_ALL):
        def codegen(context, builder, signature, args):
            tile = signature.return_type
            columns = _data(context, builder, signature.args[1], args[1])
            rows = _data(context, builder, signature.args[4], args[4])
            sums, line = _unpack(builder, tile, args[0]), TileType(1, tile.cols)

            def add(count):
                addresses = _addresses(builder, line, rows, args[5], _constant(0), args[6])
                vectors = [builder.load(address, align=4) for address in addresses[: count * PANEL_COLS]]
                after = list(sums)
                for r in range(tile.rows):
                    place = builder.add(args[2], builder.mul(args[3], _constant(r)))
                    factor = _splat(builder, builder.load(builder.gep(columns, [place])))
                    for c, vector in enumerate(vectors):
                        k = r * tile.cols + c
                        after[k] = _call(builder, "fma", factor, vector, sums[k])
                return after

            return _pack(builder, _by_count(builder, tile, _panels_in_use(signature, args), add))

        return tile(tile, column, _INDEX, _INDEX, row, _INDEX, _INDEX, _count(panels)), codegen

    @intrinsic
    def tile_add_scaled(typing, tile, scale, source, offset, stride, apart=PANEL, panels=_ALL):
        def codegen(context, builder, signature, args):
            tile = signature.return_type
            data = _data(context, builder, signature.args[2], args[2])
            factor, sums = _splat(builder, args[1]), _unpack(builder, tile, args[0])
            addresses = _addresses(builder, tile, data, *args[3:6])

            def add(k):
                return _call(builder, "fma", factor, builder.load(addresses[k], align=4), sums[k])

            return _pack(builder, _panel_by_panel(builder, tile, _panels_in_use(signature, args), sums, add))

        return tile(tile, types.float32, source, _INDEX, _INDEX, _INDEX, _count(panels)), codegen

    @intrinsic
    def tile_max(typing, tile, minimum):
        def codegen(context, builder, signature, args):
            floor = _splat(builder, args[1])
            vectors = []
            for vector in _unpack(builder, signature.return_type, args[0]):
                vectors.append(builder.select(builder.fcmp_ordered("<", vector, floor), floor, vector))
            return _pack(builder, vectors)

        return tile(tile, types.float32), codegen

    @intrinsic
    def tile_larger(typing, left, right):
        def codegen(context, builder, signature, args):
            pairs = zip(*(_unpack(builder, signature.return_type, value) for value in args), strict=True)
            return _pack(builder, [builder.select(builder.fcmp_ordered("<", a, b), b, a) for a, b in pairs])

        return left(left, right), codegen

    @intrinsic
    def tile_sqrt(typing, tile):
        def codegen(context, builder, signature, args):
            vectors = _unpack(builder, signature.return_type, args[0])
            return _pack(builder, [_call(builder, "sqrt", vector) for vector in vectors])

        return tile(tile), codegen

    @intrinsic
    def tile_floor(typing, tile):
        def codegen(context, builder, signature, args):
            vectors = _unpack(builder, signature.return_type, args[0])
            return _pack(builder, [_call(builder, "floor", vector) for vector in vectors])

        return tile(tile), codegen

    @intrinsic
    def tile_power2(typing, tile):
        def codegen(context, builder, signature, args):
            whole = ir.VectorType(ir.IntType(32), LANES)
            bias, place = ir.Constant(whole, [127] * LANES), ir.Constant(whole, [23] * LANES)
            powers = []
            for vector in _unpack(builder, signature.return_type, args[0]):
                exponent = builder.add(builder.fptosi(vector, whole), bias)
                powers.append(builder.bitcast(builder.shl(exponent, place), _VECTOR))
            return _pack(builder, powers)

        return tile(tile), codegen

    @intrinsic
    def tile_sum(typing, tile):
        def codegen(context, builder, signature, args):
            vectors = _unpack(builder, signature.args[0], args[0])
            total = vectors[0]
            for vector in vectors[1:]:
                total = builder.fadd(total, vector, flags=_EXACT)
            lanes = LANES
            while lanes > 1:
                lanes //= 2
                half = [(i + lanes) % LANES for i in range(LANES)]
                total = builder.fadd(total, _shuffle(builder, total, total, half), flags=_EXACT)
            return builder.extract_element(total, _constant(0, 32))

        return types.float32(tile), codegen

    @intrinsic
    def tile_transpose(typing, tile):
        """Swap squares of half the side, then within each those of a quarter, and so on down to single numbers."""

        def codegen(context, builder, signature, args):
            vectors, side = _unpack(builder, signature.return_type, args[0]), LANES // 2
            while side > 0:
                # Lanes of the upper vector are counted from 0, of the lower from LANES.
                left = [c if c & side == 0 else c - side + LANES for c in range(LANES)]
                right = [c + side if c & side == 0 else c + LANES for c in range(LANES)]
                upper = [r for r in range(LANES) if r & side == 0]
                for r in upper:
                    pair = vectors[r], vectors[r + side]
                    vectors[r], vectors[r + side] = (_shuffle(builder, *pair, lanes) for lanes in (left, right))
                side //= 2
            return _pack(builder, vectors)

        return tile(tile), codegen

    @intrinsic
    def prefetch(typing, source, offset):
        def codegen(context, builder, signature, args):
            data = _data(context, builder, signature.args[0], args[0])
            _prefetch(builder, builder.gep(data, [args[1]]), 2)

        return types.void(source, _INDEX), codegen

    def _arithmetic(operation: Callable[..., Any], instruction: str) -> None:
        """Define `operation` for tiles of one shape, and for a tile and a number on its right."""

        @intrinsic
        def between(typing, left, right):
            def codegen(context, builder, signature, args):
                tile, right = signature.args
                first = _unpack(builder, tile, args[0])
                second = (
                    _unpack(builder, right, args[1])
                    if isinstance(right, TileType)
                    else [_splat(builder, args[1])] * len(first)
                )
                results = [
                    getattr(builder, instruction)(a, b, flags=_EXACT) for a, b in zip(first, second, strict=True)
                ]
                return _pack(builder, results)

            return left(left, right if isinstance(right, TileType) else types.float32), codegen

        @overload(operation)
        def implement(left, right):
            if isinstance(left, TileType) and (left == right or isinstance(right, types.Float)):
                return lambda left, right: between(left, right)
            return None

    for _operation, _instruction in (
        (operator.add, "fadd"),
        (operator.sub, "fsub"),
        (operator.mul, "fmul"),
        (operator.truediv, "fdiv"),
    ):
        _arithmetic(_operation, _instruction)
