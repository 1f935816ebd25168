"""config.yaml: the settings, their defaults and what is allowed."""

import os
import reprlib
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.errors import UserError, short
from pipeline.units import KELVIN, SI_OF_METAL, UNITS, Units
from pipeline.workspace import Reading

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Ceiling = Annotated[float, Field(gt=0)]
Hours = Annotated[float, Field(gt=0, le=10_000)]
Seconds = Annotated[float, Field(gt=0, le=3.6e7)]


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 300


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MinimaSettings(_Section):
    """How files of minima are read, and when two of them are one."""

    energy_key: Annotated[str, Field(min_length=1)] | None = None
    time_order: bool | None = None
    same_place: Positive | None = None
    match_atoms: bool | None = None


class PairSettings(_Section):
    """Pairs that step 0 stores."""

    max_delta_E: Ceiling = 1.0


class ClassifySettings(_Section):
    """Pairs that step 2 looks at."""

    max_delta_E: Ceiling = 0.1
    max_distance: Ceiling = 2.0
    min_probability: Annotated[float, Field(ge=0, lt=1)] = 0.1


class TrainingSettings(_Section):
    """One model: how long it may train and how fast it must predict."""

    train_hours: Hours = 0.05
    fast: bool = True
    max_seconds_per_pair: Seconds = 1.0e-5


class PredictorSettings(TrainingSettings):
    """The predictor: also which splittings matter most."""

    weights: Literal["equal", "inverse"] = "equal"


class NebSettings(_Section):
    """The exact calculation."""

    calculator: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = (
        "glass.soft_spheres:calculator"
    )
    images: Annotated[int, Field(ge=5, le=10_000)] = 21
    force_tolerance: Positive = 2.0e-4
    max_steps: Annotated[int, Field(ge=1, le=10**9)] = 500
    refine_below: Ceiling = 3.0
    keep_paths: Literal["full", "all", "none"] = "full"
    shared: bool = False
    batched: bool = False
    batch_size: Annotated[int, Field(ge=1, le=10**6)] = 64
    time_limit: Seconds | None = None
    continuation: Literal["line", "parabola"] = "line"
    zero_point: Literal["auto", "always", "never"] = "auto"
    sigma: Annotated[float, Field(ge=1e-15, le=1.0)] = 2.21e-10
    mass: Annotated[float, Field(ge=1e-32, le=1.0)] = 1.02e-25
    epsilon: Annotated[float, Field(ge=1e-9, le=1e12)] = 662.0


class ObservableSettings(_Section):
    """Inputs of observables.py beside the double wells: the sound, and where curves end."""

    frequencies: Annotated[list[Positive], Field(min_length=1)] = [1.0e3, 1.0e6]
    density: Positive | None = None
    longitudinal: Positive | None = None
    transverse: Positive | None = None
    complete_below: Positive | None = None


class RearrangementSettings(_Section):
    """When double wells of a glass are one rearrangement."""

    overlap: Annotated[float, Field(gt=0, le=1)] = 0.75
    list_once: bool = True


class ClusterSettings(_Section):
    """Where work runs, if not here: a Dask scheduler that is there, or a batch system; one of all."""

    scheduler: Annotated[str, Field(min_length=1)] | None = None
    scheduler_file: Annotated[str, Field(min_length=1)] | None = None
    slurm: dict[str, Any] | None = None
    pbs: dict[str, Any] | None = None
    sge: dict[str, Any] | None = None
    lsf: dict[str, Any] | None = None
    htcondor: dict[str, Any] | None = None
    oar: dict[str, Any] | None = None
    moab: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of_all(self) -> "ClusterSettings":
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            raise ValueError(
                f"cluster names {' and '.join(given) or 'nothing'}: give one of {', '.join(type(self).model_fields)}"
            )
        section = getattr(self, given[0])
        count = section.get("n_workers", 1) if isinstance(section, dict) else 1
        if type(count) is not int or count < 1:
            raise ValueError(
                f"cluster.{given[0]}.n_workers = {count!r} is not allowed: it is a whole number above zero"
            )
        return self

    @property
    def chosen(self) -> tuple[str, Any]:
        """The name of the one that is given, and its value."""
        return next((name, value) for name, value in self if value is not None)


_METAL: dict[str, Any] = {
    "pairs": {"max_delta_E": 0.057},
    "classify": {"max_delta_E": 0.0057, "max_distance": 4.4},
    "neb": {"calculator": None, "force_tolerance": 5.0e-6, **SI_OF_METAL},
}
"""Sections with the defaults of metal units: what the others are for the paper's σ and ε."""


class Settings(_Section):
    """All settings; units and meaning stand beside each key in config.yaml."""

    units: Literal["reduced", "metal"] = "reduced"
    ij_decimals: Annotated[int, Field(ge=1, le=12)] = 10
    particles: Annotated[int, Field(ge=1, le=64)] = 3
    minima: MinimaSettings = MinimaSettings()
    pairs: PairSettings = PairSettings()
    classify: ClassifySettings = ClassifySettings()
    classifier: TrainingSettings = TrainingSettings()
    predictor: PredictorSettings = PredictorSettings()
    neb: NebSettings = NebSettings()
    rearrangements: RearrangementSettings = RearrangementSettings()
    observables: ObservableSettings = ObservableSettings()
    pretraining: list[Annotated[str, Field(pattern=r"^\d*\.?\d+$")]] = []
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_split: Literal["pair", "glass"] = "pair"
    tls_threshold: Positive = 0.00151
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20
    processes: Annotated[int, Field(ge=1, le=10_000)] | None = None
    cluster: ClusterSettings | None = None
    figures: Annotated[list[Literal["png", "pdf", "svg"]], Field(min_length=1)] = ["png"]

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in empty sections, and in metal units their defaults; what is no section stays, to be refused."""
        if not isinstance(given, dict):
            return given
        sections = [name for name, field in cls.model_fields.items() if isinstance(field.default, _Section)]
        given = {key: {} if value is None and key in sections else value for key, value in given.items()}
        if given.get("units") != "metal":
            return given
        neb = given.get("neb")
        for name in SI_OF_METAL:
            if isinstance(neb, dict) and name in neb:
                raise ValueError(f"neb.{name} is not allowed: units: metal are Å, eV and u; take neb.{name} out")
        for section, defaults in _METAL.items():
            if isinstance(own := given.get(section, {}), dict):
                given[section] = defaults | own
        return {"tls_threshold": KELVIN} | given

    @property
    def unit(self) -> Units:
        """Symbols of the units."""
        return UNITS[self.units]

    @property
    def reading(self) -> Reading:
        """How frames of minima are read."""
        return Reading(self.minima.energy_key or "", self.units, bool(self.minima.match_atoms))

    @property
    def cores(self) -> int:
        """Processes to run: as set, else all cores this process may use."""
        if self.processes is not None:
            return self.processes
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_settings(path: Path | None) -> Settings:
    """Read a settings file; None gives the defaults."""
    if path is None:
        return Settings()
    if not path.is_file():
        raise UserError(f"{path}: no such settings file; name one with --config, or leave it out for the defaults")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that ask for YAML 1.1; in 1.2 ``1e-5`` is a number
            content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        if content is None or isinstance(content, dict):
            return Settings.model_validate(content or {})
        said = f"must hold lines 'key: value', not a {type(content).__name__}"
    except ValidationError as error:
        said = "; ".join(_in_words(one) for one in error.errors())
    except RecursionError:
        said = "not readable as YAML: too deeply nested"
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        said = f"not readable as YAML: {short(f'{line}{error.problem}')}"
    except (YAMLError, ValueError, LookupError) as error:  # the last two: 2001-99-99, !!bool x
        said = f"not readable as YAML: {short(error)}"
    raise UserError(f"{path}: {said}")


def _in_words(error: Any) -> str:
    """Key, value and what is allowed, from one pydantic error."""
    key = short(".".join(str(part) for part in error["loc"] if part not in ("int", "float")))
    given = short(_REPR.repr(error["input"]))
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        section: Any = Settings
        for part in error["loc"][:-1]:
            kind = section.model_fields[part].annotation
            section = next((one for one in get_args(kind) if hasattr(one, "model_fields")), kind)
        return f"unknown key {key}; allowed here: {', '.join(section.model_fields)}"
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} = {given} is not allowed: it is a section, with keys of its own below it"
    if error["type"] == "list_type":
        listed = f'["{short(error["input"])}"]' if isinstance(error["input"], str | int | float) else "[]"
        return f"{key} = {given} is not allowed: it is a list, such as {listed}"
    if error["loc"][0] == "pretraining":
        example = error["input"] if isinstance(error["input"], int | float) else "0.12"
        return f'{key} = {given} is not allowed: it is the number of a folder T…, in quotes, such as "{example}"'
    if error["type"] == "bool_type":
        return f"{key} = {given} is not allowed: it is true or false (boolean)"
    return f"{key} = {given} is not allowed: {error['msg'][0].lower()}{error['msg'][1:]}"
