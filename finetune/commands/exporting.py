"""`finetune export`: a run's weights as an adapter, or as a whole model."""

from dataclasses import replace
from pathlib import Path

from finetune.commands.description import run_facts
from finetune.commands.run_identity import run_folder
from finetune.commands.session import Session, load_weights, open_session
from finetune.config.commands import ExportCommand, ExportFormat
from finetune.config.schema import RunConfig
from finetune.engine.launch import settle_for_cpu
from finetune.export.adapter import check_adapter_export, write_adapter
from finetune.export.merged import write_merged
from finetune.export.npz import write_npz_folder
from finetune.export.placing import require_replaceable
from finetune.export.preprocessing import Preprocessing
from finetune.model.choices import NpzModel, PretrainedTinyModel, TinyModel
from finetune.model.load import LoadedModel


def export(config: RunConfig, command: ExportCommand) -> None:
    """Write the weights of a checkpoint, with a processor and a model card.

    Raises:
        ValueError: If the run has no such checkpoint, an adapter cannot carry what it trained, or the folder is taken.
    """
    folder = Path(command.to) if command.to else run_folder(config) / "export" / command.format.name
    require_replaceable(folder)
    if command.run is None:
        _convert(config, command, folder)
        return
    session = open_session(config, is_adapted=True)
    if command.format is ExportFormat.adapter:
        check_adapter_export(session.loaded, config.peft)
    step = load_weights(session, command.weights)
    lines = [f"{command.format.name} of step {step}: {folder}"]
    if command.format is ExportFormat.adapter:
        base_folder = write_adapter_of(session, folder, step)
        lines += [f"its base model: {base_folder}"] if base_folder is not None else []
    else:
        write = write_npz_folder if command.format is ExportFormat.npz else write_merged
        write(session.loaded, folder, run_facts(config, step), _preprocessing_of(config, session.loaded))
    print("\n".join(lines))


def _convert(config: RunConfig, command: ExportCommand, folder: Path) -> None:
    """Write a base model in another form: out of an .npz with every bit that it has, unless a format is said."""
    settle_for_cpu(1)
    is_rewritten = command.format is ExportFormat.npz and isinstance(config.model, NpzModel)
    formats = config.model.formats_to_keep() if is_rewritten else {}
    if isinstance(config.model, NpzModel):
        config = replace(config, model=config.model.as_stored())
    loaded: LoadedModel = config.model.load_to_rewrite() if is_rewritten else config.model.load()
    facts, preprocessing = replace(run_facts(config, 0), name=folder.name), _preprocessing_of(config, loaded)
    if command.format is ExportFormat.npz:
        write_npz_folder(loaded, folder, facts, preprocessing, formats)
    else:
        write_merged(loaded, folder, facts, preprocessing)
    print(f"{command.format.name} of {loaded.base_name}: {folder}")


def write_adapter_of(session: Session, folder: Path, step: int) -> Path | None:
    """Write the session's adapters as they are after `step`, and beside them a base that cannot be had elsewhere.

    Returns:
        The base's folder; None where the base has a name of its own.
    """
    is_known_elsewhere = not isinstance(session.config.model, (PretrainedTinyModel, TinyModel, NpzModel))
    base_folder = None if is_known_elsewhere else base_folder_of(session, folder)
    if base_folder is not None:
        _write_base(session, base_folder)
    write_adapter(
        session.loaded,
        session.config.peft,
        folder,
        run_facts(session.config, step),
        _preprocessing_of(session.config, session.loaded),
        base_folder=base_folder,
    )
    return base_folder


def base_folder_of(session: Session, adapter_folder: Path) -> Path:
    """Return where the base of an adapter goes: into the run's own `export`, or beside the folder that was given."""
    own, folder = (session.folder / "export").resolve(), adapter_folder.resolve()
    return own / "base" if folder.parent == own else folder.with_name(f"{folder.name}-base")


def _write_base(session: Session, folder: Path) -> None:
    """Write the base as it was before the run, which plain transformers cannot make out of a seed or an .npz."""
    untrained: LoadedModel = session.config.model.load()
    write_merged(untrained, folder, run_facts(session.config, 0), _preprocessing_of(session.config, untrained))


def _preprocessing_of(config: RunConfig, loaded: LoadedModel) -> Preprocessing:
    """Return what an export says about pixels."""
    return Preprocessing.of_run(loaded.image_size, config.data)
