"""Tables of the page on performance, from what the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tests.documentation.goals import goals_table
from tests.documentation.result_tables import named_table, results_table


def _augmentation(size: str) -> str:
    return named_table(
        "augmentation", (size,), "Transform", [("Mean, ms", "mean_ms", ".1f"), ("Longest, ms", "worst_ms", ".1f")]
    )


PERFORMANCE_TABLES: Mapping[str, Callable[[], str]] = {
    "goals": goals_table,
    "start_up": partial(
        results_table,
        "start_up",
        ("rows",),
        [
            ("Ratio to the imports", "ratio", ".2f"),
            ("Workers", "workers", ""),
            ("Seconds", "seconds", ".1f"),
            ("Smallest", "smallest", ".1f"),
            ("Largest", "largest", ".1f"),
            ("Imports alone, s", "imports", ".1f"),
        ],
    ),
    "patch_search": partial(
        named_table,
        "patch_search",
        ("labels",),
        "Label array",
        [
            ("Search / decode", "ratio_to_decode", ".2f"),
            ("Search, s", "search_s", ".3f"),
            ("Decode, s", "decode_s", ".3f"),
            ("Stored chunks", "stored_chunks", ","),
            ("Patches", "patches", ","),
            ("Memory, MB", "memory_mb", ".0f"),
        ],
    ),
    "patch_readers": partial(
        results_table,
        "patch_loading",
        ("readers",),
        [
            ("Ratio to zarr-python", "ratio", ".2f"),
            ("Reader", "reader", ""),
            ("Layout", "layout", ""),
            ("Patch edge", "patch", ""),
            ("Threads", "threads", ""),
            ("Patches a second", "per_s", ".0f"),
        ],
    ),
    "patch_loading": partial(
        results_table,
        "patch_loading",
        ("loading",),
        [
            ("Ratio to the raw loop", "ratio", ".2f"),
            ("Layout", "layout", ""),
            ("Patch edge", "patch", ""),
            ("Case", "case", ""),
            ("Workers", "workers", ""),
            ("Patches a second", "per_s", ".0f"),
        ],
    ),
    "patch_cache": partial(
        results_table,
        "patch_loading",
        ("cache",),
        [
            ("Ratio to no cache", "ratio", ".2f"),
            ("Layout", "layout", ""),
            ("Case", "case", ""),
            ("Reads a second", "per_s", ".0f"),
        ],
    ),
    "patch_workers": partial(
        results_table,
        "patch_loading",
        ("workers",),
        [
            ("Ratio to spawn", "ratio", ".2f"),
            ("Workers", "kind", ""),
            ("First batch, s", "first_batch_s", ".1f"),
            ("Batches a second", "batches_per_s", ".1f"),
        ],
    ),
    "training_step": partial(
        results_table,
        "training_step",
        ("step", "rows"),
        [
            ("Trainer / bare loop", "ratio", ".3f"),
            ("With the end of epochs", "ratio_with_end", ".3f"),
            ("Network", "network", ""),
            ("Parameters", "parameters", ","),
            ("Patch", "patch", ""),
            ("Trainer, ms", "trainer_ms", ".0f"),
            ("Bare, ms", "bare_ms", ".0f"),
        ],
    ),
    "training_loading": partial(
        results_table,
        "training_step",
        ("loading", "rows"),
        [
            ("Loading / in memory", "ratio", ".3f"),
            ("Workers", "workers", ""),
            ("Step, ms", "ms", ".0f"),
            ("In memory, ms", "cached_ms", ".0f"),
            ("Patch", "patch", ""),
        ],
    ),
    "inference_network": partial(
        results_table,
        "streaming_inference",
        ("network", "rows"),
        [
            ("Run / forward passes", "ratio", ".3f"),
            ("Run, s", "wall_s", ".1f"),
            ("Forward passes, s", "forward_s", ".1f"),
            ("Windows", "windows", ""),
            ("Bytes read / bytes of the volume", "read_amplification", ".2f"),
        ],
    ),
    "inference_trivial": partial(
        results_table,
        "streaming_inference",
        ("trivial", "rows"),
        [
            ("Inference / copying", "ratio", ".2f"),
            ("Input", "input", ""),
            ("Inference, MB a second", "mb_per_s", ".0f"),
            ("Copying, MB a second", "copy_mb_per_s", ".0f"),
        ],
    ),
    "inference_memory": partial(
        results_table,
        "streaming_inference",
        ("memory", "rows"),
        [
            ("Ratio to the full 512^3", "ratio", ".2f"),
            ("Volume", "case", ""),
            ("Extent", "extent", ""),
            ("Peak, MB", "peak_mb", ".0f"),
            ("Of it the run, MB", "run_mb", ".0f"),
            ("Seconds", "seconds", ".0f"),
        ],
    ),
    "inference_monai": partial(
        results_table,
        "streaming_inference",
        ("monai", "rows"),
        [
            ("Time / MONAI's", "time_ratio", ".2f"),
            ("Memory / MONAI's", "memory_ratio", ".2f"),
            ("Network", "network", ""),
            ("Seconds", "seconds", ".1f"),
            ("MONAI's seconds", "monai_seconds", ".1f"),
            ("Run, MB", "run_mb", ".0f"),
            ("MONAI's run, MB", "monai_run_mb", ".0f"),
        ],
    ),
    "inference_workers": partial(
        results_table,
        "streaming_inference",
        ("workers", "rows"),
        [
            ("Time / one worker", "ratio", ".2f"),
            ("Workers", "workers", ""),
            ("Seconds", "seconds", ".0f"),
            ("Windows", "windows", ""),
            ("Hash of the bytes", "bytes", ""),
        ],
    ),
    "exported": partial(
        results_table,
        "export",
        ("rows",),
        [
            ("Exported / network", "exported / network", ".2f"),
            ("File", "file", ""),
            ("Seconds", "seconds", ".2f"),
            ("Largest difference", "largest difference", ".1e"),
        ],
    ),
    "reference_search": partial(
        results_table,
        "reference_systems",
        ("search", "rows"),
        [
            ("Time / vesuvius", "ratio", ".2f"),
            ("Processor's time / vesuvius", "processor_ratio", ".2f"),
            ("Labels", "labels", ""),
            ("vesuvius at resolution", "their_resolution", ""),
            ("Threads", "threads", ""),
            ("Seconds", "seconds", ".2f"),
            ("vesuvius, s", "their_seconds", ".2f"),
            ("Patches", "patches", ""),
            ("vesuvius, patches", "their_patches", ""),
            ("In common", "common", ""),
            ("Labels covered", "covered", ".0%"),
            ("By vesuvius", "their_covered", ".0%"),
        ],
    ),
    "reference_loading": partial(
        results_table,
        "reference_systems",
        ("loading", "rows"),
        [
            ("Time / other system", "ratio", ".2f"),
            ("Processor's time / other system", "processor_ratio", ".2f"),
            ("Other system", "system", ""),
            ("Workers", "workers", ""),
            ("Patches a second", "per_s", ".0f"),
            ("Other system's", "their_per_s", ".0f"),
            ("Run, MB", "run_mb", ".0f"),
            ("Other system's run, MB", "their_run_mb", ".0f"),
        ],
    ),
    "reference_inference": partial(
        results_table,
        "reference_systems",
        ("inference", "rows"),
        [
            ("Time / vesuvius", "ratio", ".2f"),
            ("Processor's time / vesuvius", "processor_ratio", ".2f"),
            ("Outside forward passes / vesuvius", "outside_ratio", ".2f"),
            ("Memory / vesuvius", "memory_ratio", ".2f"),
            ("vesuvius' workers", "workers", ""),
            ("Seconds", "seconds", ".1f"),
            ("vesuvius, s", "their_seconds", ".1f"),
            ("Run, MB", "run_mb", ".0f"),
            ("vesuvius' run, MB", "their_run_mb", ".0f"),
            ("Written, MB", "written_mb", ".0f"),
            ("vesuvius, MB", "their_written_mb", ".0f"),
            ("Voxels off", "off", ".2%"),
            ("vesuvius, off", "their_off", ".2%"),
            ("Largest difference", "largest", ".0f"),
            ("vesuvius, largest", "their_largest", ".0f"),
        ],
    ),
    "components": partial(
        results_table,
        "segmentation",
        ("components", "rows"),
        [
            ("Time / cc3d", "time_ratio", ".2f"),
            ("Memory / cc3d", "memory_ratio", ".2f"),
            ("Method", "method", ""),
            ("Seconds", "seconds", ".1f"),
            ("Run, MB", "run_mb", ".0f"),
            ("Objects", "objects", ","),
        ],
    ),
    "agglomeration": partial(
        results_table,
        "segmentation",
        ("agglomeration", "rows"),
        [("Voxels a second", "voxels_per_s", ",.0f"), ("Step", "step", ""), ("Seconds", "seconds", ".2f")],
    ),
    "instance_matching": partial(
        results_table,
        "instance_matching",
        ("rows",),
        [
            ("Plain loop / here", "loop / function", ".0f"),
            ("Scores", "scores", ""),
            ("Seconds", "seconds", ".2f"),
            ("Plain loop, s", "loop_s", ".0f"),
        ],
    ),
    "nuclei": partial(
        results_table,
        "objects",
        ("nuclei", "rows"),
        [
            ("F1 at IoU 0.5", "f1", ".3f"),
            ("Volume", "volume", ""),
            ("True objects", "true", ""),
            ("Found", "found", ""),
            ("Panoptic quality", "panoptic_quality", ".3f"),
            ("VOI, bits", "voi", ".2f"),
        ],
    ),
    "neurons": partial(
        results_table,
        "objects",
        ("em", "rows"),
        [
            ("VOI / one object", "ratio", ".2f"),
            ("Volume", "volume", ""),
            ("Method", "method", ""),
            ("VOI, bits", "voi", ".2f"),
            ("Split", "voi_split", ".2f"),
            ("Merge", "voi_merge", ".2f"),
            ("Adapted Rand error", "adapted_rand_error", ".2f"),
        ],
    ),
    "multitask_phantom": partial(
        results_table,
        "multitask",
        ("tables", "phantom"),
        [
            ("Time / first row", "ratio", ".2f"),
            ("Network", "variant", ""),
            ("Parameters", "parameters", ","),
            ("Sheet, Dice", "sheet_dice", ".3f"),
            ("Normals, degrees", "normals_angle", ".1f"),
        ],
    ),
    "multitask_hippocampus": partial(
        results_table,
        "multitask",
        ("tables", "hippocampus"),
        [
            ("Time / first row", "ratio", ".2f"),
            ("Network", "variant", ""),
            ("Parameters", "parameters", ","),
            ("Organ, Dice", "organ_dice", ".3f"),
            ("Range of the seeds", "organ_dice_spread", ".3f"),
        ],
    ),
    "augmentation_64": partial(_augmentation, "64^3"),
    "augmentation_128": partial(_augmentation, "128^3"),
}
"""What stands between the marks of the page, by name."""
