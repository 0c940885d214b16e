"""Words of the data's format for rooms that import nothing heavy: `umbrella_dataset`, which stands alone, states them
too, and imports `datasets`. A test holds both equal."""

MODALITIES = ("sMRI", "dMRI", "fMRI")
SPLITS = ("train", "validation", "test")
IMAGE_TOKEN = "<image>"
ROOT_MARK = "/././"  # ROOT/././sub-01/x.nii is ROOT/sub-01/x.nii for everybody; readers hold it to ROOT
SCHEMES = ("s3", "gs", "https", "hf")  # of scans that lie in object stores
