"""What a run is: one dataclass, which the command line shows as options and config.json holds as it is."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import tyro

from tinydiff.app.columns import GUESS, Reading
from tinydiff.app.images import has_classes, is_idx, is_pictures, labels_beside, load_pictures
from tinydiff.app.process import PROCESSES, is_process_name
from tinydiff.app.read import read_points, standardised
from tinydiff.datasets.mnist import load_mnist
from tinydiff.datasets.points import Dataset
from tinydiff.datasets.toys import SHAPES, TOYS, Shape
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.files import atomic
from tinydiff.learned.mixer import Mixer
from tinydiff.learned.network import Network, TimeMLP
from tinydiff.predictions import Prediction

FORMAT = 9

TABLES = (".csv", ".tsv", ".txt", ".npy", ".npz", ".parquet", ".feather", ".arrow", ".gz")
"""The suffixes of tables."""
NAMES = (*TOYS, *SHAPES, "mnist")

FEW = 40
"""The fewest points of a run: four are then unseen, the fewest that two samples can be told apart by."""
FEW_PICTURES = 20
"""The fewest pictures of a run."""

T = TypeVar("T")


class UsageError(ValueError):
    """Options that do not go together, or not with the data or the run that they are for."""


Data = GaussianMixture | Shape | Dataset
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Device = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Config:
    """All that decides the numbers of a run."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """A toy, mnist, a table (.csv, .npy, .parquet, … or - for standard input) or pictures (.npy, IDX, a folder)."""
    labels: Annotated[
        str | None,
        tyro.conf.arg(metavar="COLUMN|FILE", help_behavior_hint="(default: by its name, or beside an IDX file)"),
    ] = None
    """The column of a table that has the classes, or none; for pictures a .npy or IDX file with the label of each."""
    read: tyro.conf.OmitArgPrefixes[Reading] = GUESS
    """How to read a table, where guessing is not enough."""
    conditional: bool = False
    """Learn each point's label too, so as to sample class by class and with guidance."""
    process: Annotated[str, tyro.conf.arg(metavar="{vp,subvp,ve,cosine,straight,MODULE:CLASS}")] = "vp"
    """How data become noise: one of ours, or a class of your own."""
    prediction: Prediction = "v"
    """What the network predicts."""
    sigma_data: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Standard deviation of the data: the scale of the network's inputs, and of what edm predicts."""
    network: Literal["mlp", "mixer"] = "mlp"
    """A multilayer perceptron or, for pictures, a mixer, which shares its weights over the picture."""
    patch: Annotated[
        Count | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: a quarter of the picture)")
    ] = None
    """Rows and columns of a patch of the mixer."""
    overlap: Annotated[
        Annotated[int, msgspec.Meta(ge=0)] | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: a third of the patch)"),
    ] = None
    """Rows and columns that a patch has of its neighbours on each side."""
    width: Count = 64
    """Width of the network."""
    blocks: Annotated[int, msgspec.Meta(ge=0)] = 8
    """Residual blocks of the network."""
    norm: bool = False
    """Normalise the features in each block."""
    steps: Count = 1050
    """Training steps, over which the learning rate falls to 0."""
    batch: Count = 1024
    """Points in a step."""
    optimizer: Literal["muon", "adam"] = "muon"
    """What makes a step of a gradient."""
    lr: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: muon 0.02, adam 0.004)"),
    ] = None
    """Peak learning rate."""
    weight: Literal["simple", "vlb", "min_snr", "x0", "edm"] = "simple"
    """Weight of the noise loss at each time."""
    times: Literal["uniform", "log_snr", "logistic"] = "logistic"
    """How the times of a batch are drawn."""
    targets: Literal["batch", "single"] = "batch"
    """What is learned: the mean noise over all points of the batch that lead to x_t, or the noise that was drawn."""
    ema: Fraction = 0.99
    """Decay of the average of the parameters, which is what is sampled from."""
    label_dropout: Fraction = 0.1
    """How often a label is hidden, so that the network learns without it too."""
    save_every: Count = 250
    """Steps between checkpoints."""
    seed: Seed = 0
    """Seed of everything random."""

    @property
    def source(self) -> tuple[str, str | None, Reading]:
        """Where the data are, where their labels are, and how they are read."""
        return self.name, self.labels, self.read


PICTURES: Mapping[str, Any] = {
    "network": "mixer", "process": "cosine", "prediction": "x0", "width": 128, "blocks": 5, "steps": 3000, "batch": 128,
    "ema": 0.999, "weight": "x0", "times": "uniform", "label_dropout": 0.05,
}  # fmt: skip
"""What differs from the defaults where the data are pictures.

They are predicted as x_0, under the plain loss ‖x_0 − x̂_0‖². Asked for ε or v, a network narrower than the picture
would have to carry all its dimensions of noise through its bottleneck to the output, and what it drops comes out as
grain; asked for x_0 it carries only what a picture is. And the ε-loss is SNR times the x_0-loss: on pictures it spends
the network on the last traces of noise, which no eye sees, at the cost of the middle times, where a stroke becomes a 3
or an 8. The page on learning has the measurements. The cosine process stays long in the middle times.
"""


def recipe(name: str) -> Config:
    """The configuration that `tinydiff train NAME` starts from."""
    if name == "mnist":
        return replace(Config(name), **PICTURES, conditional=True)
    if name not in NAMES and is_pictures(name):
        return replace(Config(name), **PICTURES, conditional=labels_beside(name) is not None or has_classes(name))
    return Config(name)


def checked(options: T, prefix: str = "") -> T:
    """The options, a dataclass, if each value is of its type and in its range; ValueError if not."""
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        try:
            msgspec.convert(getattr(options, name), hint, dec_hook=lambda kind, value: value)
        except msgspec.ValidationError as error:
            spelled = prefix + name.replace("_", "-") if prefix else name
            message = f"{spelled}: {str(error).replace('`', '')}; got {getattr(options, name)!r}"
            allowed = f"; allowed: {', '.join(get_args(hint))}" if get_origin(hint) is Literal else ""
            raise ValueError(f"{message}{allowed}.") from error
    if isinstance(options, Config) and not is_process_name(options.process):
        raise ValueError(
            f"{prefix}process: Expected {', '.join(PROCESSES)}, or module:Class for your own; got {options.process!r}."
        )
    return options


def write_config(path: Path, config: Config) -> None:
    """Write config.json."""
    write_json(path, {"format": FORMAT, **asdict(config)})


def read_config(path: Path) -> Config:
    """Read config.json; ValueError where it is broken or of another format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict) or (found := content.pop("format", None)) != FORMAT:
        found = found if isinstance(content, dict) else None
        raise ValueError(f"{path} is of format {found}; this version of tinydiff reads format {FORMAT}.")
    if wrong := set(content) ^ {field.name for field in fields(Config)}:
        raise ValueError(f"{path} has entries missing or unknown: {', '.join(sorted(wrong))}.")
    try:
        return checked(Config(**content | {"read": msgspec.convert(content["read"], Reading)}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def data_name(name: str) -> str:
    """The name of data, a path made absolute. Raises UsageError for what is neither a name nor a file that we read."""
    if name in (*NAMES, "-"):
        return name
    if not name:
        raise UsageError("NAME is empty: give a file, or one of our names.")
    if Path(name).suffix.lower() in TABLES or is_idx(name) or Path(name).is_file() or is_pictures(name):
        return str(Path(name).resolve())
    raise UsageError(f"NAME must be one of {', '.join(NAMES)}, a file, or - for standard input; got {name!r}.")


def refuse_reading(name: str, how: Reading) -> None:
    """Raise a UsageError for an option of tables where there is none."""
    for field in fields(Reading):
        if getattr(how, field.name) != field.default:
            raise UsageError(f"--{field.name.replace('_', '-')} is for tables; {name} is none.")


def open_data(name: str, labels: str | None = None, how: Reading = GUESS) -> Data:
    """The data of this name or path, with the labels of a file of theirs: what a run is trained on."""
    return open_parts(name, labels, how)[0]


def open_parts(name: str, labels: str | None = None, how: Reading = GUESS) -> tuple[Data, Dataset | None]:
    """What a run of this name or path is trained on, and what it does not see: MNIST's test digits, or a tenth of the
    file's points. A toy gives points without end.
    """
    if labels is not None and name in NAMES:
        raise UsageError(f"--labels is for a file; got {name}.")
    if name in NAMES or is_pictures(name):
        refuse_reading(name, how)
    if name in TOYS or name in SHAPES:
        return (TOYS | SHAPES)[name](), None
    if name == "mnist":
        return load_mnist("train"), load_mnist("test")
    if is_pictures(name):
        what, least, data = "pictures", FEW_PICTURES, load_pictures(data_name(name), labels)
    else:
        table, path = read_points(data_name(name), how, labels), data_name(name)
        what, least, data = "points", FEW, standardised(table, path, how.dequantise)
    if len(data.x) < least:
        raise ValueError(f"{name} has {len(data.x)} {what}: a run needs {least}, as it is judged by a tenth of them.")
    return parted(data)


def parted(data: Dataset) -> tuple[Dataset, Dataset]:
    """Nine tenths of the points, and the last tenth of a shuffled deck, one at least; always the same.

    Where all points of a label lie in the last tenth, one of them goes to the others.
    """
    deck, few = np.random.default_rng(0).permutation(len(data.x)), max(1, len(data.x) // 10)
    if data.labels is not None:
        first = np.unique(data.labels[deck], return_index=True)[1]
        late = first[first >= len(deck) - few]
        deck = np.concatenate([deck[late], np.delete(deck, late)])
    return data.rows(deck[:-few]), data.rows(deck[-few:])


class Extent(NamedTuple):
    """What a network must know of the data: the numbers of coordinates and of classes, 0 without labels, and the
    rows and columns of a picture.
    """

    dim: int
    classes: int
    picture: tuple[int, int] | None = None


def extent(data: Data) -> Extent:
    """The extent of the data."""
    dim, picture = (data.x.shape[1], data.picture) if isinstance(data, Dataset) else (data.dim, None)
    return Extent(dim, 0 if data.labels is None else int(np.max(data.labels)) + 1, picture)


def make_network(config: Config, dim: int, classes: int, picture: tuple[int, int] | None = None) -> Network:
    """The network of this configuration, for data of this extent; classes count only where conditional."""
    if config.conditional and not classes:
        raise UsageError(f"{config.name} has no labels: leave out --conditional.")
    if config.conditional and not config.label_dropout:
        raise UsageError("--conditional needs a --label-dropout above 0: guidance wants a model without labels too.")
    classes = classes if config.conditional else 0
    if config.network == "mlp":
        for name in ("patch", "overlap"):
            if getattr(config, name) is not None:
                raise UsageError(f"--{name} is for --network mixer.")
        return TimeMLP(
            dim, config.width, config.blocks, classes, config.prediction, config.norm, sigma_data=config.sigma_data
        )
    if picture is None:
        raise UsageError("--network mixer is for pictures: an array (N, H, W), an IDX file or mnist.")
    if config.norm:
        raise UsageError("--norm is for --network mlp: the mixer always normalises.")
    patch = config.patch or max(2, math.ceil(math.sqrt(dim) / 4))
    overlap = patch // 3 if config.overlap is None else config.overlap
    scale, prediction = config.sigma_data, config.prediction
    return Mixer(picture, patch, config.width, config.blocks, classes, prediction, overlap=overlap, sigma_data=scale)
