"""The machine code of the inner loops, and the statements around a contraction."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphflow.compiler.contract import core, schedule_contract
from graphflow.compiler.contract.foresee import lines_of
from graphflow.compiler.llvm.target import AVX2, AVX512, Target, target
from graphflow.kernel.expr import load, local
from graphflow.kernel.index import symbol
from graphflow.kernel.interpret import run
from graphflow.kernel.nodes import Axis, Buffer, Contract, Loop, Role, Store
from graphflow.kernel.verify import verify
from tests.compiler.contract.cases import Case, Compiled, aligned, axes, check, conv, conv_filter, conv_input, inputs, matmul, plain, sums

N = symbol("N", 0, None)
INTEL = replace(AVX512, name="intel", cpu="icelake-server")
MAIN = {
    "NN": matmul(N, 512, 784),
    "TN": matmul(784, 512, N, "TN"),
    "NT": matmul(N, 784, 512, "NT"),
    "NN copied": matmul(N, 1024, 3136),
    "TN in groups": matmul(3136, 1024, N, "TN"),
    "NT transposed": matmul(N, 512, 512, "NT"),
    "NT along the rows": matmul(N, 1024, 10, "NT"),
    "NN along the rows": matmul(N, 1024, 10),
    "TN with two heights of tiles": matmul(64, 64, 64, "TN", "f64"),
    "few columns": matmul(N, 10, 512),
    "conv 5x5x1x32": conv(N, 32, 32, 1, 5, 32),
    "conv 5x5x32x64": conv(N, 18, 18, 32, 5, 64),
    "conv 3x3x32x32": conv(N, 34, 34, 32, 3, 32),
    "conv 5x5x6x16": conv(N, 12, 12, 6, 5, 16),
    "conv 5x5x64x32": conv(N, 18, 18, 64, 5, 32),
    "filter 1x1x32x32 with two heights of tiles": conv_filter(16, 28, 28, 32, 1, 32),
    "filter 5x5x1x32": conv_filter(N, 32, 32, 1, 5, 32),
    "filter 5x5x32x64": conv_filter(N, 18, 18, 32, 5, 64),
    "filter 3x3x32x32": conv_filter(N, 34, 34, 32, 3, 32),
    "filter 3x3x256x128 of pixels copied apart": conv_filter(N, 14, 14, 256, 3, 128),
    "input 5x5x32x64": conv_input(N, 14, 14, 32, 5, 64),
    "input 3x3x32x32": conv_input(N, 32, 32, 32, 3, 32),
}


@pytest.fixture
def zen5(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans priced for Zen 5, whatever core this is."""
    monkeypatch.setattr(core, "SUNNY_COVE", core.ZEN5)


def innermost_loops(assembly: str) -> list[list[str]]:
    """The instructions of every loop that multiplies: from a label to the last backward jump to it before the next such label."""
    lines = assembly.splitlines()
    labels = {m.group(1): n for n, line in enumerate(lines) if (m := re.match(r"^(\.L\w+):", line))}
    spans = []
    for n, line in enumerate(lines):
        jump = re.match(r"\s+j\w+\s+(\.L\w+)", line)
        if jump and labels.get(jump.group(1), n) < n:
            spans.append((labels[jump.group(1)], n))
    inner = [s for s in spans if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    bodies = [lines[a : b + 1] for a, b in inner]
    return [body for body in bodies if any("vfmadd" in x for x in body)]


@pytest.mark.parametrize("machine", [AVX512, AVX2, INTEL], ids=lambda m: m.name)
@pytest.mark.parametrize("name", MAIN)
def test_inner_loops_do_not_touch_the_stack(name: str, machine: Target) -> None:
    if not target("native").masks and machine.masks:
        pytest.skip("this machine cannot run AVX-512 code")
    compiled = Compiled(MAIN[name], machine)
    loops = innermost_loops(compiled.assembly())
    packed = compiled.plan().packed
    # Where the first tile copies a panel of four registers, LLVM addresses the copy, on the stack, from there, with an index.
    spilled = "(%rsp)" if machine is INTEL and packed and packed.fused else "(%rsp"
    assert loops
    for loop in loops:  # rbp is a register like any other here: functions have no frame pointer
        assert not any(spilled in line for line in loop), "\n".join(loop)


@pytest.mark.parametrize("name", MAIN)
def test_what_is_scheduled_is_valid_loop_ir(name: str) -> None:
    verify(Compiled(MAIN[name]).kernel)


SMALL: list[tuple[Case, dict[str, int]]] = [
    (matmul(40, 33, 70, "NT"), {}),
    (matmul(1, 1, 150_001), {}),
    (conv_filter(N, 12, 12, 3, 3, 16), {"N": 19}),
    (conv_input(N, 6, 6, 3, 3, 8), {"N": 2}),
]


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_the_interpreter_agrees_with_the_native_code(number: int) -> None:
    case, sizes = SMALL[number]
    compiled = Compiled(case)
    arrays = inputs(case, sizes)
    native = {name: a.copy() for name, a in arrays.items()}
    compiled.run(native, sizes, 2)
    interpreted = run(compiled.kernel, arrays, sizes)["y"]
    want, scale = sums(case, arrays, sizes)
    np.testing.assert_allclose(native["y"].reshape(want.shape), want, rtol=1e-4, atol=1e-5 * scale.max())
    np.testing.assert_allclose(interpreted.reshape(want.shape), want, rtol=1e-4, atol=1e-5 * scale.max())


@pytest.mark.parametrize("name", ["TN", "TN in groups", "NN copied", "NT transposed"])
def test_tiles_are_wide_where_loads_take_longer(name: str) -> None:
    """Two registers of columns take a load for two multiply-adds and more; a core that loads little more than one in a cycle waits then."""
    narrow, wide = (len(Compiled(MAIN[name], machine).plan().panels[0].pieces) for machine in (AVX512, INTEL))
    assert narrow == 2 < wide


def test_what_comes_from_far_for_every_transposed_tile_is_paid_for() -> None:
    """Images of more bytes than the second-level cache holds go by in blocks on a core to which the third-level cache is far: for every
    tile that is transposed, which cannot wait for the next block, they come again. Few images stay near."""
    many, few = (Compiled(conv_filter(images, 28, 28, 32, 3, 32, stride=2), INTEL).plan() for images in (16, 2))
    assert not many.turned and many.block is not None and many.block[1] < 16
    assert few.turned and few.block is None


@pytest.mark.parametrize("steps", [7, 16, 40, 600])
@pytest.mark.parametrize("columns", [75, 128, 200])
def test_panels_of_several_registers_are_transposed_one_after_another(columns: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a core of that kind has them, on the target at hand."""
    monkeypatch.setattr(core, "ZEN5", core.SUNNY_COVE)
    compiled = check(matmul(N, columns, steps, "NT"), {"N": 131}, AVX512 if target("native").masks else AVX2)
    if compiled.target.masks and steps >= 40:
        plan = compiled.plan()
        assert plan.packed is not None and plan.packed.turned and len(plan.panels[0].pieces) > 2


def test_an_operand_that_lies_across_the_results_is_copied_panel_by_panel() -> None:
    compiled = Compiled(matmul(512, 512, 512, "NT"))
    assert len(compiled.kernel.phases) == 1
    assert compiled.plan().packed.turned
    assert "shufflevector" in compiled.text, "the copy goes through registers"


@pytest.mark.parametrize("machine", ["native", "avx2"])
def test_pixels_that_share_few_sets_of_the_cache_are_copied_apart(machine: str) -> None:
    """Images of 256 channels: a filter's gradient, of which each tile reads some channels of all pixels."""
    compiled = Compiled(conv_filter(N, 9, 11, 256, 3, 128), machine)
    (copy,) = (b for b in compiled.kernel.buffers if b.name == "t.left")
    assert copy.shape[1] == 256 + 16, "an odd number of cache lines"
    for many in (0, 1, 3):
        arrays = inputs(conv_filter(N, 9, 11, 256, 3, 128), {"N": many})
        windows = [arrays["x"][:, h : h + 7, w : w + 9].reshape(-1, 256) for h in range(3) for w in range(3)]
        wanted = [x.T.astype(np.float64) @ arrays["d"].reshape(-1, 128) for x in windows]
        for threads in (1, 3):
            compiled.run(arrays, {"N": many}, threads)
            np.testing.assert_allclose(arrays["y"].reshape(9, 256, 128), wanted, atol=1e-4)
    assert len(Compiled(conv_filter(N, 9, 11, 240, 3, 128), machine).kernel.phases) == 1, "these lie apart as they are"


@pytest.mark.usefixtures("zen5")
def test_tiles_that_read_more_than_the_caches_hold_go_by_in_groups() -> None:
    plan = Compiled(matmul(3136, 128, N, "TN")).plan()
    assert plan.packed is not None
    assert 6 <= plan.chunk < 224


def test_few_rows_are_shared_evenly() -> None:
    """128 rows in six tiles, of which two threads take three each; where panels are turned, both turn them, and each takes half of the
    rows."""
    plan = Compiled(matmul(128, 16, 512), AVX512).plan()
    assert plan.split == "tiles" and plan.runs == ((0, 2, 22), (44, 4, 21))
    plan = Compiled(matmul(32, 512, 10, "NT"), AVX512).plan()
    assert plan.split == "rows" and plan.packed.turned


def test_a_matrix_that_one_panel_passes_over_is_read_in_whole_lines() -> None:
    """Tall tiles of one column load as much as they multiply: lines that they leave in part would have to come again."""
    plan = Compiled(matmul(512, 16, N, "TN"), AVX512).plan()
    assert plan.turned and plan.vector == "i"


def asks(case: Case, machine: Target = AVX2) -> bool:
    """Whether anything is asked for in the second-level cache."""
    return "prefetcht1" in Compiled(case, machine).assembly()


def test_rows_of_a_turned_tile_that_come_from_beyond_the_caches_are_priced() -> None:
    """The gradient of a large vocabulary's layer: tiles turned to its columns wait for a line at each step."""
    assert not Compiled(matmul(128, 5000, 1600, "TN"), AVX512).plan().turned


@pytest.mark.parametrize(("columns", "lines"), [(4096, 2), (5000, 3)])
def test_the_next_panel_is_asked_for_with_every_line_that_it_touches(columns: int, lines: int) -> None:
    """Two registers of columns are two lines, or three where rows begin anywhere in a line."""
    asked = lines_of(32, columns, 4)
    assert len(asked) == lines and {n // 16 for n in asked} | {(n + 8) // 16 for n in asked} >= set(range(lines))
    text = Compiled(matmul(128, columns, 1600, "TN"), AVX512).text
    places = re.findall(r"\n(\S*ask\S*):(.*?)\n\S+:", text, re.DOTALL)
    assert max(body.count("@llvm.prefetch") for _, body in places) == lines


def test_tiles_ask_for_the_next_panel_of_a_matrix_that_no_cache_holds() -> None:
    assert Compiled(MAIN["NN copied"], AVX2).plan().foresees
    assert asks(MAIN["NN copied"])
    assert asks(matmul(N, 3136, 1024, "NT"), AVX512)
    assert not asks(MAIN["NN"]), "this matrix stays in the cache"


def test_tiles_ask_for_the_next_block_of_a_reduction_in_several_loops() -> None:
    """Images and the gradients of their results go by in blocks that the cache holds; a filter over few images is one block."""
    compiled = Compiled(MAIN["filter 3x3x32x32"], AVX2)
    assert "next block asked for" in repr(compiled.plan())
    assert sum("prefetcht1" in line for loop in innermost_loops(compiled.assembly()) for line in loop) >= 2
    assert not asks(conv_filter(2, 18, 18, 32, 3, 32))


def test_all_images_pass_over_one_panel_of_a_large_filter_after_another() -> None:
    """A filter that no cache holds is read once, not once for every row of every image."""
    case, sizes = conv(N, 5, 5, 128, 3, 384), {"N": 2}
    compiled = Compiled(case, AVX512 if target("native").masks else AVX2)
    assert compiled.plan().panelwise and "one panel after another" in repr(compiled.plan())
    assert not Compiled(conv(N, 8, 8, 64, 3, 64)).plan().panelwise, "this filter stays in the cache"
    arrays = inputs(case, sizes)
    want, scale = sums(case, arrays, sizes)
    results = []
    for threads in (1, 2, 5):
        got = {name: a.copy() for name, a in arrays.items()}
        compiled.run(got, sizes, threads)
        np.testing.assert_allclose(got["y"], want.reshape(got["y"].shape), rtol=1e-4, atol=1e-5 * scale.max())
        results.append(got["y"].tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("rows", [1, 14, 29])
@pytest.mark.parametrize("kind", ["NN", "NT"])
def test_asking_for_memory_changes_no_result(kind: str, rows: int) -> None:
    """Tiles that begin before the rows of their thread, and the last panel, after which there is none."""
    case = matmul(N, 1040, 800, kind)
    compiled = Compiled(case)
    assert compiled.plan().foresees
    arrays = inputs(case, {"N": rows})
    want, scale = sums(case, arrays, {"N": rows})
    results = []
    for threads in (1, 2, 4):
        got = {name: a.copy() for name, a in arrays.items()}
        compiled.run(got, {"N": rows}, threads)
        np.testing.assert_allclose(got["y"], want, rtol=1e-4, atol=1e-5 * scale.max())
        results.append(got["y"].tobytes())
    assert len(set(results)) == 1


def test_a_matrix_of_each_row_has_no_next_panel() -> None:
    """y[i, j] = sum of a[i, k, j] * b[k]: every tile reads columns of its own."""
    i, j, k = (symbol(name, 0, n - 1) for name, n in (("i", 30), ("j", 512), ("k", 64)))
    contract = Contract(
        (Axis("i", 30), Axis("j", 512)), (Axis("k", 64),), load("a", "f32", (i * 64 + k) * 512 + j), load("b", "f32", k),
        (Store("y", i * 512 + j, local("acc", "f32")),),
    )  # fmt: skip
    shapes: list[tuple[str, tuple[int, ...], Role]] = [("a", (30, 64, 512), Role.IN), ("b", (64,), Role.IN), ("y", (30, 512), Role.OUT)]
    case = Case(contract, tuple(Buffer(name, "f32", shape, role) for name, shape, role in shapes), ())
    compiled = Compiled(case)
    assert not compiled.plan().foresees
    arrays = inputs(case, {})
    compiled.run(arrays, {}, 2)
    np.testing.assert_allclose(arrays["y"], np.einsum("ikj,k->ij", arrays["a"], arrays["b"]), rtol=1e-4, atol=1e-4)


def test_blocks_of_panels_are_short_where_the_sums_stay_in_the_cache() -> None:
    assert Compiled(MAIN["NN copied"], AVX2).plan().packed.early
    many = Compiled(matmul(1024, 1024, 1024), AVX512)
    assert many.plan().packed is not None
    assert not many.plan().packed.early, "the sums would not stay in the cache between short blocks"


def test_an_update_is_asked_for_while_its_gradient_is_summed() -> None:
    def update(rows: int) -> Case:
        case = matmul(rows, 512, N, "TN")
        (store,) = case.contract.epilogue
        assert isinstance(store, Store)
        step = load("y", "f32", store.offset) - local("acc", "f32") * 0.1
        buffers = tuple(replace(b, role=Role.INOUT) if b.name == "y" else b for b in case.buffers)
        return replace(case, contract=replace(case.contract, epilogue=(Store("y", store.offset, step),)), buffers=buffers)

    assert Compiled(update(512), AVX2).plan().awaited == ("y",)
    assert asks(update(512))
    assert not Compiled(update(64), AVX2).plan().awaited, "it is near"
    assert not Compiled(MAIN["TN"], AVX2).plan().awaited, "nothing is read"


def test_what_an_epilogue_fills_elsewhere_is_asked_for_to_be_written() -> None:
    """The gradients of gates: results in four places, none of them read before."""
    case = matmul(N, 128, 512)
    (store,) = case.contract.epilogue
    assert isinstance(store, Store)
    row, column = symbol("i", 0, None), symbol("j", 0, 127)
    gate = load("gate", "f32", store.offset)
    fourfold = tuple(Store("z", row * 512 + column + 128 * n, local("acc", "f32") * gate * (n + 1.0)) for n in range(4))
    epilogue = (Store("y", store.offset, local("acc", "f32") * gate), *fourfold)
    more = (Buffer("gate", "f32", (N, 128), Role.IN), Buffer("z", "f32", (N, 512), Role.OUT))
    wide = replace(case, contract=replace(case.contract, epilogue=epilogue), buffers=(*case.buffers, *more))
    few = Compiled(wide, AVX512)
    assert not few.plan().awaited, "one operand and four parts of a result are near"
    many = replace(wide, contract=replace(wide.contract, epilogue=(*epilogue, *(replace(s, buffer="u") for s in fourfold))),
                   buffers=(*wide.buffers, Buffer("u", "f32", (N, 512), Role.OUT)))  # fmt: skip
    compiled = Compiled(many, AVX512)
    assert compiled.plan().awaited == ("gate", "z", "u")
    into_first = [len(re.findall("prefetch(?:t0|w)", c.assembly())) for c in (few, compiled)]  # the latter where a CPU has it
    assert into_first[1] >= into_first[0] + 8
    arrays = inputs(many, {"N": 30})
    Compiled(many).run(arrays, {"N": 30}, 2)
    for n in range(4):
        part = arrays["z"][:, 128 * n : 128 * (n + 1)]
        np.testing.assert_allclose(part, (arrays["a"] @ arrays["w"]) * arrays["gate"] * (n + 1), rtol=1e-3, atol=1e-3)


def test_operands_that_stay_in_the_first_cache_are_not_prefetched() -> None:
    assert Compiled(MAIN["conv 5x5x1x32"], AVX512).plan().ahead[1] == 0
    near, far = (Compiled(case, AVX512).plan().ahead[1] for case in (conv_filter(4, 32, 32, 1, 5, 32), matmul(80, 64, 8192)))
    assert 0 < near < far, "the second-level cache answers sooner"


@pytest.mark.usefixtures("zen5")
def test_results_that_lie_far_apart_are_gone_through_row_by_row() -> None:
    plan = Compiled(matmul(3136, 1024, N, "TN")).plan()
    assert plan.split == "tiles", "a tile of rows passes over all columns before the next one's turn"
    assert Compiled(matmul(256, 256, N, "TN")).plan().split != "tiles", "these results stay in the cache"


COPIED = {
    "blocks": (matmul(N, 1024, 1100), {"N": 37}, lambda a, w: a @ w),
    "groups": (matmul(3136, 128, N, "TN"), {"N": 5}, lambda a, w: a.T @ w),
    "reduction in two blocks": (matmul(300, 512, N, "TN"), {"N": 1030}, lambda a, w: a.T @ w),
    "squares": (matmul(N, 512, 512, "NT"), {"N": 29}, lambda a, w: a @ w.T),
    "ragged squares": (matmul(300, 523, 1000, "NT"), {}, lambda a, w: a @ w.T),
    "squares, double": (matmul(400, 512, 512, "NT", "f64"), {}, lambda a, w: a @ w.T),
}


@pytest.mark.parametrize("name", COPIED)
def test_products_of_copied_panels(name: str) -> None:
    case, sizes, product = COPIED[name]
    compiled = Compiled(case)
    if compiled.target.masks:
        assert compiled.plan().packed is not None
    arrays = inputs(case, sizes)
    want = product(arrays["a"].astype(np.float64), arrays["w"].astype(np.float64))
    first = None
    for threads in (1, 2, 4):
        got = dict(arrays, y=aligned(np.full_like(arrays["y"], 77)))
        compiled.run(got, sizes, threads)
        np.testing.assert_allclose(got["y"], want, rtol=1e-4, atol=1e-3)
        assert first is None or np.array_equal(first, got["y"]), f"{threads} threads give other bits"
        first = got["y"]


def test_a_filter_that_lies_across_the_results_is_copied_whole() -> None:
    compiled = Compiled(MAIN["input 5x5x32x64"])
    assert isinstance(compiled.kernel.phases[0][0], Loop)


def test_an_operand_whose_rows_lie_pages_apart_is_copied_where_tiles_take_columns_of_it() -> None:
    """Of rows 4096 bytes apart the second-level cache holds 512 beginnings: of 1,024, none would be left for the next tile."""

    def copies(size: int) -> list[tuple[str, tuple[Any, ...]]]:
        case = matmul(size, size, size, "TN")
        return [(b.name, b.shape) for b in schedule_contract(case.contract, AVX512).scratch]

    assert copies(1024) == [("t.left", (1024, 1040))]
    assert copies(512) == []


def test_a_plan_reads_well() -> None:
    assert repr(Compiled(matmul(28, 32, 64), AVX512).plan()) == "<lanes j: 1 x [16 16]; rows i: 2 x 14; inside k; threads share tiles>"
    conv_plan = repr(Compiled(conv(N, 18, 18, 32, 5, 64), AVX512).plan())
    assert conv_plan == "<lanes oc: 4 x [16]; rows ow: 1 x 14; 5 steps of kw at once; inside kh, ic; threads share units>"


def memory_operands(case: Case) -> tuple[int, int]:
    """How many instructions of the innermost loop read memory, and how many multiply. A carry jumps back into it from several places."""
    loop = max(innermost_loops(Compiled(case, AVX512).assembly()), key=len)
    return sum("(" in line.rsplit(", %zmm", 1)[0] for line in loop if ", %zmm" in line), sum("vfmadd" in line for line in loop)


def test_what_neighbours_share_under_a_window_is_loaded_once() -> None:
    if not target("native").masks:
        pytest.skip("this machine cannot run AVX-512 code")
    assert memory_operands(conv(N, 18, 18, 32, 5, 64)) == (18 + 5, 14 * 5)
    assert memory_operands(conv(N, 18, 18, 32, 3, 32)) == (10 + 3 * 2, 8 * 3 * 2)
    # in the gradient of the filter: 2 channels of 7 + 4 places, and 7 places of two registers, for 2 x 5 x 2 sums
    assert memory_operands(conv_filter(N, 18, 18, 32, 5, 64)) == (2 * 11 + 7 * 2, 7 * 20)


def test_a_window_that_moves_by_two_shares_every_other_element() -> None:
    if not target("native").masks:
        pytest.skip("this machine cannot run AVX-512 code")
    assert memory_operands(conv(N, 33, 33, 32, 3, 64, 2)) == (8 * 2 + 1 + 3 * 2, 8 * 3 * 2)


def test_a_window_of_rows_the_batch_decides() -> None:
    """A sum over neighbours in a signal whose length is known only when it runs."""
    free, f = axes(i=N, j=20)
    reduced, r = axes(k=3, c=5)
    left = load("x", "f32", (f["i"] + r["k"]) * 5 + r["c"])
    right = load("w", "f32", (r["k"] * 5 + r["c"]) * 20 + f["j"])
    buffers = (Buffer("x", "f32", (N + 2, 5), Role.IN), Buffer("w", "f32", (15, 20), Role.IN), Buffer("y", "f32", (N, 20), Role.OUT))
    case = Case(Contract(free, reduced, left, right, plain("f32", f["i"] * 20 + f["j"])), buffers, ("N",))
    for machine in ("native", "avx2", "sse2"):
        for many in (1, 2, 9, 40):
            assert check(case, {"N": many}, machine, (1, 3)).plan().window == ("k", 3)


def test_threads_share_rows_where_what_stands_beside_the_product_does() -> None:
    """A product of few enough weights: what a thread reads of the one operand and the results it makes stay in its caches. Of large weights
    each thread takes some columns, and so it does where the rows are columns of the operand."""

    def split(case: Case) -> str:
        return Compiled(case, AVX512).plan().split

    assert [split(matmul(N, 512, 156)), split(matmul(N, 2048, 1024)), split(matmul(156, 496, N, "TN"))] == ["rows", "panels", "panels"]
