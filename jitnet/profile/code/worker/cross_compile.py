"""The processor to compile for, this one or another."""

import os

import llvmlite.binding as llvm

__all__ = ["emulate", "vector_bits"]


def emulate(processor: dict[str, str]) -> int:
    """Let LLVM, Numba and this project see another processor; return the bits of its vectors."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "JITNET_BLOCKS"):
        os.environ.pop(name, None)
    bits = vector_bits(processor)
    features = llvm.targets.FeatureMap()
    if processor["triple"].startswith("x86"):
        features.update({"avx": bits >= 256, "avx512f": bits >= 512})
        for name, supported in list(features.items()):
            if not supported:
                del features[name]  # LLVM rejects removing a feature that the processor does not have
    for module in (llvm, llvm.targets):
        module.get_process_triple = lambda: processor["triple"]
        module.get_default_triple = lambda: processor["triple"]
        module.get_host_cpu_name = lambda: processor["name"]
        module.get_host_cpu_features = lambda: features
    return bits


def vector_bits(processor: dict[str, str] | None) -> int:
    """Return the bits of a processor's widest vectors, from the code for an addition of 16 float32."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = processor["triple"] if processor else llvm.get_process_triple()
    x86 = triple.startswith(("x86_64", "amd64"))
    features = "" if processor else llvm.get_host_cpu_features().flatten()
    if x86:
        features = f"{features},-prefer-256-bit".strip(",")
    name = processor["name"] if processor else llvm.get_host_cpu_name()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    vector = "<16 x float>"
    module = llvm.parse_assembly(
        f'target triple = "{triple}"\n'
        f"define {vector} @add({vector} %a, {vector} %b) {{ %c = fadd {vector} %a, %b\n ret {vector} %c }}"
    )
    text = machine.emit_assembly(module)
    return 512 if "%zmm" in text else 256 if "%ymm" in text else 128
