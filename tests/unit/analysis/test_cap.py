"""Alarms as CAP 1.2 and Atom: messages keep to the schema and follow each other as the standard says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from shapely import MultiPolygon, box

from analysis.alarm_states import apply
from analysis.cap import ATOM_NAMESPACE, CAP_NAMESPACE, Publisher, to_atom, to_cap
from city.alarms import Act, Action, Alarm, AlarmPriority, Transition
from city.areas import Area, AreaKind, Areas
from city.config import load_config
from city.i18n import LANGUAGES, translator

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "tests" / "data" / "cap-1.2.xsd"
XS = "{http://www.w3.org/2001/XMLSchema}"
CAP = "{" + CAP_NAMESPACE + "}"
ATOM = "{" + ATOM_NAMESPACE + "}"
RAISED = 1_777_870_800_000  # 2026-05-04T05:00:00Z, 10:00 in Tashkent
MINUTE, HOUR = 60_000, 3_600_000
DISTRICT, MAHALLA = "1726262", "1726262001"
AREAS = Areas(
    [
        Area(
            code=DISTRICT,
            kind=AreaKind.DISTRICT,
            district_code=None,
            names={"uz": "Uchtepa", "ru": "Учтепа"},
            area_ha=None,
            polygon=box(69.1, 41.2, 69.2, 41.3),
        ),
        Area(
            code=MAHALLA,
            kind=AreaKind.MAHALLA,
            district_code=DISTRICT,
            names={"uz": "Guliston"},
            area_ha=None,
            polygon=MultiPolygon([box(69.1, 41.2, 69.11, 41.21), box(69.12, 41.2, 69.13, 41.21)]),
        ),
    ]
)
SETTINGS = {
    "MARKAZ_NOTICES__SENDER": "alarms@tashkent.example",
    "MARKAZ_NOTICES__SENDER_NAMES": "{uz: Vaziyat markazi, en: Situation centre}",
    "MARKAZ_NOTICES__CONTACT": "+998 71 000 00 00 <duty>",
    "MARKAZ_NOTICES__WEB": "https://markaz.example/",
    "MARKAZ_ALARMS__FUEL_DROP__RESPONSE": "{uz: Haydovchiga qoʻngʻiroq qiling}",
}
FRESH = Alarm(
    id="fuel_drop:01-1001",
    rule="fuel_drop",
    priority=AlarmPriority.HIGH,
    source_kind="vehicle",
    source_id="01-1001",
    lat=41.205,
    lon=69.105,
    district=DISTRICT,
    mahalla=MAHALLA,
    route="51",
)
LOST = {"lost_l": 21.5, "before_l": 180.0, "level_l": 158.0, "within_s": 300.0}


def publisher(**changed: str) -> Publisher:
    config = load_config(ROOT / "config.yaml", SETTINGS | changed)
    return Publisher.of(config, AREAS, [translator(one) for one in config.notices.cap.languages])


def played(*acts: Act, fresh: Alarm = FRESH) -> tuple[Alarm, list[Transition]]:
    """The alarm after what happened to it, and its transitions."""
    alarm, transitions = fresh, []
    for act in acts:
        before, alarm = alarm.state, apply(alarm, act)
        transitions.append(
            Transition(
                alarm=alarm.id,
                version=alarm.version,
                action=act.action,
                before=before,
                after=alarm.state,
                at_ms=act.at_ms,
                values=act.values,
                rule=alarm.rule,
                priority=alarm.priority,
                source_kind=alarm.source_kind,
                source_id=alarm.source_id,
            )
        )
    return alarm, transitions


RISE = Act(action=Action.RISE, at_ms=RAISED, values=LOST)
ACKNOWLEDGE = Act(action=Action.ACKNOWLEDGE, at_ms=RAISED + MINUTE, by="aziza")
CLEAR = Act(action=Action.CLEAR, at_ms=RAISED + 10 * MINUTE)


def message(*acts: Act, now_ms: int = RAISED + 11 * MINUTE, fresh: Alarm = FRESH, **changed: str) -> bytes:
    alarm, history = played(*acts, fresh=fresh)
    return to_cap(alarm, history, publisher(**changed), now_ms)


def told(document: bytes, name: str) -> list[str]:
    """The texts of all elements of a name, in order."""
    return [one.text or "" for one in ElementTree.fromstring(document).iter(CAP + name)]


# --- the schema -------------------------------------------------------------------------------------


class Schema:
    """As much of XML Schema as CAP's needs: order and number of elements, enumerations, patterns."""

    def __init__(self) -> None:
        root = ElementTree.parse(SCHEMA).getroot()
        self.types = {one.get("name"): one for one in root if one.tag.endswith("Type")}
        self.elements = {one.get("name"): one for one in root if one.tag == XS + "element"}

    def problems(self, document: bytes) -> list[str]:
        root = ElementTree.fromstring(document)
        if root.tag != CAP + "alert":
            return [f"{root.tag} is not alert"]
        return self._of(root, "cap:Alert", "alert")

    def _of(self, element: ElementTree.Element, kind: str, path: str) -> list[str]:
        name = kind.removeprefix("cap:")
        if kind == name:  # one of XML Schema's own: texts, whole numbers, decimals
            wanted = {"xs:integer": r"[-+]?\d+", "xs:decimal": r"[-+]?\d+(\.\d*)?", "xs:language": r"[a-zA-Z]{1,8}.*"}
            fits = re.fullmatch(wanted.get(kind, r"(?s).*"), element.text or "") and not len(element)
            return [] if fits else [f"{path}: {element.text!r} is no {kind}"]
        definition = self.types[name]
        if definition.tag == XS + "simpleType":
            return self._of_simple(element, definition, path)
        left, found = list(element), []
        if any((text or "").strip() for text in (element.text, *(one.tail for one in left))):
            found.append(f"{path}: text between its elements")
        for part in definition.find(XS + "sequence") or []:
            if part.tag == XS + "any":
                continue
            named = (part.get("name") or part.get("ref") or "").removeprefix("cap:")
            type_of = part.get("type") or self.elements[named].get("type") or ""
            times = 0
            while left and left[0].tag == CAP + named:
                found += self._of(left.pop(0), type_of, f"{path}/{named}")
                times += 1
            if times < int(part.get("minOccurs", 1)):
                found.append(f"{path}: {named} is missing")
            if part.get("maxOccurs") != "unbounded" and times > 1:
                found.append(f"{path}: {named} comes {times} times")
        return found + [f"{path}: {one.tag} is not expected here" for one in left]

    def _of_simple(self, element: ElementTree.Element, definition: ElementTree.Element, path: str) -> list[str]:
        text = element.text or ""
        values = {one.get("value") for one in definition.iter(XS + "enumeration")}
        patterns = [one.get("value") or "" for one in definition.iter(XS + "pattern")]
        fits = (not values or text in values) and all(re.fullmatch(one, text) for one in patterns)
        return [] if fits else [f"{path}: {text!r} is not allowed"]


MESSAGES = {
    "a rise": (RISE,),
    "an acknowledged one": (RISE, ACKNOWLEDGE),
    "one that is over": (RISE, ACKNOWLEDGE, CLEAR),
    "one announced again": (RISE, ACKNOWLEDGE, Act(action=Action.REALARM, at_ms=RAISED + HOUR)),
}


@pytest.mark.parametrize("acts", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("changed", [{}, {"MARKAZ_NOTICES__CAP__SCOPE": "Public"}, {"MARKAZ_NOTICES__WEB": ""}])
def test_every_message_keeps_to_the_schema(acts: tuple[Act, ...], changed: dict[str, str]) -> None:
    assert Schema().problems(message(*acts, **changed)) == []


@pytest.mark.parametrize("acts", MESSAGES.values(), ids=MESSAGES)
def test_a_validator_of_xml_schema_agrees(acts: tuple[Act, ...]) -> None:
    etree = pytest.importorskip("lxml.etree")
    etree.XMLSchema(etree.parse(str(SCHEMA))).assertValid(etree.fromstring(message(*acts)))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda xml: xml.replace(b"<status>Actual</status>", b""), "status is missing"),
        (lambda xml: xml.replace(b">Alert<", b">Alarm<"), "'Alarm' is not allowed"),
        (lambda xml: xml.replace(b"+05:00", b"Z"), "is not allowed"),
        (lambda xml: xml.replace(b"<source>", b"<sauce>").replace(b"</source>", b"</sauce>"), "is not expected here"),
        (lambda xml: xml.replace(b"<urgency>Immediate</urgency>", b""), "urgency is missing"),
    ],
)
def test_the_schema_finds_what_is_wrong(wrong: object, problem: str) -> None:
    """Else the tests above would say nothing."""
    found = Schema().problems(wrong(message(RISE)))  # type: ignore[operator]
    assert any(problem in one for one in found), found


texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["a\x00b", "\ufffe", "]]>", "<&>\"'", "\x1b[0m"]
)


@given(source=texts, value=texts, number=st.floats(), incident=st.none() | texts, rule=texts)
def test_no_text_breaks_a_message(source: str, value: str, number: float, incident: str | None, rule: str) -> None:
    """Ids come from devices: whatever they hold, the document is XML and keeps to the schema."""
    odd = replace(FRESH, id=f"r:{source}", source_id=source, incident=incident, rule=rule, route=value)
    document = message(replace(RISE, values={"kind": value, "x": number}), fresh=odd)
    assert Schema().problems(document) == []
    (identifier,) = told(document, "identifier")
    assert not set(identifier) & set(" ,<&")


# --- what it says -----------------------------------------------------------------------------------


def test_a_rise_is_an_alert_in_every_language_with_the_numbers_that_fired_it() -> None:
    document = message(RISE, fresh=replace(FRESH, priority=AlarmPriority.CRITICAL))
    assert told(document, "msgType") == ["Alert"]
    assert told(document, "language") == ["uz", "ru", "en"]
    assert told(document, "sent") == ["2026-05-04T10:00:00+05:00"]
    assert told(document, "expires") == ["2026-05-05T10:00:00+05:00"] * 3
    assert told(document, "description")[2] == "21.5 l lost while standing: 180 → 158 l"
    assert told(document, "headline")[2] == "Fuel loss: 01-1001 · route 51"
    assert told(document, "senderName") == ["Vaziyat markazi", "Situation centre"]
    assert told(document, "instruction") == ["Haydovchiga qoʻngʻiroq qiling"]
    assert told(document, "contact") == ["+998 71 000 00 00 <duty>"] * 3
    assert told(document, "references") == []
    assert (told(document, "urgency")[0], told(document, "severity")[0]) == ("Immediate", "Extreme")
    assert told(document, "certainty")[0] == "Observed"


def test_the_place_is_the_mahallas_polygon_closed_and_with_the_latitude_first() -> None:
    document = message(RISE)
    rings = [[pair.split(",") for pair in ring.split()] for ring in told(document, "polygon")[:2]]
    assert len(rings) == 2, "a mahalla in two parts"
    for ring in rings:
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
        assert all(41.2 <= float(lat) <= 41.21 and 69.1 <= float(lon) <= 69.13 for lat, lon in ring)
    assert told(document, "areaDesc") == ["Uchtepa · Guliston", "Учтепа · Guliston", "Uchtepa · Guliston"]
    assert told(document, "value")[-2:] == [DISTRICT, MAHALLA]


@pytest.mark.parametrize(
    ("changed", "polygons", "circles", "words"),
    [
        ({"mahalla": None}, 1, [], "Uchtepa"),
        ({"mahalla": None, "district": None}, 0, ["41.205000,69.105000 0.1"], "Tashkent"),
        ({"mahalla": None, "district": None, "lat": None, "lon": None}, 0, [], "Tashkent"),
        ({"mahalla": None, "district": "1799999", "lat": None, "lon": None}, 0, [], "1799999"),
    ],
)
def test_without_a_mahalla_it_is_the_district_then_a_circle_then_the_city(
    changed: dict[str, object], polygons: int, circles: list[str], words: str
) -> None:
    document = message(RISE, fresh=replace(FRESH, **changed))
    assert len(told(document, "polygon")) == 3 * polygons
    assert told(document, "circle")[: len(circles)] == circles
    assert told(document, "areaDesc")[2] == words


@pytest.mark.parametrize(
    ("kind", "score", "category", "certainty"),
    [("fire", 0.9, "Fire", "Likely"), ("crowd", 0.2, "Safety", "Possible"), ("accident", None, "Transport", "Likely")],
)
def test_what_a_camera_saw_is_as_certain_as_its_recogniser(
    kind: str, score: float | None, category: str, certainty: str
) -> None:
    camera = Alarm(
        id="camera_alert:c", rule="camera_alert", priority=AlarmPriority.HIGH, source_kind="camera", source_id="c"
    )
    values: dict[str, float | str] = {"kind": kind} | ({} if score is None else {"score": score})
    document = message(replace(RISE, values=values), fresh=camera)
    assert (told(document, "category")[0], told(document, "certainty")[0]) == (category, certainty)


def test_utc_is_written_with_minus_zero_and_never_with_z() -> None:
    """CAP 1.2, 3.3.2."""
    document = message(RISE, MARKAZ_CITIES__TASHKENT__TIMEZONE="UTC")
    assert told(document, "sent") == ["2026-05-04T05:00:00-00:00"]


# --- how messages follow each other -----------------------------------------------------------------


def test_an_update_replaces_and_a_cancel_ends_what_was_told_before() -> None:
    first, second, third = message(RISE), message(RISE, ACKNOWLEDGE), message(RISE, ACKNOWLEDGE, CLEAR)
    assert [told(one, "msgType")[0] for one in (first, second, third)] == ["Alert", "Update", "Cancel"]
    name = "alarms@tashkent.example,fuel_drop:01-1001.1777870800000,2026-05-04T10:00:00+05:00"
    assert told(second, "references") == [name]
    assert told(third, "references") == [
        f"{name} alarms@tashkent.example,fuel_drop:01-1001.1777870800000.2,2026-05-04T10:01:00+05:00"
    ]
    assert len({told(one, "identifier")[0] for one in (first, second, third)}) == 3
    assert told(third, "headline")[2] == "Fuel loss: 01-1001 · route 51 – returned to normal"
    assert (told(third, "urgency")[0], told(third, "responseType")[0]) == ("Past", "AllClear")


def test_the_same_question_has_the_same_answer_and_needs_no_history() -> None:
    assert message(RISE, now_ms=RAISED) == message(RISE, now_ms=RAISED + HOUR)
    alarm, _ = played(RISE, CLEAR)
    told_of = to_cap(alarm, (), publisher(), RAISED + HOUR)
    assert told_of == message(RISE, CLEAR, now_ms=RAISED + HOUR)


def test_an_alarm_that_stands_is_told_again_before_its_message_expires() -> None:
    lives = {"MARKAZ_NOTICES__CAP__EXPIRES_AFTER_S": "3600"}
    first = message(RISE, now_ms=RAISED, **lives)
    for minutes in range(1, 300, 7):
        now_ms = RAISED + minutes * MINUTE
        document = message(RISE, now_ms=now_ms, **lives)
        renewals = minutes // 30
        (identifier,) = told(document, "identifier")
        assert identifier.endswith(f".r{renewals}") == (renewals > 0)
        assert told(document, "msgType") == (["Update"] if renewals else ["Alert"])
        if renewals:
            assert told(first, "identifier")[0] in told(document, "references")[0]
            previous = message(RISE, now_ms=now_ms - 30 * MINUTE, **lives)
            assert f",{told(previous, 'identifier')[0]}," in f"{told(document, 'references')[0]}"


def test_the_next_rise_is_an_alert_of_its_own() -> None:
    again = replace(RISE, at_ms=RAISED + HOUR)
    document = message(RISE, ACKNOWLEDGE, CLEAR, again, now_ms=RAISED + HOUR)
    assert told(document, "msgType") == ["Alert"]
    assert told(document, "identifier") == [f"fuel_drop:01-1001.{RAISED + HOUR}"]
    assert told(document, "references") == []


def test_nothing_is_sent_before_what_it_replaces() -> None:
    """A device's clock may run ahead of the operator's."""
    document = message(RISE, replace(ACKNOWLEDGE, at_ms=RAISED))
    assert told(document, "sent") == ["2026-05-04T10:00:00+05:00"]


# --- Atom -------------------------------------------------------------------------------------------


def feed(*alarms: tuple[Alarm, Sequence[Transition]], now_ms: int = RAISED + HOUR) -> ElementTree.Element:
    return ElementTree.fromstring(to_atom(alarms, publisher(), translator("en"), now_ms))


def test_the_feed_has_what_stands_newest_first_each_with_its_message() -> None:
    older = played(RISE)
    newer = played(replace(RISE, at_ms=RAISED + MINUTE), fresh=replace(FRESH, id="fuel_drop:a/b", source_id="a/b"))
    atom = feed(older, newer)
    entries = atom.findall(ATOM + "entry")
    assert [one.findtext(ATOM + "title") for one in entries] == [
        "Fuel loss: a/b · route 51",
        "Fuel loss: 01-1001 · route 51",
    ]
    links = [one.find(ATOM + "link") for one in entries]
    assert [link.get("href") for link in links if link is not None] == [
        "https://markaz.example/api/v1/alarms/fuel_drop%3Aa%2Fb/cap.xml",
        "https://markaz.example/api/v1/alarms/fuel_drop%3A01-1001/cap.xml",
    ]
    assert atom.findtext(ATOM + "updated") == "2026-05-04T05:01:00Z"


@pytest.mark.parametrize("element", ["id", "title", "updated"])
def test_feed_and_entries_have_what_atom_requires(element: str) -> None:
    """RFC 4287, 4.1.1 and 4.1.2."""
    atom = feed(played(RISE))
    assert atom.findtext(ATOM + element)
    assert all(entry.findtext(ATOM + element) for entry in atom.findall(ATOM + "entry"))
    assert atom.findtext(f"{ATOM}author/{ATOM}name") == "Situation centre"


def test_an_entry_keeps_its_id_over_its_messages() -> None:
    first, second = feed(played(RISE)), feed(played(RISE, ACKNOWLEDGE))
    ids = [one.findtext(f"{ATOM}entry/{ATOM}id") for one in (first, second)]
    assert ids[0] == ids[1]
    assert first.findtext(f"{ATOM}entry/{ATOM}updated") != second.findtext(f"{ATOM}entry/{ATOM}updated")


@pytest.mark.parametrize(
    "act",
    [
        CLEAR,
        Act(action=Action.SHELVE, at_ms=RAISED + 1, by="aziza", reason="works", until_ms=RAISED + HOUR),
        Act(action=Action.SUPPRESS, at_ms=RAISED + 1, reason="feed_silent"),
        Act(action=Action.REMOVE_FROM_SERVICE, at_ms=RAISED + 1, by="aziza", reason="repair"),
    ],
)
def test_what_is_over_or_held_is_not_in_the_feed(act: Act) -> None:
    assert feed(played(RISE, act)).findall(ATOM + "entry") == []


def test_every_language_has_words_for_it() -> None:
    for language in LANGUAGES:
        assert to_atom([played(RISE)], publisher(), translator(language), RAISED)
