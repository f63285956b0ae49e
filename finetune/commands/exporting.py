"""`finetune export`: a run's weights as an adapter, or as a whole model."""

from pathlib import Path

from finetune.commands.description import run_facts
from finetune.commands.session import Session, load_weights, open_session
from finetune.config.commands import ExportCommand, ExportFormat
from finetune.config.schema import RunConfig
from finetune.export.adapter import check_adapter_export, write_adapter
from finetune.export.merged import write_merged
from finetune.export.preprocessing import Preprocessing


def export(config: RunConfig, command: ExportCommand) -> None:
    """Write the weights of a checkpoint, with a processor and a model card.

    Raises:
        ValueError: If the run has no such checkpoint, or an adapter cannot carry what it trained.
    """
    session = open_session(config, is_adapted=True)
    if command.format is ExportFormat.adapter:
        check_adapter_export(session.loaded, config.peft)
    step = load_weights(session, command.weights)
    folder = Path(command.to) if command.to else session.folder / "export" / command.format.name
    if command.format is ExportFormat.adapter:
        write_adapter_of(session, folder, step)
    else:
        write_merged(session.loaded, folder, run_facts(session, step), preprocessing_of(session))
    print(f"{command.format.name} of step {step}: {folder}")


def write_adapter_of(session: Session, folder: Path, step: int) -> None:
    """Write the session's adapters as they are after `step`."""
    write_adapter(session.loaded, session.config.peft, folder, run_facts(session, step), preprocessing_of(session))


def preprocessing_of(session: Session) -> Preprocessing:
    """Return what an export says about pixels."""
    return Preprocessing.of_run(session.loaded.image_size, session.config.data)
