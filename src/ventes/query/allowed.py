"""What a typed query may be made of: classes of sqlglot's tree, and names of functions that sqlglot does not know.

Nothing here reads a file, a setting, the environment or another database. What is not here is refused,
so a release of sqlglot or DuckDB that knows more opens nothing.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from sqlglot import exp


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES = _words(
    """
    Add Alias Aliases All Any Between BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor
    Boolean Bracket CTE Column ColumnDef Cube DPipe DataType DataTypeParam Distinct Div Dot EQ Escape Except Filter
    From GT GTE Group GroupingSets Having HexString ILike Identifier IgnoreNulls In IntDiv Intersect Interval
    IntervalSpan Is JSONPath JSONPathKey JSONPathRoot JSONPathSubscript JSONPathWildcard Join Kwarg LT LTE Lambda
    Lateral Like Limit Literal Mod Mul NEQ Neg Not Null NullSafeEQ NullSafeNEQ Offset Order Ordered Paren PropertyEQ
    Qualify RespectNulls Rollup Select Slice Star Sub Subquery Table TableAlias TableSample Tuple Union Values Var
    Where Window WindowSpec With WithinGroup
    """
)
"""Of the tree, beside functions."""

FUNCTIONS = _words(
    """
    Abs Acos Acosh AddMonths And AnyValue ApproxDistinct ApproxQuantile ArgMax ArgMin Array ArrayAgg ArrayAll
    ArrayAny ArrayAppend ArrayCompact ArrayConcat ArrayContains ArrayContainsAll ArrayDistinct ArrayExcept
    ArrayFilter ArrayFirst ArrayInsert ArrayIntersect ArrayLast ArrayMax ArrayMin ArrayOverlaps ArrayPosition
    ArrayPrepend ArrayRemove ArrayReverse ArraySize ArraySlice ArraySort ArraySum ArrayToString ArrayUniqueAgg
    ArraysZip Ascii Asin Asinh Atan Atan2 Atanh Avg BitLength BitwiseAndAgg BitwiseCount BitwiseOrAgg BitwiseXorAgg
    ByteLength Case Cast CastToStrType Cbrt Ceil Chr Coalesce Concat ConcatWs Contains ConvertTimezone Corr Cos Cosh
    Cot Count CountIf CovarPop CovarSamp CumeDist CurrentDate CurrentTimestamp CurrentTimezone Date DateAdd DateDiff
    DateFromParts DateFromUnixDate DateStrToDate DateSub DateToDateStr DateTrunc Day DayOfMonth DayOfWeek
    DayOfWeekIso DayOfYear Dayname Decode DecodeCase Degrees DenseRank Encode EndsWith Exp Explode Extract Factorial
    First FirstValue Flatten Floor FromBase64 GenerateDateArray GenerateSeries GenerateTimestampArray GetIgnoreCase
    Greatest GroupConcat Grouping GroupingId Hex Hour If Initcap IsInf IsNan JSONArray JSONExtract JSONExtractScalar
    JSONFormat JSONKeys JSONObject Kurtosis Lag Last LastDay LastValue Lead Least Left Length Levenshtein List Ln
    Log LogicalAnd LogicalOr Lower MD5 MakeInterval Map MapContainsKey MapFromEntries MapKeys MapSize Max Median Min
    Minute Mode Month Monthname MonthsBetween NextDay NthValue Ntile Nullif Nvl2 Or Pad ParseJSON PercentRank
    PercentileCont PercentileDisc Pi Posexplode Pow Quantile Quarter Radians Rand Rank Reduce RegexpCount
    RegexpExtract RegexpExtractAll RegexpFullMatch RegexpILike RegexpInstr RegexpLike RegexpReplace RegexpSplit
    RegrAvgx RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy Repeat Replace Reverse Right
    Round RowNumber SHA SHA2 SafeDivide Second Sign Sin Sinh Skewness Space Split SplitPart Sqrt StarMap StartsWith
    Stddev StddevPop StddevSamp StrPosition StrToDate StrToTime StrToUnix String StringToArray Struct StructExtract
    Substring Sum Tan Tanh TimeStrToDate TimeStrToTime TimeStrToUnix TimeToStr TimeToUnix TimeTrunc Timestamp
    TimestampAdd TimestampDiff TimestampFromParts TimestampSub TimestampTrunc ToBase64 ToDouble ToMap Transform
    Translate Trim Trunc TryCast TsOrDiToDi TsOrDsAdd TsOrDsDiff TsOrDsToDate TsOrDsToDateStr TsOrDsToTime
    TsOrDsToTimestamp Typeof Unhex Unicode UnixDate UnixMicros UnixMillis UnixSeconds UnixToStr UnixToTime
    UnixToTimeStr Unnest Upper Uuid VarMap Variance VariancePop Week WeekOfYear Xor Year YearOfWeek
    """
)
"""Classes of functions that sqlglot knows."""

NAMES = _words(
    """
    age array_extract array_indexof array_unique array_zip bin bool_and bool_or cardinality century count_star
    datetrunc decade entropy epoch epoch_ms epoch_us even favg format from_hex fsum gcd geomean
    greatest_common_divisor histogram isfinite isoyear jaro_similarity jaro_winkler_similarity json_array_length
    json_extract_string json_valid kahan_sum lcm least_common_multiple lgamma list_aggregate list_any_value
    list_append list_avg list_concat list_contains list_count list_distinct list_element list_extract list_filter
    list_has list_has_all list_has_any list_indexof list_intersect list_max list_median list_min list_position
    list_prepend list_reverse list_slice list_sort list_sum list_transform list_unique list_value list_where
    list_zip mad make_date make_time make_timestamp map_concat map_entries map_extract map_values mean microsecond
    millisecond octet_length ord prefix printf product quantile_cont quantile_disc range regexp_escape
    regexp_matches regexp_split_to_array row_to_json sha1 sha256 signbit str_split str_split_regex strftime
    string_agg string_split string_split_regex strip_accents strlen strptime struct_keys struct_pack suffix
    time_bucket timezone to_days to_hours to_microseconds to_milliseconds to_minutes to_months to_seconds to_weeks
    to_years today try_strptime url_decode url_encode weekday
    """
)
"""Functions of DuckDB that sqlglot does not know."""

IN_FROM = frozenset({"EXPLODE", "GENERATE_SERIES", "POSEXPLODE", "RANGE", "SEQUENCE", "UNNEST"})
"""Functions that may stand in FROM. A name can be another function there: `histogram` is one that reads a table."""

_SOURCES = (exp.Table, exp.Subquery, exp.Lateral, exp.Unnest, exp.Values)
INSIDE: Mapping[type[exp.Expr], type | tuple[type, ...]] = {
    exp.From: _SOURCES,
    exp.Join: _SOURCES,
    exp.Table: (exp.Identifier, exp.Func),
    exp.Lateral: (exp.Subquery, exp.Func),
}
"""What may stand in them."""


@dataclass(frozen=True)
class Lists:
    """The lists above. A test takes one of them away, to see what it alone refuses."""

    nodes: Container[str]
    functions: Container[str]
    names: Container[str]
    in_from: Container[str]
    inside: Mapping[type[exp.Expr], type | tuple[type, ...]]


ALLOWED = Lists(NODES, FUNCTIONS, NAMES, IN_FROM, INSIDE)


def function_name(node: exp.Expr) -> str:
    """The name of a call as a person would know it."""
    return node.name if isinstance(node, exp.Anonymous) else node.sql_name()  # type: ignore[attr-defined]
