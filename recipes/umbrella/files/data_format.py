"""Words of the data's format for rooms that import nothing heavy: `umbrella_dataset`, which stands alone, states them
too, and imports `datasets`. A test holds both equal."""

MODALITIES = ("sMRI", "dMRI", "fMRI")
# What else images are called, by BIDS' suffixes and folders among others.
MODALITY_OF = {
    "T1w": "sMRI",
    "T2w": "sMRI",
    "FLAIR": "sMRI",
    "PDw": "sMRI",
    "T1": "sMRI",
    "T2": "sMRI",
    "anat": "sMRI",
    "MRI": "sMRI",
    "T1rho": "sMRI",
    "T2starw": "sMRI",
    "inplaneT1": "sMRI",
    "inplaneT2": "sMRI",
    "swi": "sMRI",
    "angio": "sMRI",
    "dwi": "dMRI",
    "DTI": "dMRI",
    "bold": "fMRI",
    "func": "fMRI",
    "rest": "fMRI",
}
SPLITS = ("train", "validation", "test")
IMAGE_TOKEN = "<image>"
ROOT_MARK = "/././"  # ROOT/././sub-01/x.nii is ROOT/sub-01/x.nii for everybody; readers hold it to ROOT
SCHEMES = ("s3", "gs", "https", "hf")  # of scans that lie in object stores
