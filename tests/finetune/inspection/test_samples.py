from datasets_adapters.scenes import Scenes
from finetune.data.encode import SampleEncoder
from finetune.inspection.samples import samples_html
from finetune.inspection.statistics import Inspection, inspect_split
from finetune.reporting.progress import NoProgress
from recipes.detection import Detection
from recipes.vqa import Vqa


def test_boxes_are_drawn_solid_where_the_suffix_says_them_and_dashed_where_not(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=40, min_objects=3).open("train")
    found = inspect_split(source, Detection(max_boxes=1), encoder, num_shown=1, progress=NoProgress())
    html = samples_html(found.shown)
    assert html.count('<rect class="predicted"') == 1
    assert html.count('<rect class="true"') == len(found.shown[0].left_out) >= 1


def test_the_loss_mask_is_coloured_and_image_placeholders_are_one(
    inspection: Inspection, encoder: SampleEncoder
) -> None:
    html = samples_html(inspection.shown[:1])
    tokens = html[html.index('<div class="tokens">') :]
    assert f"<span>&lt;image&gt; × {encoder.num_image_tokens}</span><span>&lt;bos&gt;</span>" in tokens
    assert '<span class="learned">&lt;eos&gt;</span>' in tokens
    before, _, after = tokens.partition("⏎")
    assert "learned" not in before
    assert after.count("<span>") == 0


def test_samples_without_boxes_need_no_legend_for_them(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=2, min_objects=0, max_objects=1, shapes=["circle"]).open("train")
    found = inspect_split(source, Vqa(), encoder, num_shown=1, progress=NoProgress())
    html = samples_html(found.shown)
    assert ("what the suffix says" in html) == bool(found.shown[0].left_out)


def test_an_empty_suffix_is_said_to_be_empty(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=30, min_objects=0, max_objects=1, words=[], min_words=0, max_words=0).open("train")
    found = inspect_split(source, Detection(), encoder, num_shown=30, progress=NoProgress())
    assert any(not sample.suffix for sample in found.shown)
    assert '<dt>suffix</dt><dd class="empty">empty</dd>' in samples_html(found.shown)
