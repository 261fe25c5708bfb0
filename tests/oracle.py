"""Writes pricing cases with the expected results of the Python package genai-prices.

    python oracle.py OUT_DIR [COUNT [PRICES_JSON]]

OUT_DIR/prices.json contains the provider data that the results are based on, in the v2 format that the Rust
crate genai-prices reads: the file PRICES_JSON if it is given, or the data of the installed package.
OUT_DIR/cases.jsonl contains at least COUNT cases, with one JSON object per line.

Requires `pip install genai-prices==0.1.4`. The output depends only on the arguments.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import genai_prices
from genai_prices import data_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ArrayMatch,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
    UsageExtractor,
    _providers_from_raw,
)
from genai_prices.units import UnitRegistry

PACKAGE_VERSION = "0.1.4"
SEED = 20261122
DEFAULT_COUNT = 12_000
MIN_PER_PAIR = 80
LARGEST = 3_000_000
FIRST_INSTANT = datetime(2025, 6, 1, tzinfo=timezone.utc)
LAST_INSTANT = datetime(2026, 11, 20, 23, 59, 59, tzinfo=timezone.utc)

# The rates at which cases break a rule. Many extractors have no field that could exceed a total, so the rate
# for the other ones is higher than the 3% intended overall.
INCONSISTENT = 0.035
REQUIRED_MISSING = 0.02
UNKNOWN_MODEL = 0.01

REGISTRY = UnitRegistry(unit_data)
Json = dict[Any, Any]


# --- The provider data ---------------------------------------------------------------------------------


def to_v2(value: Any) -> Any:
    """Converts the package's data classes, whose fields have the names of the v2 format, to v2 JSON."""
    if isinstance(value, ModelPrice):
        return {key: to_v2(price) for key, price in vars(value).items() if price is not None}
    if dataclasses.is_dataclass(value):
        # `or_` and `and_` end in an underscore because the words are reserved in Python.
        return {
            field.name.rstrip("_"): to_v2(item)
            for field in dataclasses.fields(value)
            if field.init and (item := getattr(value, field.name)) is not None
        }
    if isinstance(value, (list, tuple)):
        return [to_v2(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    return value


def provider_data(prices_json: Path | None) -> tuple[list[Provider], bytes]:
    """Returns the providers, and their v2 JSON."""
    if prices_json is not None:
        raw = prices_json.read_bytes()
        return _providers_from_raw(json.loads(raw)), raw
    providers = data_snapshot.get_snapshot().providers
    raw = json.dumps(to_v2(providers), separators=(",", ":")).encode()
    # Reads the JSON back to check that nothing is lost, such as precision of the prices.
    if _providers_from_raw(json.loads(raw)) != providers:
        raise SystemExit("prices.json does not round-trip to the package's data")
    return providers, raw


# --- Extractors ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """A path step to the first object in an array whose `field` equals `text`."""

    field: str
    text: str


Step = str | Item


@dataclass(frozen=True)
class Leaf:
    """A number that an extractor reads, with one or more mappings."""

    path: tuple[Step, ...]
    dests: frozenset[str]
    required: bool
    # Pairs of an ancestor usage key and the dimensions that this leaf adds to it. The leaf is a part of the
    # ancestor and must not exceed it. Ancestors that the leaf is itself mapped to are excluded, because they
    # grow with it. Parts along different dimensions overlap (cached tokens are also text or audio tokens).
    # Parts along the same dimensions do not.
    bounds: tuple[tuple[str, frozenset[str]], ...]


def literal(clause: Any) -> str | None:
    """Returns a text that a match clause accepts, if one is known."""
    if isinstance(clause, ClauseEquals):
        return clause.equals
    if isinstance(clause, ClauseStartsWith):
        return clause.starts_with
    if isinstance(clause, ClauseEndsWith):
        return clause.ends_with
    if isinstance(clause, ClauseContains):
        return clause.contains
    if isinstance(clause, ClauseOr):
        return next((text for inner in clause.or_ if (text := literal(inner))), None)
    return None


def steps(path: Any) -> tuple[Step, ...]:
    parts = [path] if isinstance(path, str) else path
    return tuple(
        Item(part.field, literal(part.match) or "") if isinstance(part, ArrayMatch) else part for part in parts
    )


def dimensions(usage_key: str) -> set[str]:
    return set(REGISTRY.units[usage_key].dimensions)


def leaves_of(extractor: UsageExtractor) -> list[Leaf]:
    """Returns the numbers that an extractor reads, each after all numbers that bound it."""
    dests: dict[tuple[Step, ...], set[str]] = defaultdict(set)
    required: dict[tuple[Step, ...], bool] = defaultdict(bool)
    for mapping in extractor.mappings:
        path = steps(mapping.path)
        dests[path].add(mapping.dest)
        required[path] |= mapping.required
    known = set().union(*dests.values())

    leaves: list[Leaf] = []
    for path, own in dests.items():
        bounds = {
            (ancestor, frozenset(dimensions(dest) - dimensions(ancestor)))
            for dest in own
            for ancestor in (REGISTRY.ancestor_usage_keys(dest) & known) - own
        }
        leaves.append(Leaf(path, frozenset(own), required[path], tuple(bounds)))
    # At the same level, leaves with the most specific key come first, because they have the least room.
    return sorted(
        leaves,
        key=lambda leaf: (
            min(len(dimensions(dest)) for dest in leaf.dests),
            -max(len(dimensions(dest)) for dest in leaf.dests),
        ),
    )


# --- Models --------------------------------------------------------------------------------------------


def price_sets(model: ModelInfo) -> list[ModelPrice]:
    return [model.prices] if isinstance(model.prices, ModelPrice) else [item.prices for item in model.prices]


def tier_starts(model: ModelInfo) -> list[int]:
    prices = [price for prices in price_sets(model) for price in vars(prices).values()]
    return sorted({tier.start for price in prices if isinstance(price, TieredPrices) for tier in price.tiers})


class Models:
    """The models of a provider and its fallback providers, with a reference that finds each model."""

    def __init__(self, provider: Provider, providers: list[Provider]) -> None:
        sources = [provider] + [p for p in providers if p.id in (provider.fallback_model_providers or [])]
        self.all: list[tuple[str, ModelInfo]] = []
        # Groups models by the structure of their prices, so that rare structures are picked often.
        kinds: dict[tuple[Any, ...], list[tuple[str, ModelInfo]]] = defaultdict(list)
        for model in (model for source in sources for model in source.models):
            for ref in (model.id, literal(model.match)):
                if ref and provider.find_model(ref, all_providers=providers) is model:
                    keys = tuple(sorted({key for prices in price_sets(model) for key in vars(prices)}))
                    kind = (keys, bool(tier_starts(model)), isinstance(model.prices, ModelPrice))
                    self.all.append((ref, model))
                    kinds[kind].append((ref, model))
                    break
        self.kinds = list(kinds.values())

    def pick(self, rng: Random) -> tuple[str, ModelInfo]:
        return rng.choice(rng.choice(self.kinds) if rng.random() < 0.5 else self.all)


def pick_instant(rng: Random, model: ModelInfo) -> datetime:
    constraints = [] if isinstance(model.prices, ModelPrice) else [item.constraint for item in model.prices]
    edges: list[datetime] = []
    seconds = int((LAST_INSTANT - FIRST_INSTANT).total_seconds())
    instant = FIRST_INSTANT + timedelta(seconds=rng.randint(0, seconds))
    for constraint in constraints:
        if isinstance(constraint, StartDateConstraint):
            edges.append(datetime.combine(constraint.start_date, time(), timezone.utc))
        elif isinstance(constraint, TimeOfDateConstraint):
            edges += [datetime.combine(instant.date(), at) for at in (constraint.start_time, constraint.end_time)]
    if edges and rng.random() < 0.4:
        edge = rng.choice(edges).astimezone(timezone.utc) - timedelta(seconds=rng.randint(0, 1))
        if FIRST_INSTANT <= edge <= LAST_INSTANT:
            return edge
    return instant


# --- Values --------------------------------------------------------------------------------------------


def pick_size(rng: Random, leaf: Leaf, starts: list[int]) -> int:
    """Returns a size for an unbounded leaf."""
    if any(REGISTRY.units[dest].dimensions["family"] != "tokens" for dest in leaf.dests):
        return rng.choice([0, 0, 1, 2, rng.randint(3, 40)])
    if starts and "input_tokens" in leaf.dests and rng.random() < 0.3:
        return max(0, rng.choice(starts) + rng.randint(-1, 1))
    roll = rng.random()
    if roll < 0.08:
        return 0
    if roll < 0.12:
        return 1
    if roll < 0.30:
        return rng.randint(2, 99)
    if roll < 0.75:
        return rng.randint(100, 20_000)
    if roll < 0.88:
        return rng.randint(20_000, 300_000)
    return rng.choice([LARGEST, rng.randint(300_000, LARGEST)])


def pick_values(rng: Random, leaves: list[Leaf], starts: list[int]) -> dict[tuple[Step, ...], int]:
    """Returns a size for each leaf, with no part larger than its whole."""
    values: dict[tuple[Step, ...], int] = {}
    usage: dict[str, int] = defaultdict(int)
    taken: dict[tuple[str, frozenset[str]], int] = defaultdict(int)
    for leaf in leaves:
        if leaf.bounds:
            room = max(0, min(usage[bound[0]] - taken[bound] for bound in leaf.bounds))
            value = rng.choice([0, room, rng.randint(0, room), rng.randint(0, room), rng.randint(0, room)])
        else:
            value = pick_size(rng, leaf, starts)
        values[leaf.path] = value
        for dest in leaf.dests:
            usage[dest] += value
        for bound in leaf.bounds:
            taken[bound] += value
    return values


def break_bound(rng: Random, leaves: list[Leaf], values: dict[tuple[Step, ...], int]) -> bool:
    """Makes one part larger than its whole. Returns False if the extractor does not read parts."""
    bounded = [leaf for leaf in leaves if leaf.bounds]
    if not bounded:
        return False
    part = rng.choice(bounded)
    # The most specific ancestor is the smallest one.
    ancestor = max((ancestor for ancestor, _ in part.bounds), key=lambda key: (len(dimensions(key)), key))
    whole = sum(values[leaf.path] for leaf in leaves if ancestor in leaf.dests)
    values[part.path] = whole + rng.choice([1, rng.randint(2, 500)])
    return True


# --- Bodies --------------------------------------------------------------------------------------------


class Gone:
    """Marks a field that is left out."""


GONE = Gone()


def pick_presence(rng: Random, sparse: bool, required: bool, value: Any, empty: Any) -> Any:
    """Returns `value`. In sparse bodies, sometimes returns GONE, None, or `empty` (if it is not None) instead."""
    if required or not sparse or rng.random() < 0.75:
        return value
    return rng.choice([GONE, GONE, None] if empty is None else [GONE, None, empty])


def build(rng: Random, leaves: list[Leaf], values: dict[tuple[Step, ...], int], depth: int, sparse: bool) -> Json:
    """Returns the object with the given leaves, whose paths share the first `depth` steps."""
    result: Json = {}
    groups: dict[Step, list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        groups[leaf.path[depth]].append(leaf)
    for key, group in groups.items():
        required = any(leaf.required for leaf in group)
        value: Any
        if len(group[0].path) == depth + 1:
            value = pick_presence(rng, sparse, required, values[group[0].path], None)
        elif isinstance(group[0].path[depth + 1], Item):
            value = pick_presence(rng, sparse, required, build_array(rng, group, values, depth + 1, sparse), [])
        else:
            value = pick_presence(rng, sparse, required, build(rng, group, values, depth + 1, sparse), {})
        if value is not GONE:
            result[key] = value
    return result


def build_array(
    rng: Random, leaves: list[Leaf], values: dict[tuple[Step, ...], int], depth: int, sparse: bool
) -> list[Any]:
    groups: dict[Item, list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        step = leaf.path[depth]
        assert isinstance(step, Item)
        groups[step].append(leaf)
    items: list[Any] = []
    for item, group in groups.items():
        # Services often omit items with zero counts.
        if not any(values[leaf.path] for leaf in group) and rng.random() < 0.7:
            continue
        # Matching ignores case.
        text = item.text.capitalize() if sparse and rng.random() < 0.05 else item.text
        items.append({item.field: text, **build(rng, group, values, depth + 1, sparse)})
    if sparse and items:
        if rng.random() < 0.3:
            rng.shuffle(items)
        if rng.random() < 0.1:
            field = next(iter(groups)).field
            items.insert(rng.randint(0, len(items)), rng.choice([{field: "MODALITY_UNSPECIFIED"}, {}, None]))
        if rng.random() < 0.05:
            # Adds a duplicate with different counts. Only the first item is read.
            again = rng.choice([entry for entry in items if entry])
            items.append({key: value + 1 if isinstance(value, int) else value for key, value in again.items()})
    return items


def put(body: Json, path: Iterable[Step], value: Any) -> None:
    """Sets the value at a path of keys."""
    *parents, last = path
    for key in parents:
        body = body.setdefault(key, {})
    body[last] = value


def number(obj: Any, *path: str) -> int:
    """Returns the number at a path, or zero if there is none."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj if isinstance(obj, int) else 0


def total_tokens(provider: str, flavor: str, usage: Json) -> int:
    """Returns the `total_tokens` of a chat completion by the provider's convention."""
    total = number(usage, "prompt_tokens") + number(usage, "completion_tokens")
    if (provider, flavor) == ("x-ai", "chat"):
        total += number(usage, "completion_tokens_details", "reasoning_tokens")
    elif (provider, flavor) == ("x-ai", "default"):
        # Also counts reasoning in addition to the completion, but reports it next to the other counts.
        total += number(usage, "reasoning_tokens")
    return total


def add_siblings(rng: Random, provider: str, flavor: str, body: Json, usage: Json, leaves: list[Leaf]) -> None:
    """Adds the fields that services send in addition to those that the extractor reads."""
    read = {leaf.path[:length] for leaf in leaves for length in range(1, len(leaf.path) + 1)}
    top = {path[0] for path in read}

    def add(*path: str, value: Any) -> None:
        """Adds a field to `usage`, unless the extractor reads it or its parent is left empty on purpose."""
        obj: Any = usage
        for depth, key in enumerate(path[:-1], 1):
            if key not in obj and path[:depth] not in read:
                obj[key] = {}
            obj = obj.get(key)
            if not isinstance(obj, dict) or (not obj and path[:depth] in read):
                return
        if path not in read:
            obj.setdefault(path[-1], value)

    ident = f"{rng.getrandbits(64):016x}"
    created = rng.randint(1_750_000_000, 1_790_000_000)
    extras = rng.random() < 0.7

    if "promptTokenCount" in top:
        counts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
        add("totalTokenCount", value=sum(number(usage, count) for count in counts))
        add("trafficType", value="ON_DEMAND")
        finish = rng.choice(["STOP", "MAX_TOKENS", "SAFETY"])
        body.update(responseId=ident, candidates=[{"index": 0, "finishReason": finish}])
    elif "inputTokens" in top:
        add("totalTokens", value=sum(number(usage, leaf.path[0]) for leaf in leaves if isinstance(leaf.path[0], str)))
        body.update(stopReason=rng.choice(["end_turn", "max_tokens"]), metrics={"latencyMs": rng.randint(1, 60_000)})
    elif "cache_creation_input_tokens" in top:
        if extras:
            add("service_tier", value="standard")
            add("cache_creation", "ephemeral_5m_input_tokens", value=number(usage, "cache_creation_input_tokens"))
            add("cache_creation", "ephemeral_1h_input_tokens", value=0)
            add("server_tool_use", "web_search_requests", value=0)
            add("server_tool_use", "web_fetch_requests", value=0)
        stop = rng.choice(["end_turn", "max_tokens", "tool_use"])
        body.update(id=f"msg_{ident}", type="message", role="assistant", stop_reason=stop, stop_sequence=None)
    elif "completion_tokens" in top:
        add("total_tokens", value=total_tokens(provider, flavor, usage))
        if extras:
            completion = number(usage, "completion_tokens")
            add("prompt_tokens_details", "audio_tokens", value=0)
            add("prompt_tokens_details", "text_tokens", value=number(usage, "prompt_tokens"))
            # Except for services that do not include reasoning in the completion tokens.
            if provider != "x-ai" and "reasoning_tokens" not in top:
                add("completion_tokens_details", "reasoning_tokens", value=rng.randint(0, completion))
            add("completion_tokens_details", "accepted_prediction_tokens", value=rng.randint(0, completion))
            add("completion_tokens_details", "rejected_prediction_tokens", value=0)
            if provider == "deepseek":
                cached = number(usage, "prompt_tokens_details", "cached_tokens")
                add("prompt_cache_hit_tokens", value=cached)
                add("prompt_cache_miss_tokens", value=max(0, number(usage, "prompt_tokens") - cached))
            elif provider == "openrouter":
                add("cost", value=0.00125)
                add("is_byok", value=False)
            elif provider == "x-ai":
                add("num_sources_used", value=0)
            elif provider == "perplexity":
                add("search_context_size", value="low")
            body["service_tier"] = rng.choice(["default", "auto", "flex", None])
            body["system_fingerprint"] = rng.choice([None, f"fp_{ident[:10]}"])
        finish = rng.choice(["stop", "length", "tool_calls", "content_filter"])
        choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": finish}
        body.update(id=f"chatcmpl-{ident}", object="chat.completion", created=created, choices=[choice])
    elif "prompt_tokens" in top:
        add("total_tokens", value=number(usage, "prompt_tokens"))
        body.update(object="list", data=[{"object": "embedding", "index": 0, "embedding": []}])
    elif provider == "cohere":
        if flavor == "default":
            tokens = {
                "input_tokens": number(usage, "input_tokens") + 60,
                "output_tokens": number(usage, "output_tokens"),
            }
            body["usage"].setdefault("tokens", tokens)
        elif flavor == "tokens":
            add("billed_units", "input_tokens", value=number(usage, "tokens", "input_tokens"))
            add("billed_units", "output_tokens", value=number(usage, "tokens", "output_tokens"))
        body.update(id=ident, finish_reason=rng.choice(["COMPLETE", "MAX_TOKENS"]))
    elif "input_tokens" in top:
        add("total_tokens", value=number(usage, "input_tokens") + number(usage, "output_tokens"))
        if flavor == "realtime":
            body.update(type="response.done", event_id=f"event_{ident}")
            if "response" in body:
                body["response"].update(id=f"resp_{ident}", object="realtime.response", status="completed")
        elif flavor == "images":
            body.update(created=created, data=[{"b64_json": ""}])
        else:
            if extras:
                add("output_tokens_details", "reasoning_tokens", value=rng.randint(0, number(usage, "output_tokens")))
                body["service_tier"] = rng.choice(["default", "auto", "flex", None])
            status = rng.choice(["completed", "incomplete"])
            body.update(id=f"resp_{ident}", object="response", created_at=created, status=status, error=None)


def drop_required(rng: Random, extractor: UsageExtractor, leaves: list[Leaf], body: Json, usage: Json) -> None:
    """Removes a field that is required to extract usage."""
    root = steps(extractor.root)
    choices: list[tuple[Json, tuple[Step, ...]]] = [(body, root), (body, root[:1])]
    choices += [(usage, leaf.path) for leaf in leaves if leaf.required] * 2
    obj, (*parents, last) = rng.choice(choices)
    for key in parents:
        obj = obj[key]
    if rng.random() < 0.5:
        obj[last] = None
    else:
        del obj[last]


def make_body(
    rng: Random, provider: str, extractor: UsageExtractor, leaves: list[Leaf], model_ref: str, starts: list[int]
) -> Json:
    values = pick_values(rng, leaves, starts)
    inconsistent = rng.random() < INCONSISTENT and break_bound(rng, leaves, values)
    # A sparse body could lack the field that makes it inconsistent.
    sparse = not inconsistent and rng.random() < 0.5
    usage = build(rng, leaves, values, 0, sparse)
    body: Json = {}
    put(body, steps(extractor.root), usage)
    put(body, steps(extractor.model_path), model_ref)
    add_siblings(rng, provider, extractor.api_flavor, body, usage, leaves)
    if not inconsistent and rng.random() < REQUIRED_MISSING:
        drop_required(rng, extractor, leaves, body, usage)
    items = list(body.items())
    rng.shuffle(items)
    return dict(items)


# --- Cases ---------------------------------------------------------------------------------------------


def plain(value: Decimal) -> str:
    """Formats a decimal without an exponent, which not every parser accepts."""
    return format(value, "f")


def make_case(rng: Random, provider: Provider, extractor: UsageExtractor, leaves: list[Leaf], models: Models) -> Json:
    model_ref, model = models.pick(rng)
    instant = pick_instant(rng, model)
    roll = rng.random()
    if roll < UNKNOWN_MODEL:
        model_ref = "unlisted-model"
    elif roll < UNKNOWN_MODEL + 0.02:
        model_ref = model_ref.upper()
    body = make_body(rng, provider.id, extractor, leaves, model_ref, tier_starts(model))
    case: Json = {
        "provider": provider.id,
        "flavor": extractor.api_flavor,
        "body": body,
        "timestamp": instant.isoformat().replace("+00:00", "Z"),
        "model": model_ref,
        "usage": None,
        "price": None,
        "extract_error": None,
        "price_error": None,
    }
    try:
        # The package's top-level `extract_usage` would also fail for unknown models.
        found_ref, usage = provider.extract_usage(body, api_flavor=extractor.api_flavor)
    except ValueError as error:
        case["extract_error"] = str(error)
        return case
    if found_ref != model_ref:
        raise AssertionError(f"{provider.id}:{extractor.api_flavor} read the model {found_ref!r}, expected {model_ref!r}")
    # Reads only stored values. Accessing a missing value as an attribute would infer it.
    case["usage"] = {key: value for key, value in vars(usage).items() if value is not None}
    try:
        price = genai_prices.calc_price(usage, model_ref, provider_id=provider.id, genai_request_timestamp=instant)
    except (ValueError, LookupError) as error:
        case["price_error"] = str(error)
        return case
    case["price"] = {
        "total": plain(price.total_price),
        "input": plain(price.input_price),
        "output": plain(price.output_price),
    }
    return case


def make_cases(providers: list[Provider], count: int) -> Iterator[Json]:
    rng = Random(SEED)
    pairs = [(provider, extractor) for provider in providers for extractor in provider.extractors or []]
    for provider, extractor in pairs:
        models = Models(provider, providers)
        leaves = leaves_of(extractor)
        for _ in range(max(MIN_PER_PAIR, math.ceil(count / len(pairs)))):
            yield make_case(rng, provider, extractor, leaves, models)


def main(args: list[str]) -> None:
    if not 1 <= len(args) <= 3:
        raise SystemExit(__doc__)
    if genai_prices.__version__ != PACKAGE_VERSION:
        raise SystemExit(f"requires genai-prices {PACKAGE_VERSION}, found {genai_prices.__version__}")
    out_dir = Path(args[0])
    count = int(args[1]) if len(args) > 1 else DEFAULT_COUNT
    providers, raw = provider_data(Path(args[2]) if len(args) > 2 else None)
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers, from_auto_update=False))

    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "prices.json").write_bytes(raw)
    written = 0
    with (out_dir / "cases.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for case in make_cases(providers, count):
            file.write(json.dumps(case, separators=(",", ":")) + "\n")
            written += 1
    print(f"{written} cases")


if __name__ == "__main__":
    main(sys.argv[1:])
