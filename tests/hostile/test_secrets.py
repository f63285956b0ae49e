"""What is secret in the environment, the configuration, an address or a netrc is written down nowhere."""

import sys
from pathlib import Path

import pytest

from finetune.cli import run
from finetune.reporting.run_folder import RunFolder

CANARIES = {
    "HF_TOKEN": "hf_canary_of_the_hub",
    "WANDB_API_KEY": "canary0of0wandb0" + "0" * 24,
    "AWS_SECRET_ACCESS_KEY": "canary-of-a-cloud",
    "DATABASE_PASSWORD": "canary-of-a-database",
    "OWN_CREDENTIALS": "canary-of-the-user",
}
ADDRESS = "https://canary-user:canary-of-an-address@data.example.org/cells"
FIELD, NETRC = "canary-of-a-field", "canary-of-a-netrc"
TINY = [
    "model=tiny_random", "model.image_size=28", "model.vision_depth=1", "model.decoder_depth=1",
    "model.vision_width=32", "model.decoder_width=64", "training.global_batch_size=2", "training.micro_batch_size=2",
    "training.max_steps=1", "evaluation.max_new_tokens=4", "evaluation.gallery_size=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that a run and its exports wrote, and what they printed."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / "secret.yaml").write_text(
        "_target_: tests.hostile.secret_source.SecretScenes\naddress: ${oc.env:OWN_ADDRESS}\n"
        "access_token: ${oc.env:OWN_FIELD}\nnum_memory_tokens: 7\ntrain_split: train\neval_split: eval\n"
    )
    netrc = folder / "conf" / "netrc"
    netrc.write_text(f"machine api.wandb.ai\n  login user\n  password {NETRC}\n")
    environment = {**CANARIES, "OWN_ADDRESS": ADDRESS, "OWN_FIELD": FIELD, "NETRC": str(netrc), "WANDB_MODE": "offline"}
    words = [
        "train", "--config-dir", f"{folder}/conf", f"runs={folder}/runs", "name=spread", "plugins=[tests]",
        "dataset=secret", "tracking=wandb", "tracking.mode=offline", "tracking.group=${oc.env:AWS_SECRET_ACCESS_KEY}",
        *TINY,
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["finetune"])
        for name, value in environment.items():
            patch.setenv(name, value)
        with (folder / "printed.txt").open("w") as printed:
            patch.setattr(sys, "stdout", printed)
            patch.setattr(sys, "stderr", printed)
            assert run(words) == 0, (folder / "printed.txt").read_text()
            earlier = ["--config-dir", f"{folder}/conf", f"run={folder}/runs/spread", "plugins=[tests]"]
            assert run(["export", *earlier]) == 0
            assert run(["export", *earlier, "format=merged"]) == 0
    return folder


def test_the_run_wrote_what_people_share(spread: Path) -> None:
    names = {path.name for path in spread.rglob("*") if path.is_file()}
    assert {"report.html", "config.yaml", "identity.json", "overrides.json", "README.md", "printed.txt"} <= names
    assert any(name.endswith(".wandb") for name in names)


@pytest.mark.parametrize("secret", [*CANARIES.values(), "canary-of-an-address", FIELD, NETRC])
def test_a_secret_is_in_no_file(spread: Path, secret: str) -> None:
    written = [path for path in spread.rglob("*") if path.is_file() and path.parent.name != "conf"]
    assert len(written) > 20
    hits = [str(path) for path in written if secret.encode() in path.read_bytes()]
    assert hits == []


def test_what_only_sounds_secret_is_kept(spread: Path) -> None:
    settings = RunFolder(path=spread / "runs" / "spread").read_description()["config"]["dataset"]
    assert settings["num_memory_tokens"] == 7
    assert settings["access_token"] == "<hidden>"
    assert settings["address"] == "https://<hidden>@data.example.org/cells"


@pytest.mark.parametrize(
    "word", ["+dataset.access_token=canary", "++dataset.api_key=canary", "+tracking.password=canary"]
)
def test_a_secret_is_not_taken_from_the_command_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", word]) == 2
    printed = capsys.readouterr().err
    assert "put it into the environment and write" in printed
    assert "canary" not in printed
