"""`knerve simulate`: a protocol played on the digital knee, as the raw file that a scanner would have sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from knerve.recon.errors import OutputError, SettingsError
from knerve.terminal import Terminal, facts_table, terminal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from knerve.datasets.knee import Knee, Scene
    from knerve.datasets.knee.scenes import SceneObject
    from knerve.datasets.simulation_settings import SimulationSettings
    from knerve.sequences.protocol import Protocol

MAX_SEED = 2**63 - 1
SIMULATED = "Research use only: simulated by knerve, no patient; not a medical device, not for diagnosis."
SEEN = 0.25  # of a pixel: with less of it no pixel shows a nerve

Nerve = Literal[
    "superior-medial",
    "superior-lateral",
    "inferior-medial",
    "inferior-lateral",
    "saphenous",
    "tibial",
    "common peroneal",
]
USUAL_PLACE: Nerve = "superior-medial"


class SceneName(StrEnum):
    """What a procedure has brought in; typer takes an enumeration where an option may be repeated."""

    NEEDLE = "needle"
    BUPIVACAINE = "bupivacaine"
    ETHANOL = "ethanol"
    ICE_BALL = "ice-ball"
    LESION = "lesion"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="A preset's name, or a file that ends in .toml.")],
    out: Annotated[Path, typer.Option(metavar="RAW.h5", help="ISMRMRD file to write; RAW-truth.h5 goes beside it.")],
    seed: Annotated[int, typer.Option(help="Of the knee and of the noise.", min=0, max=MAX_SEED)] = 0,
    side: Annotated[Literal["right", "left"], typer.Option(help="Which knee.")] = "right",
    size: Annotated[float, typer.Option(min=0.9, max=1.1, help="1 is a mean man's knee.")] = 1.0,
    nerve_diameter: Annotated[
        float | None,
        typer.Option(metavar="MM", min=0.4, max=2.0, help="Of the genicular nerves; else each between 0.8 and 1.2."),
    ] = None,
    scene: Annotated[
        list[SceneName] | None,
        typer.Option(
            metavar="NAME",
            help="What a procedure has brought to the nerve of --at: needle, bupivacaine, ethanol, ice-ball or lesion; "
            "repeat for several.",
        ),
    ] = None,
    at: Annotated[
        Nerve | None,
        typer.Option(
            metavar="NERVE",
            help=f"Centre the slices where a needle would go: {', '.join(get_args(Nerve))}. Of a scene, else "
            f"{USUAL_PLACE}.",
        ),
    ] = None,
    orientation: Annotated[
        Literal["axial", "coronal", "sagittal"] | None, typer.Option(help="Else as the protocol says.")
    ] = None,
    tilt: Annotated[
        tuple[float, float], typer.Option(help="Degrees about the read, then about the phase direction.")
    ] = (0.0, 0.0),
    slices: Annotated[int | None, typer.Option(min=1, help="Else as many as the protocol has.")] = None,
    coils: Annotated[int, typer.Option(min=8, max=32, help="Of the receive array.")] = 16,
    snr: Annotated[float, typer.Option(help="Of muscle, fully sampled, one average.")] = 13.0,
    noise_free: Annotated[bool, typer.Option("--noise-free", help="Imaging readouts without noise.")] = False,
    fully_sampled: Annotated[bool, typer.Option("--fully-sampled", help="Read every line.")] = False,
    motion: Annotated[float, typer.Option(metavar="MM", min=0, max=20, help="Of the leg, between shots.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")] = False,
) -> None:
    """Simulate the raw data of a protocol on the digital knee, with the truth beside them."""
    if out.suffix != ".h5":
        raise typer.BadParameter(f"--out writes ISMRMRD, not {out.name!r}; give a name that ends in .h5.")
    with terminal(as_json) as talk:
        check_target(out)
        from knerve.datasets.knee import digital_knee
        from knerve.datasets.simulation_settings import SimulationSettings
        from knerve.sequences.protocol import Protocol

        try:
            settings = SimulationSettings(
                n_coils=coils,
                seed=seed,
                orientation=orientation,
                tilt_deg=tilt,
                muscle_snr=snr,
                noise_free=noise_free,
                motion_mm=motion,
                fully_sampled=fully_sampled,
            )
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from None
        loaded = Protocol.load(protocol)
        if slices is not None:
            loaded = replace(loaded, geometry=replace(loaded.geometry, n_slices=slices))
        talk.step("Drawing the knee")
        at = at or (USUAL_PLACE if scene else None)
        knee = digital_knee(seed, side, size, nerve_diameter, _scene(at, scene) if scene and at else None)
        if at:
            settings = centred_at(knee, at, loaded, settings)
        _run(talk, loaded, knee, out, settings)


def check_target(out: Path) -> None:
    """Refuse before any work what cannot be written, and a raw file that is not a simulated one.

    Raises:
        OutputError: with what to do.
    """
    if not out.parent.is_dir():
        raise OutputError(f"{out} could not be written: there is no folder {out.parent}; make it, or choose another.")
    if out.exists() and not out.with_name(f"{out.stem}-truth.h5").exists():
        raise OutputError(f"{out} exists and has no truth beside it: knerve did not simulate it. Choose another name.")


def centred_at(knee: Knee, nerve: str, protocol: Protocol, settings: SimulationSettings) -> SimulationSettings:
    """The settings with the stack moved along its normal until its middle slice holds the target of a nerve."""
    import numpy as np

    from knerve.datasets.slice_stack import slice_stack

    orientation = settings.orientation or protocol.geometry.orientation
    normal = np.array(slice_stack(protocol, knee.position_mm, orientation, settings.tilt_deg)[0].normal)
    middle = np.array(knee.position_mm)
    x, y, z = (middle + normal * (normal @ (target_mm(knee, nerve) - middle))).tolist()
    return replace(settings, centre_mm=(x, y, z))


def target_mm(knee: Knee, nerve: str) -> NDArray[np.float64]:
    """Where a needle goes (3), LPS: at a genicular nerve the target beside the bone, at another the middle of its course."""
    import numpy as np

    name = f"target: {nerve}"
    if name in knee.landmarks:
        return np.array(knee.landmarks[name])
    (course,) = (each for each in knee.nerves if each.name == nerve)
    return course.point_at(course.arc_length_mm[-1] / 2)


def _scene(nerve: str, names: Sequence[SceneName]) -> Scene:
    from knerve.datasets.knee import Cryoprobe, Depot, Lesion, Needle, Scene

    objects: dict[SceneName, SceneObject] = {
        SceneName.NEEDLE: Needle(),
        SceneName.BUPIVACAINE: Depot("bupivacaine"),
        SceneName.ETHANOL: Depot("ethanol"),
        SceneName.ICE_BALL: Cryoprobe(),
        SceneName.LESION: Lesion(),
    }
    return Scene.at_nerve(nerve, *(objects[name] for name in dict.fromkeys(names)))


def _run(talk: Terminal, protocol: Protocol, knee: Knee, out: Path, settings: SimulationSettings) -> None:
    from knerve.datasets.simulate import simulate as simulate_scan

    started = time.perf_counter()
    with talk.slices(f"Simulating {protocol.name}") as on_progress:
        written = simulate_scan(protocol, knee, out, settings=settings, on_progress=on_progress)
    seconds = time.perf_counter() - started
    nerves = nerves_by_slice(written.truth)
    document: dict[str, object] = {
        "out": written.path,
        "truth": written.truth,
        "research_use": SIMULATED,
        "protocol": protocol.name,
        "scan_seconds": written.scan_s,
        "slices": protocol.geometry.n_slices,
        "readouts": written.n_readouts,
        "coils": settings.n_coils,
        "noise_density": written.noise_density,
        "nerves": nerves,
        "seconds": seconds,
    }
    told = {
        "raw file": out,
        "truth": written.truth,
        "scan": f"{protocol.name}, {written.scan_s:.1f} s, {written.n_readouts} readouts of {settings.n_coils} coils",
        "slices with nerves": {name: _ranges(slices) for name, slices in nerves.items()},
        "simulated in": f"{seconds:.1f} s",
    }
    talk.answer(document, facts_table(told), SIMULATED)


def nerves_by_slice(truth: Path) -> dict[str, list[int]]:
    """Numbers of the slices in which each nerve of a truth file is seen."""
    import h5py

    with h5py.File(truth) as file:
        return {
            name: [i for i, mask in enumerate(nerve["mask"]) if mask.max() >= SEEN * nerve["mask"].attrs["steps"]]
            for name, nerve in file["nerves"].items()
        }


def _ranges(numbers: Sequence[int]) -> str:
    """As people write them: 0-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
