"""Promises about the class and its distribution: what can be told before anything is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from streamfan.errors import PluginError
from streamfan.hookspecs import streamfan_sinks
from streamfan.options import without_userinfo
from streamfan.plugins import plugins
from streamfan.sink import Sink, SinkOptions
from streamfan.testing.audit import io_of_this_thread
from streamfan.testing.imports import imported_early
from streamfan.testing.promises import broken
from streamfan.testing.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamfan.testing.kit import Kit

_PASSWORD = "k1t-s3cr3t"  # noqa: S105 - nobody's


class PackageTests(Suite):
    """A sink is light until it is connected, found by its name, and described."""

    def test_constructor_does_no_io(self, kit: Kit) -> None:
        """It stores, and opens no file, connection or program."""
        # What is imported on the way has been imported by then.
        kit.make()

        with io_of_this_thread() as events:
            kit.make()

        if events:
            broken(f"the constructor did I/O: {', '.join(events)}", Sink, about="constructor")

    def test_no_client_library_is_imported_before_connect(self, kit: Kit) -> None:
        """Whoever has the plugin installed, or only names the sink, does not pay for its library."""
        early = sorted(imported_early(kit.make()) - self.light_imports)

        if early:
            broken(f"{', '.join(early)} was imported before connect(); import it there", Sink, about="constructor")

    def test_every_option_is_described(self, kit: Kit) -> None:
        """`streamfan sinks NAME` has something to say about each."""
        fields = type(kit.make()).Options.model_fields

        bare = [name for name, field in fields.items() if not (field.description or "").strip()]
        if bare:
            broken(f"options without a description: {', '.join(bare)}", SinkOptions)

    def test_entry_point_leads_to_the_sink(self, kit: Kit) -> None:
        """`--sink NAME` and each alias give this very class."""
        made = type(kit.make())
        for name in (made.name, *made.aliases):
            try:
                found = plugins().sink(name)
            except PluginError as error:
                broken(
                    f"{name!r} is not found: {error}\nIn pyproject.toml, and then installed again:\n"
                    f'[project.entry-points."streamfan.sinks"]\n{name} = "{made.__module__}"',
                    streamfan_sinks,
                    about="the name that was asked for",
                )
            if found is not made:
                broken(
                    f"{name!r} leads to {found!r}, not to {made!r}",
                    streamfan_sinks,
                    about="the name that was asked for",
                )

    def test_label_shows_no_secret(self, kit: Kit) -> None:
        """What reports show of the target holds no password, neither from the URL nor from the options."""
        sink = kit.make()
        for value in dict(sink.options).values():
            secret = value.get_secret_value() if isinstance(value, SecretStr) else ""
            if secret and secret in f"{sink.label} {sink!r}":
                broken(f"label shows a secret of the options: {sink.label!r}", Sink.label)
        for shown in _shown_of_password(sink):
            if _PASSWORD in shown:
                broken(f"the target's password is shown: {shown!r}", Sink.label)


def _shown_of_password(sink: Sink) -> Iterator[str]:
    """What can be seen of a sink whose URL has a password."""
    if sink.target is None or "://" not in sink.target:
        return
    target = without_userinfo(sink.target).replace("//***@", "//").replace("://", f"://kit:{_PASSWORD}@", 1)
    try:
        made = type(sink)(target, sink.options)
    except Exception as error:  # noqa: BLE001 - foreign code: it may well refuse such a URL, in its own words
        yield str(error)
    else:
        yield from (str(made.label), repr(made))
