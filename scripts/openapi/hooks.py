"""How schemathesis writes what it does not know by itself."""

import itertools
import json

import schemathesis

KEY_BYTES_MAX = 200
numbers = itertools.count()


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A document a line: whatever was made of the schema, a line it is."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_case(context, case):
    """`?type=` goes with text/plain: a rule between a parameter and the body, which the document can only tell in words."""
    return not (case.media_type == "application/json" and case.query and "type" in case.query)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes each idempotency key unique: the generated ones are few, and a key that comes back with another event is refused."""
    for name in list(case.headers or ()):
        if name.lower() == "idempotency-key" and isinstance(case.headers[name], str):
            case.headers[name] = f"{next(numbers)}-{case.headers[name]}"[:KEY_BYTES_MAX]
