"""Whether an installed plugin is made for this streamfan: what its distribution requires, beside what this is.

pip sees to that when it installs the plugin, and not ever after: a later `pip install --upgrade streamfan` leaves a
plugin behind that is made for the streamfan before, and tells nobody who uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamfan import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_OWN = "streamfan"


def unmet(distribution: Distribution) -> str | None:
    """What this distribution requires of streamfan and does not find, as "streamfan>=2"; None if it is content."""
    own = [text for text in distribution.requires or () if text.lower().startswith(_OWN)]
    return next((text for text in own if not _met(text)), None)


def _met(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        # Its author's mistake, which does not say that it cannot be used.
        return True
    concerns = requirement.name.lower() == _OWN and (
        not requirement.marker or requirement.marker.evaluate({"extra": ""})
    )
    # A version before a release is one, where somebody has installed it.
    return not concerns or requirement.specifier.contains(__version__, prereleases=True)
