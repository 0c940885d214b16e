"""What --volume_size and --frames take: known before anything large is imported."""

VOLUME = "volume"  # the view of a model that takes whole volumes; the others are of those that take pictures
VOLUME_SIZE, VOLUME_SPACING = "96x112x96", 2.0  # voxels along X, Y, Z; mm
EVEN, WINDOW, B0 = "even", "window", "b0"
ENCODER = "encoder"  # --intensity of pictures: levels of 8 bits, and the mean and deviation of the model's processor


def parse_volume_size(text: str) -> tuple[int, int, int]:
    """ "96x112x96" -> (96, 112, 96), voxels along X, Y, Z; "96" -> (96, 96, 96).

    Raises ValueError for any other text.
    """
    numbers = text.lower().replace("×", "x").split("x")
    if len(numbers) not in (1, 3) or not all(n.isascii() and n.isdigit() and int(n) > 0 for n in numbers):
        raise ValueError(
            f"volume_size: expected voxels along X, Y and Z as 96x112x96, or one number for all three, found {text!r}"
        )
    x, y, z = map(int, numbers * (3 if len(numbers) == 1 else 1))
    return x, y, z


def write_volume_size(size: tuple[int, int, int]) -> str:
    """(96, 112, 96) -> "96x112x96"."""
    return "x".join(map(str, size))


def parse_frames(text: str) -> tuple[str, int]:
    """ "8" -> ("even", 8): evenly spaced over the series. "window:8" -> ("window", 8): neighbours.

    "b0+8" -> ("b0", 8): of a diffusion series the mean of the volumes without weighting, then 8 evenly spaced weighted
    ones.

    Raises ValueError for any other text.
    """
    kinds = {"": EVEN, "window:": WINDOW, "b0+": B0}
    for prefix, kind in kinds.items():
        number = text.removeprefix(prefix)
        if text.startswith(prefix) and number.isascii() and number.isdigit() and int(number) > 0:
            return kind, int(number)
    raise ValueError(f"frames: expected K, window:K or b0+K (K a whole number from 1 up), found {text!r}")


def check_volume_flags(
    view: str | None, image_size: int | None, volume_size: str | None, volume_spacing: float | None, frames: str | None
) -> None:
    """Raise ValueError for a size or frames that are none, and for flags of volumes beside those of pictures."""
    given = {"volume_size": volume_size, "volume_spacing": volume_spacing, "frames": frames}
    for name, parse in (("volume_size", parse_volume_size), ("frames", parse_frames)):
        if given[name] is not None:
            try:
                parse(str(given[name]))
            except ValueError as error:
                raise ValueError(f"--{error}") from None
    of_volumes = [
        f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"
        for name, value in given.items()
        if value is not None
    ]
    of_pictures = [f"--view {view}"] if view not in (None, VOLUME) else []
    of_pictures += [f"--image_size {image_size}"] if image_size is not None else []
    if of_pictures and (of_volumes or view == VOLUME):
        other = of_volumes[0] if of_volumes else f"--view {VOLUME}"
        raise ValueError(
            f"{of_pictures[0]}: expected flags of pictures alone, or of volumes alone, found {other} beside it. Leave "
            "one of the two out"
        )


def check_encoder_intensity(view: str | None, normalize: bool | None, standardize: bool | None) -> None:
    """Raise ValueError for settings that contradict `--intensity encoder`."""
    found = f"--view {VOLUME}" if view == VOLUME else ""
    found = found or ("--normalize false" if normalize is False else "")
    found = found or ("--standardize true" if standardize else "")
    if found:
        raise ValueError(
            f"--intensity {ENCODER}: expected a view of pictures, whose intensities are scaled to 8 bits and then go "
            f"by the mean and deviation of the model's processor, found {found} beside it. Leave one of the two out"
        )
