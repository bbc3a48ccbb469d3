"""Words of the interface: gettext catalogues, one a language, keyed by a stable id.

`layouts/locales/<language>.po` hold `msgid "kpi.mean_load"`; English is a catalogue like the others.
Nothing is compiled: the catalogues are small and are read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from babel import Locale
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol, get_group_symbol

Language = Literal["uz", "ru", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_NAMES = {"uz": "Oʻzbekcha", "ru": "Русский", "en": "English"}
LOCALES = Path(__file__).resolve().parent.parent / "layouts" / "locales"


class Translator:
    """Calls with a key give the words: `t("age.seconds", n=4)`. An unknown key is shown as it is."""

    def __init__(self, language: Language, catalogue: Mapping[str, str]) -> None:
        self.language = language
        self.catalogue = catalogue
        locale = Locale.parse(language)
        self.decimal = get_decimal_symbol(locale)
        self.group = get_group_symbol(locale)
        self.days = [locale.days["format"]["abbreviated"][day] for day in range(7)]  # Monday first
        # Uzbek writes the day before its month with a hyphen: 22-noyabr.
        self.day_pattern = "{day}-{month}, {weekday}" if language == "uz" else "{weekday}, {day} {month}"
        self.moment_pattern = "y-'yil' d-MMMM, HH:mm" if language == "uz" else "d MMMM y, HH:mm"
        self.months = [locale.months["format"]["wide"][month] for month in range(1, 13)]

    def number(self, value: float, digits: int = 0) -> str:
        """A number as the language writes it, rounded to `digits` after the point."""
        words = f"{value:,.{digits}f}"
        if float(words.replace(",", "")) == 0:
            words = words.removeprefix("-")
        whole, point, fraction = words.partition(".")
        return whole.replace(",", self.group).replace("-", "−") + (self.decimal + fraction if point else "")

    def __call__(self, key: str, **values: object) -> str:
        words = self.catalogue.get(key, key)
        for name, value in values.items():
            words = words.replace("{" + name + "}", str(value))
        return words


@cache
def translator(language: Language) -> Translator:
    """The words of a language."""
    with (LOCALES / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    return Translator(language, {str(m.id): str(m.string) for m in catalogue if m.id and m.string})
