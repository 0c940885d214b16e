"""Synthetic DICOM series, written with pydicom: volumes with a nibabel affine become files of the scanner's kind.

A volume is (x, y, z) or (x, y, z, t), its affine in mm, right-anterior-superior, as nibabel's. Slices are those of the
third axis. Any header element is set by its keyword and left out by None: `write_series(folder, volume, affine,
SeriesDescription="AX T1", ContrastBolusAgent="Gadovist", PatientAge=None)`.

`make_instances` and `make_series` are headers without files.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from umbrella.cohort.dicom.instances import Instance, Series

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NOBODY = {
    "PatientName": "Zyxwvut^Quentina",
    "PatientID": "PAT-998877",
    "PatientBirthDate": "19800117",
    "PatientSex": "F",
    "PatientAge": "045Y",
    "AccessionNumber": "ACC4455667",
    "InstitutionName": "Saint Hidden Hospital",
    "ReferringPhysicianName": "Refdoc^Rolf",
}
SCANNER = {
    "Modality": "MR",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Prisma",
    "MagneticFieldStrength": 3.0,
    "BodyPartExamined": "BRAIN",
    "PatientPosition": "HFS",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    "ScanningSequence": "GR",
    "SequenceVariant": "SP",
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "SequenceName": "*tfl3d1",
    "EchoTime": 3.0,
    "RepetitionTime": 2000.0,
    "FlipAngle": 9.0,
    "EchoNumbers": 1,
    "AcquisitionNumber": 1,
}
WHEN = {
    "StudyDate": "20250321",
    "SeriesDate": "20250321",
    "AcquisitionDate": "20250321",
    "ContentDate": "20250321",
    "StudyTime": "101112",
    "SeriesTime": "101500",
    "AcquisitionTime": "101530.5",
    "ContentTime": "101600",
}
# Of the same width as what takes its place, so that the slices of a series are made of one encoded header.
UID_MARK = "2.25.1" + "0" * 32
NUMBER_MARK = "000987654321"
POSITION_MARKS = ("+11111.123454321", "+22222.123454321", "+33333.123454321")


def make_uid(*parts):
    """The same UID of 38 characters for the same parts."""
    # Of a prefix that is None pydicom draws another each time.
    number = int(generate_uid("2.25.", [str(part) for part in parts]).removeprefix("2.25."))
    return f"2.25.1{number % 10**32:032d}"


def make_affine(spacing_mm=(1.5, 2.0, 3.0), origin_mm=(-12.0, -20.0, -15.0), angles_deg=(0.0, 0.0, 0.0)):
    """(4, 4), mm: turned about x, then y, then z."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        a, b = [other for other in range(3) if other != axis]
        about = np.eye(3)
        about[a, a] = about[b, b] = np.cos(angle)
        about[a, b], about[b, a] = -np.sin(angle), np.sin(angle)
        turn = about @ turn
    affine = np.eye(4)
    affine[:3, :3] = turn * np.asarray(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine


def make_volume(shape=(16, 20, 12), seed=0):
    """A blob and noise, uint16 below 4096, another for each seed; (x, y, z) or (x, y, z, t)."""
    draw = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1.5, 1.5, n) for n in shape[:3]), indexing="ij")
    blob = 600 * np.exp(-sum(axis**2 for axis in axes))
    return (blob.reshape(blob.shape + (1,) * (len(shape) - 3)) + draw.integers(0, 300, shape)).astype(np.uint16)


def make_header(study="study", series="series", sop_class=MRImageStorage, syntax=ExplicitVRLittleEndian, **header):
    """A header without pixels and geometry. Of equal `study` and `series` the UIDs are equal."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = sop_class
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = UID_MARK
    made.StudyInstanceUID = make_uid(study)
    made.SeriesInstanceUID = make_uid(study, series)
    made.FrameOfReferenceUID = make_uid(study, "frame")
    given = {**NOBODY, **SCANNER, **WHEN, "SeriesDescription": "t1_mprage_sag", "SeriesNumber": 3, **header}
    given.setdefault("ProtocolName", given["SeriesDescription"])
    for keyword, value in given.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def write_series(folder, volume, affine, leave_out=(), suffix=".dcm", preamble=True, change=None, **header):
    """A file for each slice of each volume; returns their paths.

    leave_out    slices that aren't written: an index of all volumes, or (t, index) of one
    preamble     False: a bare data set in implicit VR, as of old archives
    change       called with the header and t before a volume is written: what differs between volumes
    syntax       see make_header; what isn't plain is encoded by pydicom
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    volume = volume if volume.ndim == 4 else volume[..., np.newaxis]
    made = make_header(**header)
    _set_geometry(made, volume.shape, affine)
    paths = []
    for t in range(volume.shape[3]):
        if volume.shape[3] > 1:
            made.AcquisitionNumber = t + 1
            made.AcquisitionTime = f"{101500 + t * made.RepetitionTime / 1000:.1f}"
        if change:
            change(made, t)
        numbers = [z for z in range(volume.shape[2]) if z not in leave_out and (t, z) not in leave_out]
        contents = _encode_slices(made, volume[..., t], affine, numbers, t, preamble)
        for number, content in zip(numbers, contents, strict=True):
            paths.append(folder / f"IM{t:03d}{number:04d}{suffix}")
            paths[-1].write_bytes(content)
    return paths


def write_diffusion(folder, volume, affine, b_values, b_vectors, **header):
    """A Siemens series: `b_values` (t,), `b_vectors` (t, 3) in the patient's axes, left-posterior-superior."""

    def change(made, t):
        made.SequenceName = f"ep_b{b_values[t]:.0f}" + (f"#{t}" if b_values[t] else "")
        made.DiffusionBValue = float(b_values[t])
        block = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", f"{b_values[t]:.0f}")
        if b_values[t]:
            made.DiffusionDirectionality = "DIRECTIONAL"
            made.DiffusionGradientOrientation = list(map(float, b_vectors[t]))
            block.add_new(0x0E, "FD", list(map(float, b_vectors[t])))

    given = {
        "SeriesDescription": "dti_ep2d",
        "ScanningSequence": "EP",
        "MRAcquisitionType": "2D",
        "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"],
        **header,
    }
    return write_series(folder, volume, affine, change=change, **given)


def write_enhanced(path, volume, affine, leave_out=(), **header):
    """One enhanced multi-frame file of all slices of all volumes; returns its path.

    Of several volumes dcm2niix 1.0.20260724 exchanges slices in silence where Manufacturer is SIEMENS or GE.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = volume if volume.ndim == 4 else volume[..., np.newaxis]
    own_header = {"SeriesDescription": "t2_space_enhanced", "SequenceName": None, "EchoNumbers": None, **header}
    own_header.setdefault("Manufacturer", "Philips")
    timing = {key: own_header.pop(key, SCANNER[key]) for key in ("EchoTime", "RepetitionTime", "FlipAngle")}
    made = make_header(sop_class=EnhancedMRImageStorage, **own_header, **dict.fromkeys(timing))
    _set_geometry(made, volume.shape, affine)
    _replace_uid(made, volume.tobytes())
    shared = Dataset()
    shared.PixelMeasuresSequence = [_take(made, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")]
    shared.PlaneOrientationSequence = [_take(made, "ImageOrientationPatient")]
    shared.MRTimingAndRelatedParametersSequence = [_make(RepetitionTime=timing["RepetitionTime"], FlipAngle=9.0)]
    shared.MREchoSequence = [_make(EffectiveEchoTime=timing["EchoTime"])]
    made.SharedFunctionalGroupsSequence = [shared]
    kept = [
        (t, z)
        for t in range(volume.shape[3])
        for z in range(volume.shape[2])
        if z not in leave_out and (t, z) not in leave_out
    ]
    n_volumes = volume.shape[3]
    made.PerFrameFunctionalGroupsSequence = [_make_frame(affine, t, z, n_volumes) for t, z in kept]
    made.NumberOfFrames = len(kept)
    organisation = make_uid("dimensions")
    made.DimensionOrganizationSequence = [_make(DimensionOrganizationUID=organisation)]
    pointers = (0x00209056, *((0x00209128,) if n_volumes > 1 else ()), 0x00209057)
    made.DimensionIndexSequence = [
        _make(DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111) for pointer in pointers
    ]
    made.PixelData = np.stack([volume[:, :, z, t].T for t, z in kept]).astype("<u2").tobytes()
    path.write_bytes(_encode(made))
    return path


def write_capture(path, **header):
    """A secondary capture: a picture of a screen, with the name on it, in RGB; returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    capture = {
        "Modality": "OT",
        "ImageType": ["DERIVED", "SECONDARY"],
        "ConversionType": "WSD",
        "BurnedInAnnotation": "YES",
        "SeriesDescription": "screen save",
        "SeriesNumber": 99,
        "InstanceNumber": 1,
        **header,
    }
    made = make_header(sop_class=SecondaryCaptureImageStorage, **capture)
    _replace_uid(made, str(path).encode())
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.Rows, made.Columns, made.PixelRepresentation = 20, 16, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = bytes(20 * 16 * 3)
    path.write_bytes(_encode(made))
    return path


def _make(**header):
    made = Dataset()
    for keyword, value in header.items():
        setattr(made, keyword, value)
    return made


def _take(header, *keywords):
    """Those elements in a data set of their own, and no longer in the header."""
    taken = _make(**{keyword: header[keyword].value for keyword in keywords})
    for keyword in keywords:
        del header[keyword]
    return taken


def _make_frame(affine, t, z, n_volumes):
    content = _make(StackID="1", InStackPositionNumber=z + 1, TemporalPositionIndex=t + 1)
    content.DimensionIndexValues = [1, *([t + 1] if n_volumes > 1 else []), z + 1]
    place = _make(ImagePositionPatient=[float(f"{x:.6f}") for x in find_position(affine, z)])
    return _make(FrameContentSequence=[content], PlanePositionSequence=[place])


def find_position(affine, z):
    """(3,), mm in left-posterior-superior: where the first voxel of a slice lies."""
    return (RAS_TO_LPS @ affine @ np.array([0.0, 0.0, z, 1.0]))[:3]


def _set_geometry(made, shape, affine):
    lps = RAS_TO_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    along = [np.round(lps[:3, axis] / spacing[axis], 9) + 0.0 for axis in (0, 1)]
    made.setdefault("ImageOrientationPatient", [float(x) for x in np.concatenate(along)])
    made.PixelSpacing = [float(f"{spacing[1]:.6f}"), float(f"{spacing[0]:.6f}")]
    made.setdefault("SliceThickness", float(f"{spacing[2]:.6f}"))
    made.setdefault("SpacingBetweenSlices", float(f"{spacing[2]:.6f}"))
    made.Rows, made.Columns = shape[1], shape[0]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11


def _encode_slices(made, volume, affine, numbers, t, preamble):
    """The bytes of each slice's file. Of plain syntaxes one header is encoded and its marks are replaced."""
    syntax = made.file_meta.TransferSyntaxUID
    made.InstanceNumber, made.ImagePositionPatient = NUMBER_MARK, list(POSITION_MARKS)
    byte_order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    head = b""
    for number in numbers:
        pixels = np.ascontiguousarray(volume[:, :, number].T)
        uid = make_uid(made.StudyInstanceUID, made.SeriesInstanceUID, t, number, pixels.tobytes())
        own = (uid, f"{t * volume.shape[2] + number + 1:012d}", *_to_texts(find_position(affine, number)))
        if syntax in PLAIN:
            made.PixelData = bytes(pixels.nbytes)
            head = head or _encode(made, preamble)[: -pixels.nbytes]
            content = head
            for mark, value in zip((UID_MARK, NUMBER_MARK, *POSITION_MARKS), own, strict=True):
                content = content.replace(mark.encode(), value.encode())
            yield content + pixels.astype(byte_order).tobytes()
        else:
            yield _encode_compressed(made, pixels, own)


def _to_texts(position):
    return [f"{x + 0.0:+016.9f}" for x in position]


def _encode_compressed(made, pixels, own):
    one = Dataset()
    one.update(made)
    one.file_meta = FileMetaDataset()
    one.file_meta.update(made.file_meta)
    syntax = one.file_meta.TransferSyntaxUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = own[0]
    one.InstanceNumber, one.ImagePositionPatient = own[1], list(own[2:])
    one.PixelData = pixels.astype("<u2").tobytes()
    if syntax == JPEG2000Lossless:
        one.PixelData, one["PixelData"].VR, one.BitsStored, one.HighBit = _encode_jpeg2000(pixels), "OB", 16, 15
    elif not syntax.is_deflated:
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.compress(syntax, generate_instance_uid=False)
    return _encode(one)


def _encode_jpeg2000(pixels):
    """By Pillow: pydicom's own encoder needs a plugin."""
    from PIL import Image
    from pydicom.encaps import encapsulate

    content = BytesIO()
    Image.fromarray(pixels).save(content, "JPEG2000", no_jp2=True)
    return encapsulate([content.getvalue()])


def _replace_uid(made, content):
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = make_uid(
        made.StudyInstanceUID, made.SeriesInstanceUID, content
    )


def _encode(made, preamble=True):
    content = BytesIO()
    if preamble:
        made.save_as(content, enforce_file_format=True)
    else:
        bare = Dataset()
        bare.update(made)
        bare.save_as(content, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return content.getvalue()


INSTANCE = Instance(
    path="",
    size=1000,
    modified=0,
    sop_class=str(MRImageStorage),
    sop_uid="",
    syntax=str(ExplicitVRLittleEndian),
    patient_id="PAT-998877",
    patient_name="Zyxwvut^Quentina",
    birth_date="19800117",
    sex="F",
    age="045Y",
    study_uid="2.25.1",
    study_date="20250321",
    series_uid="2.25.1.3",
    number="3",
    description="t1_mprage_sag",
    protocol="t1_mprage_sag",
    modality="MR",
    body_part="BRAIN",
    image_type=("ORIGINAL", "PRIMARY", "M", "ND"),
    contrast="",
    burnt_in="",
    overlay_bits=(),
    echo="1",
    orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    positions=(),
    matrix=(20, 16),
    pixel_mm=(2.0, 1.5),
    n_stated=0,
    identifiers=("PAT-998877", "Zyxwvut^Quentina"),
)


def make_instances(offsets_mm=range(0, 36, 3), **fields):
    """Headers of axial slices at those heights, a file each; repeated heights are other files."""
    uid = f"{fields.get('series_uid', INSTANCE.series_uid)}.{fields.get('echo', '1')}.{fields.get('part', 'M')}"
    made = []
    for number, offset in enumerate(offsets_mm):
        place = {"positions": ((-12.0, -20.0, float(offset)),), "instance_number": number + 1}
        own = {"path": f"IM{number:04d}", "sop_uid": f"{uid}.{number}", **place}
        made.append(INSTANCE._replace(**{**own, **fields}))
    return made


def make_series(offsets_mm=range(0, 36, 3), **fields):
    instances = make_instances(offsets_mm, **fields)
    return Series(tuple(instances), n_pictures=sum(len(one.positions) for one in instances))
