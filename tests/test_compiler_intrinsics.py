"""Intrinsics: no two calls with different code share a signature, since Numba stores one code generator for both."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from numba import config, types

import jitnet
from jitnet.compiler import reference
from jitnet.compiler.cache import COMPILED_ROOMS
from jitnet.compiler.intrinsics import intrinsic
from jitnet.compiler.signatures import COUNTS, FLOATS, INT
from jitnet.engine import loop
from jitnet.engine.operation import ARGUMENTS
from jitnet.kernels import loss
from jitnet.machine import barrier, clock, denormals, tile, words

if config.DISABLE_JIT:
    pytest.skip("without the compiler there are no intrinsics", allow_module_level=True)

PACKAGE = Path(jitnet.__file__).parent
ROW, SQUARE = tile.TileType(1, 4), tile.TileType(6, 4)
SIZE = types.literal(6), types.literal(4)

# Every intrinsic, with types of all its arguments that have no default.
CALLS = {
    tile.tile_zero: SIZE,
    tile.tile_load: (*SIZE, FLOATS, INT, INT),
    tile.tile_repeat: (*SIZE, FLOATS, INT),
    tile.tile_store: (SQUARE, FLOATS, INT, INT),
    tile.tile_prefetch: (*SIZE, FLOATS, INT, INT),
    tile.tile_add_outer: (SQUARE, FLOATS, INT, INT, FLOATS, INT),
    tile.tile_add_scaled: (SQUARE, types.float32, FLOATS, INT, INT),
    tile.tile_max: (SQUARE, types.float32),
    tile.tile_larger: (SQUARE, SQUARE),
    tile.tile_sqrt: (SQUARE,),
    tile.tile_floor: (SQUARE,),
    tile.tile_power2: (SQUARE,),
    tile.tile_sum: (SQUARE,),
    tile.tile_transpose: (tile.TileType(16, 1),),
    tile.prefetch: (FLOATS, INT),
    words.word_at: (types.Array(types.uint8, 1, "C"), INT),
    words.mask_word: (types.Array(types.uint8, 1, "C"), INT, types.uint64),
    words.lowest_bit: (types.uint64,),
    clock.read_clock: (),
    denormals.flush_denormals: (),
    denormals.restore_float_flags: (INT,),
    barrier._store: (COUNTS, INT, INT),
    barrier._load: (COUNTS, INT),
    barrier._decide: (COUNTS, INT, INT),
    barrier.add_at_once: (COUNTS, INT, INT),
    barrier._rest: (INT,),
    reference.by_reference: (types.UniTuple(INT, 2),),
    reference._store: (types.UniTuple(INT, 2), types.Array(types.uint64, 1, "C")),
    loop._run_at: (INT,),
    loop.run_operation: (INT, *ARGUMENTS),
    loss.run_loss: (INT, *loss.LOSS_ARGUMENTS),
    loss.run_link: (INT, *loss.LINK_ARGUMENTS),
}


def signature(function, *arguments):
    """The types under which Numba keeps the code generator of a call."""
    return function._defn(None, *arguments)[0].args


def test_every_intrinsic_of_the_package_is_checked_as_it_is_defined():
    """There is one way to define one, the project's, and here are all that a module names.

    One is Numba's: in the process of a user's function, which has the user's settings and cache, and stores nothing.
    """
    direct = re.compile(r"numba\.extending import .*\bintrinsic\b|extending\.intrinsic")
    files = [path for path in PACKAGE.rglob("*.py") if direct.search(path.read_text(encoding="utf-8"))]
    expected = ["compiler/intrinsics.py", "profile/users/generators.py"]
    assert sorted(path.relative_to(PACKAGE).as_posix() for path in files) == expected
    rooms = [f"jitnet.{room}" for room in (*COMPILED_ROOMS, "profile.functions.worker")]
    names = [
        f"{room}.{each.name}" for room in rooms for each in pkgutil.iter_modules(importlib.import_module(room).__path__)
    ]
    modules = [importlib.import_module(name) for name in names]
    kind = type(tile.tile_zero)
    assert {each for module in modules for each in vars(module).values() if isinstance(each, kind)} == set(CALLS)


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_a_code_generator_knows_nothing_of_a_call_but_its_signature(function):
    """Two calls of one signature have the same code, whichever generator Numba stores: the generators are equal."""
    first, second = (function._defn(None, *CALLS[function]) for _ in range(2))
    assert first[0] == second[0]
    assert first[1].__code__ is second[1].__code__
    assert [cell.cell_contents for cell in first[1].__closure__ or ()] == [
        cell.cell_contents for cell in second[1].__closure__ or ()
    ]


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_a_call_without_its_last_argument_has_another_signature(function):
    """Of arguments with a default: where it is the number of panels, leaving it out is another code."""
    defaults = [
        each for each in inspect.signature(function._defn).parameters.values() if each.default is not each.empty
    ]
    given = signature(function, *CALLS[function], *(INT for _ in defaults))
    left_out = signature(function, *CALLS[function])
    assert (given != left_out) == any(each.name == "panels" for each in defaults)


def test_tiles_of_different_shapes_have_different_signatures():
    for function in (tile.tile_load, tile.tile_repeat, tile.tile_zero, tile.tile_prefetch):
        other = (types.literal(1), types.literal(4), *CALLS[function][2:])
        assert signature(function, *CALLS[function]) != signature(function, *other)
    for function in (tile.tile_store, tile.tile_add_outer, tile.tile_add_scaled, tile.tile_sum, tile.tile_sqrt):
        assert signature(function, *CALLS[function]) != signature(function, ROW, *CALLS[function][1:])


def test_a_generator_that_reads_the_typing_is_refused():
    def depends(typing, value, more=1):
        def codegen(context, builder, signature, args):
            return args[0] if more == 1 else args[1]

        return types.int64(types.int64), codegen

    with pytest.raises(TypeError, match=r"intrinsic depends reads more of the typing function; .* signature"):
        intrinsic(depends)


def test_a_generator_may_read_what_stands_around_the_intrinsic():
    number = 3

    def constant(typing):
        def codegen(context, builder, signature, args):
            return context.get_constant(types.int64, number)

        return types.int64(), codegen

    assert intrinsic(constant) is not None


def test_two_generators_and_hidden_arguments_are_refused():
    def two(typing, value):
        def codegen(context, builder, signature, args):
            return args[0]

        def other(context, builder, signature, args):
            return builder.neg(args[0])

        return value(value), other if value == types.int64 else codegen

    def hidden(typing, value):
        def codegen(context, builder, signature, args, scale=value):
            return args[0]

        return value(value), codegen

    for definition in (two, hidden):
        with pytest.raises(TypeError, match=f"intrinsic {definition.__name__} needs one code generator"):
            intrinsic(definition)
