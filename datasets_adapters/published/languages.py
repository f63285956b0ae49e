"""The languages of Crossmodal-3600 and of the captions that were translated into them.

Source:
    The release's own README (google.github.io/crossmodal-3600); big_vision configs/proj/paligemma/transfers/coco35l.py
    (0127fb6).
"""

# English, and the 34 that COCO's captions were translated into.
COCO_LANGUAGES = (
    "ar", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fil", "fr", "he", "hi", "hr", "hu", "id", "it", "ja",
    "ko", "mi", "nl", "no", "pl", "pt", "ro", "ru", "sv", "sw", "te", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip

# Cusco Quechua was captioned, and nothing was translated into it.
XM3600_LANGUAGES = tuple(sorted((*COCO_LANGUAGES, "quz")))
