"""What the comparison with other systems measures with, and what this bundle's side of it does."""

import importlib
import sys
import textwrap

import numpy as np
import polytome_side
import pytest
import reference_systems
import stand_ins
import turns

from scripts.volumes import open_volume

PLACES = [(0, 0, 0), (64, 64, 64)]


def side(folder, program: str) -> turns.Side:
    path = folder / "side.py"
    path.write_text(f"import sys\nsys.path.insert(0, {turns.__file__.rsplit('/', 1)[0]!r})\n{textwrap.dedent(program)}")
    return turns.Side(sys.executable, path, "work", folder / "side.log")


def test_sides_take_turns_after_one_that_is_looked_at(tmp_path):
    program = """
        import time
        from turns import serve

        def work(log, name):
            def turn(is_check):
                print("chatter")
                with open(log, "a") as file:
                    file.write(f"{name}{'?' if is_check else '!'} ")
                return {"name": name}
            return turn

        serve({"work": work})
    """
    log = tmp_path / "order"
    with side(tmp_path, program) as a, side(tmp_path, program) as b:
        answers = turns.alternate([(one, {"log": str(log), "name": name}) for one, name in ((a, "a"), (b, "b"))], 2)
    assert log.read_text().split() == ["a?", "b?", "a!", "b!", "a!", "b!"]
    assert [first["name"] for first, _ in answers] == ["a", "b"]
    assert all("run_mb" in first and len(timed) == 2 for first, timed in answers)
    assert all(turn["seconds"] >= 0 and "run_mb" not in turn for _, timed in answers for turn in timed)


def test_a_turn_that_says_how_long_it_took_is_believed(tmp_path):
    program = """
        from turns import serve
        serve({"work": lambda: lambda is_check: {"seconds": 7.0}})
    """
    with side(tmp_path, program) as one:
        assert one.turn({}, False)["seconds"] == 7.0


def test_work_is_prepared_anew_for_other_settings_alone(tmp_path):
    program = """
        from turns import serve
        def work(factor):
            taken = []
            def turn(is_check):
                taken.append(factor)
                return {"sum": sum(taken)}
            return turn
        serve({"work": work})
    """
    with side(tmp_path, program) as one:
        assert [one.turn({"factor": n}, False)["sum"] for n in (2, 2, 3, 2)] == [2, 4, 3, 2]


def test_a_side_that_ends_is_an_error_with_what_it_said_last(tmp_path):
    program = """
        from turns import serve
        def fails(is_check):
            raise OverflowError("a volume of 3 x 5")
        serve({"work": lambda: fails})
    """
    with side(tmp_path, program) as one, pytest.raises(RuntimeError, match="ended: OverflowError: a volume of 3 x 5"):
        one.turn({}, True)


def test_peak_memory_counts_what_was_held_for_a_while_and_what_a_child_holds(tmp_path):
    program = """
        import subprocess, sys, time
        from turns import serve

        def work():
            def turn(is_check):
                held = bytearray(b"1") * 100_000_000
                time.sleep(1)
                del held
                hold = "held = bytearray(b'1') * 200_000_000; print('ready', flush=True); input()"
                child = subprocess.Popen(
                    [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                child.stdout.readline()
                time.sleep(1)
                child.communicate("\\n")
                return {}
            return turn

        serve({"work": work})
    """
    with side(tmp_path, program) as one:
        assert 200 < one.turn({}, True)["run_mb"] < 290  # not 300: one after the other


def test_medians_are_of_whole_turns_and_of_what_is_outside_the_forward_passes():
    keys = ("seconds", "forward_s", "processor_s")
    found = [dict(zip(keys, turn, strict=True)) for turn in ((5.0, 1.0, 2.0), (9.0, 8.0, 1.0), (6.0, 3.0, 4.0))]
    assert reference_systems.medians(found) == {"seconds": 6.0, "outside_s": 3.0, "processor_s": 2.0}
    assert reference_systems.medians([{"seconds": 2.0, "processor_s": 1.0}])["outside_s"] == 2.0


def test_the_processor_s_time_counts_children_and_no_waiting(tmp_path):
    program = """
        import subprocess, sys, time
        from turns import serve

        def spend(seconds):
            end = time.process_time() + seconds
            while time.process_time() < end:
                pass

        def work():
            def turn(is_check):
                time.sleep(2)
                spend(0.5)
                busy = "import time\\nwhile time.process_time() < 1: pass"
                subprocess.run([sys.executable, "-c", busy], check=True)
                return {}
            return turn

        serve({"work": work})
    """
    with side(tmp_path, program) as one:
        assert 1.4 < one.turn({}, False)["processor_s"] < 3


def test_stand_ins_serve_as_base_decorator_and_call_and_leave_other_packages_missing(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    stand_ins.stand_in("missing_one")
    module = importlib.import_module("missing_one.part.piece")
    try:

        @module.jit(cache=True)
        def f():
            raise AssertionError

        class Derived(module.Base): ...

        assert isinstance(Derived(3, size=4), stand_ins.Absent)
        assert isinstance(f, stand_ins.Absent)
        with pytest.raises(ModuleNotFoundError, match="missing_two"):
            importlib.import_module("missing_two")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "missing_one"]:
            del sys.modules[name]


def test_sparse_labels_stand_where_they_were_put_at_both_resolutions(tmp_path):
    path = reference_systems.write_sparse(tmp_path / "labels.zarr", 192, PLACES, 32)
    full, half = (open_volume(f"{path}::{level}") for level in (0, 1))
    assert (full.spatial_shape, half.spatial_shape, half.spacing) == ((192,) * 3, (96,) * 3, (2.0, 2.0, 2.0))
    labels = full.read((0, 0, 0), full.spatial_shape)[0]
    assert np.array_equal(labels[::2, ::2, ::2], half.read((0, 0, 0), half.spatial_shape)[0])
    assert np.count_nonzero(labels) == 2 * np.count_nonzero(labels[:32, :32, :32]) > 0
    assert np.array_equal(labels[:32, :32, :32], labels[64:96, 64:96, 64:96])


def test_covered_counts_voxels_in_a_patch_once(tmp_path):
    path = reference_systems.write_sparse(tmp_path / "labels.zarr", 512, PLACES, 32)
    assert reference_systems.covered(path, []) == 0
    assert reference_systems.covered(path, [(0, 0, 0), (0, 0, 0)]) == pytest.approx(0.5)
    assert reference_systems.covered(path, [(0, 0, 0), (32, 32, 32)]) == 1


def test_this_bundle_finds_the_patches_of_a_lattice(tmp_path):
    path = reference_systems.write_sparse(tmp_path / "labels.zarr", 256, [(64, 128, 64)], 128)
    found = polytome_side.search(str(path), 64, 0.95, 0.1, 1)(True)["starts"]
    assert found == [[z, y, x] for z in (64, 128) for y in (128, 192) for x in (64, 128)]


def test_this_bundle_loads_the_patches_that_were_asked_for(tmp_path):
    image, label = reference_systems.write_scan(tmp_path, 128)
    starts = [[3, 40, 64], [0, 0, 0], [63, 1, 20]]
    whole = [open_volume(path).read((0, 0, 0), (128,) * 3)[0].astype(float) for path in (image, label)]
    boxes = [tuple(slice(n, n + 64) for n in start) for start in starts]
    turn = polytome_side.loading(image, label, 128, starts, 64, 2, 0)
    looked_at, timed = turn(True), turn(False)
    assert looked_at["patches"] == timed["patches"] == 3
    assert looked_at["sums"] == {key: sum(array[box].sum() for box in boxes) for key, array in zip(
        ("image", "sheet"), whole, strict=True
    )}  # fmt: skip
    assert timed["seconds"] > 0


def test_this_bundle_predicts_what_one_pass_does_apart_from_seams(tmp_path):
    image, _ = reference_systems.write_scan(tmp_path, 128)
    found = polytome_side.inference(image, str(tmp_path), 64, 0.5, 2, 0)(True)
    expected = reference_systems.probabilities_in_memory(image)
    assert found["windows"] == 27
    assert reference_systems.seams(expected, found["output"])["off"] < 0.03
    expected[:64] += 100
    others = reference_systems.seams(expected, found["output"])
    assert 0.5 <= others["off"] < 0.53
    assert 90 < others["largest"] < 130
