"""Which SQL functions give the same answer for the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..stats import Reason
from .refusal import Refusal

PURE: Final[frozenset[str]] = frozenset({
    # aggregates
    "any_value", "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or",
    "corr", "count", "covar_pop", "covar_samp", "every", "group_concat", "json_agg",
    "json_arrayagg", "json_group_array", "json_group_object", "json_object_agg", "json_objectagg",
    "jsonb_agg", "jsonb_object_agg", "max", "median", "min", "mode", "percentile_cont",
    "percentile_disc", "regr_slope", "stddev", "stddev_pop", "stddev_samp", "string_agg",
    "aggregate_strings", "sum", "total", "var_pop", "var_samp", "variance",
    # window functions
    "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile",
    "percent_rank", "rank", "row_number",
    # groups
    "cube", "grouping", "grouping_sets", "rollup",
    # numbers
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "ceiling", "cos", "degrees", "div",
    "exp", "floor", "greatest", "least", "ln", "log", "log10", "log2", "mod", "pi", "pow",
    "power", "radians", "round", "sign", "sin", "sqrt", "tan", "trunc", "truncate",
    # texts and bytes
    "ascii", "btrim", "char_length", "character_length", "chr", "concat", "concat_ws", "hex",
    "initcap", "instr", "left", "length", "lower", "lpad", "ltrim", "md5", "octet_length",
    "overlay", "position", "regexp_replace", "repeat", "replace", "reverse", "right", "rpad",
    "rtrim", "split_part", "strpos", "substr", "substring", "translate", "trim", "unhex",
    "unicode", "upper",
    # whatever the type
    "any", "all", "some", "coalesce", "ifnull", "nullif", "nvl", "typeof",
    # JSON and arrays
    "array_length", "array_position", "array_to_string", "cardinality", "json_array_length",
    "json_extract", "json_extract_path", "json_extract_path_text", "json_type", "json_valid",
    "jsonb_array_length", "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_typeof",
})  # fmt: skip
"""Functions of the databases that depend on their arguments and on nothing else."""

_CLOCK: Final = "reads the clock: give it the time as a parameter"
_RANDOM: Final = "answers differently each time"
_WHO: Final = "depends on who asks"
_SEQUENCE: Final = "takes or reads the state of a sequence"
_SESSION: Final = "depends on the state of the connection"

IMPURE: Final[Mapping[str, str]] = {
    **dict.fromkeys([
        "age", "clock_timestamp", "curdate", "current_date", "current_time", "current_timestamp",
        "curtime", "date", "datetime", "getdate", "getutcdate", "julianday", "localtime",
        "localtimestamp", "now", "statement_timestamp", "strftime", "sysdate", "sysdatetime",
        "systimestamp", "time", "timediff", "timeofday", "transaction_timestamp",
        "unix_timestamp", "unixepoch", "utc_date", "utc_time", "utc_timestamp",
    ], _CLOCK),
    **dict.fromkeys([
        "gen_random_bytes", "gen_random_uuid", "newid", "rand", "random", "randomblob",
        "sys_guid", "uuid", "uuid_generate_v1", "uuid_generate_v4", "uuid_short", "uuidv4",
        "uuidv7",
    ], _RANDOM),
    **dict.fromkeys([
        "current_role", "current_user", "session_user", "system_user", "user",
    ], _WHO),
    **dict.fromkeys([
        "currval", "lastval", "next_value", "nextval", "setval",
    ], _SEQUENCE),
    **dict.fromkeys([
        "changes", "connection_id", "current_catalog", "current_database", "current_schema",
        "current_setting", "database", "found_rows", "last_insert_id", "last_insert_rowid",
        "pg_backend_pid", "row_count", "schema", "set_config", "total_changes", "txid_current",
        "version",
    ], _SESSION),
}  # fmt: skip
"""Functions that are met often and never cached, each with the reason."""


def impurity(name: str) -> Refusal | None:
    """Why a result that a function takes part in can't be cached, None if it can."""
    known = IMPURE.get(name.lower())
    if known is not None:
        return Refusal(f"{name}() {known}", Reason.NOT_REPEATABLE)
    if name.lower() in PURE:
        return None
    return Refusal(
        f"{name}() is not known to depend on its arguments alone;"
        " call it on what the query returns, in Python",
        Reason.UNKNOWN_FUNCTION,
    )
