"""data.pixel_cache and data.feature_cache in a command: announced, made where they must be made first, and in use."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from finetune.commands.preflight import require_writable
from finetune.commands.session import Session
from finetune.data.frames import shown_images
from finetune.data.missing_images import MissingImages
from finetune.data.mixture import Ingredient
from finetune.data.ready_images import ReadyImage, pixel_settings
from finetune.data.shards import ShardStore
from finetune.data.worker_count import worker_count
from finetune.data.workers import load_in_order
from finetune.model.features import feature_encoder, feature_store, keep_features, require_frozen
from finetune.reporting.progress import Progress
from finetune.types import BadSampleError

Rows = Sequence[tuple[Ingredient, Sequence[int]]]
"""Which rows of which sources a command is going to show."""

_TASK = "feature cache"


def with_caches(session: Session, rows: Rows, progress: Progress) -> Session:
    """Return the session with the caches that its settings name, after saying how large they may become.

    A feature cache is completed here: afterwards, no pixel is decoded for these rows and the image encoder is idle.
    Every rank must call this, with the same rows.

    Raises:
        ValueError: If a folder cannot be written or has no room, or if the image encoder trains.
    """
    pixels, data = session.encoder.pixel_cache, session.config.data
    if pixels is not None:
        _announce(session, pixels, rows, "data.pixel_cache", progress.say)
    if data.feature_cache is None:
        return session
    require_frozen(session.loaded.model)
    store = _feature_store(session, Path(data.feature_cache))
    _announce(session, store, rows, "data.feature_cache", progress.say)
    _complete(session, store, rows, progress)
    return replace(session, encoder=replace(session.encoder, feature_cache=store))


def all_rows(ingredients: Sequence[Ingredient], num_samples: int | None = None) -> Rows:
    """Return the rows that an evaluation shows: of each source the first ones, or all of them."""
    return [(one, range(min(len(one.source), num_samples or len(one.source)))) for one in ingredients]


def drawn_rows(ingredients: Sequence[Ingredient], rows: Mapping[str, Sequence[int]]) -> Rows:
    """Return the rows that training shows."""
    return [(one, rows[one.name]) for one in ingredients]


def _feature_store(session: Session, parent: Path) -> ShardStore:
    loaded = session.loaded
    return feature_store(
        parent,
        loaded.model,
        shape=(loaded.num_image_tokens, loaded.model.config.vision_config.hidden_size),
        settings=pixel_settings(loaded.image_size, session.config.data),
        precision=session.config.training.precision,
    )


def _announce(session: Session, store: ShardStore, rows: Rows, setting: str, say: Callable[[str], None]) -> None:
    num_images = sum(len(indices) * _images_of(ingredient, session) for ingredient, indices in rows)

    def announce() -> None:
        require_writable(store.parent, setting)
        say(store.announce(num_images, setting=setting))

    session.ranks.on_main(announce)


def _images_of(ingredient: Ingredient, session: Session) -> int:
    """Return how many images a row has, by the settings or else by the first one."""
    if session.config.data.num_images is not None:
        return session.config.data.num_images
    try:
        return max(1, len(shown_images(ingredient.source[0], None))) if len(ingredient.source) else 1
    except BadSampleError:
        return 1


def _complete(session: Session, store: ShardStore, rows: Rows, progress: Progress) -> None:
    """Compute what is missing, each rank its share, and wait for the others."""
    ranks = session.ranks
    encoder = feature_encoder(
        session.loaded.model,
        device=ranks.device,
        precision=session.config.training.precision,
        autocast=ranks.autocast,
        image_size=session.loaded.image_size,
    )
    num_kept = keep_features(encoder, _missing_images(session, store, rows, progress), store)
    (total,) = ranks.sum([float(num_kept)])
    progress.say(f"data.feature_cache: {int(total):,} images computed, {encoder.at_once} at once; {len(store):,} there")


def _missing_images(session: Session, store: ShardStore, rows: Rows, progress: Progress) -> Iterator[ReadyImage]:
    """Yield this rank's share of the images that are not there."""
    ranks = session.ranks
    shares = [(ingredient, indices[ranks.rank :: ranks.world_size]) for ingredient, indices in rows]
    progress.begin(_TASK, sum(len(indices) for _, indices in shares))
    done = 0
    for ingredient, indices in shares:
        workers = worker_count(session.encoder, [ingredient], num_samples=len(indices), device=ranks.device)
        missing = MissingImages(ingredient=ingredient, rows=indices, encoder=session.encoder, store=store)
        for images in load_in_order(missing, range(len(indices)), workers.num_workers):
            yield from images
            done += 1
            progress.advance(_TASK, done, {})
    progress.end(_TASK)
