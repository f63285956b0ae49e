"""Train the embedded mask codec from scratch on one CPU core.

The architecture is the original's; what it is trained on is drawn here. The first steps train a plain autoencoder,
whose outputs then seed the codebook: a codebook of random vectors would collapse to a few codes.

Source:
    Loss, decay, commitment and optimizer as in SwinTransformer/AiT vae/models/VQVAE.py ("All in Tokens", 2023).
"""

import argparse
import json
import platform
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from mask_pool import polygon_masks, scene_masks
from safetensors.torch import save_file
from score_mask_codec import draw, scores
from torch import Tensor
from torch.nn import functional

from finetune.tokens.mask_network import CODE_WIDTH, NUM_CODES, MaskNetwork
from finetune.tokens.segmentation import choose_codec

_DECAY = 0.99
_COMMITMENT = 0.25
_BATCH_SIZE = 32
_LEARNING_RATE = 1e-3
_WARMUP_STEPS = 100
_PLAIN_STEPS = 500
_RESEED_EVERY = 100
# Expected uses of a code in one batch below which it is dead; an even use would be 512 / 128 = 4.
_DEAD = 0.2


def main() -> None:
    """Train, score and save."""
    options = _parse_options()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    started = time.perf_counter()
    pool = np.concatenate(
        [
            draw(scene_masks(options.seed, held_out=False), options.pool * 4 // 7),
            draw(polygon_masks(options.seed), options.pool * 3 // 7),
        ]
    )
    print(f"{len(pool)} masks drawn in {time.perf_counter() - started:.0f} s", flush=True)
    network = MaskNetwork()
    Training(network, pool, num_steps=options.steps, seed=options.seed).run()
    how = {"steps": options.steps, "batch_size": _BATCH_SIZE, "pool": len(pool), "seed": options.seed}
    _save(network, options.output, {**how, "seconds": round(time.perf_counter() - started)})


class Training:
    """The network, the codebook's moving averages, and the masks it learns from."""

    def __init__(self, network: MaskNetwork, pool: UInt8[np.ndarray, "p 64 64"], *, num_steps: int, seed: int) -> None:
        self.network = network
        self.pool = pool
        self.num_steps = num_steps
        self.rng = np.random.default_rng(seed)
        parameters = [*network.encoder.parameters(), *network.decoder.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._share)
        self.sizes = torch.ones(NUM_CODES)
        self.sums = torch.zeros(NUM_CODES, CODE_WIDTH)

    def run(self) -> None:
        """Take every step, printing the error now and then."""
        started, losses = time.perf_counter(), []
        for step in range(self.num_steps):
            losses.append(self.step(step))
            if step % 250 == 249:
                seconds = time.perf_counter() - started
                used = torch.exp(torch.special.entr(self.sizes / self.sizes.sum()).sum())
                print(f"step {step + 1} mse {np.mean(losses):.4f} perplexity {used:.0f} {seconds:.0f} s", flush=True)
                losses = []

    def step(self, step: int) -> float:
        """Take one step; return its reconstruction error."""
        pixels = self._batch()
        with torch.autocast("cpu", torch.bfloat16):
            features = self.network.encoder(pixels)
        features = features.float().permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH)
        if step == _PLAIN_STEPS:
            self._seed_codebook(features.detach())
        vectors, commitment = features, features.new_zeros(())
        if step >= _PLAIN_STEPS:
            nearest = self._quantise(features.detach(), step)
            commitment = functional.mse_loss(features, nearest)
            vectors = features + (nearest - features).detach()
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.network.decoder(vectors.view(-1, 4, 4, CODE_WIDTH).permute(0, 3, 1, 2))
        error = functional.mse_loss(decoded.float(), pixels)
        self.optimizer.zero_grad()
        (error + _COMMITMENT * commitment).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 1.0)
        self.optimizer.step()
        self.schedule.step()
        return error.item()

    def _share(self, step: int) -> float:
        rest = max(0, step - _WARMUP_STEPS) / max(1, self.num_steps - _WARMUP_STEPS)
        return min(1.0, (step + 1) / _WARMUP_STEPS) * (0.5 + 0.5 * float(np.cos(np.pi * rest))) + 1e-3

    def _batch(self) -> Float[Tensor, "n 1 64 64"]:
        chosen = self.pool[self.rng.integers(len(self.pool), size=_BATCH_SIZE)]
        half = _BATCH_SIZE // 2
        chosen[:half] = chosen[:half, :, ::-1]
        return torch.from_numpy(chosen).float()[:, None] / 127.5 - 1

    def _quantise(self, features: Float[Tensor, "m d"], step: int) -> Float[Tensor, "m d"]:
        """Return the nearest vectors, and move the codebook towards the features that chose them."""
        codebook = self.network.codebook
        with torch.no_grad():
            codes = codebook.nearest(features)
            nearest = codebook.vectors[codes].clone()
            self.sizes.lerp_(torch.bincount(codes, minlength=NUM_CODES).float(), 1 - _DECAY)
            self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, features), 1 - _DECAY)
            if step % _RESEED_EVERY == 0 and step < 0.7 * self.num_steps:
                self._reseed(features)
            codebook.vectors.copy_(self.sums / self.sizes.clamp(min=1e-5)[:, None])
        return nearest

    def _reseed(self, features: Float[Tensor, "m d"]) -> None:
        """Put codes that nothing chooses onto features of this batch."""
        dead = torch.nonzero(self.sizes < _DEAD)[:, 0]
        self.sizes[dead] = 1.0
        self.sums[dead] = features[self._some(len(features), len(dead))]

    def _seed_codebook(self, features: Float[Tensor, "m d"]) -> None:
        """k-means over the features of some batches."""
        with torch.no_grad():
            more = [self.network.encoder(self._batch()).permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH) for _ in range(20)]
            points = torch.cat([features, *more])
            vectors = points[self._some(len(points), NUM_CODES)]
            for _ in range(15):
                codes = torch.cdist(points, vectors).argmin(dim=1)
                counts = torch.bincount(codes, minlength=NUM_CODES).float()
                sums = torch.zeros_like(vectors).index_add_(0, codes, points)
                empty = torch.nonzero(counts == 0)[:, 0]
                sums[empty], counts[empty] = points[self._some(len(points), len(empty))], 1.0
                vectors = sums / counts[:, None]
            self.network.codebook.vectors.copy_(vectors)
            self.sizes = counts * (_BATCH_SIZE * 16 / len(points))
            self.sums = vectors * self.sizes[:, None]

    def _some(self, total: int, number: int) -> Tensor:
        return torch.from_numpy(self.rng.permutation(total)[:number])


def _save(network: MaskNetwork, folder: Path, how: dict[str, int]) -> None:
    """Write weights in half precision, and beside them their hash, how they were made and what they score."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "codec.safetensors"
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, path)
    path.chmod(0o644)
    description = {
        "sha256": sha256(path.read_bytes()).hexdigest(),
        **how,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "scores": scores(choose_codec(str(path))),
    }
    text = json.dumps(description, indent=2)
    (folder / "codec.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of codec.safetensors and codec.json")
    parser.add_argument("--steps", type=int, default=6000, help="optimizer steps of 32 masks")
    parser.add_argument("--pool", type=int, default=56_000, help="masks drawn before training")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
