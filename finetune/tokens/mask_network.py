"""The mask VQ-VAE: 64 x 64 masks to 4 x 4 codes out of 128, and back.

Module names are those of the original's file, so that the file is the state dict.

Source:
    google-research/big_vision pp/proj/paligemma/segmentation.py and evaluators/proj/paligemma/transfers/segmentation.py
    (0127fb6); the architecture is that of "All in Tokens", SwinTransformer/AiT vae/models/VQVAE.py.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

NUM_CODES = 128
CODE_WIDTH = 512
_WIDTH = 128


class ResidualBlock(nn.Module):
    """Three convolutions beside the identity, with no activation after the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 1),
        )

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Add what the block finds to what it was given."""
        outputs: Tensor = inputs + self.net(inputs)
        return outputs


class Codebook(nn.Module):
    """The 128 vectors that stand for what the encoder can say about a sixteenth of a mask."""

    def __init__(self) -> None:
        super().__init__()
        self._embedding = nn.Parameter(torch.randn(NUM_CODES, CODE_WIDTH))

    @property
    def vectors(self) -> Float[Tensor, "k d"]:
        """One row for each code."""
        return self._embedding

    def nearest(self, vectors: Float[Tensor, "m d"]) -> Int64[Tensor, "m"]:
        """Return the code at the smallest squared distance from each vector."""
        vectors = vectors.to(self._embedding.dtype)
        # The square of the vector itself would be the same for all codes.
        distances = self._embedding.square().sum(dim=1) - 2 * vectors @ self._embedding.T
        return distances.argmin(dim=1)


class MaskNetwork(nn.Module):
    """Encoder, codebook and decoder. Pixels are -1 outside of the mask and 1 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *_halve(1, 16),
            *_halve(16, 32),
            *_halve(32, 64),
            *_halve(64, _WIDTH),
            ResidualBlock(),
            ResidualBlock(),
            nn.Conv2d(_WIDTH, CODE_WIDTH, 1),
        )
        self._vq_vae = Codebook()
        self.decoder = nn.Sequential(
            nn.Conv2d(CODE_WIDTH, _WIDTH, 1),
            nn.ReLU(),
            ResidualBlock(),
            ResidualBlock(),
            *_double(_WIDTH, _WIDTH),
            *_double(_WIDTH, 64),
            *_double(64, 32),
            *_double(32, 16),
            nn.Conv2d(16, 1, 1),
        )

    @property
    def codebook(self) -> Codebook:
        """The codes' vectors, under a name without the original's underscores."""
        return self._vq_vae

    @property
    def encoder_dtype(self) -> torch.dtype:
        """What the encoder computes in; it may be less precise than the rest."""
        return next(self.encoder.parameters()).dtype

    def encode(self, pixels: Float[Tensor, "n 64 64"]) -> Int64[Tensor, "n 16"]:
        """Return sixteen codes for each mask, row by row."""
        features = self.encoder(pixels[:, None])
        vectors = features.permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH)
        return self.codebook.nearest(vectors).view(len(pixels), -1)

    def decode(self, codes: Int64[Tensor, "n 16"]) -> Float[Tensor, "n 64 64"]:
        """Return the pixels that the codes stand for, about -1 to 1."""
        vectors = self.codebook.vectors[codes]
        pixels: Tensor = self.decoder(vectors.view(-1, 4, 4, CODE_WIDTH).permute(0, 3, 1, 2))
        return pixels[:, 0]


def _halve(width_in: int, width_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(width_in, width_out, 4, stride=2, padding=1), nn.ReLU()


def _double(width_in: int, width_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.ConvTranspose2d(width_in, width_out, 4, stride=2, padding=1), nn.ReLU()
