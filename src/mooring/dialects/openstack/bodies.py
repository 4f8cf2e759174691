"""Request bodies: closed, strict models, and one readable sentence for what does not fit them."""

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mooring.dialects.http import Refused, shown

_MOST_SAID = 3


class Body(BaseModel):
    """A JSON object of a known form: other keys and other types are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


B = TypeVar("B", bound=Body)


def checked(model: type[B], value: object) -> B:
    """Return a parsed body as a model's value.

    Raises:
        Refused: it does not fit; the sentence names the fields and says why.
    """
    if not isinstance(value, dict):
        raise Refused(400, "The body must be a JSON object.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Refused(400, _sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False)
    said = [f"Invalid input for field {_place(each['loc'])}: {_reason(each)}." for each in errors[:_MOST_SAID]]
    if len(errors) > _MOST_SAID:
        said.append(f"And {len(errors) - _MOST_SAID} more.")
    return " ".join(said)


def _place(location: tuple[int | str, ...]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step if step.isprintable() else shown(step)}"
    # A stranger chose the names of unknown keys.
    return text.removeprefix(".")[:200]


_REASONS: Mapping[str, str] = {
    "missing": "it is required",
    "extra_forbidden": "there is no such field",
    "string_type": "must be a text",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "string_too_short": "must not be empty",
    "string_too_long": "must not be longer than {max_length} characters",
    "too_long": "must not have more than {max_length} elements",
    "too_short": "must have at least {min_length} element(s)",
    "literal_error": "must be {expected}",
    "none_required": "must be null",
    "value_error": "{error}",
}


def _reason(error: Mapping[str, Any]) -> str:
    reason = _REASONS.get(error["type"])
    return str(error["msg"]) if reason is None else reason.format_map(error.get("ctx", {}))


# ------------------------------------------------------------------------------------------------------------- field types


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise ValueError(f"{shown(text)} is not an IPv4 address") from error


def _ip(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not an IP address") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - pydantic turns ValueErrors into its own
    return value


def _read_ipv4(value: object) -> IPv4Address:
    return _ipv4(_text(value))


def _read_ip(value: object) -> IPv4Address | IPv6Address:
    return _ip(_text(value))


def _not_offered(value: object) -> object:
    if value not in (None, "", [], {}, False):
        raise ValueError("mooring has no such thing; leave it out")
    return value


def _last_segment(text: str) -> str:
    """Return the id of something that was named by its URL, as nova's older clients do, or else by its id."""
    return text.rstrip("/").rpartition("/")[2] or text


Name = Annotated[str, Field(min_length=1, max_length=255)]
Reference = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_last_segment)]
Ipv4 = Annotated[IPv4Address, BeforeValidator(_read_ipv4)]
Ip = Annotated[IPv4Address | IPv6Address, BeforeValidator(_read_ip)]
# A field that clients send with nothing in it, and that mooring would silently drop if there were something.
NotOffered = Annotated[object, AfterValidator(_not_offered)]
