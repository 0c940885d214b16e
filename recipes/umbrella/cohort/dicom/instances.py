"""What is read of a DICOM file's header, and the files that make one series together. Nothing of it is written."""

from typing import NamedTuple


class Instance(NamedTuple):
    """One DICOM file, by its header: texts as they stand, "" where absent. Tags are those of PS3.3 and PS3.6.

    path, size, modified      the file; bytes, ns since 1970
    sop_class, sop_uid        (0008,0016), (0008,0018)
    syntax                    the transfer syntax' UID (0002,0010)
    patient_id                (0010,0020)
    patient_name, birth_date  (0010,0010), (0010,0030): tell two patients under one id apart
    sex, age                  (0010,0040), (0010,1010) as "045Y"
    study_uid, study_date     (0020,000D), (0008,0020) as "20250131"
    series_uid, number        (0020,000E), (0020,0011)
    description, protocol     (0008,103E), (0018,1030)
    modality, body_part       (0008,0060), (0018,0015)
    image_type                (0008,0008), upper case
    contrast                  (0018,0010) ContrastBolusAgent
    burnt_in                  (0028,0301), upper case
    overlay_bits              (60xx,0102) OverlayBitPosition of each overlay plane
    echo                      (0018,0086), or (0018,0081) as a number; "" where neither stands
    orientation               (0020,0037), six numbers; () where absent. Of an enhanced file: of its first frame
    positions                 (0020,0032) of each frame, mm; () where absent
    matrix                    rows, columns
    pixel_mm                  (0028,0030) between rows and between columns; () where absent
    n_stated                  (0020,1002) ImagesInAcquisition; 0 where absent
    identifiers               every text of the header that may name a person or a place: to be searched for
    conversion                (0008,0064) ConversionType, which pictures of a screen or of paper have
    part                      "M", "P", "R", "I": magnitude, phase, real, imaginary
    n_orientations            how many orientations the frames of an enhanced file have
    mosaic                    (0019,100A) slices in one picture of Siemens' mosaics; 0 where it is none, -1 where it is
                              one and does not say how many
    instance_number           (0020,0013); 0 where absent
    spacing                   (0018,0088) mm from the middle of a slice to that of the next; 0 where that is not stated
    """

    path: str
    size: int
    modified: int
    sop_class: str
    sop_uid: str
    syntax: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    age: str
    study_uid: str
    study_date: str
    series_uid: str
    number: str
    description: str
    protocol: str
    modality: str
    body_part: str
    image_type: tuple[str, ...]
    contrast: str
    burnt_in: str
    overlay_bits: tuple[int, ...]
    echo: str
    orientation: tuple[float, ...]
    positions: tuple[tuple[float, ...], ...]
    matrix: tuple[int, int]
    pixel_mm: tuple[float, ...]
    n_stated: int
    identifiers: tuple[str, ...]
    conversion: str = ""
    part: str = "M"
    n_orientations: int = 1
    mosaic: int = 0
    instance_number: int = 0
    spacing: float = 0.0


class Series(NamedTuple):
    """Files of one series: of one SeriesInstanceUID, one echo, and one part (magnitude, phase, real, imaginary).

    instances      each picture once, in the order of their sop_uid
    n_duplicates   files left out, since another holds the same picture: SOPInstanceUID, number and place
    n_pictures     pictures of the whole SeriesInstanceUID, whose echoes and parts are series of their own
    """

    instances: tuple[Instance, ...]
    n_duplicates: int = 0
    n_pictures: int = 0

    @property
    def first(self) -> Instance:
        return self.instances[0]
