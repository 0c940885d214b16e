"""Personal data to be found, planted in every place where it hides, and clean texts that must not be reported.

The values come from Faker, whose lists and formats have nothing to do with those of `umbrella.privacy`, and from forms
that cohorts and hospitals document.
"""

import gzip
import json
import random
import struct
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
from conversation_folder import make_record
from faker import Faker
from nibabel.nifti1 import Nifti1Extension

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "sv_SE", "pl_PL", "en_IN")
WITH_IDS = ("en_US", "en_GB", "fr_FR", "it_IT", "es_ES", "sv_SE", "pl_PL")
DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d")
# (place, the characters that it holds)
PLACES = (
    ("descrip", 80),
    ("aux_file", 24),
    ("intent_name", 16),
    ("db_name", 18),
    ("DICOM extension", 999),
    ("comment extension", 999),
    ("mgz tag", 999),
    ("file name", 60),
    ("metadata", 999),
    ("conversation", 999),
)


class Item(NamedTuple):
    """A value of some kind, the label that stands before it, and where it is planted."""

    kind: str
    label: str
    value: str
    place: str


class Source:
    """Draws values; all from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.fakers = {name: Faker(name) for name in LOCALES}
        for i, faker in enumerate(self.fakers.values()):
            faker.seed_instance(1000 * seed + i)

    def any(self, locales=LOCALES):
        return self.fakers[self.random.choice(locales)]

    def pick(self, *choices):
        return self.random.choice(choices)

    def number(self, n_digits):
        return str(self.random.randint(10 ** (n_digits - 1), 10**n_digits - 1))

    def digits(self, form):
        return "".join(str(self.random.randint(0, 9)) if c == "#" else c for c in form)

    def letters(self, n):
        return "".join(self.random.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(n))

    def draw(self, kind):
        """(label, value)"""
        return KINDS[kind](self)


def _name(source):
    locale = source.any()
    return source.pick("", "Patient: ", "Dr. ", "Referring physician: "), f"{locale.first_name()} {locale.last_name()}"


def _dicom_name(source):
    locale = source.any()
    return "", f"{locale.last_name()}^{locale.first_name()}".upper()


def _date(source):
    return source.pick("", "scanned ", "AcquisitionDate="), source.any().date_this_century().strftime(
        source.pick(*DATES)
    )


def _birth(source):
    return source.pick("DOB ", "born ", "Date of birth: "), source.any().date_of_birth().strftime(source.pick(*DATES))


def _record(source):
    label = source.pick("MRN ", "MRN: ", "Patient ID ", "hospital no. ", "Accession number: ", "case no ")
    return label, source.number(source.random.randint(6, 9))


def _institution(source):
    form = source.pick(
        "{} Medical Center", "{} General Hospital", "University of {}", "Universitätsklinikum {}", "Klinikum {}",
        "CHU de {}", "{} Infirmary", "Ospedale San {}", "{} Children's Hospital", "{} Imaging Centre",
    )  # fmt: skip
    return "", form.format(source.any().city().split()[-1])


def _cohort(source):
    form = source.pick(
        "###_S_####", "NDARINV@@@@@@@@", "OAS3####", "OAS1_0###", "IXI###", "NACC######", "UKB 3######",
        "TCGA-0#-2###", "CC11####", "PPMI 3###",
    )  # fmt: skip
    return "", "".join(source.letters(1) if c == "@" else c for c in source.digits(form))


def _host_path(source):
    user = source.any(("en_US", "en_GB")).user_name()
    form = source.pick(
        "/home/{}/t1/raw.nii", "/Users/{}/scans", "C:\\Users\\{}\\scan", "\\\\pacs\\{}\\export", "/mnt/nas/{}/dicom/1"
    )
    return "", form.format(user)


def _old_age(source):
    form = source.pick("{} years old", "aged {}", "{}-year-old", "Age=0{}Y")
    return "", form.format(source.random.randint(90, 99))


KINDS = {
    "name": _name,
    "DICOM name": _dicom_name,
    "birth date": _birth,
    "exam date": _date,
    "record number": _record,
    "phone": lambda source: (source.pick("", "Tel. ", "phone: "), source.any().phone_number()),
    "e-mail": lambda source: ("", source.any().email()),
    "identity number": lambda source: ("", source.any(WITH_IDS).ssn()),
    "address": lambda source: ("", source.any().street_address().replace("\n", ", ")),
    "institution": _institution,
    "cohort id": _cohort,
    "host path": _host_path,
    "host name": lambda source: ("", source.any().hostname()),
    "IP address": lambda source: ("", source.any().ipv4()),
    "MAC address": lambda source: ("", source.any().mac_address()),
    "web address": lambda source: ("", source.any().url()),
    "user name": lambda source: (source.pick("User: ", "login: ", "username="), source.any().user_name()),
    "device number": lambda source: (source.pick("serial no. ", "S/N ", "DeviceSerialNumber="), source.number(6)),
    "DICOM UID": lambda source: ("", source.digits("1.2.840.113619.2.1##.2##.1####.3###")),
    "age over 89": _old_age,
}


def draw_items(seed, n_a_kind=10):
    """`n_a_kind` items of each of the 20 kinds, spread over the places that can hold them."""
    source, items = Source(seed), []
    for number, kind in enumerate(KINDS):
        for repetition in range(n_a_kind):
            place, room = PLACES[(number + repetition) % len(PLACES)]
            label, value = source.draw(kind)
            text = f"{label}{value}".encode()
            if len(text) > room or (place == "file name" and set(f"{label}{value}") & set("/\\:")):
                place = "descrip" if len(text) <= 80 else "comment extension"
            items.append(Item(kind, label, value, place))
    return items


def write_planted_folder(folder, items):
    """A data folder with one conversation and one scan for each item. Returns `folder`."""
    (folder / "train").mkdir(parents=True)
    for number, item in enumerate(items):
        text = f"{item.label}{item.value}"
        name = f"scan_{number:04d}.nii.gz"
        if item.place == "mgz tag":
            name = f"scan_{number:04d}.mgz"
        elif item.place == "file name":
            name = f"scan_{number:04d}_{text.replace(' ', '_')}.nii.gz"
        write_planted_scan(folder / name, text, item.place, number)
        record = make_record(f"task_{number:04d}", [name])
        record["subject_ids"] = [f"sub-{number:04d}"]
        record["metadata"]["subject_id"] = f"sub-{number:04d}"
        if item.place == "metadata":
            record["metadata"]["remark"] = {"text": [text]}
        elif item.place == "conversation":
            turn = record["conversations"][0]["content"][-1]
            turn["text"] = f"The report says: {text}, and nothing else. {turn['text']}"
        (folder / "train" / f"{number:04d}.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return folder


def write_planted_scan(path, text, place, seed):
    voxels = np.random.default_rng(seed).integers(0, 1000, (5, 6, 4)).astype(np.int16)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    if place == "mgz tag":
        image = nibabel.MGHImage(voxels.astype(np.int32), affine)
        content = text.encode() + b"\0"
        tag = struct.pack(">iq", 3, len(content)) + content  # TAG_CMDLINE
        Path(path).write_bytes(gzip.compress(image.to_bytes() + bytes(20) + tag))
        return
    image = nibabel.Nifti1Image(voxels, affine)
    if place in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[place] = text.encode()
    elif place == "comment extension":
        image.header.extensions.append(Nifti1Extension("comment", text.encode()))
    elif place == "DICOM extension":
        content = b"\x10\x00\x10\x00LO" + struct.pack("<H", len(text.encode())) + text.encode()
        image.header.extensions.append(Nifti1Extension("ignore", content))
    data = image.to_bytes()
    if place == "DICOM extension":  # nibabel would ask pydicom to make one
        data = data[:356] + struct.pack("<i", 2) + data[360:]
    Path(path).write_bytes(gzip.compress(data))


CLEAN_TEXTS = (
    "Compare this T1-weighted scan with the reference scan. Is the subject male or female?",
    "The lateral ventricles measure {a} mm in width and the hippocampal volume is {b} mm3.",
    "This is a {n}-year-old participant, right-handed, with a Mini Mental State Examination of {m}/30.",
    "Brodmann Area {m} and the Sylvian fissure are unremarkable. Fazekas grade {k}.",
    "Virchow-Robin spaces are widened; the Circle of Willis is complete.",
    "The subject is female. The sex is the same as that of the reference.",
    "Alzheimer's disease is unlikely; the Clinical Dementia Rating is 0.{k}.",
    "Peak at MNI {m}, -{k}, {a}; t = {x}, p = 0.0{m}, cluster of {b} voxels.",
    "Image matrix 256 x 256 x 176, voxels of 1.{k} mm, flip angle {m} degrees.",
    "Follow-up after {m} months; the scan of visit {k} was taken {n} weeks after baseline.",
    "Grey Matter volume was {x} ml, White Matter {x} ml, total intracranial volume {b} ml.",
    "The Montreal Neurological Institute template was used with FreeSurfer and FSL.",
    "Heschl's gyrus, Broca's area and Wernicke's area are activated bilaterally.",
    "The Hospital Anxiety and Depression Scale was {m}, the Beck Depression Inventory {k}.",
    "Answer: no change. The ventricles have grown by {k} % since the first scan.",
    "In 20{m} studies the accuracy lay between 0.{n} and 0.9{k}.",
    "A Siemens Prisma at 3 Tesla with a 32-channel head coil was used.",
    "Diffusion: b = 0, 1000, 2000 s/mm2 in {n} directions, FA of the Corpus Callosum 0.{n}.",
    "The Desikan Killiany atlas has {n} regions; the left Amygdala has {b} voxels.",
    "Please describe the scan. Look at the hippocampus and at the temporal horn, left and right.",
    "BMI {m}.{k} kg/m2, education {m} years, age {n}.",
    "Ventricle size index 0.{n}, Evans index 0.3{k}, body weight {n}.{k} kg.",
    "Patient: female. Diagnosis: mild cognitive impairment.",
    "The Trail Making Test took {n} seconds, the Stroop test {b} ms.",
)
CLEAN_HEADERS = (
    "FSL5.0", "FSL6.0.{k}", "spm - 3D normalized", "SPM99", "FreeSurfer v7.{k}.0", "TE=2.{n};Time={t}.000",
    "TE=30;Time={t}.{n}0;phase=1", "dcm2niix v1.0.202{k}0{k}1{k}", "3T 3D MPRAGE TR=2300ms/TE=2.98ms/TI=900ms/FA=9deg",
    "T1 MPRAGE SAG ISO", "t1_mprage_sag_p2_iso_{k}.0", "AFNI 3dcopy", "ANTs N4BiasFieldCorrection", "5.0.10",
    "6.0.{k}", "mri_convert", "nibabel", "GRE EPI", "ep2d_bold_moco_p2", "dti_64dir_b1000", "brain mask",
    "Smoothed {k}mm FWHM",
    "sub-{t}x_ses-0{k}_T1w", "aparc+aseg", "intensity normalised", "NIFTI_INTENT", "v2.25 NIfTI-1 Single file format",
    "FLAIR 1.{k}mm", "contrast {k}: faces > houses", "BrainVoyager QX {k}.8", "time 0.{b} s", "spm - realigned",
)  # fmt: skip


def draw_clean(seed, n):
    """n texts without personal data: half turns and metadata, half header fields."""
    rng, texts = random.Random(seed), []
    for number in range(n):
        forms = CLEAN_TEXTS if number % 2 else CLEAN_HEADERS
        values = {
            "a": rng.randint(3, 60), "b": rng.randint(200, 99999), "k": rng.randint(1, 9), "m": rng.randint(10, 30),
            "n": rng.randint(18, 89), "t": f"{rng.randint(0, 23):02d}{rng.randint(0, 59):02d}{rng.randint(0, 59):02d}",
            "x": round(rng.uniform(1, 900), 2),
        }  # fmt: skip
        texts.append(rng.choice(forms).format(**values))
    return texts
