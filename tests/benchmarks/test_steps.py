"""`make bench`: its workloads are what they say, and a small run gives a whole record. No speed is asserted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import numpy as np
import pytest

import graphflow as tf
from benchmarks import found, picture, run, table, workloads
from benchmarks.peers import tf1
from graphflow.runtime.buffers import address, aligned
from graphflow.tools import machine
from graphflow.tools.machine import Machine
from graphflow.tools.step_limit import about_run, limits_of, step_limit

ROOT = Path(__file__).parents[2]
SIZES = {"l2": 1 << 20, "l3": 16 << 20}
EVEN = Machine(2, 16, 4e11, 2e11, 3e11, 6e10, 2e10, SIZES)


def figures(*medians: float) -> dict:
    limit = {"flops": 1e8, "bytes": 1e6, "seconds": 1e-3}
    about = {"limit": limit, "calls": 3, "kernels": 3, "arena": 2 << 20, "arena_bound": 2 << 20}
    first = {"first_s": 0.1, "cold_s": 0.4, "warm_s": 0.05}
    return {"medians": list(medians), "quick": list(medians), **first, "loss": 1.0, "peak": 4e11, "paired": medians[0], "about": about}


class TestWorkloads:
    @pytest.mark.parametrize(("name", "batch"), [("softmax", 100), ("mlp", 32), ("lenet5", 32), ("cifarcnn", 20)])
    def test_contractions_are_most_of_the_compiled_work(self, name, batch):
        """The figures count the contractions of the written layers; the compiler's kernels do these and little else."""
        images, labels = workloads.inputs(name)
        _, _, about = tf1.prepare(name, batch, images, labels, "graphflow", 1)
        found_ = about(EVEN._asdict())
        # below 1: taps that fall on the zeros around an image are left out
        assert 0.9 < found_["limit"]["flops"] / workloads.flops(name, batch) < 1.4
        assert found_["arena"] >= found_["arena_bound"] > 0

    def test_every_case_has_layers_and_a_text(self):
        assert {name for name, _ in workloads.CASES} == set(workloads.WORKLOADS) == set(workloads.LAYERS)

    def test_both_ways_to_write_the_lstm_are_one_net(self):
        assert workloads.flops("lstm", 128) == workloads.flops("lstmloop", 128)


class TestLimit:
    @staticmethod
    def compiled(width: int):
        x = tf.placeholder(tf.float32, [64, width])
        w = tf.Variable(tf.ones([width, width]))
        y = tf.matmul(x, w)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        return session, x, y

    def test_it_counts_multiplications_and_operands_once(self):
        with tf.Graph().as_default():
            session, x, y = self.compiled(128)
            feed = {x: [[1.0] * 128] * 64}
            session.run(y, feed)
            (limit,) = limits_of(session.compiled(y, feed).plan, EVEN)
        assert limit.flops == 2 * 64 * 128 * 128
        assert limit.bytes == 4 * (64 * 128 + 128 * 128 + 64 * 128)
        assert limit.seconds == max(limit.flops / EVEN.flops, limit.bytes / EVEN.l2)

    def test_the_gradient_for_the_input_counts_as_many_products_as_the_convolution(self):
        """Those with the border that is put around the gradient of the output are no work."""
        with tf.Graph().as_default(), tf.Session() as session:
            dy, w = tf.placeholder(tf.float32, [None, 8, 8, 16]), tf.placeholder(tf.float32, [5, 5, 6, 16])
            feed = {dy: np.zeros((3, 8, 8, 16)), w: np.zeros((5, 5, 6, 16))}
            dx = tf.nn.conv2d_backprop_input([3, 12, 12, 6], w, dy, [1, 1, 1, 1], "VALID")
            limits = limits_of(session.compiled(dx, feed).plan, EVEN)
        assert sum(limit.flops for limit in limits) == 2 * 3 * 8 * 8 * 5 * 5 * 6 * 16

    def test_what_does_not_stay_in_a_cache_comes_from_further_away(self):
        """An operand that is used again after more bytes than L2 holds is read from L3."""
        with tf.Graph().as_default():
            session, x, y = self.compiled(128)
            feed = {x: [[1.0] * 128] * 64}
            plan = session.compiled(y, feed).plan
            (near,) = limits_of(plan, EVEN._replace(flops=1e18))
            (far,) = limits_of(plan, EVEN._replace(flops=1e18, sizes={"l2": 1024, "l3": 16 << 20}))
        assert near.seconds == pytest.approx(near.bytes / EVEN.l2)
        assert far.seconds == pytest.approx(far.bytes / EVEN.l3)

    def test_calls_in_a_loop_count_as_often_as_they_run(self):
        with tf.Graph().as_default(), tf.Session() as session:
            x = tf.placeholder(tf.float32, [64, 64])
            y = tf.while_loop(lambda k, h: k < 5, lambda k, h: (k + 1, tf.matmul(h, h)), [0, x])[1]
            about = about_run(session, y, {x: [[0.1] * 64] * 64}, EVEN)
        assert 5 * 2 * 64**3 <= about["limit"]["flops"] < 6 * 2 * 64**3

    def test_a_step_is_the_sum_of_its_calls(self):
        with tf.Graph().as_default():
            session, x, y = self.compiled(64)
            plan = session.compiled(y, {x: [[1.0] * 64] * 64}).plan
            (one,) = limits_of(plan, EVEN)
        assert step_limit(plan, [3], EVEN) == tuple(3 * part for part in one)


def test_a_cache_line_is_handed_over_as_often_as_two_threads_are_asked_to():
    assert machine.handing(1) == 0.0
    words = aligned((1, 8), np.int64, 0)
    *_, hand = machine._loops()
    blocks = [np.array([address(words), first], np.int64) for first in (0, 1)]
    threads = [Thread(target=hand, args=(address(block), 7)) for block in blocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words[0, 0] == 14
    if machine.available() > 1:
        assert 0 < machine.handing(2) < 1


class TestReport:
    RESULTS = {
        "mlp/32": {"graphflow": figures(2.0, 1.0, 3.0), "torch": figures(5.0), "jax": figures(4.0)},
        "lenet5/32": {"graphflow": figures(2.0), "torch": {"error": "out of luck"}, "jax": figures(40.0)},
    }
    ABOUT = {"cpu": "A & B <CPU>", "code_for": "x", "threads": 2}

    def test_the_heading_says_how_far_apart_the_cores_are(self):
        rates = EVEN._replace(handing=2.84e-7)._asdict()
        about = {"cpu": "c", "code_for": "x", "cpus": 2, "threads": 2, "load": 0.0, "versions": {}, "machine": rates, "core": rates}
        assert found.heading(about).count("a cache line to another core and back in 284 ns") == 1

    def test_ratios_are_those_of_the_best_peer(self):
        assert table.ratio(self.RESULTS["mlp/32"]) == 2.0
        assert table.ratio({"graphflow": figures(1.0)}) is None
        assert "geometric mean 6.32, lowest 2.00 (mlp/32)" in table.summary(self.RESULTS)

    def test_a_step_is_measured_by_what_the_cores_do_meanwhile(self):
        """Half the clock for twice the time is the same share of the roofline, and a slice that was disturbed counts for little."""
        assert run.beside_the_peak([(2.0, 4e11)] * 3) == (4e11, 2.0)
        assert run.beside_the_peak([(2.0, 4e11), (4.0, 2e11), (2.0, 4e11), (9.0, 4e11), (4.0, 2e11)]) == (4e11, 2.0)
        halved = {**figures(4.0), "paired": 2.0}
        assert table.share(halved) == table.share(figures(2.0)) == 0.5

    def test_a_line_shows_median_spread_shares_and_peers(self):
        words = table.line("mlp/32", self.RESULTS["mlp/32"], ["torch", "jax", "tensorflow"])
        assert "2.000  50%" in words and "2.50x" in words and "2.00x" in words and words.endswith("-")
        assert f"{workloads.flops('mlp', 32) / 2e6:.1f}" in words
        assert "failed" in table.line("lenet5/32", self.RESULTS["lenet5/32"], ["torch", "jax"])

    def test_the_picture_has_a_bar_for_each_time_as_long_as_its_ratio(self):
        root = ElementTree.fromstring(picture.bars(self.RESULTS, self.ABOUT))
        rects = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("x") == str(picture.LEFT)]
        unit = picture.PLOT / picture.LONGEST
        widths = [float(r.get("width")) / unit for r in rects if r.get("y") != str(picture.LEGEND)]
        assert widths == pytest.approx([1, 0.5, 2.5, 2, 1, 0.5, picture.LONGEST], abs=0.01)  # 0.5: the roofline's share of graphflow's

    def test_peers_are_asked_for_what_they_have(self, tmp_path):
        modules = {m for m, variants in found.VARIANTS.items() for peer in found.peers(sys.executable) if peer.implementation in variants}
        assert modules == {m for m in found.VARIANTS if find_spec(m)}
        assert found.peers("") == []
        with pytest.raises(ValueError, match="does not run"):
            found.peers(str(tmp_path / "python"))


@pytest.mark.slow
def test_a_run_writes_a_whole_record(tmp_path):
    """From the command line, one tiny round of one workload, without peers."""
    command = [sys.executable, "-m", "benchmarks.run", "softmax/100", "--rounds", "2", "--seconds", "0.01", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PEERS": "", "PATH": "/usr/bin:/bin"}, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "no peers were found" in done.stdout
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert record["cpu"] and record["versions"]["numpy"] and record["machine"]["flops"] >= record["core"]["flops"] * 0.5
    row = record["results"]["softmax/100"]["graphflow"]
    assert len(row["medians"]) == 2 and row["cold_s"] > 0 and row["warm_s"] > 0 and row["peak"] > 0 and math.isfinite(row["loss"])
    assert row["about"]["arena"] >= row["about"]["arena_bound"]
    assert ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_an_unknown_workload_is_refused(tmp_path):
    done = subprocess.run([sys.executable, "-m", "benchmarks.run", "lenet6"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2 and "lenet5/32" in done.stderr
