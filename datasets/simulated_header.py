"""The ISMRMRD header of a simulated scan: what a scanner would say of itself, and the protocol's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from knerve.datasets.slice_stack import ScanGrid
from knerve.sequences.echo_order import EchoPlan
from knerve.sequences.protocol import Protocol
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.timing import scan_time
from knerve.sequences.train_echoes import refocusing_angles

UID_ROOT = "2.25.9178253714290"
DATE, TIME = "2026-01-01", "12:00:00"  # fixed: the same seed makes the same file

Values = Mapping[str, str | int | float]


def simulated_header(protocol: Protocol, plan: EchoPlan, grid: ScanGrid, n_coils: int, seed: int) -> str:
    """Header text of one scan."""
    root = Element("ismrmrdHeader", xmlns="http://www.ismrm.org/ISMRMRD")
    name = protocol.name or "knerve"
    _add(
        root,
        "subjectInformation",
        {"patientName": "Simulated^Knee", "patientID": f"KNERVE-{seed}", "patientGender": "O"},
    )
    study = {
        "studyDate": DATE,
        "studyTime": TIME,
        "studyID": "1",
        "studyDescription": "Simulated object, no patient",
        "studyInstanceUID": f"{UID_ROOT}.{seed}.1",
        "bodyPartExamined": "KNEE",
    }
    _add(root, "studyInformation", study)
    measurement = {
        "measurementID": f"{name}_{seed}",
        "seriesDate": DATE,
        "seriesTime": TIME,
        "patientPosition": "FFS",
        "protocolName": name,
        "sequenceName": "tse",
        "seriesDescription": protocol.description or name,
        "seriesInstanceUIDRoot": f"{UID_ROOT}.{seed}.2",
        "frameOfReferenceUID": f"{UID_ROOT}.{seed}.3",
    }
    _add(root, "measurementInformation", measurement)
    _add_system(root, protocol, n_coils)
    hz = {"H1resonanceFrequency_Hz": round(protocol.system.field_strength_t * GAMMA_HZ_PER_T)}
    _add(root, "experimentalConditions", hz)
    _add_encoding(root, protocol, plan, grid)
    _add_sequence(root, protocol, plan)
    _add_user_parameters(root, protocol, plan)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add(parent: Element, name: str, values: Values) -> Element:
    """A child with these leaves, in the order of the schema."""
    child = SubElement(parent, name)
    for key, value in values.items():
        SubElement(child, key).text = str(value)
    return child


def _add_system(root: Element, protocol: Protocol, n_coils: int) -> None:
    system = _add(
        root,
        "acquisitionSystemInformation",
        {
            "systemVendor": "knerve",
            "systemModel": "simulation",
            "systemFieldStrength_T": protocol.system.field_strength_t,
            "relativeReceiverNoiseBandwidth": 1.0,
            "receiverChannels": n_coils,
        },
    )
    for coil in range(n_coils):
        _add(system, "coilLabel", {"coilNumber": coil, "coilName": f"Leg{n_coils}:{coil + 1}"})


def _add_encoding(root: Element, protocol: Protocol, plan: EchoPlan, grid: ScanGrid) -> None:
    encoding = SubElement(root, "encoding")
    encoded_x_mm, encoded_y_mm = grid.encoded_fov_mm
    for name, matrix, fov_mm in (
        ("encodedSpace", (grid.n_samples, grid.n_lines), (encoded_x_mm, encoded_y_mm)),
        ("reconSpace", (grid.n_read, grid.n_phase), (grid.fov_read_mm, grid.fov_phase_mm)),
    ):
        space = SubElement(encoding, name)
        _add(space, "matrixSize", {"x": matrix[0], "y": matrix[1], "z": 1})
        _add(space, "fieldOfView_mm", {"x": fov_mm[0], "y": fov_mm[1], "z": grid.thickness_mm})
    limits = SubElement(encoding, "encodingLimits")
    n_averages = protocol.schedule.averages
    n_slices, n_echoes = protocol.geometry.n_slices, protocol.echo_train.echo_train_length
    for name, size, centre in (
        ("kspace_encoding_step_0", grid.n_samples, grid.n_samples // 2),
        ("kspace_encoding_step_1", grid.n_lines, grid.n_lines // 2),
        ("kspace_encoding_step_2", 1, 0),
        ("average", n_averages, 0),
        ("slice", n_slices, n_slices // 2),
        ("contrast", 1, 0),
        ("phase", 1, 0),
        ("repetition", 1, 0),
        ("set", 1, 0),
        ("segment", n_echoes, plan.centre_echo),
    ):
        _add(limits, name, {"minimum": 0, "maximum": size - 1, "center": centre})
    SubElement(encoding, "trajectory").text = "cartesian"
    parallel = SubElement(encoding, "parallelImaging")
    net = max(1, round(scan_time(protocol).acceleration_net))
    _add(parallel, "accelerationFactor", {"kspace_encoding_step_1": net, "kspace_encoding_step_2": 1})
    SubElement(parallel, "calibrationMode").text = "embedded"
    SubElement(encoding, "echoTrainLength").text = str(n_echoes)


def _add_sequence(root: Element, protocol: Protocol, plan: EchoPlan) -> None:
    inversion_s = protocol.fat_suppression.inversion_time_s
    values: dict[str, str | int | float] = {
        "TR": _ms(protocol.schedule.repetition_time_s),
        "TE": _ms(plan.effective_echo_time_s),
        **({} if inversion_s is None else {"TI": _ms(inversion_s)}),
        "flipAngle_deg": protocol.echo_train.excitation_angle_deg,
        "sequence_type": "TurboSpinEcho",
        "echo_spacing": _ms(plan.echo_spacing_s),
    }
    _add(root, "sequenceParameters", values)


def _add_user_parameters(root: Element, protocol: Protocol, plan: EchoPlan) -> None:
    parameters = SubElement(root, "userParameters")
    first, end = plan.pattern.calibration
    for name, number in (
        ("mask_seed", protocol.undersampling.seed),
        ("calibration_first_line", first),
        ("calibration_lines", end - first),
        ("packages", protocol.schedule.packages),
        ("averages", protocol.schedule.averages),
    ):
        _add(parameters, "userParameterLong", {"name": name, "value": number})
    angles_deg = refocusing_angles(protocol.echo_train)
    for name, value in (
        ("acceleration", protocol.undersampling.acceleration),
        ("half_scan", protocol.undersampling.half_scan),
        ("pixel_bandwidth_hz", protocol.echo_train.pixel_bandwidth_hz),
        *((f"refocusing_angle_deg_{echo}", float(angle)) for echo, angle in enumerate(angles_deg)),
    ):
        _add(parameters, "userParameterDouble", {"name": name, "value": value})
    for name, text in (
        ("protocol", protocol.name),
        ("echo_order", protocol.echo_train.order),
        ("refocusing_train", protocol.echo_train.refocusing_train),
        ("fat_suppression", protocol.fat_suppression.method),
    ):
        _add(parameters, "userParameterString", {"name": name, "value": text})


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 6)
