"""What the label and the banner say, by language. A new letter here needs a new font file: see README.md beside it."""

from __future__ import annotations

WORDS = {
    "en": ("AI MODIFIED", "Video modified by AI"),
    "de": ("AI MODIFIED", "Mit KI verändertes Video"),
    "fr": ("AI MODIFIED", "Vidéo modifiée par IA"),
    "es": ("AI MODIFIED", "Vídeo modificado con IA"),
    "zh": ("AI合成", "本视频由人工智能合成"),
    "ja": ("AI加工", "この映像はAIで加工されています"),
    "ko": ("AI 합성", "이 영상은 AI로 합성되었습니다"),
}
"""Label and banner. In the European Union the letters "AI" lead; China asks for "AI" and 合成 or 生成 (GB 45438)."""
