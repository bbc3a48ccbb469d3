"""The senders of all receivers that the settings name."""

from __future__ import annotations

from analysis.cap import Publisher
from city.areas import Areas
from city.config import Config
from city.i18n import translator
from ingest.outbox import Sender
from ingest.send_mail import MailSender
from ingest.send_webhook import WebhookSender, source_of


def senders_of(config: Config, areas: Areas) -> dict[str, Sender]:
    """A sender a receiver, by its name."""
    notices, timeout_s = config.notices, config.notices.sending.timeout_s
    publisher = Publisher.of(config, areas, (translator(one) for one in notices.cap.languages))
    senders: dict[str, Sender] = {}
    for name, receiver in notices.receivers.items():
        if receiver.webhook is not None:
            senders[name] = WebhookSender(
                receiver.webhook,
                receiver.secret or "",
                source=source_of(notices.web, config.city),
                timeout_s=timeout_s,
                ca_file=notices.ca_file,
            )
        else:
            senders[name] = MailSender(
                notices.mail,
                receiver.mail,
                publisher=publisher,
                translator=translator(receiver.language or config.profile.language),
                timeout_s=timeout_s,
                ca_file=notices.ca_file,
            )
    return senders
