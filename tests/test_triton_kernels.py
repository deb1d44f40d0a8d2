"""The kernel for CUDA without a GPU: its numbers in Triton's interpreter, its code compiled ahead, and what stands in for it.

What only a GPU can show is shown on the first call there (kernels._proven), and here where there is one.
"""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from flowatlas import attention_kernel, kernels

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="triton is for Linux only")

IN_TORCH = {
    "attention_proximity": attention_kernel._in_torch,
    "neuron_proximity": kernels._neuron_proximity_torch,
}
ANSWER = """
import sys
import torch
from flowatlas import triton_kernels
torch.save([getattr(triton_kernels, name)(*case) for name, *case in torch.load(sys.argv[1])], sys.argv[1])
"""


def attention(n_query, n_key, d_model, lengths, first=0, n_head=2):
    """A call of attention_proximity whose parts are smaller than the whole, so that many are near it."""
    generator, batch = torch.Generator().manual_seed(d_model), len(lengths)
    whole, u = (
        torch.randn(s, generator=generator) for s in ((batch, n_query, d_model), (n_head, batch, n_key, d_model))
    )
    pattern = torch.rand(batch, n_head, n_query, n_key, generator=generator) / 10
    return ["attention_proximity", whole, pattern, u, torch.tensor(lengths), first]


def strided():
    """Arguments as the analysis hands them on: pieces, and weights that lie by column."""
    name, whole, pattern, u, lengths, _ = attention(40, 50, 20, [35, 40])
    return name, whole[:, 30:], pattern.transpose(2, 3).contiguous().transpose(2, 3)[:, :, 30:], u, lengths, 30


def not_a_number():
    """In a query that counts, in one beyond its prompt, and above the diagonal."""
    call = attention(40, 40, 16, [40, 30])
    call[1][0, 7, 3] = call[1][1, 30:, :] = call[2][:, :, 5, 6:] = torch.nan
    return call


def neurons(n_node, n_neuron, d_model, by_column=False):
    _, whole, pattern, u, *_ = attention(n_node, n_neuron, d_model, [1], n_head=1)
    return ["neuron_proximity", whole[0], pattern[0, 0], u[0, 0].T.contiguous().T if by_column else u[0, 0]]


CASES = {
    "ragged": attention(40, 40, 33, [40, 1, 17]),
    "offset": attention(21, 70, 48, [69, 58, 70], 49),
    "offset beyond a prompt": attention(5, 20, 8, [20, 9], 15),
    "one token": attention(1, 1, 5, [1], n_head=1),
    "no attention": [*attention(3, 3, 7, [3])[:2], torch.zeros(1, 2, 3, 3), *attention(3, 3, 7, [3])[3:]],
    "strides": strided(),
    "not a number": not_a_number(),
    "neurons": neurons(17, 33, 40),
    "neurons by column": neurons(3, 70, 19, by_column=True),
    "no nodes": neurons(0, 5, 4),
}


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """What the kernel gives for every case, on the CPU; in another process, for it is Triton as a whole that interprets."""
    file = tmp_path_factory.mktemp("triton") / "cases.pt"
    torch.save(list(CASES.values()), file)
    subprocess.run([sys.executable, "-c", ANSWER, file], check=True, env={**os.environ, "TRITON_INTERPRET": "1"})
    return dict(zip(CASES, torch.load(file), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_gives_the_numbers_of_torch(case, interpreted):
    name, *call = CASES[case]
    expected = IN_TORCH[name](*call)
    torch.testing.assert_close(interpreted[case], expected, equal_nan=True)
    if case not in ("no attention", "no nodes"):
        assert (expected > 0).any()


def test_what_no_query_sees_is_zero_and_what_is_no_number_stays_none(interpreted):
    found = interpreted["not a number"]
    assert found[0, :, 7, :8].isnan().all()
    assert found.isnan().sum() == found[0, :, 7].isnan().sum() == 2 * 8


@pytest.fixture
def triton_kernels(monkeypatch, tmp_path):
    """The module as a GPU would have it, with nothing compiled before."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels._proven.cache_clear()
    yield importlib.import_module("flowatlas.triton_kernels")
    kernels._proven.cache_clear()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernel_compiles_and_keeps_its_sums_in_registers(capability, causal, triton_kernels, tmp_path):
    import triton
    from triton.backends.compiler import GPUTarget

    source = as_launched(triton_kernels, causal)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=triton_kernels._LAUNCH)
    assert "max.NaN.f32" in compiled.asm["ptx"]  # the interpreter keeps what is no number in any case
    (tmp_path / "kernel.cubin").write_bytes(compiled.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    asked = [tool, "--dump-resource-usage", tmp_path / "kernel.cubin"]
    usage = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    used = {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    assert (used["STACK"], used["LOCAL"]) == (0, 0)  # nothing is spilled into memory
    assert 3 * used["REG"] * 32 * compiled.metadata.num_warps <= 65536  # three programs on a multiprocessor
    assert 3 * compiled.metadata.shared <= 100_000


def as_launched(module, causal):
    """What a launch with contiguous tensors, d_model a multiple of 16, asks Triton to compile."""
    import triton

    names = module._kernel.arg_names
    fixed = {"y_c": 1, "u_c": 1, **module._TILE, **({} if causal else {"lengths": None})}
    types = {**dict.fromkeys(("y", "a", "u", "out"), "*fp32"), "lengths": "*i64", **dict.fromkeys(fixed, "constexpr")}
    aligned = {"y", "a", "u", "out", "lengths", "d_model", "y_b", "y_q", "u_h", "u_b", "u_k"} - fixed.keys()
    return triton.compiler.ASTSource(
        module._kernel,
        {name: types.get(name, "i32") for name in names},
        fixed,
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )


def fails(*call):
    raise RuntimeError("no compiler\nhere")


def differs(*call):
    return kernels._neuron_proximity_torch(*call) + 0.01


@pytest.mark.parametrize(("kernel", "why"), [(fails, "RuntimeError: no compiler here"), (differs, "not close")])
def test_a_kernel_that_fails_or_differs_is_not_used_and_that_is_said_once(
    kernel, why, triton_kernels, monkeypatch, capsys
):
    monkeypatch.setattr(triton_kernels, "neuron_proximity", kernel)
    for _ in range(2):
        assert proven("neuron_proximity", "cpu") is kernels._neuron_proximity_torch
    said = capsys.readouterr().err
    assert said.count("flowatlas: neuron_proximity on cpu goes without its Triton kernel") == 1
    assert why in said


@pytest.mark.parametrize("name", IN_TORCH)
def test_a_kernel_that_gives_torchs_numbers_is_used(name, triton_kernels, monkeypatch, capsys):
    def same(*call):
        return IN_TORCH[name](*call)

    monkeypatch.setattr(triton_kernels, name, same)
    assert proven(name, "cpu") is same
    assert not capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", IN_TORCH)
def test_a_gpu_runs_the_kernel(name, triton_kernels):
    assert proven(name, "cuda") is getattr(triton_kernels, name)
    for asked, *call in CASES.values():
        if asked == name:
            there = [one.to("cuda") if torch.is_tensor(one) else one for one in call]
            torch.testing.assert_close(proven(name, "cuda")(*there).cpu(), IN_TORCH[name](*call), equal_nan=True)


def proven(name, device):
    return kernels._proven(name, IN_TORCH[name], torch.device(device))


def test_only_float32_on_cuda_asks_for_a_kernel(monkeypatch):
    monkeypatch.setattr(kernels, "_proven", lambda name, in_torch, device: lambda whole: f"{name} on {device}")

    def taken(device, dtype):
        whole = SimpleNamespace(device=torch.device(device), dtype=dtype)
        return kernels.on_device("near", lambda whole: "torch", whole)  # pyright: ignore[reportArgumentType]

    assert taken("cuda:1", torch.float32) == "near on cuda:1"
    assert taken("cuda:1", torch.float64) == taken("mps", torch.float32) == "torch"


def test_the_cpu_never_loads_triton():
    work = """
import sys
import torch
import flowatlas
from flowatlas import attention_kernel, contributions, extract, kernels
y, a = torch.ones(1, 2, 4), torch.ones(1, 1, 2, 2)
values = attention_kernel.head_values(torch.ones(1, 2, 1, 3), torch.ones(1, 3, 4))
attention_kernel.attention_proximity(y, a, values, torch.tensor([2]))
kernels.neuron_proximity(y[0], a[0, 0], torch.ones(2, 4))
kernels._stable_top(torch.ones(1, 4), 2)
print(sorted(name for name in sys.modules if name.partition(".")[0] == "triton"))
"""
    answer = subprocess.run([sys.executable, "-c", work], check=True, capture_output=True, text=True)
    assert answer.stdout == "[]\n"
