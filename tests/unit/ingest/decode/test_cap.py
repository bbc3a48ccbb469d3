"""CAP in: what a warning becomes, how messages replace each other, and XML that means harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.cases import Cases
from city.events import Case
from city.messages import Reading, Received, Reject, RejectReason
from ingest.decode import cap
from ingest.decode.cap import case_id
from ingest.decode.cap_xml import NAMESPACE
from ingest.decode.outcome import check_id

SENT_MS = 1_777_870_800_000
SENT = "2026-05-04T10:00:00+05:00"
SENDER = "met@meteo.example"
HOUR = 3_600_000
INFO_EN = """<info><language>en-US</language><category>Met</category><event>Hail</event><urgency>Expected</urgency>
<severity>Severe</severity><certainty>Likely</certainty><onset>2026-05-04T12:00:00+05:00</onset>
<expires>2026-05-04T18:00:00+05:00</expires><senderName>Hydromet</senderName><headline>Hail tonight</headline>
<description>Up to 3 cm.</description><instruction>Park under a roof.</instruction>
<area><areaDesc>Chilonzor</areaDesc><circle>41.28,69.20 3</circle>
<geocode><valueName>SOATO</valueName><value>1726294</value></geocode></area></info>"""
INFO_UZ = INFO_EN.replace("en-US", "uz").replace("Hail tonight", "Kechasi doʻl")


def alert(
    kind: str = "Alert",
    identifier: str = "m1",
    *,
    info: str = INFO_EN,
    references: str = "",
    sent: str = SENT,
    status: str = "Actual",
) -> bytes:
    names = f"<references>{references}</references>" if references else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><alert xmlns="{NAMESPACE}"><identifier>{identifier}</identifier>'
        f"<sender>{SENDER}</sender><sent>{sent}</sent><status>{status}</status><msgType>{kind}</msgType>"
        f"<scope>Public</scope>{names}{info}</alert>"
    ).encode()


def reference(identifier: str) -> str:
    return f"{SENDER},{identifier},{SENT}"


def cases(payload: bytes, topic: str = "cap/met") -> list[Case]:
    found = []
    for one in cap.FORMAT.bind(topic)(Received(topic, payload, SENT_MS + 5)):
        assert isinstance(one, Reading), one
        assert isinstance(one.event, Case)
        found.append(one.event)
    return found


def reject(payload: bytes, topic: str = "cap/met") -> Reject:
    (one,) = cap.FORMAT.bind(topic)(Received(topic, payload, SENT_MS + 5))
    assert isinstance(one, Reject), one
    return one


def test_an_alert_is_an_open_case() -> None:
    (case,) = cases(alert())
    assert case == Case(
        source="cap-met", case_id=case_id(SENDER, "m1"), measured_ms=SENT_MS, received_ms=SENT_MS + 5,
        category="met/hail", status="open", lat=41.28, lon=69.2, address_code="1726294", title="Hail tonight",
        text="Up to 3 cm.\n\nPark under a roof.\n\nChilonzor", severity="severe", agency="Hydromet", reporter=SENDER,
        starts_ms=SENT_MS + 2 * HOUR, ends_ms=SENT_MS + 8 * HOUR,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("info", "title"),
    [(INFO_EN + INFO_UZ, "Kechasi doʻl"), (INFO_EN, "Hail tonight"), (INFO_EN.replace("en-US", "de"), "Hail tonight")],
)
def test_the_words_are_in_the_first_of_our_languages(info: str, title: str) -> None:
    assert cases(alert(info=info))[0].title == title


# --- messages that follow each other ----------------------------------------------------------------


def standing(*payloads: bytes, now_ms: int = SENT_MS + HOUR) -> list[str]:
    """The titles of what stands after these messages, in this order of arrival."""
    known = Cases()
    for payload in payloads:
        for case in cases(payload):
            known.apply(case)
    return [case.title or "" for case in known.standing(now_ms)]


HAIL_NOW = INFO_EN.replace("Hail tonight", "Hail now")
UPDATE = alert("Update", "m2", references=reference("m1"), sent="2026-05-04T10:10:00+05:00", info=HAIL_NOW)
CANCEL = alert("Cancel", "m3", references=f"{reference('m1')} {reference('m2')}", sent="2026-05-04T10:20:00+05:00")


@pytest.mark.parametrize("arrive", [(alert(), UPDATE), (UPDATE, alert()), (alert(), UPDATE, alert(), UPDATE)])
def test_an_update_replaces_what_it_names_in_whatever_order_they_come(arrive: tuple[bytes, ...]) -> None:
    assert standing(*arrive) == ["Hail now"]


@pytest.mark.parametrize("arrive", [(alert(), UPDATE, CANCEL), (CANCEL, UPDATE, alert()), (UPDATE, CANCEL, alert())])
def test_a_cancel_closes_what_it_names_in_whatever_order_they_come(arrive: tuple[bytes, ...]) -> None:
    assert standing(*arrive) == []


def test_a_cancel_needs_no_words() -> None:
    assert (
        standing(alert(), alert("Cancel", "m3", references=reference("m1"), sent="2026-05-04T10:20:00+05:00", info=""))
        == []
    )


def test_a_case_is_over_when_its_message_expires() -> None:
    assert standing(alert(), now_ms=SENT_MS + 8 * HOUR - 1) == ["Hail tonight"]
    assert standing(alert(), now_ms=SENT_MS + 8 * HOUR) == []


def test_what_has_expired_when_it_is_sent_is_closed() -> None:
    (case,) = cases(alert(info=INFO_EN.replace("2026-05-04T18", "2026-05-04T09")))
    assert case.status == "closed"


def test_all_clear_closes() -> None:
    clear = INFO_EN.replace("<urgency>", "<responseType>AllClear</responseType><urgency>")
    assert (
        standing(
            alert(), alert("Update", "m2", references=reference("m1"), info=clear, sent="2026-05-04T10:20:00+05:00")
        )
        == []
    )


def test_another_sender_may_use_the_same_identifier() -> None:
    assert case_id("a", "1") != case_id("b", "1")


@given(
    st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)
)
def test_every_message_has_a_case_id_that_can_be_stored(sender: str, identifier: str) -> None:
    assert check_id("case", case_id(sender, identifier))


# --- places -----------------------------------------------------------------------------------------

SQUARE = "41.20,69.10 41.20,69.30 41.40,69.30 41.40,69.10 41.20,69.10"
# An L whose middle of corners lies outside of it.
ANGLE = "41.0,69.0 41.0,69.2 41.01,69.2 41.01,69.01 41.2,69.01 41.2,69.0 41.0,69.0"
PROVINCE = "40.0,68.0 40.0,70.0 42.0,70.0 42.0,68.0 40.0,68.0"


def in_area(area: str) -> bytes:
    before, _, rest = INFO_EN.partition("<circle>41.28,69.20 3</circle>")
    return alert(info=before + area + rest)


def test_a_polygon_gives_a_point_in_it() -> None:
    (case,) = cases(in_area(f"<polygon>{SQUARE}</polygon>"))
    assert (case.lat, case.lon) == (pytest.approx(41.3), pytest.approx(69.2))
    (case,) = cases(in_area(f"<polygon>{ANGLE}</polygon>"))
    assert case.lat is not None
    assert case.lon is not None
    assert (41.0 <= case.lat <= 41.01 and 69.0 <= case.lon <= 69.2) or (69.0 <= case.lon <= 69.01)


@pytest.mark.parametrize(
    "area",
    [
        f"<polygon>{PROVINCE}</polygon>",
        "<circle>41.3,69.2 50</circle>",
        f"<polygon>{SQUARE}</polygon><circle>39.0,66.0 1</circle>",
        "",
    ],
)
def test_what_is_larger_than_the_city_has_no_point(area: str) -> None:
    (case,) = cases(in_area(area))
    assert (case.lat, case.lon) == (None, None)
    assert case.text is not None
    assert case.text.endswith("Chilonzor")


def test_a_polygon_that_crosses_itself_still_has_a_point() -> None:
    (case,) = cases(in_area("<polygon>41.2,69.1 41.3,69.2 41.2,69.2 41.3,69.1 41.2,69.1</polygon>"))
    assert case.lat == pytest.approx(41.25)


@pytest.mark.parametrize(
    "area",
    [
        "<circle>95,69 1</circle>", "<circle>41.3,69.2</circle>", "<circle>41.3,69.2 -1</circle>",
        "<circle>nan,69 1</circle>", "<polygon>41.2,69.1 41.3,69.2 41.2,69.1</polygon>", "<polygon/>",
        "<polygon>41.2,69.1 41.3,69.2 41.2,69.2 41.3,69.1</polygon>", "<circle>inf,1e999 1</circle>",
    ],
)  # fmt: skip
def test_coordinates_that_are_none_are_refused(area: str) -> None:
    assert reject(in_area(area)).reason is RejectReason.BAD_VALUE


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", RejectReason.BAD_TYPE),
        (b"{}", RejectReason.BAD_TYPE),
        (b"<alert/>", RejectReason.BAD_TYPE),
        (f'<feed xmlns="{NAMESPACE}"/>'.encode(), RejectReason.BAD_TYPE),
        (f'<x><alert xmlns="{NAMESPACE}"/></x>'.encode(), RejectReason.BAD_TYPE),
        (alert()[:-8], RejectReason.BAD_TYPE),
        (alert(info=""), RejectReason.BAD_TYPE),
        (alert(identifier=" "), RejectReason.BAD_TYPE),
        (alert("Cancel"), RejectReason.BAD_TYPE),
        (alert(sent="2026-05-04T10:00:00"), RejectReason.BAD_TIME),
        (alert(sent="soon"), RejectReason.BAD_TIME),
        (alert("Alarm"), RejectReason.BAD_VALUE),
        (alert("Update", references="m1"), RejectReason.BAD_VALUE),
        (alert("Ack", references=reference("m1")), RejectReason.NOT_WANTED),
        (alert(status="Exercise"), RejectReason.NOT_WANTED),
        (alert(status="Test"), RejectReason.NOT_WANTED),
        (alert().replace(b"Hail", b"\xff\xfe"), RejectReason.BAD_TYPE),  # it says that it is UTF-8
        (alert().partition(b"?>")[2].replace(b"Hail", b"\xff"), RejectReason.NOT_UTF8),
    ],
)  # fmt: skip
def test_what_is_no_warning_is_refused_with_its_reason(payload: bytes, reason: RejectReason) -> None:
    one = reject(payload)
    assert (one.feed, one.reason) == ("cap", reason), one.detail


def test_a_source_that_cannot_be_an_id_is_refused() -> None:
    assert reject(alert(), f"cap/{'x' * 61}").reason is RejectReason.BAD_ID


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1251", "iso-8859-1"])
def test_encodings_in_which_cap_is_found_are_read(encoding: str) -> None:
    words = "Град" if encoding != "iso-8859-1" else "Grêle"
    text = alert(info=INFO_EN.replace("Hail tonight", words)).decode().replace("UTF-8", encoding)
    assert cases(text.encode(encoding))[0].title == words


def declared(declarations: str, use: str) -> bytes:
    body = alert(info=INFO_EN.replace("Hail tonight", use))
    return body.replace(b"?><alert", f"?><!DOCTYPE alert [{declarations}]><alert".encode(), 1)


LAUGHS = '<!ENTITY l0 "ha">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HARMFUL = {
    "billion laughs": declared(LAUGHS, "&l9;"),
    "quadratic blow-up": declared(f'<!ENTITY a "{"x" * 100_000}">', "&a;" * 5_000),
    "external entity": declared('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
    "external entity over the network": declared('<!ENTITY a SYSTEM "http://192.0.2.1/a">', "&a;"),
    "parameter entity": declared('<!ENTITY % a SYSTEM "http://192.0.2.1/a.dtd"> %a;', "x"),
    "external DTD": alert().replace(b"?><alert", b'?><!DOCTYPE alert SYSTEM "http://192.0.2.1/a.dtd"><alert', 1),
    "a document type alone": declared("", "x"),
    "deep nesting": b"<a>" * 300_000 + b"</a>" * 300_000,
    "deep nesting in CAP": f'<alert xmlns="{NAMESPACE}">'.encode() + b"<info>" * 100_000,
    "many elements": f'<alert xmlns="{NAMESPACE}">'.encode() + b"<code/>" * 100_000 + b"</alert>",
    "another encoding": alert().replace(b"UTF-8", b"utf-7"),
    "an encoding that is a codec of bytes": alert().replace(b"UTF-8", b"zlib"),
}


@pytest.mark.parametrize("payload", HARMFUL.values(), ids=HARMFUL)
def test_xml_that_means_harm_is_refused_at_once(payload: bytes) -> None:
    """Nothing is expanded, read or fetched: a second is a hundred times what it takes."""
    began = time.perf_counter()
    one = reject(payload)
    assert one.reason is RejectReason.BAD_VALUE, one.detail
    assert "root:" not in one.detail
    assert time.perf_counter() - began < 1


def test_an_entity_that_nobody_declared_is_an_error() -> None:
    assert reject(alert(info=INFO_EN.replace("Hail tonight", "&a;"))).reason is RejectReason.BAD_TYPE


def test_a_signature_and_other_strangers_are_left_out() -> None:
    signed = alert().replace(
        b"</alert>", b'<s:Signature xmlns:s="urn:x"><s:a><event>no</event></s:a></s:Signature></alert>'
    )
    assert cases(signed) == cases(alert())


@given(st.integers(0, len(alert()) - 1), st.binary(max_size=6))
def test_a_damaged_message_has_an_outcome(at: int, junk: bytes) -> None:
    body = alert()
    assert cap.FORMAT.bind("cap/met")(Received("cap/met", body[:at] + junk + body[at + len(junk) :], SENT_MS))


def test_a_warning_that_says_much_is_cut_and_not_lost() -> None:
    (case,) = cases(alert(info=INFO_EN.replace("Up to 3 cm.", "x" * 9000)))
    assert case.text is not None
    assert len(case.text) == 4096
