"""Which test executes the commands of each page, or why none does."""

HERE = "tests/bundle/test_documentation.py"

EXECUTED: tuple[tuple[str, str, str], ...] = (
    (
        "README.md",
        r"make (demo|test)|activate|cd bundle",
        "not executed: tests/bundle/test_demo.py runs the demo, shrunk",
    ),
    ("README.md", r"", "tests/bundle/test_readme.py"),
    ("bundle/docs/README.md", r"export models", "tests/bundle/test_export.py"),
    ("bundle/docs/README.md", r"", HERE),
    ("bundle/docs/cellmap.md", r"", "tests/bundle/test_cellmap.py"),
    ("bundle/docs/command_line.md", r"", HERE),
    ("bundle/docs/configuration.md", r"", HERE),
    ("bundle/docs/dashboard.md", r"", "tests/workflows/test_dashboard.py"),
    ("bundle/docs/embeddings.md", r"points cells\.zarr", "tests/bundle/test_points.py"),
    (
        "bundle/docs/embeddings.md",
        r"sweep .*--workers",
        "not executed: hours; tests/bundle/test_sweep.py runs a small sweep",
    ),
    ("bundle/docs/embeddings.md", r"sweep", HERE),
    ("bundle/docs/embeddings.md", r"", "tests/bundle/test_embeddings.py"),
    ("bundle/docs/evaluation.md", r"evaluate (prediction|a)\.zarr", HERE),
    (
        "bundle/docs/evaluation.md",
        r"",
        "not executed: needs a tree of crops; tests/workflows/test_evaluate.py scores small ones",
    ),
    ("bundle/docs/export.md", r"trt", "not executed: needs a GPU; tests/bundle/test_zoo.py binds the config"),
    ("bundle/docs/export.md", r"verify_net_in_out|ckpt_export|onnx_export", "tests/bundle/test_zoo.py"),
    ("bundle/docs/export.md", r"", "tests/bundle/test_export.py"),
    ("bundle/docs/from_cellmap.md", r"", "not executed: tests/bundle/test_cellmap.py runs those of cellmap.md"),
    ("bundle/docs/from_contraband.md", r"", HERE),
    ("bundle/docs/from_lannunet.md", r"import-landmark-config", HERE),
    ("bundle/docs/from_lannunet.md", r"", "not executed: tests/bundle/test_landmarks.py runs those of landmarks.md"),
    (
        "bundle/docs/from_nnunet.md",
        r"import-nnunet ",
        "not executed: tests/workflows/test_import_nnunet.py imports others",
    ),
    (
        "bundle/docs/from_nnunet.md",
        r"",
        "not executed: tests/workflows/test_import_nnunet_dataset.py runs a small dataset",
    ),
    ("bundle/docs/from_sheetnorm.md", r"", HERE),
    ("bundle/docs/index.md", r"", HERE),
    (
        "bundle/docs/inference.md",
        r"n_workers",
        "not executed: tests/inferers/test_distributed.py predicts by processes",
    ),
    ("bundle/docs/inference.md", r"", HERE),
    (
        "bundle/docs/installation.md",
        r"",
        "not executed: installs packages; tests/bundle/test_installation.py checks what they name",
    ),
    ("bundle/docs/landmarks.md", r"", "tests/bundle/test_landmarks.py"),
    ("bundle/docs/monai_label.md", r"", "tests/label/test_server.py"),
    ("bundle/docs/process.md", r"--keep", "tests/bundle/test_process.py"),
    ("bundle/docs/process.md", r"", HERE),
    ("bundle/docs/python.md", r"", "tests/bundle/test_python_examples.py"),
    ("bundle/docs/security.md", r"scripts check", HERE),
    ("bundle/docs/security.md", r"", "not executed: installs a package, and asks PyPI"),
    (
        "bundle/docs/training.md",
        r"import-nnunet ",
        "not executed: tests/workflows/test_import_nnunet.py imports others",
    ),
    ("bundle/docs/training.md", r"torchrun", "not executed: tests/bundle/test_resume.py trains by two processes"),
    ("bundle/docs/training.md", r"--tracking", "not executed: tests/bundle/test_tracking.py tracks a shorter training"),
    ("bundle/docs/training.md", r"", HERE),
    ("bundle/docs/viewing.md", r"", "tests/workflows/test_view.py"),
)
"""Page, pattern of the command, and test file; the first line that fits counts."""
