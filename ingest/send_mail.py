"""Notices as e-mail, in the receiver's language, handed to one mail server (SMTP, RFC 5321 and 3207)."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

import structlog

from analysis.alarm_words import explanation, place_words, rule_words, source_words
from analysis.cap import Publisher
from city.alarms import Action
from city.i18n import Translator
from city.notices import Mail, Notice
from ingest.outbox import NotSent, Refused
from ingest.send_webhook import message_id

log = structlog.get_logger()

_SUBJECT_MAX_CHARS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PERMANENT = 500  # from it on a server's answer is its last word (RFC 5321, 4.2.1)


class MailSender:
    """Sends notices to some addresses."""

    def __init__(
        self,
        mail: Mail,
        to: Sequence[str],
        *,
        publisher: Publisher,
        translator: Translator,
        timeout_s: float,
        ca_file: Path | None = None,
    ) -> None:
        self._mail, self._to, self._publisher, self._t = mail, tuple(to), publisher, translator
        self._timeout_s = timeout_s
        self._tls = None if mail.security == "none" else ssl.create_default_context(cafile=ca_file)

    def send(self, notice: Notice) -> None:
        """Return when the server has taken it for one address at least. Raises NotSent or Refused."""
        message = message_of(notice, self._mail.sender or "", self._to, self._publisher, self._t)
        taken = False
        try:
            with self._connection() as server:
                if self._mail.username is not None:
                    server.login(self._mail.username, self._mail.password or "")
                refused = server.send_message(message, self._mail.sender, self._to)
                taken = True
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            kind = Refused if codes and min(codes) >= _PERMANENT else NotSent
            raise kind(f"no address is taken: {_told(next(iter(error.recipients.values()), (0, b'')))}") from None
        except smtplib.SMTPDataError as error:
            kind = Refused if error.smtp_code >= _PERMANENT else NotSent
            raise kind(_told((error.smtp_code, error.smtp_error))) from None
        except (OSError, smtplib.SMTPException) as error:
            if not taken:  # a server that says goodbye badly has the message all the same
                raise NotSent(f"{type(error).__name__}: {error}"[:300]) from None
        else:
            for address, answer in refused.items():
                log.warning("address_refused", address=address, error=_told(answer))

    def _connection(self) -> smtplib.SMTP:
        host, port = self._mail.host or "", self._mail.port
        if self._mail.security == "tls" and self._tls is not None:
            return smtplib.SMTP_SSL(host, port, timeout=self._timeout_s, context=self._tls)
        server = smtplib.SMTP(host, port, timeout=self._timeout_s)
        if self._tls is not None:
            try:
                server.starttls(context=self._tls)  # raises where the server does not offer it: never in the clear
            except BaseException:
                server.close()
                raise
        return server


def message_of(notice: Notice, sender: str, to: Sequence[str], publisher: Publisher, t: Translator) -> EmailMessage:
    """The e-mail of a notice. Its Message-ID is the same at every try, so that doubles are known."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = _line(subject_of(notice, t))[:_SUBJECT_MAX_CHARS]
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.at_ms / 1000, publisher.zone))
    message["Message-ID"] = f"<{message_id(notice)}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in answer
    message.set_content("\n".join(_lines(notice, publisher, t)) + "\n", charset="utf-8")
    return message


def subject_of(notice: Notice, t: Translator) -> str:
    """Priority, rule, source and what happened."""
    alarm, transition = notice.alarm, notice.transition
    words = f"[{t(f'priority.{alarm.priority}')}] {rule_words(alarm, t)}: {source_words(alarm, t)}"
    if transition is None:
        return f"{words} – {t('notice.unacknowledged', minutes=t.number((notice.unacknowledged_s or 0) / 60))}"
    if transition.action is Action.ACKNOWLEDGE:
        return f"{words} – {t('notice.acknowledged', by=transition.by)}"
    return f"{words} – {t('notice.over')}" if transition.action is Action.CLEAR else words


def _lines(notice: Notice, publisher: Publisher, t: Translator) -> list[str]:
    alarm = notice.alarm
    place = place_words(alarm, publisher.areas, t.language)
    response = publisher.responses.get(alarm.rule, {}).get(t.language, "")
    raised = datetime.fromtimestamp(alarm.raised_ms / 1000, UTC).astimezone(publisher.zone)
    link = f"{publisher.web}/api/v1/alarms/{quote(alarm.id, safe='')}/cap.xml" if publisher.web else ""
    lines = [
        subject_of(notice, t),
        explanation(alarm, alarm.values, t),
        "",
        t("notice.since", at=f"{raised:%Y-%m-%d %H:%M:%S}"),
        t("notice.where", place=place) if place else "",
        t("notice.do", response=response) if response else "",
        t("notice.contact", contact=publisher.contact) if publisher.contact else "",
        t("notice.link", link=link) if link else "",
    ]
    return [_line(line) for at, line in enumerate(lines) if line or at == 2]  # the blank one parts what from where


def _line(text: str) -> str:
    """One line that can be sent: no line breaks (they would end a header), nothing that is no character."""
    return _CONTROL.sub(" ", text).encode("utf-8", "replace").decode().strip()


def _told(answer: tuple[int, bytes | str]) -> str:
    code, words = answer
    return f"{code} {words.decode('utf-8', 'replace') if isinstance(words, bytes) else words}"[:300]
