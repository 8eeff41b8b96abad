"""The three flows of the quadrupole scan, which `quad_scan.yaml` composes.

Only a flow that runs imports the physics, so that a check of the spec is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from lume_services.files import HDF5File, ImageFile, ParticleGroupFile
from lume_services.results import Result
from lume_services.tasks import load_file, save_db_result, save_file
from lume_services.values import fingerprint

PROJECT = "quad_scan"
UNIQUE_ON = ["inputs", "outputs"]
"""The same values are the same result, whichever Prefect server knows the flow."""
Positive = Annotated[float, Field(gt=0)]

# Steps that follow ask for the result of a task by its name.
save_beam = save_file.with_options(name="save_beam")
save_images = save_file.with_options(name="save_images")
save_plot = save_file.with_options(name="save_plot")
save_sizes = save_db_result.with_options(name="save_sizes")
save_fit = save_db_result.with_options(name="save_fit")


@flow
def beam(
    *,
    input_file: str | None = None,
    energy: Positive = 135e6,
    charge: Positive = 250e-12,
    n_particle: Annotated[int, Field(ge=100)] = 200_000,
    emittance_x: Positive = 1.0e-6,
    beta_x: Positive = 6.0,
    alpha_x: float = -1.0,
    emittance_y: Positive = 0.8e-6,
    beta_y: Positive = 8.0,
    alpha_y: float = 0.5,
    bunch_length: Annotated[float, Field(ge=0)] = 2.5e-12,
    energy_spread: Annotated[float, Field(ge=0, lt=0.2)] = 1e-3,
    chirp: Annotated[float, Field(ge=-1, le=1)] = 0.8,
    seed: int = 1,
) -> dict[str, Any]:
    """Generate an electron bunch at the quadrupole's entrance, or read a bunch from a file; store it.

    Args:
        input_file: Path of an openPMD particle file. If given, nothing is generated and the rest is not used.
        energy: Mean total energy in eV.
        charge: Charge of the bunch in C.
        n_particle: Number of macroparticles.
        emittance_x: Normalised horizontal emittance in m rad.
        beta_x: Horizontal beta function in m.
        alpha_x: Horizontal alpha function; negative diverges.
        emittance_y: Normalised vertical emittance in m rad.
        beta_y: Vertical beta function in m.
        alpha_y: Vertical alpha function.
        bunch_length: RMS duration in s.
        energy_spread: RMS energy spread relative to the energy.
        chirp: Correlation of energy with time, from -1 to 1.
        seed: The same seed gives the same particles.

    Returns:
        The reference of the particle file.
    """
    from lume_services.examples.quad_scan.beam import Twiss, at_one_place, generate_beam

    if input_file is not None:
        given = ParticleGroupFile(filename=str(Path(input_file).absolute()))
        particles = at_one_place(given.read())
    else:
        particles = generate_beam(
            energy=energy,
            charge=charge,
            n_particle=n_particle,
            twiss_x=Twiss(emittance_x, beta_x, alpha_x),
            twiss_y=Twiss(emittance_y, beta_y, alpha_y),
            bunch_length=bunch_length,
            energy_spread=energy_spread,
            chirp=chirp,
            seed=seed,
        )
    return save_beam(particles, filename=_name("beam", ".h5", particles), file_type=ParticleGroupFile)


@flow
def track(
    *,
    beam_file: dict[str, Any],
    points: Annotated[int, Field(ge=4)] = 21,
    gradient_min: float | None = None,
    gradient_max: float | None = None,
    quad_length: Positive = 0.108,
    drift_length: Positive = 2.26,
    pixel_size: Positive | None = None,
    seed: int = 2,
) -> dict[str, Any]:
    """Scan the quadrupole: track the beam to the screen at each gradient, take an image and measure it.

    The images are stored as one file, the sizes as a result.

    Args:
        beam_file: The reference of the particle file.
        points: Number of gradients, evenly spaced.
        gradient_min: First gradient in T/m; positive focuses in x. If None, the scan is chosen such that the
            waist of most beams sweeps over the screen in both planes.
        gradient_max: Last gradient in T/m, or None as above.
        quad_length: Effective length of the quadrupole in m.
        drift_length: Length from the quadrupole's end to the screen in m.
        pixel_size: Width of a pixel on the screen in m. If None, the camera zooms to the largest beam.
        seed: The same seed gives the same camera noise.

    Returns:
        The reference of the result with the sizes.
    """
    import numpy as np

    from lume_services.examples.quad_scan.scan import scan, zoomed_camera
    from lume_services.examples.quad_scan.screen import Camera
    from lume_services.examples.quad_scan.transport import Beamline

    particles: Any = load_file(beam_file)
    line = Beamline(quad_length, drift_length)
    momentum = float(particles.avg("p"))
    reach = line.reach(momentum)
    gradients = np.linspace(
        -reach if gradient_min is None else gradient_min,
        reach if gradient_max is None else gradient_max,
        points,
    )
    camera = Camera(pixel_size) if pixel_size else zoomed_camera(particles, line, gradients)
    images, sizes = scan(particles, line, gradients, camera, seed)
    screen = {"image": images, "gradient": gradients, "position": camera.position}
    save_images(screen, filename=_name("images", ".h5", screen), file_type=HDF5File)
    return save_sizes(
        Result(
            project_name=PROJECT,
            unique_on=UNIQUE_ON,
            inputs={
                "beam_file": beam_file,
                "quad_length": quad_length,
                "drift_length": drift_length,
                "pixel_size": camera.pixel_size,
                "momentum": momentum,
                "momentum_spread": float(particles.std("p")) / momentum,
                "seed": seed,
            },
            outputs=sizes,
        )
    )


@flow
def fit(
    *, sizes: dict[str, Any], settings: dict[str, Any], beam_file: dict[str, Any], images_file: dict[str, Any]
) -> dict[str, Any]:
    """Fit emittance and Twiss parameters at the quadrupole's entrance; compare them with the particles.

    Args:
        sizes: The outputs of `track`'s result: gradients, beam sizes and their uncertainties.
        settings: The inputs of the same result: the beamline, and the beam's momentum.
        beam_file: The reference of the particle file, from which the truth is computed.
        images_file: The reference of the screen images.

    Returns:
        The fitted values with uncertainties and the truth, a `summary` to print, the references of the
        `files` and of the stored `result`.
    """
    from lume_services.examples.quad_scan.beam import true_twiss
    from lume_services.examples.quad_scan.fit import Bunch, fit_plane, fitted_sizes
    from lume_services.examples.quad_scan.plot import plot_scan
    from lume_services.examples.quad_scan.report import outputs, summary
    from lume_services.examples.quad_scan.transport import PLANES, Beamline

    particles: Any = load_file(beam_file)
    line = Beamline(settings["quad_length"], settings["drift_length"])
    bunch = Bunch(settings["momentum"], settings["momentum_spread"], particles.mass)
    fits = {plane: fit_plane(sizes, line, bunch, plane) for plane in PLANES}
    values = outputs(fits, {plane: true_twiss(particles, plane) for plane in PLANES})
    text = summary(values)
    screen: Any = load_file(images_file)
    curves = fitted_sizes(fits, line, bunch, sizes["gradient"])
    picture = plot_scan(sizes, curves, screen["image"], screen["position"], text)
    plot = save_plot(picture, filename=_name("fit", ".png", picture.tobytes()), file_type=ImageFile)
    result = save_fit(
        Result(
            project_name=PROJECT,
            unique_on=UNIQUE_ON,
            inputs={"sizes": sizes, "settings": settings, "beam_file": beam_file, "images_file": images_file},
            outputs={**values, "plot": plot},
        )
    )
    files = {"beam": beam_file, "images": images_file, "plot": plot}
    return {**values, "summary": text, "files": files, "result": result}


def _name(kind: str, suffix: str, content: Any) -> str:
    """Return a file name of the content's own: the same run gives the same file, no other overwrites it."""
    return f"{PROJECT}/{kind}-{fingerprint(content)[:16]}{suffix}"
