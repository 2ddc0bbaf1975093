"""What one machine instruction does: arithmetic, memory, calls; x86-64 in AT&T's syntax, AArch64 in ELF's."""

import re
from typing import Any

from jitnet.profile.code.code_view import Instruction

__all__ = ["read_aarch64", "read_x86"]

# x86-64 -------------------------------------------------------------------------------------------------------------

_X86_FLOAT = re.compile(
    r"^v?(?P<what>fn?m(?:add|sub)(?:add|sub)?(?:132|213|231)?|addsub|hadd|hsub|add|sub|mul|div|sqrt)(?P<how>[ps])(?P<type>[sdh])$"
)
_X86_KINDS = {"add": "add", "sub": "add", "addsub": "add", "hadd": "add", "hsub": "add"}
_X86_KINDS |= {"mul": "multiply", "div": "divide", "sqrt": "sqrt"}
_FLOAT_BITS = {"s": 32, "d": 64, "h": 16}
_WIDTHS = {"x": 128, "y": 256, "z": 512}
_ELEMENT_BYTES = {"b": 1, "w": 2, "d": 4, "q": 8}
_INTEGER_BYTES = {"b": 1, "w": 2, "l": 4, "q": 8}
_X86_CONVERT = re.compile(
    r"^v?cvt(?P<from>si|usi|tss|tsd|tps|tpd|ss|sd|ps|pd|dq|udq|qq|uqq|ph|sh|tph)2(?P<to>[a-z0-9]+?)[xyzlq]?$"
)
_X86_SOURCE_BITS = {
    "ss": 32,
    "ps": 32,
    "sd": 64,
    "pd": 64,
    "dq": 32,
    "udq": 32,
    "qq": 64,
    "uqq": 64,
    "ph": 16,
    "sh": 16,
}

# Read their memory operand, although it is last.
_X86_ONLY_READ = re.compile(
    r"^(cmp|test|bt[lq]?$|push|v?u?comis|idiv|div|mul|imul|jmp|call|prefetch|fld|fild|fadd|fmul|vptest|vtest|fcom)"
)
_X86_ONLY_WRITE = re.compile(
    r"^(v?mov|v?p?extr|vextract|set|pop|vcvtps2ph|vpmov|vp?compress|vp?scatter|fst|fist|stmxcsr|vstmxcsr|fnst|vmaskmov)"
)
_NO_MEMORY = re.compile(r"^(lea|nop|prefetch|clflush|endbr)")
_MEMORY = re.compile(r"\([^)]*\)|^[a-zA-Z_.][\w.+-]*$")


def read_x86(operation: str, operands: str, file: str, line: int) -> Instruction:
    """Read one instruction of x86-64; operands in AT&T's order, the result last."""
    text = f"{operation}\t{operands}" if operands else operation
    parts = _split(operands)
    base: dict[str, Any] = {"text": text, "file": file, "line": line}
    if operation.startswith("call"):
        return Instruction(**base, kind="call")
    if operation.startswith("j"):
        return Instruction(**base, kind="jump")
    width = max((_WIDTHS[letter] for letter in re.findall(r"%([xyz])mm\d", operands)), default=0)
    kind, lanes, bits, flop, widens = "other", 0, 0, 0, False
    if found := _X86_FLOAT.match(operation):
        what = found["what"]
        kind = _X86_KINDS.get(what, "fma")
        bits = _FLOAT_BITS[found["type"]]
        lanes = width // bits if found["how"] == "p" else 1
        flop = lanes * (2 if kind == "fma" else 1)
    elif found := _X86_CONVERT.match(operation):
        kind = "convert"
        source, target = found["from"].removeprefix("t"), found["to"]
        bits = max(_X86_SOURCE_BITS.get(source, 32), _X86_SOURCE_BITS.get(target, 32))
        scalar = source in ("si", "usi", "ss", "sd", "sh") or target in ("si", "usi", "ss", "sd", "sh")
        lanes = 1 if scalar else width // bits
        widens = source in ("ss", "ps") and target in ("sd", "pd")
    load_bytes, store_bytes, spill = _x86_memory(operation, parts, width, lanes, bits)
    # Narrow registers hold single numbers too; wide ones only vectors.
    in_vectors = width > 128 and kind == "other" and not operation.startswith(("vmovs", "vzero"))
    if kind == "other" and (load_bytes or store_bytes):
        kind = "store" if store_bytes else "load"
        lanes = 1 if max(load_bytes, store_bytes) < 16 else max(load_bytes, store_bytes) // 4
    return Instruction(
        **base,
        kind=kind,
        lanes=lanes,
        bits=bits,
        flop=flop,
        load_bytes=load_bytes,
        store_bytes=store_bytes,
        spill=spill,
        widens=widens,
        vector_bits=width if lanes > 1 or in_vectors else 0,
    )


def _split(operands: str) -> list[str]:
    """Split operands at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(operands):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(operands[start:place].strip())
            start = place + 1
    last = operands[start:].strip()
    return [*parts, last] if last else parts


def _x86_memory(operation: str, parts: list[str], width: int, lanes: int, bits: int) -> tuple[int, int, bool]:
    if operation.startswith(("push", "pop")):
        pushes = operation.startswith("push")
        return (0, 8, True) if pushes else (8, 0, True)
    places = [
        place for place, part in enumerate(parts) if not part.startswith(("%", "$", "*%")) and _MEMORY.search(part)
    ]
    if not places or _NO_MEMORY.match(operation):
        return 0, 0, False
    place = places[0]
    memory = parts[place]
    spill = "(%rsp" in memory or "(%rbp" in memory
    if operation.startswith(("rep", "movs", "stos", "cmps")) and len(operation) <= 5 and "mov" not in operation:
        return 0, 0, False
    size = _x86_bytes(operation, parts, memory, width, lanes, bits)
    last = place == len(parts) - 1
    if not last or _X86_ONLY_READ.match(operation):
        return size, 0, spill
    if _X86_ONLY_WRITE.match(operation):
        return 0, size, spill
    return size, size, spill


def _x86_bytes(operation: str, parts: list[str], memory: str, width: int, lanes: int, bits: int) -> int:
    """Bytes that the memory operand has."""
    name = operation.removeprefix("v")
    if "{1to" in memory:
        return (bits or (64 if operation.endswith(("pd", "q")) else 32)) // 8
    if found := re.match(r"p?broadcast(ss|sd|f128|i128|[fi](?:32|64)x(\d)|b|w|d|q)", name):
        what = found.group(1)
        if found.group(2):
            return int(what[1:3]) // 8 * int(found.group(2))
        return {"ss": 4, "sd": 8, "f128": 16, "i128": 16, **_ELEMENT_BYTES}[what]
    if found := re.match(r"pmov[sz]x([bwd])([wdq])", name):
        return width // 8 * _ELEMENT_BYTES[found.group(1)] // _ELEMENT_BYTES[found.group(2)]
    if re.match(r"(extract|insert)[fi](128|32x4|64x2)", name):
        return 16
    if re.match(r"(extract|insert)[fi](64x4|32x8)", name):
        return 32
    if found := re.match(r"p(?:extr|insr)([bwdq])", name):
        return _ELEMENT_BYTES[found.group(1)]
    if re.match(r"gather|pgather|scatter|pscatter", name):
        return width // 8
    if name.startswith("cvt"):
        found = re.match(r"cvtt?(ss|sd|ps|pd|si|usi|dq|udq|qq|uqq|ph)2(.*)", name)
        source = found.group(1) if found else "ps"
        if source in ("ss", "sd"):
            return 4 if source == "ss" else 8
        if source in ("si", "usi"):
            return 8 if name.endswith("q") else 4
        if name.endswith("x"):
            return 16
        if name.endswith("y"):
            return 32
        return max(1, lanes) * {"ph": 2, "pd": 8, "qq": 8, "uqq": 8}.get(source, 4)
    if re.match(r"(mov[hl]p|movq$|movlhps)", name) and width:
        return 8
    if name == "movd":
        return 4
    if name == "insertps":
        return 4
    if re.search(r"(ss|sd)$", name) and (width or name.startswith("mov")) and not name.startswith("pabs"):
        return 4 if name.endswith("ss") else 8
    if width:
        return width // 8
    if found := re.match(r"mov[sz]([bwl])[wlq]$", operation):
        return _INTEGER_BYTES[found.group(1)]
    if operation.startswith("set"):
        return 1
    if operation.startswith(("fld", "fst", "fild", "fist")):
        return 4 if operation.endswith("s") else 8
    if "mxcsr" in operation:
        return 4
    return _INTEGER_BYTES.get(operation[-1], 8)


# AArch64 ------------------------------------------------------------------------------------------------------------

_ARM_KINDS = {
    **dict.fromkeys(
        ("fmadd", "fmsub", "fnmadd", "fnmsub", "fmla", "fmls", "fmad", "fmsb", "fnmla", "fnmls", "fnmad"), "fma"
    ),
    **dict.fromkeys(("fadd", "fsub", "fabd", "faddp", "faddv", "fadda", "fsubr"), "add"),
    **dict.fromkeys(("fmul", "fnmul", "fmulx"), "multiply"),
    **dict.fromkeys(("fdiv", "fdivr"), "divide"),
    "fsqrt": "sqrt",
}
_ARRANGED = re.compile(r"\b[vz](\d+)\.(\d*)([bhsd])\b")
_ELEMENT_BITS = {"b": 8, "h": 16, "s": 32, "d": 64, "q": 128, "w": 32, "x": 64}
_ARM_LOAD = re.compile(r"^(ld|ldr|ldp|ldur|ldnp|ldar|ldapr|ldxr)")
_ARM_STORE = re.compile(r"^(st|str|stp|stur|stnp|stlr)")


def read_aarch64(operation: str, operands: str, file: str, line: int) -> Instruction:
    """Read one instruction of AArch64; the result is first, except in a store."""
    text = f"{operation}\t{operands}" if operands else operation
    base: dict[str, Any] = {"text": text, "file": file, "line": line}
    if operation in ("bl", "blr"):
        return Instruction(**base, kind="call")
    if operation in ("b", "br", "cbz", "cbnz", "tbz", "tbnz") or operation.startswith("b."):
        return Instruction(**base, kind="jump")
    parts = _split(operands)
    kind, lanes, bits, flop, vector_bits, widens = "other", 0, 0, 0, 0, False
    first = parts[0] if parts else ""
    lanes_first, bits_first = _arm_shape(first)
    if operation in _ARM_KINDS:
        kind = _ARM_KINDS[operation]
        # A sum across a vector names one number first, and the vector after it.
        shape = (
            _arm_shape(parts[1]) if operation in ("faddp", "faddv") and lanes_first == 1 else (lanes_first, bits_first)
        )
        lanes, bits = shape
        flop = lanes * (2 if kind == "fma" else 1)
    elif re.match(r"^(fcvt|scvtf|ucvtf|bfcvt)", operation):
        kind, (lanes, bits) = "convert", (lanes_first or 1, bits_first)
        source = _arm_shape(parts[1])[1] if len(parts) > 1 else 0
        widens = operation in ("fcvt", "fcvtl", "fcvtl2") and source == 32 and bits == 64
    if lanes > 1:
        vector_bits = lanes * bits
    load_bytes = store_bytes = 0
    if "[" in operands and not operation.startswith("prf"):
        size = _arm_bytes(operation, parts)
        if _ARM_LOAD.match(operation):
            load_bytes, kind = size, "load"
        elif _ARM_STORE.match(operation):
            store_bytes, kind = size, "store"
        if kind in ("load", "store"):
            widest = max(
                (_arm_shape(part)[0] * _arm_shape(part)[1] for part in re.findall(r"[vzq]\d+[.\w]*", operands)),
                default=0,
            )
            lanes, vector_bits = (max(2, widest // 32), widest) if widest >= 128 else (1, 0)
    return Instruction(
        **base,
        kind=kind,
        lanes=lanes,
        bits=bits,
        flop=flop,
        load_bytes=load_bytes,
        store_bytes=store_bytes,
        spill="[sp" in operands and bool(load_bytes or store_bytes),
        widens=widens,
        vector_bits=vector_bits,
    )


def _arm_shape(operand: str) -> tuple[int, int]:
    """Return lanes and the bits of each: (4, 32) for v0.4s, (1, 64) for d3, (1, 32) for v2.s[1]. A vector whose length
    the processor decides, z0.s, counts as 128 bits, the minimum."""
    if found := _ARRANGED.search(operand):
        bits = _ELEMENT_BITS[found.group(3)]
        if "z" in operand[: found.end()]:
            return 128 // bits, bits
        return (int(found.group(2)) if found.group(2) else 1), bits
    if found := re.match(r"^\{?\s*([bhsdqwxz])\d+", operand):
        letter = found.group(1)
        return 1, _ELEMENT_BITS.get(letter, 128)
    return 0, 0


def _arm_bytes(operation: str, parts: list[str]) -> int:
    """Return the bytes that a load or store moves."""
    if found := re.match(r"^(?:ld|st)[nu]?(?:r|ur|ar|apr|xr|lr)(sb|sh|sw|b|h)$", operation):
        return {"sb": 1, "b": 1, "sh": 2, "h": 2, "sw": 4}[found.group(1)]
    if parts[0].startswith("{"):
        inside = parts[0]
        registers = re.findall(r"[vz]\d+\.\w+", inside)
        if "-" in inside and len(registers) == 2:  # { v0.4s - v3.4s }
            low, high = (int(re.findall(r"\d+", register)[0]) for register in registers)
            registers = [registers[0]] * (high - low + 1)
        lanes, bits = _arm_shape(registers[0]) if registers else (1, 32)
        one = operation.endswith("r") or "[" in parts[0][parts[0].find("}") :]
        return (bits // 8 if one else lanes * bits // 8) * max(1, len(registers))
    if operation == "ldpsw":
        return 8
    total = 0
    for part in parts:
        if "[" in part:
            break
        if found := re.match(r"^([bhsdqwxz])(\d+|zr)$", part) or re.match(r"^(q|x|w)zr$", part):
            total += _ELEMENT_BITS.get(found.group(1), 128) // 8
        if not operation.startswith(("ldp", "stp", "ldnp", "stnp")):
            break
    return total
