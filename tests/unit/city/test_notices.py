"""Who is told what: settings of receivers and steps, and which transitions others hear of."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Transition
from city.config import ConfigError, load_config
from city.notices import Receiver, announces, check_address, is_told, notice_of, secret_key, wanted_by

SHIPPED = Path(__file__).resolve().parents[3] / "config.yaml"
SECRET = "s" * 24
S, A = AlarmState, Action


def receiver(**given: object) -> Receiver:
    return Receiver.model_validate({"webhook": "https://x.example/hook", "secret": SECRET} | given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("{duty: {}}", "either a webhook or mail"),
        (f"{{duty: {{webhook: 'https://x.example', secret: {SECRET}, mail: [a@b.example]}}}}", "either a webhook or"),
        ("{duty: {webhook: 'https://x.example'}}", "needs a secret"),
        ("{duty: {webhook: 'https://x.example', secret: short}}", "needs a secret"),
        ("{duty: {webhook: 'https://x.example', secret: 'whsec_%%%'}}", "not base64"),
        (f"{{duty: {{webhook: 'ftp://x.example', secret: {SECRET}}}}}", "expected https://"),
        (f"{{duty: {{webhook: 'https://u:p@x.example', secret: {SECRET}}}}}", "without a user"),
        (f"{{duty: {{webhook: 'https://x.example/a b', secret: {SECRET}}}}}", "no spaces"),
        ("{duty: {mail: [Duty <a@b.example>]}}", "one e-mail address"),
        ("{duty: {mail: [a@b.example]}}", "need mail.host and mail.sender"),
        ("{'Duty!': {mail: [a@b.example]}}", "String should match pattern"),
    ],
)  # fmt: skip
def test_receivers_that_cannot_be_told_are_refused(given: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        load_config(SHIPPED, {"MARKAZ_NOTICES__RECEIVERS": given})
    assert SECRET not in str(error.value), "a secret is never shown"


def test_a_step_may_only_tell_receivers_that_there_are() -> None:
    with pytest.raises(ConfigError, match="chief, which receivers does not name"):
        load_config(SHIPPED, {"MARKAZ_NOTICES__ESCALATION": "[{after_s: 60, tell: [chief]}]"})


def test_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    environ = {
        "MARKAZ_NOTICES__RECEIVERS__GAS__WEBHOOK": "https://gas.example/hook",
        "MARKAZ_NOTICES__RECEIVERS__GAS__SECRET_FILE": str(tmp_path / "secret"),
        "MARKAZ_NOTICES__MAIL__PASSWORD_FILE": str(tmp_path / "secret"),
    }
    notices = load_config(SHIPPED, environ).notices
    assert (notices.receivers["gas"].secret, notices.mail.password) == (SECRET, SECRET)
    assert SECRET not in repr(notices)


def test_a_password_is_never_sent_in_the_clear() -> None:
    with pytest.raises(ConfigError, match="starttls or tls only") as error:
        load_config(SHIPPED, {"MARKAZ_NOTICES__MAIL__PASSWORD": "hunter2", "MARKAZ_NOTICES__MAIL__SECURITY": "none"})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("sender", ["a b", "a,b", "<a>", "", "a&b"])
def test_a_sender_that_cap_cannot_hold_is_refused(sender: str) -> None:
    with pytest.raises(ConfigError):
        load_config(SHIPPED, {"MARKAZ_NOTICES": f"{{sender: '{sender}'}}"})


def test_the_authority_of_receivers_is_a_path_beside_the_settings() -> None:
    assert load_config(SHIPPED, {"MARKAZ_NOTICES__CA_FILE": "ca.pem"}).notices.ca_file == SHIPPED.parent / "ca.pem"


def test_a_secret_is_text_or_base64() -> None:
    assert secret_key("plain") == b"plain"
    assert secret_key(f"whsec_{base64.b64encode(b'binary').decode()}") == b"binary"


@pytest.mark.parametrize("address", ["a@b.example\r\nBcc: x@y.example", "a@b, c@d", "a", "@b", "a@", "Я@b.example"])
def test_what_is_more_than_an_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        check_address(address)


def transition(action: Action, before: AlarmState, after: AlarmState, priority: str = "high") -> Transition:
    return Transition(
        alarm="r:k", version=3, action=action, before=before, after=after, at_ms=5, rule="r",
        priority=AlarmPriority(priority), source_kind="sensor", source_id="k",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("action", "before", "after", "announced", "told"),
    [
        (A.RISE, S.NORMAL, S.UNACKNOWLEDGED, True, True),
        (A.RISE, S.RETURNED_UNACKNOWLEDGED, S.UNACKNOWLEDGED, True, True),
        (A.RISE, S.SUPPRESSED, S.SUPPRESSED, False, False),
        (A.REALARM, S.ACKNOWLEDGED, S.UNACKNOWLEDGED, True, True),
        (A.UNSHELVE, S.SHELVED, S.UNACKNOWLEDGED, True, True),
        (A.UNSHELVE, S.SHELVED, S.NORMAL, False, False),
        (A.ACKNOWLEDGE, S.UNACKNOWLEDGED, S.ACKNOWLEDGED, False, True),
        (A.CLEAR, S.ACKNOWLEDGED, S.NORMAL, False, True),
        (A.CLEAR, S.SHELVED, S.SHELVED, False, False),
        (A.COMMENT, S.UNACKNOWLEDGED, S.UNACKNOWLEDGED, False, False),
        (A.ASSIGN, S.ACKNOWLEDGED, S.ACKNOWLEDGED, False, False),
    ],
)
def test_others_hear_of_what_the_operator_sees(
    action: Action, before: AlarmState, after: AlarmState, announced: bool, told: bool
) -> None:
    one = transition(action, before, after)
    assert (announces(one), is_told(one)) == (announced, told)


def test_receivers_choose_by_priority_agency_and_rule() -> None:
    receivers = {
        "all": receiver(),
        "low": receiver(priorities=["low"]),
        "gas": receiver(agencies=["gas_works"]),
        "fuel": receiver(rules=["fuel_drop"]),
        "mine": receiver(agencies=["gas_works"], rules=["r"]),
        "ladder": receiver(priorities=[]),
    }
    rise = transition(A.RISE, S.NORMAL, S.UNACKNOWLEDGED)
    assert wanted_by(receivers, rise, "gas_works") == ["all", "gas", "mine"]
    assert wanted_by(receivers, rise, "") == ["all"]
    assert wanted_by(receivers, transition(A.RISE, S.NORMAL, S.UNACKNOWLEDGED, "low"), "") == ["low"]
    assert wanted_by(receivers, transition(A.COMMENT, S.NORMAL, S.NORMAL), "gas_works") == []
    assert wanted_by(receivers, transition(A.RISE, S.NORMAL, S.UNACKNOWLEDGED, "journal"), "gas_works") == []


def test_the_same_transition_is_the_same_notice() -> None:
    alarm = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="sensor", source_id="k", raised_ms=5)
    rise = transition(A.RISE, S.NORMAL, S.UNACKNOWLEDGED)
    assert notice_of("gas", alarm, rise) == notice_of("gas", alarm, rise)
    assert notice_of("gas", alarm, rise).id != notice_of("duty", alarm, rise).id
