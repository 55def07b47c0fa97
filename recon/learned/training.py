"""Training in stages: each network alone on crops, which is cheap, then the whole unrolled reconstruction on strips.

A network starts as a copy of the one before it and learns from what the averaged weights of those before it made of every sample.
Every step draws its samples from the seed and its own number, so that a training that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from knerve.recon.learned.crops import crops_of
from knerve.recon.learned.errors import TrainingError
from knerve.recon.learned.losses import lost_response, relative_error
from knerve.recon.learned.muon import Muon
from knerve.recon.learned.recipe import Recipe
from knerve.recon.learned.sample import SampleSource, TrainingSample
from knerve.recon.learned.under_way import SamplesUnderWay
from knerve.recon.learned.unrolled import Unrolled

WARM_UP = 50  # steps
STEPS_BETWEEN_WORDS = 50
SECONDS_BETWEEN_CHECKPOINTS = 120.0
LARGEST_GRADIENT = 1.0
Report = Callable[[str], None]
CPU = torch.device("cpu")


@dataclass
class Trainer:
    """A training under way.

    Attributes:
        recipe: what is done.
        samples: to learn from.
        folder: of the checkpoint.
        report: is told how it goes.
        device: where the network learns.
    """

    recipe: Recipe
    samples: SampleSource
    folder: Path
    report: Report = print
    device: torch.device = CPU

    def __post_init__(self) -> None:
        torch.manual_seed(self.recipe.seed)
        self.model = Unrolled(self.recipe.architecture).to(self.device)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        self.optimiser: torch.optim.Optimizer = Muon(self.model.parameters())
        self.step = 0

    @property
    def stage(self) -> int:
        """Which network learns alone, from 0; after the last of them, all do."""
        n_networks, n = self.recipe.architecture.n_steps, self.recipe.first_steps
        return min(self.step // n, n_networks) if n else n_networks

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
        return self.folder / "checkpoint.pt"

    def run(self, stop_after_s: float = math.inf) -> bool:
        """Train to the end, or until the time is over; True at the end."""
        started = saved = time.monotonic()
        losses: list[Tensor] = []
        while self.step < self.recipe.n_steps:
            losses.append(self.advance())
            now = time.monotonic()
            if self.step % STEPS_BETWEEN_WORDS == 0:
                self._tell(losses, now - started)
                losses = []
            if now - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self.save()
                saved = now
            if now - started > stop_after_s:
                break
        self.save()
        return self.step >= self.recipe.n_steps

    def advance(self) -> Tensor:
        """One step of the optimiser; the losses (error, response)."""
        random = np.random.default_rng([self.recipe.seed, self.step, 9])
        if self.step and self.step == self.stage * self.recipe.first_steps:
            self._begin_stage()
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.optimiser.zero_grad()
        losses = self._first(random) if self.stage < self.recipe.architecture.n_steps else self._last(random)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.step += 1
        keep = min(self.recipe.averaging, 1 - 1 / (self.step + 1))
        for mean, value in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value.detach(), 1 - keep)
        return losses

    def save(self) -> None:
        """Keep the state."""
        state = {
            "step": self.step,
            "recipe": repr(self.recipe),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def resume(self) -> bool:
        """Go on from the checkpoint; False where there is none.

        Raises:
            TrainingError: the checkpoint is of another recipe.
        """
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        if state["recipe"] != repr(self.recipe):
            raise TrainingError(
                f"{self.checkpoint} is of another recipe: {state['recipe']}; train it in another folder, or delete it."
            )
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        return True

    def validation_error(self) -> float:
        """Root mean square error of magnitudes over that of compressed sensing, geometric mean over the validation samples."""
        total, numbers = 0.0, range(self.n_validation)
        for number in numbers:
            sample = self.samples.one(number).to(self.device)
            with torch.no_grad(), self._precision():
                image = self._shown(sample)
            error, before = (
                (sample.weight * (each.abs() - sample.truth.abs())).norm() for each in (image, sample.start)
            )
            total += math.log(float(error / before))
        return math.exp(total / len(numbers))

    @property
    def n_validation(self) -> int:
        """Samples that are not trained on: the first ones."""
        return len(self.samples) * self.recipe.n_validation // self.recipe.n_scans

    @property
    def _source(self) -> SampleSource:
        """Samples as the network that learns meets them."""
        if self.stage == 0:
            return self.samples
        return SamplesUnderWay(self.samples, self._under_way, self.averaged, self.stage, self.recipe.reduced)

    @property
    def _under_way(self) -> Path:
        """Where samples are kept as this stage meets them."""
        return self.folder / f"stage-{self.stage}"

    def _begin_stage(self) -> None:
        """Go on from averaged weights; the next network starts as the one before it."""
        stage = self.stage
        shutil.rmtree(self._under_way, ignore_errors=True)  # of other weights
        if stage < self.recipe.architecture.n_steps:
            self.averaged.networks[stage].load_state_dict(self.averaged.networks[stage - 1].state_dict())
            self.averaged.gains[stage].copy_(self.averaged.gains[stage - 1])
        self.model.load_state_dict(self.averaged.state_dict())
        self.optimiser = Muon(self.model.parameters())

    def _shown(self, sample: TrainingSample) -> Tensor:
        """What this stage's averaged networks make of a sample, (x, y)."""
        n_networks = self.recipe.architecture.n_steps
        learning = (
            min((self.step - 1) // self.recipe.first_steps, n_networks) if self.recipe.first_steps else n_networks
        )
        images: list[Tensor] = self.averaged(
            sample.problem, sample.normal, (sample.folded[None], sample.unfolded[None])
        )
        return images[max(0, learning)][0]

    def _first(self, random: np.random.Generator) -> Tensor:
        """Gradients of one network alone."""
        n_twins = self.recipe.first_twins
        numbers = self._drawn(random, self.recipe.first_batch - n_twins)
        samples = [self._source.one(number) for number in numbers]
        crops = crops_of(samples, self.recipe.first_crop, random).to(self.device)
        both = crops.with_twins(n_twins)
        with self._precision():
            image = self.model.refined(self.stage, both.start, both.unfolded, both.folded, both.noise)
        error = relative_error(image, both.truth, both.start, both.weight)
        n = len(crops.start)
        losses = []
        for k in range(n_twins):
            places = crops.places(k)
            shown = crops.gains[k, places[:, 0], places[:, 1]]
            losses.append(lost_response(image[n + k] - image[k], crops.insert[k], places, shown))
        response = torch.stack(losses).mean() if losses else error.new_zeros(())
        (error + self.recipe.response_weight * response).backward()
        return torch.stack([error.detach(), response.detach()]).cpu()

    def _last(self, random: np.random.Generator) -> Tensor:
        """Gradients of the last stage."""
        total = torch.zeros(2)
        for number in self._drawn(random, self.recipe.second_batch):
            sample = self.samples.one(number).to(self.device)
            pair, normal = sample.pair(), sample.normal
            truth = torch.stack([sample.truth, sample.truth + sample.insert])
            with self._precision():
                images = self.model(pair, normal)
            errors = [relative_error(image, truth, pair.start, sample.weight[None]) for image in images]
            error = errors[-1] + self.recipe.intermediate_weight * torch.stack(errors[:-1]).sum()
            response = lost_response(images[-1][1] - images[-1][0], sample.insert, sample.places, sample.gains)
            loss = error + self.recipe.response_weight * response
            (loss / self.recipe.second_batch).backward()
            total += torch.stack([errors[-1].detach(), response.detach()]).cpu() / self.recipe.second_batch
        return total

    def _drawn(self, random: np.random.Generator, n: int) -> list[int]:
        """Numbers of n samples."""
        return [int(k) for k in random.integers(self.n_validation, len(self.samples), n)]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.reduced)

    def _rate(self) -> float:
        """Learning rate of this step: in each stage a warm start, constant, then falling to zero along a line.

        The length of a stage decides nothing before the rate falls, so a training can be made longer while it runs.
        """
        recipe, is_last = self.recipe, self.stage == self.recipe.architecture.n_steps
        highest = recipe.second_rate if is_last else recipe.first_rate
        n = recipe.second_steps if is_last else recipe.first_steps
        done = self.step - self.stage * recipe.first_steps
        falling = min(1.0, (n - done) / min(n, recipe.falling_steps))
        return highest * falling * min(1.0, (done + 1) / WARM_UP)

    def _tell(self, losses: list[Tensor], elapsed_s: float) -> None:
        error, response = torch.stack(losses).mean(0).tolist()
        checked = ""
        if self.step % (10 * STEPS_BETWEEN_WORDS) == 0:
            checked = f", validation {self.validation_error():.4f} of compressed sensing"
        self.report(
            f"step {self.step} of {self.recipe.n_steps}: loss {error:.4f}, response {response:.4f}{checked}; {elapsed_s:.0f} s"
        )
