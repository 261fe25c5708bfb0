#!/usr/bin/env python3
"""Writes the corpus for the tests of screening: secrets and personal data, and ids that must stay as they are.

    python3 tests/screening_corpus.py > tests/registry/screening_corpus.jsonl

Each line is a JSON object with `kind` (a kind of screening, or `id`), `form` (the provider or format), `text` (the value of
a tag), and, except for ids, `part` (what must not remain of the text).

Everything is random. No key was ever issued, no card or account exists, and the people have random names. Scanners of
repositories may report the keys, because they have the form of real ones. The file is reproducible: the generator has a
fixed seed and its own random numbers, so that it does not depend on the version of Python.
"""

import base64
import hashlib
import json
import sys
import zlib

DIGITS = "0123456789"
LOWER = "abcdefghijklmnopqrstuvwxyz"
UPPER = LOWER.upper()
LETTERS = LOWER + UPPER
BASE62 = DIGITS + LETTERS
URL = BASE62 + "-_"
HEX = DIGITS + "abcdef"
BASE32 = UPPER + "234567"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Random:
    """SHA-256 in counter mode."""

    def __init__(self, seed):
        self.seed = seed
        self.counter = 0
        self.buffer = b""

    def bits(self, count):
        size = (count + 7) // 8
        while len(self.buffer) < size:
            self.buffer += hashlib.sha256(f"{self.seed}:{self.counter}".encode()).digest()
            self.counter += 1
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return int.from_bytes(taken, "big") >> (size * 8 - count)

    def below(self, limit):
        return self.bits(64) % limit

    def between(self, first, last):
        return first + self.below(last - first + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def text(self, alphabet, length):
        return "".join(self.pick(alphabet) for _ in range(length))

    def bytes(self, length):
        return bytes(self.below(256) for _ in range(length))


R = Random("tower-tagging screening 1")
text, pick, between = R.text, R.pick, R.between

FIRST = """ada grace alan edsger barbara linus margaret dennis radia ken frances john jean kathleen tim vint mary hedy anita
yukihiro guido bjarne james brian niklaus maría josé zoë björn jürgen søren łukasz chloé nguyen priya wei olu fatima""".split()
LAST = """lovelace hopper turing dijkstra liskov torvalds hamilton ritchie perlman thompson allen backus sammet booth cerf shaw
lamarr borg matsumoto stroustrup gosling kernighan wirth garcía núñez müller schröder jørgensen kowalski dubois tran sharma
okafor""".split()
WORDS = """growth billing search checkout support invoice summary pipeline agent chat embed rerank batch nightly canary export
report ingest vision audio draft review triage router gateway worker cache index planner critic translate classify onboarding
retention mobile web desktop partner internal beta stable legacy core edge data ops sales legal research finance""".split()
ADJECTIVES = "quick brave calm eager fuzzy gentle happy jolly kind lively mighty noble proud quiet rapid shiny".split()
DOMAINS = """example.com example.org example.net mail.example.com corp.example.co.uk example.de example.io acme.example.fr
example.com.br example.co.jp sub.domain.example.museum bücher.example.de xn--bcher-kva.example.com 例え.テスト почта.рф
example.technology""".split()
ASCII_DOMAINS = [domain for domain in DOMAINS if domain.isascii()]


# Secrets


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt():
    header = {"alg": pick(["HS256", "RS256", "ES256", "EdDSA"]), "typ": "JWT"}
    if between(0, 1):
        header["kid"] = text(BASE62, between(6, 24))
    claims = {"sub": text(DIGITS, 10), "iss": f"https://login.{pick(ASCII_DOMAINS)}", "exp": between(1700000000, 1900000000)}
    compact = lambda value: b64url(json.dumps(value, separators=pick([(",", ":"), (", ", ": ")])).encode())
    return f"{compact(header)}.{compact(claims)}.{b64url(R.bytes(pick([32, 64, 256])))}"


def own_key():
    prefix = pick(["tt", "gw", "acme-live", "team1", "sk"])
    secret = text(BASE62, 43) if between(0, 3) else text(HEX, 64)
    content = f"{prefix}_{text(BASE62, 12)}_{secret}"
    return f"{content}_{zlib.crc32(content.encode()):08x}"


def password():
    word = pick(["hunter", "Tr0ub4dor", "correcthorse", "Winter", "passw0rd", "letmein", "qwerty", "Ber1in"])
    return pick([
        f"{word}{between(1, 9999)}", f"{word}!{between(1, 99)}", text(BASE62, between(8, 24)), text(BASE62 + "!#$^*+", 14) + "9z",
        f"{pick(WORDS)}-{pick(WORDS)}-{pick(WORDS)}-{between(10, 99)}",
    ])


def pem():
    label = pick(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
    newline = pick(["\n", "\\n", " "])
    body = b64(R.bytes(between(90, 240)))
    lines = newline.join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {label}-----{newline}{lines}{newline}-----END {label}-----", lines


def service_account_key():
    whole, lines = pem()
    return json.dumps({"type": "service_account", "private_key": whole}), json.dumps(lines)[1:-1]


PLAIN_KEYS = {
    "openai": lambda: "sk-" + text(BASE62, 20) + "T3BlbkFJ" + text(BASE62, 20),
    "openai_project": lambda: "sk-proj-" + text(URL, 74) + "T3BlbkFJ" + text(URL, 74),
    "openai_project_short": lambda: "sk-proj-" + text(BASE62, 48),
    "openai_service_account": lambda: "sk-svcacct-" + text(URL, 74) + "T3BlbkFJ" + text(URL, 40),
    "openai_admin": lambda: "sk-admin-" + text(URL, 74),
    "anthropic": lambda: "sk-ant-api03-" + text(URL, 93) + "AA",
    "anthropic_admin": lambda: "sk-ant-admin01-" + text(URL, 93) + "AA",
    "google": lambda: "AIza" + text(URL, 35),
    "google_oauth": lambda: "ya29." + text(URL, between(60, 140)),
    "google_client_secret": lambda: "GOCSPX-" + text(URL, 28),
    "aws_access_key": lambda: pick(["AKIA", "ASIA"]) + text(BASE32, 16),
    "aws_bedrock": lambda: "ABSK" + b64(R.bytes(99)),
    "aws_secret": lambda: text(BASE62 + "+/", 40),
    "azure_openai": lambda: text(BASE62, 52) + "JQQJ99" + text(BASE62, 26),
    "azure_client_secret": lambda: text(BASE62, 3) + "8Q~" + text(URL + "~.", 33) + "a",
    "github": lambda: pick(["ghp_", "gho_", "ghs_", "ghu_", "ghr_"]) + text(BASE62, 36),
    "github_fine_grained": lambda: "github_pat_" + text(BASE62, 22) + "_" + text(BASE62, 59),
    "gitlab": lambda: "glpat-" + text(URL, 20),
    "slack": lambda: pick(["xoxb-", "xoxp-"]) + text(DIGITS, 12) + "-" + text(DIGITS, 13) + "-" + text(BASE62, 24),
    "stripe": lambda: pick(["sk_live_", "rk_live_", "sk_test_"]) + text(BASE62, pick([24, 99])),
    "stripe_webhook": lambda: "whsec_" + text(BASE62, 32),
    "hugging_face": lambda: "hf_" + text(LETTERS, 34),
    "groq": lambda: "gsk_" + text(BASE62, 52),
    "xai": lambda: "xai-" + text(BASE62, 80),
    "perplexity": lambda: "pplx-" + text(BASE62, 48),
    "replicate": lambda: "r8_" + text(BASE62, 37),
    "openrouter": lambda: "sk-or-v1-" + text(HEX, 64),
    "deepseek": lambda: "sk-" + text(HEX, 32),
    "litellm": lambda: "sk-" + text(URL, 22),
    "langfuse": lambda: "sk-lf-" + uuid4(),
    "langsmith": lambda: "lsv2_pt_" + text(HEX, 32) + "_" + text(HEX, 10),
    "nvidia": lambda: "nvapi-" + text(URL, 64),
    "tavily": lambda: "tvly-" + text(BASE62, 32),
    "pinecone": lambda: "pcsk_" + text(BASE62, 6) + "_" + text(BASE62, 63),
    "fireworks": lambda: "fw_" + text(BASE62, 24),
    "cerebras": lambda: "csk-" + text(BASE62, 48),
    "voyage": lambda: "pa-" + text(URL, 43),
    "twilio": lambda: "SK" + text(HEX, 32),
    "sendgrid": lambda: "SG." + text(URL, 22) + "." + text(URL, 43),
    "npm": lambda: "npm_" + text(BASE62, 36),
    "pypi": lambda: "pypi-AgEIcHlwaS5vcmc" + text(URL, 150),
    "databricks": lambda: "dapi" + text(HEX, 32),
    "telegram": lambda: str(between(10**8, 10**10 - 1)) + ":AA" + text(URL, 33),
    "discord": lambda: pick("MNO") + text(BASE62, 23) + "." + text(URL, 6) + "." + text(URL, 27),
    "digitalocean": lambda: "dop_v1_" + text(HEX, 64),
    "docker": lambda: "dckr_pat_" + text(URL, 27),
    "linear": lambda: "lin_api_" + text(BASE62, 40),
    "notion": lambda: pick(["secret_" + text(BASE62, 43), "ntn_" + text(BASE62, 46)]),
    "grafana": lambda: "glsa_" + text(BASE62, 32) + "_" + text(HEX, 8),
    "shopify": lambda: "shpat_" + text(HEX, 32),
    "new_relic": lambda: "NRAK-" + text(UPPER + DIGITS, 27),
    "vault": lambda: "hvs." + text(URL, 90),
    "supabase": lambda: "sbp_" + text(HEX, 40),
    "own": own_key,
    "jwt": jwt,
}

# Keys without a mark, which only their name gives away.
NAMED_KEYS = {
    "azure_key": lambda: text(HEX, 32),
    "cohere": lambda: text(BASE62, 40),
    "mistral": lambda: text(BASE62, 32),
    "uuid_key": lambda: uuid4(),
    "base64_key": lambda: b64(R.bytes(32)),
}


def in_context(secret):
    """Returns the value of a tag that contains a secret."""
    word = pick(WORDS)
    return pick([
        secret, secret, secret, f"{word} {secret}", f"key={secret}", f"{word}:{secret}", f"'{secret}'", f"{word}, {secret}, {word}",
        f"Incorrect API key provided: {secret}.", f"Bearer {secret}", f"/v1/{word}?key={secret}&page=2", json.dumps({word: secret}),
        f"invalid x-api-key {secret} for tenant {word}", f"<{secret}>", f"{word}|{secret}", f"({secret})",
    ])


def named(secret):
    name = pick(["api_key", "API_KEY", "apiKey", "x-api-key", "AZURE_OPENAI_API_KEY", "client_secret", "secret", "access_key"])
    return pick([
        f"{name}={secret}", f"{name}: {secret}", json.dumps({name: secret}), f"export {name}={secret}", f"{name} = '{secret}'",
        f"?{name}={secret}&x=1", f"error: {name}={secret} was rejected", f"--api-key {secret}", f'{name}:"{secret}"',
    ])


def passwords():
    secret = password()
    name = pick(["password", "PASSWORD", "passwd", "pwd", "DB_PASSWORD", "userPassword", "passphrase"])
    return pick([
        f"{name}={secret}", f"{name}: {secret}", json.dumps({"user": pick(FIRST), name: secret}), f"login failed: {name}={secret}",
        f"Server=db;Uid=app;Pwd={secret};", f"--password {secret}", f"user={pick(FIRST)}&{name}={secret}", f"my password is {secret}",
    ]), secret


def bearers():
    secret = pick([lambda: text(BASE62, between(20, 48)), lambda: text(HEX, 40), lambda: text(URL, 43) + "7a"])()
    return pick([f"Bearer {secret}", f"Authorization: Bearer {secret}", f"bearer {secret}", f"got 401 with Bearer {secret}"]), secret


def basics():
    secret = b64(f"{pick(FIRST)}:{password()}".encode())
    return pick([f"Basic {secret}", f"Authorization: Basic {secret}", f"basic {secret}"]), secret


def urls():
    user, secret, host = pick([*FIRST, "app", "root"]), text(BASE62 + "-_.!~", between(8, 20)) + "x", pick(ASCII_DOMAINS)
    scheme = pick(["https", "postgres", "postgresql+psycopg2", "redis", "amqp", "mongodb+srv", "mysql", "ftp"])
    user = pick([user, user, ""])
    url = f"{scheme}://{user}:{secret}@{host}:{between(1000, 9999)}/{pick(WORDS)}"
    return pick([url, f"cannot connect to {url}", f"url={url}"]), secret


# Personal data


def emails():
    first, last = pick(FIRST), pick(LAST)
    local = pick([
        f"{first}.{last}", first, f"{first[0]}{last}", f"{first}_{last}{between(1, 99)}", f"{first}+{pick(WORDS)}", f"{first}-{last}",
        f"{first}.{last}".title(), f"{first}.o'{last}", f"{last}{between(1950, 2010)}", f"{first}.{last}".upper(),
    ])
    address = f"{local}@{pick(DOMAINS)}"
    encoded = address.replace("@", "%40")
    return pick([
        (address, address), (address, address), (address, address), (f"{first.title()} {last.title()} <{address}>", address),
        (f"mailto:{address}", address), (f"user={address}", address), (f"contact {address}.", address),
        (json.dumps({"email": address}, ensure_ascii=False), address), (f"/users/{encoded}/orders", encoded),
        (f"cc: {address}; {pick(WORDS)}", address), (f"user {address} is not allowed to use {pick(WORDS)}", address),
        (f"{pick(WORDS)}|{address}|{pick(WORDS)}", address), (f"“{address}”", address),
    ])


def luhn(digits):
    total = 0
    for at, digit in enumerate(reversed(digits + "0")):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def cards():
    network = pick(["visa", "visa", "mastercard", "mastercard2", "amex", "discover", "diners", "jcb", "unionpay", "maestro", "visa19"])
    start, length = {
        "visa": ("4", 16), "mastercard": (f"5{between(1, 5)}", 16), "mastercard2": (str(between(2221, 2720)), 16),
        "amex": (pick(["34", "37"]), 15), "discover": (pick(["6011", "65"]), 16), "diners": (pick(["36", "38"]), 14),
        "jcb": (str(between(3528, 3589)), 16), "unionpay": ("62", 16), "maestro": (pick(["5018", "6759", "6304"]), 16),
        "visa19": ("4", 19),
    }[network]
    number = luhn(start + text(DIGITS, length - len(start) - 1))
    groups = {14: (4, 6, 4), 15: (4, 6, 5), 16: (4, 4, 4, 4), 19: (4, 4, 4, 4, 3)}[length]
    parts, at = [], 0
    for group in groups:
        parts.append(number[at : at + group])
        at += group
    number = pick(["", "", " ", "-"]).join(parts)
    return network, pick([
        number, number, number, f"card {number}", f"card={number}", f"pan: {number}, exp 12/29", f"{number} 12/29",
        json.dumps({"card": number}), f"charge to {number} declined", f"visa:{number}", f"({number})", f"{number}.",
    ]), number


IBANS = {
    "DE": "n18", "GB": "a4n14", "FR": "n10c11n2", "NL": "a4n10", "ES": "n20", "IT": "a1n10c12", "CH": "n5c12", "AT": "n16",
    "BE": "n12", "PL": "n24", "NO": "n11", "SE": "n20", "DK": "n14", "FI": "n14", "PT": "n21", "IE": "a4n14", "MT": "a4n5c18",
    "AE": "n19", "SA": "n2c18", "TR": "n6c16", "LU": "n3c13",
}


def ibans():
    country = pick(sorted(IBANS))
    format, account, at = IBANS[country], "", 0
    while at < len(format):
        end = at + 1
        while end < len(format) and format[end].isdigit():
            end += 1
        account += text({"n": DIGITS, "a": UPPER, "c": DIGITS + UPPER}[format[at]], int(format[at + 1 : end]))
        at = end
    value = "".join(str(int(letter, 36)) for letter in account + country)
    number = f"{country}{98 - int(value + '00') % 97:02d}{account}"
    number = pick([number, number, " ".join(number[at : at + 4] for at in range(0, len(number), 4)), number.lower()])
    return country, pick([
        number, number, f"IBAN {number}", f"iban={number}", f"pay to {number}, please", json.dumps({"iban": number}), f"{number}.",
    ]), number


PHONES = {
    "e164": lambda: f"+{pick(['1', '44', '49', '33', '34', '39', '81', '91', '55', '86', '61', '380', '353'])}{text('23456789', 2)}{text(DIGITS, between(6, 8))}",
    "us": lambda: pick(["({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "+1 {} {} {}", "+1-{}-{}-{}", "1-{}-{}-{}", "+1 ({}) {}-{}", "{} {} {}", "({}){}-{}"]).format(
        pick("23456789") + text(DIGITS, 2), pick("23456789") + text(DIGITS, 2), text(DIGITS, 4)),
    "de": lambda: pick([
        f"030 {text('123456789', 1)}{text(DIGITS, 6)}", f"0{pick(['170', '151', '176'])} {text(DIGITS, 7)}", f"+49 30 {text(DIGITS, 7)}",
        f"0{pick(['89', '221', '40'])}/{text(DIGITS, 7)}", f"+49 (0) 170 {text(DIGITS, 7)}", f"0049 170 {text(DIGITS, 7)}", f"0170-{text(DIGITS, 7)}",
    ]),
    "uk": lambda: pick([f"020 7946 {text(DIGITS, 4)}", f"07700 {text(DIGITS, 6)}", f"+44 20 7946 {text(DIGITS, 4)}", f"+44 (0)161 496 {text(DIGITS, 4)}", f"0161 496 {text(DIGITS, 4)}"]),
    "fr": lambda: pick([" ", "."]).join([f"0{between(1, 7)}"] + [text(DIGITS, 2) for _ in range(4)]),
    "fr_international": lambda: f"+33 {between(1, 7)} " + " ".join(text(DIGITS, 2) for _ in range(4)),
    "jp": lambda: pick([f"03-{text('123456789', 1)}{text(DIGITS, 3)}-{text(DIGITS, 4)}", f"090-{text('123456789', 1)}{text(DIGITS, 3)}-{text(DIGITS, 4)}", f"+81 3-{text(DIGITS, 4)}-{text(DIGITS, 4)}"]),
    "in": lambda: pick([f"+91 {pick('6789')}{text(DIGITS, 4)} {text(DIGITS, 5)}", f"+91-{pick('6789')}{text(DIGITS, 9)}", f"{pick('6789')}{text(DIGITS, 4)} {text(DIGITS, 5)}"]),
    "br": lambda: f"({between(11, 99)}) 9{text(DIGITS, 4)}-{text(DIGITS, 4)}",
    "au": lambda: pick([f"0412 {text(DIGITS, 3)} {text(DIGITS, 3)}", f"(02) 9{text(DIGITS, 3)} {text(DIGITS, 4)}", f"+61 2 9{text(DIGITS, 3)} {text(DIGITS, 4)}"]),
    "labelled": lambda: f"tel:+1{text('23456789', 3)}{text(DIGITS, 7)}",
}


def phones(form):
    number = PHONES[form]()
    return pick([
        number, number, number, f"call {number}", f"phone: {number}", f"phone={number}", json.dumps({"phone": number}), f"{number}, {pick(FIRST)}",
        f"{pick(FIRST)} ({number})" if "(" not in number else f"{pick(FIRST)} {number}", f"callback to {number} failed", f"sms to {number}.",
    ]), number.removeprefix("tel:")


# Ids


def uuid(data, version):
    data[6] = data[6] & 0x0F | version << 4
    data[8] = data[8] & 0x3F | 0x80
    digits = bytes(data).hex()
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


def uuid4():
    return uuid(bytearray(R.bytes(16)), 4)


def uuid7():
    return uuid(bytearray(between(1700000000000, 1800000000000).to_bytes(6, "big") + R.bytes(10)), 7)


def crockford(value, length):
    return "".join(CROCKFORD[value >> 5 * at & 31] for at in reversed(range(length)))


def ulid():
    return crockford(between(1700000000000, 1800000000000), 10) + text(CROCKFORD, 16)


def slug():
    return "-".join(pick(ADJECTIVES + WORDS) for _ in range(between(2, 5))) + pick(["", "", f"-{between(1, 2030)}", "-v2"])


def date():
    return f"{between(2020, 2027)}-{between(1, 12):02d}-{between(1, 28):02d}"


def time():
    return f"{between(0, 23):02d}:{between(0, 59):02d}:{between(0, 59):02d}"


def timestamps():
    return pick([
        date(), f"{date()}T{time()}Z", f"{date()}T{time()}.{text(DIGITS, 6)}+02:00", f"{date()} {time()}", f"{date()}T{time()}+0530",
        str(between(1700000000, 1800000000)), str(between(1700000000000, 1800000000000)), date().replace("-", ""),
        f"{between(1, 28):02d}.{between(1, 12):02d}.{between(2020, 2027)}", f"{between(1, 12):02d}/{between(1, 28):02d}/{between(2020, 2027)}",
        f"{date()}_{time().replace(':', '-')}", f"{between(1, 28):02d}-{between(1, 12):02d}-{between(2020, 2027)} {time()}",
        f"Mon, {between(1, 28):02d} Nov 2026 {time()} GMT", f"{date().replace('-', '')}T{time().replace(':', '')}Z",
        str(between(1700000000000000, 1800000000000000)), f"{date()}/{date()}",
    ])


def orders():
    return pick([
        f"ORD-{between(1000, 99999999)}", f"order-{between(100000, 999999)}", f"PO{between(10000, 99999)}", f"#{between(1000, 9999999)}",
        f"{between(100, 199)}-{text(DIGITS, 7)}-{text(DIGITS, 7)}", f"SO-{between(2020, 2027)}-{between(1, 99999):05d}", f"WEB{text(DIGITS, 9)}",
        f"ORD-{date().replace('-', '')}-{text(DIGITS, 4)}", f"{text(UPPER, 3)}-{text(DIGITS, 6)}-{text(UPPER, 2)}", text(UPPER + DIGITS, 8),
        f"ticket {between(1000, 999999)}", f"SKU-{text(UPPER, 2)}{text(DIGITS, 4)}-{text(UPPER, 3)}", f"RMA{text(DIGITS, 10)}", f"1Z{text(UPPER + DIGITS, 16)}",
        f"JIRA-{between(1, 9999)}", f"case_{between(10**7, 10**8)}",
    ])


def invoices():
    return pick([
        f"INV-{between(2020, 2027)}-{between(1, 99999):05d}", f"INV{text(DIGITS, 8)}", f"{between(2020, 2027)}/{between(1, 9999):04d}", f"RE-{text(DIGITS, 6)}",
        f"invoice {between(2020, 2027)}-{text(DIGITS, 6)}", f"{text(UPPER + DIGITS, 8)}-{text(DIGITS, 4)}", f"F{between(2020, 2027)}-{text(DIGITS, 4)}",
        f"CN-{text(DIGITS, 3)}-{text(DIGITS, 5)}", f"{text(DIGITS, 4)}-{text(DIGITS, 2)}-{text(DIGITS, 4)}",
    ])


def versions():
    number = f"{between(0, 30)}.{between(0, 40)}.{between(0, 99)}"
    return pick([
        number, f"v{number}", f"{number}-rc.{between(1, 9)}", f"{number}+build.{between(1, 9999)}", f"{between(2020, 2027)}.{between(1, 12)}.{between(0, 9)}",
        f"pkg@{number}", f"@acme/{pick(WORDS)}@{number}", f"{pick(WORDS)}@{number}-beta.1", f"python/{number}", f"OpenAI/Python {number}",
        f"{number}.{between(1, 9999)}", f"sha-{text(HEX, 7)}", f"{pick(WORDS)}:{number}@sha256:{text(HEX, 64)}", f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{between(100, 140)}.0.{between(1000, 9999)}.{between(10, 200)}",
    ])


def kubernetes():
    name = f"{pick(WORDS)}-{pick(WORDS)}"
    return pick([
        f"{name}-{text('bcdfghjklmnpqrstvwxz2456789', 10)}-{text('bcdfghjklmnpqrstvwxz2456789', 5)}", f"{name}-{between(0, 9)}", f"{name}.default.svc.cluster.local",
        f"ip-10-0-{between(0, 255)}-{between(0, 255)}.eu-west-1.compute.internal", f"{name}-{between(10**7, 10**8)}-{text(LOWER, 5)}",
        f"gke-prod-pool-{text(HEX, 8)}-{text('bcdfghjklmnpqrstvwxz2456789', 4)}", f"spiffe://example.org/ns/prod/sa/{name}", f"system:serviceaccount:prod:{name}",
    ])


def requests():
    return pick([
        f"req_{text(BASE62, 24)}", f"req_{text(HEX, 32)}", f"msg_01{text(BASE62, 22)}", f"chatcmpl-{text(BASE62, 29)}", f"resp_{text(HEX, 48)}",
        f"run_{text(BASE62, 24)}", f"thread_{text(BASE62, 24)}", f"asst_{text(BASE62, 24)}", f"call_{text(BASE62, 24)}", f"toolu_01{text(BASE62, 22)}",
        f"file-{text(BASE62, 22)}", f"batch_{text(HEX, 32)}", f"gen-{between(1700000000, 1800000000)}-{text(BASE62, 20)}", f"ft:gpt-4o-mini:acme::{text(BASE62, 8)}",
        f"cmpl-{text(HEX, 32)}", f"org-{text(BASE62, 24)}", f"proj_{text(BASE62, 24)}", f"sess_{text(BASE62, 20)}", f"vs_{text(HEX, 32)}", f"embd-{text(HEX, 32)}",
        f"{text(HEX, 8)}-{text(HEX, 16)}", f"cf-ray: {text(HEX, 16)}-FRA", f"Root=1-{text(HEX, 8)}-{text(HEX, 24)}",
    ])


def business():
    return pick([
        f"cus_{text(BASE62, 14)}", f"pi_{text(BASE62, 24)}", f"sub_{text(BASE62, 24)}", f"price_{text(BASE62, 24)}", f"re_{text(BASE62, 24)}", f"acct_{text(BASE62, 16)}",
        f"user_{text(BASE62, 27)}", f"usr-{text(HEX, 12)}", f"tenant_{text(LOWER + DIGITS, 16)}", f"ws-{text(LOWER + DIGITS, 10)}", f"auth0|{text(HEX, 24)}", f"U{text(UPPER + DIGITS, 10)}",
        f"rec{text(BASE62, 14)}", f"001{text(BASE62, 15)}", f"evt_{text(BASE62, 24)}", f"ch_{text(BASE62, 24)}", f"AC{text(HEX, 32)}", f"dep_{text(BASE62, 24)}", f"org_{text(BASE62, 27)}",
        f"did:key:z6Mk{text(BASE62, 44)}", f"0x{text(HEX, 40)}", f"urn:uuid:{uuid4()}", f"google-oauth2|{text(DIGITS, 21)}",
    ])


def aws():
    account = text(DIGITS, 12)
    return pick([
        f"arn:aws:iam::{account}:role/{pick(WORDS)}", f"arn:aws:lambda:eu-west-1:{account}:function:{slug()}", f"arn:aws:s3:::{slug()}", f"i-{text(HEX, 17)}", f"vpc-{text(HEX, 8)}",
        f"arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-5-sonnet-20241022-v2:0", f"AROA{text(BASE32, 17)}:{pick(WORDS)}", account, f"s3://{slug()}/{date()}/part-{text(DIGITS, 5)}.parquet",
        f"projects/{slug()}/locations/us-central1/endpoints/{text(DIGITS, 19)}", f"/subscriptions/{uuid4()}/resourceGroups/{pick(WORDS)}",
    ])


MODELS = """gpt-4o gpt-4o-mini-2024-07-18 gpt-4.1-nano o3-mini claude-3-5-sonnet-20241022 claude-sonnet-4-20250514 claude-opus-4-1
gemini-2.5-pro gemini-1.5-flash-002 meta-llama/Llama-3.1-8B-Instruct mistral-large-2411 deepseek-r1-distill-qwen-32b
text-embedding-3-large anthropic.claude-3-haiku-20240307-v1:0 us.amazon.nova-pro-v1:0 accounts/fireworks/models/llama-v3p1-405b-instruct
qwen2.5-coder:32b grok-4-0709 command-r-plus-08-2024 sonar-reasoning-pro whisper-large-v3-turbo dall-e-3 o1-2024-12-17
openai/gpt-oss-120b nomic-embed-text:v1.5 voyage-3-large""".split()


def addresses():
    return pick([
        ".".join(str(between(1, 254)) for _ in range(4)), ".".join(str(between(100, 254)) for _ in range(4)), ":".join(text(HEX, 4) for _ in range(8)),
        f"10.{between(0, 255)}.{between(0, 255)}.0/24", f"2001:db8::{text(HEX, 4)}", f"127.0.0.1:{between(1024, 65535)}", ":".join(text(HEX, 2) for _ in range(6)),
        f"{pick(WORDS)}.example.com:{between(1000, 9999)}", f"https://{pick(WORDS)}.example.com/v1/{slug()}?page={between(1, 99)}&limit=50", f"{between(-89, 89)}.{text(DIGITS, 6)},{between(-179, 179)}.{text(DIGITS, 6)}",
    ])


def numbers():
    return pick([
        text("123456789", 1) + text(DIGITS, between(8, 15)), text("123456789", 1) + text(DIGITS, between(8, 11)), str(between(1, 10**9)), f"id {text('123456789', 1)}{text(DIGITS, 9)}",
        text("123456789", 1) + text(DIGITS, 17), luhn(text("123456789", 1) + text(DIGITS, between(8, 13))), f"{between(1, 999)},{text(DIGITS, 3)},{text(DIGITS, 3)}", f"0.{text(DIGITS, 16)}", f"{between(1, 99)}.{text(DIGITS, 2)} EUR",
        f"978-{text(DIGITS, 1)}-{text(DIGITS, 2)}-{text(DIGITS, 6)}-{text(DIGITS, 1)}", f"{between(1, 99)}/{between(100, 999)}", f"{text(DIGITS, 5)}", f"{between(1, 500)} tokens in {between(1, 9999)} ms",
    ])


def hashes():
    return pick([
        text(HEX, 40), text(HEX, 64), text(HEX, 32), text(HEX, 7), text(HEX, 12), text(HEX, 40).upper(), f"sha256:{text(HEX, 64)}", f"sha256-{b64(R.bytes(32))}", f"W/\"{text(HEX, 32)}\"", b64(R.bytes(20)), b64(R.bytes(16)),
        f"md5={text(HEX, 32)}", text(HEX, 128), f"etag-{text(HEX, 16)}", f"QmY{text(BASE62, 43)}", f"{text(HEX, 40)}..{text(HEX, 40)}", f"main@{text(HEX, 7)}", f"refs/heads/{slug()}",
    ])


def phrases():
    word, other = pick(WORDS), pick(WORDS)
    return pick([
        f"{word} {other} run {between(1, 99)}", f"reset password email for {word}", f"the token limit of {between(1000, 200000)} was exceeded", f"api key rotation {word}", f"max_tokens={between(100, 9999)}",
        f"team={word} env=prod", f"secret santa {between(2020, 2027)}", f"basic {word} plan", f"bearer of {word} news", f"{word}@{other}", f"sk-{word}-{other}-{between(1, 99)}", f"{word}/{other}/{between(1, 9999)}", f"step {between(1, 9)} of 10: {word}",
        f"password reset flow v{between(1, 9)}", f"{word.title()} Ünïcode {other}", f"{between(1, 12)} p.m. {word} call", f"git@example.com:acme/{word}.git", f"logo@2x.png", f"feature/{word}-{between(1, 9999)}", f"key-{word}-{between(1, 99)}", f"password must have at least {between(8, 16)} characters",
        f"401 Unauthorized: invalid token", f"token: {word}", f"api_key is missing", f"C++20 {word}", f"{word}_{other}_{between(1, 9999)}", f"tokens: {between(1, 99999)}", f"author={word}", f"next_token={text(BASE62, 24)}", f"keyboard: {word}",
    ])


IDS = {
    "uuid4": (300, uuid4), "uuid7": (200, uuid7), "uuid_without_hyphens": (60, lambda: uuid4().replace("-", "")), "uuid_upper": (40, lambda: uuid4().upper()), "ulid": (200, ulid),
    "nanoid": (250, lambda: text(URL, pick([21, 21, 21, 10, 12, 16, 32]))), "ksuid": (150, lambda: pick("12") + text(BASE62, 26)), "cuid": (80, lambda: "c" + text(LOWER + DIGITS, 24)), "slug": (250, slug), "hash": (300, hashes),
    "order": (250, orders), "invoice": (200, invoices), "timestamp": (250, timestamps), "version": (150, versions), "kubernetes": (150, kubernetes),
    "trace": (150, lambda: pick([text(HEX, 32), text(HEX, 16), f"00-{text(HEX, 32)}-{text(HEX, 16)}-01", f"{text(HEX, 16)}:{text(HEX, 16)}:0:1", f"trace-{uuid4()}"])), "object_id": (100, lambda: text(HEX, 24)),
    "request": (250, requests), "business": (200, business), "aws": (120, aws), "model": (80, lambda: pick(MODELS)), "address": (150, addresses), "number": (300, numbers), "phrase": (250, phrases), "snowflake": (80, lambda: str(between(10**17, 15 * 10**17))),
}


def main():
    def write(kind, form, value, part=None):
        line = {"kind": kind, "form": form, "text": value} | ({"part": part} if part else {})
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")

    for form, generate in PLAIN_KEYS.items():
        for _ in range(8):
            secret = generate()
            write("secrets", form, in_context(secret), secret)
    for form, generate in NAMED_KEYS.items():
        for _ in range(8):
            secret = generate()
            write("secrets", form, named(secret), secret)
    for form, generate in {"password": passwords, "bearer": bearers, "basic": basics, "url": urls, "pem": pem, "service_account": service_account_key}.items():
        for _ in range(30 if form == "password" else 20):
            write("secrets", form, *generate())
    for _ in range(120):
        write("emails", "email", *emails())
    for _ in range(120):
        network, value, number = cards()
        write("cards", network, value, number)
    for _ in range(100):
        country, value, number = ibans()
        write("ibans", country, value, number)
    for form in PHONES:
        for _ in range(14):
            write("phones", form, *phones(form))
    for form, (count, generate) in IDS.items():
        for _ in range(count):
            write("id", form, generate())


if __name__ == "__main__":
    main()
