"""The prompt templates: readable files under prompts/, filled with data that is never a template."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(  # noqa: S701 - prompts are plain text, not HTML
        loader=PackageLoader("tutelage.agents", "prompts"),
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=False,
    )


def render(template: str, **values: object) -> str:
    """Fill one prompt template.

    Args:
        template: the file's name under agents/prompts, without .md.
        values: everything the template names; a name it uses and does not get is an error.
    """
    return _environment().get_template(f"{template}.md").render(**values).strip()
