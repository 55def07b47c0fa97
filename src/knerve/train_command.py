"""`knerve train`: from simulated scans to the weights of the learned reconstruction."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from knerve.recon.errors import SettingsError
from knerve.terminal import Terminal, facts_table, terminal

if TYPE_CHECKING:
    from knerve.datasets.training.samples import Samples
    from knerve.recon.learned.recipe import Recipe
    from knerve.recon.learned.training import Trainer

SCANS_PER_KNEE_SLICE = 5  # each with another contrast, other coils, noise and lines
DATA = (
    "digital knees of seeds from 1000 on, drawn objects, and the photographs of --photographs; all scans simulated; "
    "no patient data"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for checkpoint, weights and model card.")],
    recipe: Annotated[Literal["cpu", "gpu"], typer.Option(help="How large and how long.")] = "cpu",
    photographs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs to learn from besides what is simulated.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this time; the same command goes on later.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that simulate scans.")] = 1,
    scans: Annotated[int | None, typer.Option(min=2, help="Simulated scans; else the recipe's.")] = None,
    steps: Annotated[
        tuple[int, int] | None, typer.Option(metavar="FIRST SECOND", help="Steps of both stages; else the recipe's.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network learns.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")] = False,
) -> None:
    """Train the network of --method dl again: simulate scans, learn from them, write weights and a model card."""
    with terminal(as_json) as talk:
        from knerve.datasets.training.objects import Source
        from knerve.datasets.training.samples import Samples
        from knerve.gpu.devices import choose_device
        from knerve.recon.learned.recipe import RECIPES
        from knerve.recon.learned.training import Trainer

        chosen = replace(RECIPES[recipe], seed=seed)
        if scans is not None:
            chosen = replace(chosen, n_scans=scans, n_validation=max(1, min(chosen.n_validation, scans // 5)))
        if steps is not None:
            chosen = replace(chosen, first_steps=steps[0], second_steps=steps[1])
        try:
            where = choose_device(device)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        folder = out / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        source = Source(folder, math.ceil(chosen.n_scans / SCANS_PER_KNEE_SLICE), photographs)
        samples = Samples(source, folder, chosen.n_scans, seed)
        _simulate(talk, samples, workers)
        trainer = Trainer(chosen, samples, out, talk.step, where)
        if trainer.resume():
            talk.step(f"Going on from step {trainer.step}")
        _finish(talk, trainer, chosen, out, minutes)


def _simulate(talk: Terminal, samples: Samples, workers: int) -> None:
    """Make every sample that is not there yet."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    if all(samples.is_made(number) for number in range(samples.n_scans)):
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for what, make, n in (
            ("Drawing knees", samples.draw_knee, samples.source.n_knees),
            ("Simulating scans", samples.make, samples.n_scans),
        ):
            with talk.slices(what) as on_done:
                for done, _ in enumerate(pool.map(make, range(n)), start=1):
                    on_done(done, n)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _finish(talk: Terminal, trainer: Trainer, recipe: Recipe, out: Path, minutes: float | None) -> None:
    """Train; write the weights as they then are."""
    from knerve.recon.learned.weights import save_model

    finished = trainer.run(math.inf if minutes is None else 60 * minutes)
    error = trainer.validation_error()
    facts = {
        "finished": finished,
        "steps": trainer.step,
        "validation_error_over_compressed_sensing": round(error, 4),
        "data": DATA,
        "recipe": recipe.as_dict(),
    }
    save_model(trainer.averaged, out, facts)
    talk.answer({"out": out} | facts, facts_table({"out": out} | facts))
