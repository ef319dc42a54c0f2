"""Models and tokenizers by folder or by name: what goes wrong is one clear line, and nothing is said otherwise."""

from __future__ import annotations

import importlib
import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamfan.errors import MissingExtra, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH_LIKE = ("/", "./", "../", "~")
# How long the hub may take to say that it is there; its own client tries again for minutes.
_HUB_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a model is to be made of, and where; None for what suits it."""

    dtype: str | None
    device: str | None


def load(name: str, *, dtype: str | None = None, device: str | None = None) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer.

    Args:
        name: A folder, where it exists or begins with `/`, `./`, `../` or `~`; else a name on the Hugging Face hub.
        dtype: What its numbers are, as torch calls it; what they are in the file unless given.
        device: Where to, as torch calls it; the accelerator, where there is one, unless given.

    Raises:
        MissingExtra: torch or transformers is not installed.
        UsageError: The folder does not exist, or is not a model's.
        SourceError: It cannot be loaded, or not be had from the hub.
    """
    folder = _folder(name)
    for package in ("torch", "transformers"):
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise MissingExtra("source 'transformers'", error.name or package, "hf") from error
    how = _Kind(dtype, device)
    with quiet():
        return _load_from_hub(name, how) if folder is None else _load_from_folder(name, folder, how)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and warnings of transformers off the terminal; what it raises is enough."""
    progress: Any = importlib.import_module("transformers.utils.logging")
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    shown = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            progress.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """What `error` says, in one line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _folder(name: str) -> Path | None:
    """The folder that is meant, which holds a model by the look of it; None for a name on the hub."""
    try:
        path = Path(name).expanduser()
        if not path.exists() and not name.startswith(_PATH_LIKE):
            return None
        if not path.is_dir():
            what = "is a file, expected a folder" if path.exists() else "does not exist"
            raise UsageError(f"model folder {name!r} {what}\nTry: --model with a folder, or a name on the hub")
        if not (path / "config.json").exists():
            raise UsageError(
                f"folder {name!r} holds no model of transformers: there is no config.json in it\n"
                "Try: a folder that save_pretrained() wrote, or a name on the hub"
            )
    except (OSError, RuntimeError) as error:
        raise UsageError(f"model folder {name!r} cannot be read: {error}") from error
    return path


def _load_from_folder(name: str, folder: Path, kind: _Kind) -> tuple[Any, Any]:
    try:
        return _load(str(folder), kind, local_files_only=True)
    except Exception as error:  # whatever a foreign file and library make of each other
        raise SourceError(
            f"model folder {name!r} cannot be loaded: {first_line(error)}\n"
            "Try: a folder with a causal language model and its tokenizer"
        ) from error


def _load_from_hub(name: str, kind: _Kind) -> tuple[Any, Any]:
    from huggingface_hub import HfApi

    trouble: Exception | None = None
    try:
        HfApi().model_info(name, timeout=_HUB_TIMEOUT)
    except Exception as error:  # noqa: BLE001 - whatever a network can do wrong
        # It may still be on this machine, from an earlier time.
        trouble = error
    try:
        return _load(name, kind, local_files_only=trouble is not None)
    except Exception as error:
        why = first_line(trouble or error)
        raise SourceError(
            f"model {name!r} is no folder here, and cannot be had from the Hugging Face hub: {why}\n"
            "Try: check the name and the network, or give a folder as ./folder"
        ) from error


def _load(name: str, kind: _Kind, *, local_files_only: bool) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # trust_remote_code is said, for otherwise the user may be asked, on standard input.
    how: dict[str, Any] = {"local_files_only": local_files_only, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(name, **how)
    model: Any = AutoModelForCausalLM.from_pretrained(name, **how, **({"dtype": kind.dtype} if kind.dtype else {}))
    device = kind.device or torch.accelerator.current_accelerator(check_available=True)
    return model if device is None else model.to(device), tokenizer
