"""Assembly, remarks and the reports of analysers, read from small texts."""

import os
import stat

import pytest

from jitnet.profile.code import analysers
from jitnet.profile.code.assembly import MachineFunction, MachineLoop, count, read_assembly
from jitnet.profile.code.code_view import Instruction
from jitnet.profile.code.instructions import read_aarch64, read_x86
from jitnet.profile.code.remarks import fates, in_plain_words, read_remarks
from jitnet.profile.code.source import match
from jitnet.profile.code.worker.strides import lines_for_stride_one
from jitnet.profile.readable import demangle

AVX512 = """\
	.file	"<string>"
	.type	sum,@function
sum:
.Lfunc_begin0:
	.file	1 "/where" "/where/a.py"
	.loc	1 10 0
	pushq	%rbx
	testq	%rcx, %rcx
	jle	.LBB0_5
	movabsq	$_ZN8__main__5outerB2v1E, %rbx
	.p2align	4
.LBB0_2:
	.loc	1 11 1
	callq	*%rbx
	xorl	%edx, %edx
	.p2align	4
.LBB0_3:
.Ltmp0:
	.loc	1 13 1
	vmovups	(%rdi,%rdx,4), %zmm0
	vfmadd231ps	(%rsi,%rdx,4), %zmm1, %zmm0
	vfmadd231ps	4(%rsi){1to16}, %zmm1, %zmm0
	vmovups	%zmm0, (%rdi,%rdx,4)
	vmovups	%zmm2, 64(%rsp)
	.loc	1 12 1
	addq	$16, %rdx
	cmpq	%rdx, %rcx
	jne	.LBB0_3
	.loc	1 11 1
	decq	%rcx
	jne	.LBB0_2
.LBB0_5:
	.loc	1 0 1
	popq	%rbx
	vzeroupper
	retq
.Lfunc_end0:
	.size	sum, .Lfunc_end0-sum
"""

AARCH64 = """\
	.type	sum,@function
sum:
.Lfunc_begin0:
	.file	1 "/where" "/where/a.py"
	.loc	1 10 0
	cbz	x2, .LBB0_3
	.p2align	4
.LBB0_1:
	.loc	1 13 1
	ldp	q0, q1, [x0]
	ldr	q2, [x1], #16
	fmla	v2.4s, v0.4s, v1.s[0]
	fadd	v2.4s, v2.4s, v0.4s
	str	q2, [x0], #32
	ldr	w8, [sp, #12]                   // 4-byte Folded Reload
	.loc	1 12 1
	subs	x2, x2, #4
	b.ne	.LBB0_1
.LBB0_3:
	movz	x8, #:abs_g0_nc:log
	blr	x8
	ret
.Lfunc_end0:
	.size	sum, .Lfunc_end0-sum
"""

SWITCH = """\
	.type	walk,@function
walk:
.Lfunc_begin0:
	movabsq	$.LJTI0_0, %rdx
.LBB0_1:
	jmpq	*(%rdx,%rax,8)
.LBB0_2:
	incq	%rcx
	jmp	.LBB0_4
.LBB0_3:
	decq	%rcx
.LBB0_4:
	decq	%rax
	jne	.LBB0_1
	retq
.Lfunc_end0:
	.section	.rodata,"a",@progbits
.LJTI0_0:
	.quad	.LBB0_2
	.quad	.LBB0_3
"""


def test_loops_of_avx512():
    (function,) = read_assembly(AVX512)
    (outer,) = function.loops
    (inner,) = outer.inside
    assert (outer.depth, inner.depth, inner.inside) == (1, 2, ())
    assert (inner.back.file, inner.back.line) == ("/where/a.py", 12)
    counts = count(inner.instructions)
    assert (counts.fma_packed, counts.fma_scalar, counts.vector_bits) == (2, 0, 512)
    assert (counts.loads, counts.stores, counts.spills) == (3, 2, 1)
    assert (counts.load_bytes, counts.store_bytes) == (64 + 64 + 4, 2 * 64)
    assert counts.flop == 2 * 2 * 16
    assert counts.instructions == 8
    # The outer loop's instructions are without the inner one's; the callee is known by the register's value.
    assert [one.kind for one in outer.instructions if one.kind in ("call", "fma")] == ["call"]
    assert count(outer.instructions).calls == 1
    (call,) = [one for one in outer.instructions if one.kind == "call"]
    assert demangle(call.callee) == "__main__.outer"
    assert len(function.straight) == 7


def test_loops_of_aarch64():
    (function,) = read_assembly(AARCH64)
    (loop,) = function.loops
    counts = count(loop.instructions)
    assert (counts.fma_packed, counts.flop_packed, counts.vector_bits) == (1, 1, 128)
    assert (counts.loads, counts.stores, counts.spills) == (3, 1, 1)
    assert (counts.load_bytes, counts.store_bytes, counts.flop) == (32 + 16 + 4, 16, 8 + 4)
    assert (loop.back.line, counts.instructions) == (12, 8)
    assert "Folded" not in " ".join(one.text for one in loop.instructions)
    assert [one.callee for one in function.straight if one.kind == "call"] == ["log"]


def test_a_loop_that_jumps_by_a_table():
    (function,) = read_assembly(SWITCH)
    (loop,) = function.loops
    assert len(loop.instructions) == 6
    assert loop.inside == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vaddps\t(%rax), %ymm1, %ymm2", {"kind": "add", "lanes": 8, "flop": 8, "load_bytes": 32}),
        ("vsubsd\t8(%rax), %xmm1, %xmm2", {"kind": "add", "lanes": 1, "flop": 1, "load_bytes": 8}),
        ("mulss\t%xmm1, %xmm2", {"kind": "multiply", "lanes": 1, "bits": 32}),
        ("vfnmadd213pd\t%ymm1, %ymm2, %ymm3", {"kind": "fma", "lanes": 4, "flop": 8, "load_bytes": 0}),
        ("vdivps\t%xmm1, %xmm2, %xmm3", {"kind": "divide", "lanes": 4, "vector_bits": 128}),
        ("vsqrtsd\t%xmm1, %xmm2, %xmm3", {"kind": "sqrt", "lanes": 1, "vector_bits": 0}),
        ("vcvtps2pd\t(%rax), %ymm1", {"kind": "convert", "widens": True, "lanes": 4, "load_bytes": 16}),
        ("vcvtsd2ss\t%xmm1, %xmm2, %xmm3", {"kind": "convert", "widens": False, "lanes": 1}),
        ("vcvtsi2sdq\t(%rax), %xmm2, %xmm3", {"kind": "convert", "load_bytes": 8}),
        ("vpmovzxbd\t(%rax), %ymm1", {"kind": "load", "load_bytes": 8}),
        ("vpmovzxdq\t(%rax), %ymm1", {"kind": "load", "load_bytes": 16}),
        ("vpinsrd\t$1, 4(%rax), %xmm1, %xmm2", {"load_bytes": 4}),
        ("vbroadcasti32x4\t(%rax), %zmm1", {"load_bytes": 16}),
        ("vbroadcastss\t(%rax), %zmm1", {"kind": "load", "load_bytes": 4}),
        ("vmovss\t%xmm0, (%rax)", {"kind": "store", "store_bytes": 4, "vector_bits": 0}),
        ("vextractf128\t$1, %ymm0, 16(%rax)", {"kind": "store", "store_bytes": 16}),
        ("addq\t$1, (%rax)", {"load_bytes": 8, "store_bytes": 8}),
        ("cmpl\t%eax, (%rdi)", {"load_bytes": 4, "store_bytes": 0}),
        ("movzbl\t(%rax), %ecx", {"load_bytes": 1}),
        ("movslq\t4(%rsp), %rcx", {"load_bytes": 4, "spill": True}),
        ("leaq\t(%rax,%rcx), %rdx", {"kind": "other", "load_bytes": 0}),
        ("prefetcht0\t(%rax)", {"kind": "other", "load_bytes": 0}),
        ("vxorps\t%xmm0, %xmm0, %xmm0", {"kind": "other", "vector_bits": 0}),
        ("callq\t*%rax", {"kind": "call"}),
        ("jne\t.LBB0_1", {"kind": "jump"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_instruction_of_x86(text, expected):
    operation, _, operands = text.partition("\t")
    found = read_x86(operation, operands, "a.py", 3)
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.text, found.file, found.line) == (text, "a.py", 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fmadd\td0, d1, d2, d3", {"kind": "fma", "lanes": 1, "flop": 2, "bits": 64}),
        ("fmls\tv0.2d, v1.2d, v2.2d", {"kind": "fma", "lanes": 2, "flop": 4, "vector_bits": 128}),
        ("fdiv\ts0, s1, s2", {"kind": "divide", "lanes": 1, "bits": 32}),
        ("fcvt\td0, s1", {"kind": "convert", "widens": True}),
        ("fcvtl\tv0.2d, v1.2s", {"kind": "convert", "widens": True, "lanes": 2}),
        ("scvtf\td0, x1", {"kind": "convert", "widens": False}),
        ("ldrsw\tx0, [x1, #4]", {"kind": "load", "load_bytes": 4}),
        ("ldrb\tw0, [x1]", {"load_bytes": 1}),
        ("ld1\t{ v0.4s, v1.4s }, [x0]", {"kind": "load", "load_bytes": 32, "vector_bits": 128}),
        ("ld1r\t{ v0.4s }, [x0]", {"load_bytes": 4}),
        ("stp\tq0, q1, [x0, #-32]", {"kind": "store", "store_bytes": 32}),
        ("str\tx0, [sp, #8]", {"store_bytes": 8, "spill": True}),
        ("prfm\tpldl1keep, [x0]", {"load_bytes": 0, "kind": "other"}),
        ("cbnz\tx0, .LBB0_1", {"kind": "jump"}),
        ("bl\tlog", {"kind": "call"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_instruction_of_aarch64(text, expected):
    operation, _, operands = text.partition("\t")
    found = read_aarch64(operation, operands, "", 0)
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_index_that_is_wrapped():
    def wraps(*texts: str) -> int:
        return count([Instruction(text) for text in texts]).wraps

    assert wraps("sarq\t$63, %rax", "andq\t%rbx, %rax") == 1
    assert wraps("sarq\t$63, %rax", "addq\t%rbx, %rax") == 0
    assert wraps("and\tx9, x8, x9, asr #63") == 1


# Remarks -------------------------------------------------------------------------------------------------------------

REMARKS = """\
remark: <unknown>:0:0: loop not vectorized: call instruction cannot be vectorized
remark: /a.py:23:1: loop not vectorized: cannot prove it is safe to reorder floating-point operations
remark: /a.py:22:1: loop not vectorized
remark: /a.py:22:1: unrolled loop by a factor of 8 with run-time trip count
remark: /a.py:22:1: loop not vectorized: value that could not be identified as reduction is used outside the loop
remark: /a.py:22:1: loop not vectorized
remark: /a.py:30:1: vectorized loop (vectorization width: 4, interleaved count: 1)
remark: /a.py:30:1: vectorized loop (vectorization width: 8, interleaved count: 4)
remark: /a.py:30:1: loop not vectorized: it is explicitly disabled, or the loop has already been vectorized
remark: /a.py:30:1: loop not vectorized
remark: /a.py:40:1: completely unrolled loop with 6 iterations
remark: /a.py:50:1: vectorized loop (vectorization width: vscale x 4, interleaved count: 2)
a warning of something else
"""


def test_what_became_of_each_loop():
    starts = (22, 30, 40, 50)

    def loop_at(file: str, line: int) -> int:
        assert file == "/a.py"
        return max(start for start in starts if start <= line)

    found = fates(read_remarks(REMARKS), loop_at)
    assert (found[22].vectorised, found[22].missed, found[22].unrolled) == (False, True, 8)
    # The first reason counts: later ones are of copies of the loop.
    assert found[22].remark == "cannot prove it is safe to reorder floating-point operations"
    assert "reassoc" in found[22].reason
    assert (found[30].vectorised, found[30].width, found[30].interleaved, found[30].reason) == (True, 8, 4, "")
    assert (found[40].whole, found[40].unrolled) == (True, 6)
    assert (found[50].width, found[50].scalable) == (4, True)


def test_a_reason_that_is_not_known_stays_as_it_is():
    assert in_plain_words("something new of LLVM's") == "something new of LLVM's"
    assert (
        in_plain_words("unsafe dependent memory operations in loop. Use #pragma …")
        == "an iteration may need what another one writes"
    )


# Vectors for a stride of one element --------------------------------------------------------------------------------

GUARDED = """\
define i32 @sum(i64 %step, i64 %count) !dbg !3 {
entry:
  %ident.check.not = icmp eq i64 %step, 1
  %enough = icmp ugt i64 %count, 7
  %both = select i1 %enough, i1 %ident.check.not, i1 false
  br i1 %both, label %vector.body, label %scalar
vector.body:                                      ; preds = %entry, %vector.body
  %sum = fadd <8 x float> %a, %b, !dbg !5
  br i1 %done, label %middle, label %vector.body
middle:
  br label %vector.body9
scalar:
  br label %vector.body9
vector.body9:
  %more = fadd <8 x float> %a, %b, !dbg !6
  br i1 %ended, label %exit, label %vector.body9
exit:
  ret i32 0
}
!1 = !DIFile(filename: "/a.py", directory: "/")
!3 = distinct !DISubprogram(name: "sum", scope: !1, file: !1, line: 1)
!4 = !DILexicalBlockFile(scope: !3, file: !7, discriminator: 0)
!5 = !DILocation(line: 12, column: 1, scope: !3)
!6 = !DILocation(line: 20, column: 1, scope: !4)
!7 = !DIFile(filename: "/b.py", directory: "/")
"""


def test_vectors_behind_the_question_for_a_step_of_one():
    assert lines_for_stride_one(GUARDED) == {("/a.py", 12)}
    # Where everything is after the test, all of it is.
    assert lines_for_stride_one(GUARDED.replace("br label %vector.body9\nvector", "ret i32 1\nvector")) == {
        ("/a.py", 12),
        ("/b.py", 20),
    }
    assert lines_for_stride_one(GUARDED.replace("ident.check", "another.question")) == set()
    # A line that is also in other vectors.
    assert lines_for_stride_one(GUARDED.replace("%b, !dbg !6", "%b, !dbg !5")) == set()


# Analysers -----------------------------------------------------------------------------------------------------------

REPORT = """\
Iterations:        100
Instructions:      300
Total Cycles:      410
Total uOps:        300

Dispatch Width:    6
uOps Per Cycle:    0.73
IPC:               0.73
Block RThroughput: {throughput}

Resources:
[0]   - ICXDivider
[1]   - ICXPort0
[2.0] - ICXPort2

Resource pressure per iteration:
[0]    [1]    [2.0]
 -     {port}   1.00

Resource pressure by instruction:
"""

LOOP = [Instruction(text) for text in ("vmovups\t(%rdi), %ymm0", "vmystery\t%ymm0, %ymm1", "jne\t.LBB0_1")]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program on the path, in place of any that is there."""

    def put(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"]))
    found = analysers.shutil.which
    monkeypatch.setattr(analysers.shutil, "which", lambda name: found(name, path=str(tmp_path)))
    caches = (analysers._llvm_mca, analysers._osaca, analysers._models)
    for cached in caches:
        cached.cache_clear()
    yield put
    for cached in caches:
        cached.cache_clear()


def mca(report: str, refused: str = "nothing") -> str:
    """A llvm-mca that knows two processors, and stops at an instruction that contains `refused`."""
    return f"""
case "$*" in
  *--version*) echo "LLVM (http://llvm.org/): LLVM version 14.0.6"; exit 0;;
  *-mcpu=help*) printf '  haswell - Select the haswell processor.\\n  icelake-server - Select the it.\\n'; exit 0;;
esac
cat > "$0.in"
if grep -n {refused} "$0.in" > "$0.bad"; then
  echo "<stdin>:$(cut -d: -f1 "$0.bad"):1: error: invalid instruction mnemonic"; exit 1
fi
cat <<'REPORT'
{report}
REPORT
"""


def test_without_a_program_nothing_is_said(program):
    assert analysers.analyser_name() == ""
    assert analysers.analyse(LOOP, "haswell", False) is None


@pytest.mark.parametrize(("port", "binds"), [("4.00", "ICXPort0"), ("2.00", "latency")])
def test_the_cycles_of_llvm_mca(program, port, binds):
    program("llvm-mca", mca(REPORT.format(throughput="4.0", port=port)))
    assert analysers.analyser_name() == "llvm-mca 14"
    found = analysers.analyse(LOOP, "haswell", False)
    assert (found.program, found.cpu, found.cycles, found.binds, found.unknown) == (
        "llvm-mca 14",
        "haswell",
        4.1,
        binds,
        0,
    )


def test_a_processor_that_llvm_mca_does_not_know(program):
    program("llvm-mca", mca(REPORT.format(throughput="4.0", port="4.00")))
    assert analysers.analyse([Instruction("vaddps\t%zmm0, %zmm1, %zmm2")], "znver9", False).cpu == "icelake-server"
    assert analysers.analyse(LOOP, "haswell", False).cpu == "haswell"


def test_unknown_instructions_are_counted_and_too_many_give_no_bound(program):
    program("llvm-mca", mca(REPORT.format(throughput="4.0", port="4.00"), refused="vmystery"))
    few = analysers.analyse([*LOOP, *[LOOP[0]] * 20], "haswell", False)
    assert (few.unknown, few.cycles) == (1, 4.1)
    many = analysers.analyse(LOOP, "haswell", False)
    assert (many.unknown, many.cycles) == (1, 0.0)
    assert "1 of 3 instructions are unknown" in many.note


def test_a_program_that_fails_has_no_bound(program):
    program("llvm-mca", 'case "$*" in *--version*) echo "version 14";; *) echo broken; exit 1;; esac')
    found = analysers.analyse(LOOP, "haswell", False)
    assert (found.cycles, found.note) == (0.0, "it returned no result")


OSACA = """\
 X - No throughput/latency information for this instruction in data file

     |  0   - 0DV  |  1   |  2   -  2D  ||  CP  | LCD  |
--------------------------------------------------------
   1 | 0.50        | 0.50 | 0.50   0.50 ||  4.0 |      |   vmovups (%rdi), %ymm0
   2 |             |      |             ||  0.0 |      | X vmystery %ymm0, %ymm1
   3 |             |      |             ||      |      | * jne .LBB0_1

       0.50          2.50   0.50   0.50     9.0   {carried}
"""


@pytest.mark.parametrize(("carried", "cycles", "binds"), [("1.0", 2.5, "port 1"), ("4.0", 4.0, "latency")])
def test_the_cycles_of_osaca(program, carried, cycles, binds):
    report = OSACA.format(carried=carried)
    program("osaca", f"case $* in *--version*) echo 'osaca 0.7.1';; *) cat <<'REPORT'\n{report}\nREPORT\n;; esac")
    assert analysers.analyser_name() == "OSACA 0.7.1"
    found = analysers.analyse([*LOOP, *[LOOP[0]] * 20], "icelake-server", False)
    assert (found.cpu, found.cycles, found.binds, found.unknown) == ("ICX", cycles, binds, 1)
    assert analysers.analyse(LOOP, "icelake-server", False).cycles == 0.0


@pytest.mark.parametrize(
    ("symbol", "line"),
    [
        ("__gufunc__._ZN13_3cdynamic_3e29__numba_parfor_gufunc_0x7f12E", 6),  # in threads
        ("_ZN6theirs8combinedE", 6),
        ("__ufunc__._ZN6theirs8combinedE", 5),  # which Numba calls for each element
    ],
)
def test_an_expression_of_whole_arrays_is_a_loop_in_its_line(tmp_path, symbol, line):
    file = tmp_path / "theirs.py"
    file.write_text("import numpy\n\n\n@decorated\ndef combined(x):\n    y = 2 * x + 1\n    return y\n")
    instructions = tuple(Instruction(text, str(file), 6) for text in ("vmulpd", "vaddpd", "jne"))
    machine = MachineLoop(1, instructions, (), instructions[-1])
    function = MachineFunction(symbol, instructions, (machine,), (), frozenset())
    ((source, _, _),) = match([function])
    assert (source.line, source.function) == (line, "combined")
