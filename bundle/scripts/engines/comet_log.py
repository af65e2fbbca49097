"""A training's numbers in Comet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys


class CometLog:
    """Send losses of each step, scores of each validation and the run's settings to Comet.

    Nothing else is sent: no code, no Git state, no output, no names of machine or user. It needs the extra `tracking`.

    Args:
        evaluator: the validation, whose metrics are sent.
        api_key: of the account; `None`: that of the environment variable `COMET_API_KEY`.
        workspace: of the account; `None`: the default one.
        project: name of the project.
        tags: of the experiment.
        name: of the experiment; `None`: Comet makes one up.
        offline_directory: folder that gets the experiment as a zip file, to be sent by `comet upload` later; no
            connection is made.
        settings: names and values to send as the experiment's parameters.

    Raises:
        ImportError: without `comet_ml`, when the training starts.
    """

    def __init__(
        self,
        evaluator: Engine | None = None,
        *,
        api_key: str | None = None,
        workspace: str | None = None,
        project: str = "polytome",
        tags: Sequence[str] = (),
        name: str | None = None,
        offline_directory: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.api_key, self.workspace, self.project = api_key, workspace, project
        self.tags, self.name = list(tags), name
        self.offline_directory = None if offline_directory is None else str(offline_directory)
        self.settings = dict(settings or {})
        self.experiment: Any = None

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._log_loss)
        engine.add_event_handler(Events.COMPLETED | Events.EXCEPTION_RAISED | Events.TERMINATE, self._end)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self._log_scores, engine)

    def _start(self, engine: Engine) -> None:
        comet_ml = _comet()
        quiet = {
            "workspace": self.workspace,
            "project_name": self.project,
            "log_code": False,
            "log_git_metadata": False,
            "log_git_patch": False,
            "log_env_details": False,
            "auto_param_logging": False,
            "auto_metric_logging": False,
            "auto_output_logging": False,
            "parse_args": False,
            "display_summary_level": 0,
        }
        if self.offline_directory is None:
            self.experiment = comet_ml.Experiment(api_key=self.api_key, **quiet)
        else:
            Path(self.offline_directory).mkdir(parents=True, exist_ok=True)
            self.experiment = comet_ml.OfflineExperiment(offline_directory=self.offline_directory, **quiet)
        self.experiment.add_tags(self.tags)
        if self.name is not None:
            self.experiment.set_name(self.name)
        self.experiment.log_parameters(self.settings)

    def _log_loss(self, engine: Engine) -> None:
        output: Any = engine.state.output
        terms = {name: float(value) for name, value in getattr(engine.loss_function, "terms", {}).items()}  # type: ignore[attr-defined]
        numbers = {"train_loss": float(output[CommonKeys.LOSS])} | {f"train_{name}": v for name, v in terms.items()}
        self.experiment.log_metrics(numbers, step=engine.state.iteration, epoch=engine.state.epoch)

    def _log_scores(self, evaluator: Engine, trainer: Engine) -> None:
        if self.experiment is not None:
            scores = {name: float(value) for name, value in evaluator.state.metrics.items()}
            self.experiment.log_metrics(scores, step=trainer.state.iteration, epoch=trainer.state.epoch)

    def _end(self, engine: Engine, error: BaseException | None = None) -> None:
        if self.experiment is not None:
            self.experiment.end()
            self.experiment = None
        if error is not None:
            raise error


def _comet() -> Any:
    """The package, imported when it is needed: it takes seconds. Its reports of its own faults are switched off."""
    os.environ.setdefault("COMET_ERROR_TRACKING_ENABLE", "0")
    try:
        import comet_ml
    except ImportError as error:
        raise ImportError("Comet needs the package comet_ml: pip install '.[tracking]'") from error
    return comet_ml
