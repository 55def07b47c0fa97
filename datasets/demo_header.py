"""The ISMRMRD header of the built-in demo scan."""

from __future__ import annotations

from xml.sax.saxutils import escape

ECHO_SPACING_MS, EFFECTIVE_TE_MS = 9.375, 75.0
FIELD_T, PROTON_MHZ = 3.0, 127.74
UID_ROOT = "2.25.9178253714290"


def demo_header(
    *,
    matrix: tuple[int, int],
    oversampling: int,
    fov_mm: float,
    slice_mm: float,
    n_slices: int,
    n_coils: int,
    acceleration: float,
    echo_train: int,
    tr_ms: float,
    seed: int,
) -> str:
    """Header text of one demo scan; the study is fixed, so that the same seed makes the same file."""
    n_x, n_y = matrix
    limits = {
        "kspace_encoding_step_0": (n_x * oversampling - 1, n_x * oversampling // 2),
        "kspace_encoding_step_1": (n_y - 1, n_y // 2),
        "kspace_encoding_step_2": (0, 0),
        "average": (0, 0),
        "slice": (n_slices - 1, n_slices // 2),
        "contrast": (0, 0),
        "phase": (0, 0),
        "repetition": (0, 0),
        "set": (0, 0),
        "segment": (echo_train - 1, echo_train // 2),
    }
    limits_xml = "".join(
        f"<{name}><minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center></{name}>"
        for name, (last, centre) in limits.items()
    )
    coils_xml = "".join(
        f"<coilLabel><coilNumber>{i}</coilNumber><coilName>{escape(f'Leg16:{i + 1}')}</coilName></coilLabel>"
        for i in range(n_coils)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <subjectInformation>
    <patientName>Demo^Knee</patientName>
    <patientID>KNERVE-DEMO</patientID>
    <patientGender>O</patientGender>
  </subjectInformation>
  <studyInformation>
    <studyDate>2026-01-01</studyDate>
    <studyTime>12:00:00</studyTime>
    <studyID>1</studyID>
    <studyDescription>Simulated knee, no patient</studyDescription>
    <studyInstanceUID>{UID_ROOT}.{seed}.1</studyInstanceUID>
    <bodyPartExamined>KNEE</bodyPartExamined>
  </studyInformation>
  <measurementInformation>
    <measurementID>demo_{seed}</measurementID>
    <seriesDate>2026-01-01</seriesDate>
    <seriesTime>12:05:00</seriesTime>
    <patientPosition>FFS</patientPosition>
    <initialSeriesNumber>5</initialSeriesNumber>
    <protocolName>navigate_T2_TSE_tra</protocolName>
    <sequenceName>tse</sequenceName>
    <seriesDescription>Simulated knee navigation scan</seriesDescription>
    <seriesInstanceUIDRoot>{UID_ROOT}.{seed}.2</seriesInstanceUIDRoot>
    <frameOfReferenceUID>{UID_ROOT}.{seed}.3</frameOfReferenceUID>
  </measurementInformation>
  <acquisitionSystemInformation>
    <systemVendor>knerve</systemVendor>
    <systemModel>simulation</systemModel>
    <systemFieldStrength_T>{FIELD_T}</systemFieldStrength_T>
    <relativeReceiverNoiseBandwidth>1.0</relativeReceiverNoiseBandwidth>
    <receiverChannels>{n_coils}</receiverChannels>
    {coils_xml}
    <institutionName>knerve demo</institutionName>
  </acquisitionSystemInformation>
  <experimentalConditions>
    <H1resonanceFrequency_Hz>{round(PROTON_MHZ * 1e6)}</H1resonanceFrequency_Hz>
  </experimentalConditions>
  <encoding>
    <encodedSpace>
      <matrixSize><x>{n_x * oversampling}</x><y>{n_y}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{fov_mm * oversampling}</x><y>{fov_mm}</y><z>{slice_mm}</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>{n_x}</x><y>{n_y}</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>{fov_mm}</x><y>{fov_mm}</y><z>{slice_mm}</z></fieldOfView_mm>
    </reconSpace>
    <encodingLimits>{limits_xml}</encodingLimits>
    <trajectory>cartesian</trajectory>
    <parallelImaging>
      <accelerationFactor>
        <kspace_encoding_step_1>{max(1, round(acceleration))}</kspace_encoding_step_1>
        <kspace_encoding_step_2>1</kspace_encoding_step_2>
      </accelerationFactor>
      <calibrationMode>embedded</calibrationMode>
    </parallelImaging>
    <echoTrainLength>{echo_train}</echoTrainLength>
  </encoding>
  <sequenceParameters>
    <TR>{tr_ms}</TR>
    <TE>{EFFECTIVE_TE_MS}</TE>
    <flipAngle_deg>90.0</flipAngle_deg>
    <sequence_type>TurboSpinEcho</sequence_type>
    <echo_spacing>{ECHO_SPACING_MS}</echo_spacing>
  </sequenceParameters>
</ismrmrdHeader>
"""
