"""How schemathesis writes what it does not know by itself."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A document a line: whatever was made of the schema, a line it is."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_case(context, case):
    """`?type=` goes with text/plain: a rule between a parameter and the body, which the document can only tell in words."""
    return not (case.media_type == "application/json" and case.query and "type" in case.query)
