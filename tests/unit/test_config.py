"""The configuration: its defaults, its precedence, its bounds, and the sentences that refuse what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from oms.config import Config, LoadedConfig, config_from_canonical, load_config
from oms.configuration.environment import RESERVED, variable
from oms.configuration.keys import leaves
from oms.errors import DamagedError, UsageError
from tests.volume import examples

TOP = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX file modes and pipes")


def load(folder: Path, text: str | bytes, env: Mapping[str, str] | None = None) -> LoadedConfig:
    file = folder / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file, env or {})


def refusal(folder: Path, text: str | bytes, env: Mapping[str, str] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        load(folder, text, env)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(folder), "")


# ---- defaults, precedence, origin ------------------------------------------------------------------------------------


def test_the_shipped_file_says_the_defaults() -> None:
    """Loading the config.yaml that is shipped gives the built-in defaults, and it names every key."""
    loaded = load_config(TOP / "config.yaml", {})
    assert loaded.config == Config()
    assert "default" not in loaded.origins.values()


def test_a_folder_without_a_file_gets_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --config and without config.yaml here, the defaults hold, and paths count from the current folder."""
    monkeypatch.chdir(tmp_path)
    loaded = load_config(None, {})
    assert (loaded.config, loaded.path) == (Config(), None)
    assert loaded.journal_file == tmp_path / "var" / "oms.db"
    assert set(loaded.origins.values()) == {"default"}


def test_a_file_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --config, the config.yaml of the current folder is taken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("account: here\n")
    assert load_config(None, {}).config.account == "here"


def test_the_defaults_are_those_of_the_interface() -> None:
    """Values that other programs and people rely on are what the interface page promises."""
    config = Config()
    assert config.mode == "paper"
    assert config.execution.funds_fraction == Decimal("0.80")
    assert config.execution.collar == Decimal("0.005")
    assert config.execution.max_position_value == 10_000
    assert config.settlement.deadline == timedelta(seconds=60)
    assert config.selection.interval == timedelta(hours=1)
    assert config.market.no_buys_before_close == timedelta(minutes=10)
    assert config.broker.paper.funds_lag == timedelta(milliseconds=500)
    assert config.risk.blacklist == ()
    assert config.broker.tiger.refuses_repeats is None


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Each source overrides the next, and the origin of every value is known."""
    file = tmp_path / "config.yaml"
    file.write_text("selection:\n  top: 5\n  min_score: 70\n  min_history: 50\n")
    env = {"OMS_SELECTION__TOP": "6", "OMS_SELECTION__MIN_SCORE": "71"}
    loaded = load_config(file, env, {"selection.top": 7})
    chosen = loaded.config.selection
    assert (chosen.top, chosen.min_score, chosen.min_history, chosen.sell_below) == (7, Decimal(71), 50, Decimal(50))
    origin = loaded.origins
    assert origin["selection.top"] == "flag"
    assert origin["selection.min_score"] == "environment OMS_SELECTION__MIN_SCORE"
    assert origin["selection.min_history"].endswith("config.yaml:4:16")
    assert origin["selection.sell_below"] == "default"


def test_paths_count_from_the_configuration_file(tmp_path: Path) -> None:
    """A relative path, and that of the journal, is relative to the file; an absolute one stays."""
    loaded = load(tmp_path, "account: x\n")
    assert loaded.resolve("universe.txt") == tmp_path / "universe.txt"
    assert loaded.resolve(tmp_path / "a") == tmp_path / "a"
    assert loaded.journal_url == f"sqlite:///{(tmp_path / 'var' / 'oms.db').as_posix()}"
    absolute = load(tmp_path, f'journal: {{url: "sqlite:///{(tmp_path / "x.db").as_posix()}"}}')
    assert absolute.journal_file == tmp_path / "x.db"


def test_an_empty_section_keeps_its_defaults(tmp_path: Path) -> None:
    """A section whose keys are all commented out is no error."""
    assert load(tmp_path, "risk:\n  # max_trades_per_day: 5\nbroker: {paper: }\n").config == Config()


def test_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    """A file with CRLF means the same."""
    assert load(tmp_path, "account: x\r\nmode: dry_run\r\n").config.mode == "dry_run"


def test_an_account_of_digits_stays_text(tmp_path: Path) -> None:
    """Tiger's 17 digits need no quotes and lose no digit."""
    assert load(tmp_path, "account: 01234567890123456").config.account == "01234567890123456"


# ---- the stored form -------------------------------------------------------------------------------------------------


def test_the_stored_form_gives_the_same_config_back(tmp_path: Path) -> None:
    """An open cycle resumes under its own configuration, to the last digit."""
    text = "execution: {collar: 0.37%, max_position_value: 9999.99}\nrisk: {blacklist: [F, BRK-B]}\n"
    loaded = load(tmp_path, text + "broker: {paper: {funds_lag: 1.5s, positions: {C: 1}}}\n")
    assert config_from_canonical(loaded.canonical) == loaded.config
    assert loaded.hash == hashlib.sha256(loaded.canonical.encode()).hexdigest()
    assert loaded.config.risk.blacklist == ("BRK.B", "F")


def test_the_hash_is_of_the_meaning_not_of_the_spelling(tmp_path: Path) -> None:
    """Comments, order, place and spelling of equal values leave the hash alone; a value changes it."""
    one = load(tmp_path, "execution: {funds_fraction: 0.80, order_deadline: 120s}")
    two = load(tmp_path, "# a comment\nexecution: {order_deadline: 2m, funds_fraction: 0.8}")
    other = load(tmp_path, "execution: {funds_fraction: 0.79}")
    assert one.hash == two.hash != other.hash
    assert str(tmp_path) not in one.canonical


def test_a_stored_form_without_a_newer_key_takes_its_default() -> None:
    """A configuration stored by an earlier version can be read."""
    assert config_from_canonical('{"mode":"paper","broker":{"kind":"tiger"}}').broker.tiger.timeout.seconds == 15


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"a":1}', '{"risk":5}', '{"api":{"port":1.5}}', '{"mode":"x"}'])
def test_a_damaged_stored_form_is_said_to_be_damaged(text: str) -> None:
    """What this program did not write is refused with exit code 3."""
    with pytest.raises(DamagedError):
        config_from_canonical(text)


def test_no_password_is_stored_or_shown(tmp_path: Path) -> None:
    """A password comes from the environment; the stored form and the printed value lack it."""
    url = "postgresql+psycopg://trader:hunter2@db.example/oms?sslmode=require"
    loaded = load(tmp_path, "mode: paper", {"OMS_JOURNAL__URL": url})
    assert loaded.journal_url == url
    assert loaded.journal_file is None
    assert json.loads(loaded.canonical)["journal"]["url"] == url.replace(":hunter2", "")
    assert "hunter2" not in repr(loaded) + str(loaded.config)


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:hunter2@h/d", "postgresql+psycopg://h/d?password=hunter2"])
def test_a_password_in_the_file_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    """A secret in config.yaml would be in every backup of it."""
    message = refusal(tmp_path, f'journal: {{url: "{url}"}}')
    assert "OMS_JOURNAL__URL" in message
    assert "hunter2" not in message


def test_a_key_pasted_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    """An error never echoes what looks like a secret."""
    message = refusal(
        tmp_path, f'private_key: {"A1b2" * 30}\nmode: {"Zz9+" * 30}\nmarket: {{source: "-----BEGIN KEY"}}'
    )
    assert "A1b2" not in message
    assert "Zz9+" not in message
    assert "BEGIN" not in message


def test_a_config_cannot_be_changed() -> None:
    """Every value is frozen, down to the mapping of holdings, and it can be hashed and sent to another process."""
    config = Config()
    with pytest.raises(ValidationError):
        config.mode = "live"
    with pytest.raises(TypeError):
        config.broker.paper.positions["C"] = 5  # type: ignore[index]
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(Config())


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_every_problem_is_listed_with_its_place(tmp_path: Path) -> None:
    """One run names all problems, each with line, column, key, what was found, what was expected."""
    message = refusal(
        tmp_path,
        "risk:\n  max_trade_per_day: 5\n  blacklist: [F, ON]\nexecution:\n  collar: 0.5\n"
        "settlement: {funds: buying_power}\n",
        {"OMS_API__PORT": "99999"},
    )
    assert "5 problems" in message
    assert "config.yaml:2:3: risk.max_trade_per_day: no such key; did you mean max_trades_per_day?" in message
    assert "config.yaml:3:18: risk.blacklist[1]: found 'ON'; expected a symbol as text: YAML reads" in message
    assert "config.yaml:5:11: execution.collar: found '0.5'; expected a percentage with its sign: 0.5%" in message
    assert "config.yaml:6:21: settlement.funds: found 'buying_power'; expected cash or settled_cash, or" in message
    assert "environment OMS_API__PORT: api.port: found '99999'; expected at most 65535" in message


REFUSED = [
    ("accuont: x", "did you mean account?"),
    ("max_trades_per_day: 5", "did you mean risk.max_trades_per_day?"),
    ("market: {ticker: 5}", "no such key; expected one of source, exchange"),
    ("market: {currency: usd}", "the three capital letters of a currency, such as USD or HKD"),
    ("market: {exchange: XNSY}", "none is known of market.exchange XNSY (is it misspelt?)"),
    ("{market: {exchange: XHKG}, broker: {kind: tiger}}", "at Tiger only US stocks are traded"),
    ("market: {source: tiger, currency: EUR}", "at Tiger only US stocks are traded"),
    ("account: a\naccount: b", ":2:1: account: a second time; it stands already in line 1"),
    ("worker: {lease: 15}", "15s if seconds are meant"),
    ("worker: {lease: 0}", "0s if seconds are meant"),
    ("worker: {lease: 15 s}", "a duration with its unit"),
    ("worker: {lease: 1.0001s}", "a duration with its unit"),
    ("worker: {lease: -5s}", "a duration with its unit"),
    ("worker: {lease: 12:30}", "a duration with its unit"),
    ("worker: {lease: 1d}", "a duration with its unit"),
    ("worker: {lease: 11m}", "at most 600s"),
    ("worker: {lease: 999ms}", "at least 1s"),
    ("worker: {lease: null}", "found nothing (null)"),
    ("worker: {lease: [1s]}", "found a list"),
    ("worker: {lease: {a: 1}}", "found a mapping"),
    ("execution: {funds_fraction: 80}", "at most 0.8"),
    ("execution: {funds_fraction: 0.8000001}", "at most 0.8"),
    ("execution: {funds_fraction: 80%}", "without a percent sign"),
    ("execution: {funds_fraction: 0}", "more than 0"),
    ("execution: {funds_fraction: -1}", "more than 0"),
    ("execution: {funds_fraction: .nan}", "a plain number"),
    ("execution: {funds_fraction: NaN}", "a plain number"),
    ("execution: {funds_fraction: .inf}", "a plain number"),
    ("execution: {funds_fraction: true}", "a plain number"),
    ("execution: {max_position_value: 10000.01}", "at most 10000"),
    ("execution: {max_position_value: 0}", "more than 0"),
    ("execution: {max_position_value: 1e3}", "written out instead of with an exponent"),
    ("execution: {max_position_value: 1_000}", "without separators"),
    ('execution: {max_position_value: "1,000"}', "without separators"),
    ("execution: {max_position_value: $1000}", "without a unit or currency"),
    ("execution: {max_position_value: １２３}", "a plain number"),
    ("execution: {max_position_value: 0x10}", "a plain number"),
    ("execution: {max_position_value: 010}", "a plain number"),
    ("execution: {collar: 101%}", "at most 10%"),
    ("execution: {collar: 0%}", "at least 0.01%"),
    ("execution: {order_type: stop}", "expected limit or market"),
    ("execution: {min_order_value: 500, max_position_value: 400}", "no buy could ever be sent"),
    ("selection: {sell_below: 61}", "at most selection.min_score"),
    ("selection: {top: 1.0}", "a whole number"),
    ("settlement: {confirm: 60s}", "less than settlement.deadline"),
    ("settlement: {poll: 50s, deadline: 20s}", "at most settlement.deadline"),
    ("settlement: {allow_margin: yes}", "expected true or false"),
    ("settlement: {allow_margin: 1}", "expected true or false"),
    ("mode: live", "tiger, because mode is live"),
    ("mode: Paper", "expected paper, dry_run or live"),
    ("risk: {blacklist: F}", "a list"),
    ("risk: {blacklist: [F, F]}", "there twice: F"),
    ("risk: {blacklist: [BRK.B, BRK-B]}", "there twice: BRK.B"),
    ("risk: {blacklist: [NO]}", 'quote it: "NO"'),
    ("risk: {blacklist: [TRUE]}", 'quote it: "TRUE"'),
    ("risk: {blacklist: [Y]}", 'quote it: "Y"'),
    ("risk: {blacklist: [NULL]}", "nothing; quote it"),
    ("risk: {blacklist: [000001]}", "as a number; quote it"),
    ("risk: {blacklist: [1e5]}", "as a number; quote it"),
    ("risk: {blacklist: [aapl]}", "write AAPL"),
    ("risk: {blacklist: [АAPL]}", "only look like them"),
    ('risk: {blacklist: ["A\\u200bB"]}', "cannot be seen"),
    ('risk: {blacklist: ["A\\e[31m"]}', "control characters"),
    ('risk: {blacklist: [""]}', "it is empty"),
    ("risk: {blacklist: [../../etc/passwd]}", "is not a symbol"),
    ("broker: {paper: {positions: {NO: 5}}}", 'quote it: "NO"'),
    ("broker: {paper: {positions: {C: 0}}}", "at least 1"),
    ("broker: {paper: {positions: {C: 1.5}}}", "a whole number"),
    ("broker: {paper: {positions: [C]}}", "a mapping of symbol to shares"),
    ("broker: {tiger: {server_url: http://evil.example}}", "https://"),
    ("broker: {tiger: {server_url: https://u:p@x.example}}", "https://"),
    ("journal: {url: sqlite:///}", "the path of a file"),
    ('journal: {url: "sqlite:///:memory:"}', "would not survive"),
    ("journal: {url: sqlite:///a.db?mode=memory}", "without options"),
    ("journal: {url: mysql://x/y}", "sqlite:///PATH or postgresql"),
    ("journal: {url: postgresql+psycopg://host}", "database name is missing"),
    ("journal: {url: 'postgresql+psycopg://h:port/d'}", "a valid host and port"),
    ("notify: [https://hooks.example/secret]", "env:NAME or file:PATH"),
    ("account: ''", "one line of text"),
    ("account: a/b", "letters, digits, dot"),
    ('account: "a\\nb"', "one line of text"),
    ("risk: 5", "a section with keys of its own"),
    ("- a", "found a list; expected keys"),
    ("hello", "found 'hello'; expected keys"),
    ("mode: !!python/object/apply:os.system [id]", "the tag"),
    ("account: !!str x", "the tag"),
    ("account: &a x\nmode: *a", "an anchor (&)"),
    ("risk: {<<: {max_trades_per_day: 5}}", "a merge (<<)"),
    ("? [a]\n: b", "as a key; expected a name"),
    ("---\naccount: a\n---\naccount: b", ":3:1: a second document begins"),
    ("account: [", "not valid YAML"),
    ("account:\n\tx: 1", ":2:1: not valid YAML"),
    ("a: " + "[" * 2000, "nested deeper than"),
    ("", "is empty"),
    ("# nothing\n", "is empty"),
    (b"account: \xff", ":1:10: byte 0xff is not UTF-8"),
    (b"account: a\nmode: \x00", ":2:7: control character"),
    (b"\xef\xbb\xbfaccount: a", "byte-order mark"),
    ("account: a".encode("utf-16"), "UTF-16"),
    ("account: a".encode("utf-16-le"), "UTF-16"),
    (b"\x7fELF\x02\x01\x01\x00", ":1:1: control character"),
    ("account: a #" + "x" * 1_000_000, "expected at most 1,000,000"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=[str(text)[:40] for text, _ in REFUSED])
def test_wrong_input_is_refused_with_a_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    """Each wrong file ends in exit code 2 and says, in printable letters, what was expected."""
    message = refusal(tmp_path, text)
    assert sentence in message
    assert all(line.isprintable() for line in message.splitlines())


def test_an_alias_bomb_is_not_followed(tmp_path: Path) -> None:
    """Nested aliases are refused where they stand; nothing grows."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    assert "an alias (*); expected the value itself" in refusal(tmp_path, bomb)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder, and a name no file can have."""
    for path, sentence in [
        (tmp_path / "none.yaml", "does not exist"),
        (tmp_path, "folder"),
        (Path("a\0b"), "cannot be read"),
        (tmp_path / ("x" * 5000), "cannot be read"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            load_config(path, {})


@POSIX
def test_pipes_devices_and_circles_are_refused_at_once(tmp_path: Path) -> None:
    """A FIFO is not waited for, a device not drained, a circle of links not followed."""
    fifo, circle = tmp_path / "fifo", tmp_path / "circle"
    os.mkfifo(fifo)
    circle.symlink_to(circle)
    for path, sentence in [(fifo, "a pipe"), (Path("/dev/zero"), "not a file"), (circle, "cannot be read")]:
        with pytest.raises(UsageError, match=sentence):
            load_config(path, {})


@POSIX
def test_a_file_that_anyone_may_change_is_warned_about(tmp_path: Path) -> None:
    """Limits that others can raise are no limits; the sentence says how to mend it."""
    load(tmp_path, "mode: paper")
    file = tmp_path / "config.yaml"
    file.chmod(0o666)
    assert "chmod o-w" in load_config(file, {}).warnings[0]
    file.chmod(0o644)
    assert load_config(file, {}).warnings == ()


# ---- environment -----------------------------------------------------------------------------------------------------


def test_lists_and_mappings_come_from_the_environment(tmp_path: Path) -> None:
    """A list is written with commas or as YAML, a mapping as YAML, nothing as null."""
    env = {
        "OMS_RISK__BLACKLIST": "F, GM,ON",
        "OMS_BROKER__PAPER__POSITIONS": "{C: 5}",
        "OMS_NOTIFY": "[env:HOOK]",
        "OMS_RISK__DAILY_LOSS_LIMIT": "null",
    }
    config = load(tmp_path, "risk: {daily_loss_limit: 5}", env).config
    assert config.risk.blacklist == ("F", "GM", "ON")
    assert dict(config.broker.paper.positions) == {"C": 5}
    assert config.notify == ("env:HOOK",)
    assert config.risk.daily_loss_limit is None


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OMS_RISK__MAX_TRADES", "5", "did you mean OMS_RISK__MAX_TRADES_PER_DAY?"),
        ("OMS_ACOUNT", "x", "did you mean OMS_ACCOUNT?"),
        ("OMS_JOURNAL", "x", "OMS_JOURNAL__URL"),
        ("OMS_BROKER__PAPER", "x", "OMS_BROKER__PAPER__FILE"),
        ("OMS_ZZZ__QQQ", "x", "not a setting"),
        ("OMS_MODE", "", "found ''"),
        ("OMS_MODE", "paper\n", "found 'paper\\n'"),
        ("OMS_API__PORT", " 8000", "found ' 8000'"),
        ("OMS_RISK__BLACKLIST", "[ON]", 'quote it: "ON"'),
        ("OMS_RISK__BLACKLIST", "[A", "not valid YAML"),
        ("OMS_RISK__BLACKLIST", "[&a A, *a]", "an anchor"),
        ("OMS_BROKER__PAPER__POSITIONS", "C=5", "a mapping of symbol to shares"),
        ("OMS_ACCOUNT", "\udcff", "found '\\udcff'"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    """The message names the variable and what was expected."""
    message = refusal(tmp_path, "mode: paper", {name: value})
    assert f"environment {name}" in message
    assert sentence in message


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    """Reserved names, names for tests, and those of other programs change nothing."""
    env = dict.fromkeys([*RESERVED, "OMS_TEST_A__B", "OMS_HOME_OF_OTHERS", "PATH", "oms_mode"], "x")
    assert load(tmp_path, "mode: paper", env).config == Config()


def test_a_flag_that_names_no_key_is_refused() -> None:
    """An override must name a key."""
    with pytest.raises(UsageError, match=r"flag: risk\.nothing: not a setting"):
        load_config(TOP / "config.yaml", {}, {"risk.nothing": 5})


# ---- the schema itself -----------------------------------------------------------------------------------------------


def test_every_key_says_what_it_is() -> None:
    """Each key has a description, and each number and duration bounds on both sides."""
    for path, field in leaves().items():
        assert field.description, path
        names = {type(item).__name__ for item in field.metadata}
        if isinstance(field.default, (int, Decimal, timedelta)) and not isinstance(field.default, bool):
            assert names & {"Ge", "Gt"}, path
            assert names & {"Le", "Lt"}, path


def test_every_key_has_its_variable() -> None:
    """No two keys share an environment variable."""
    names = [variable(path) for path in leaves()]
    assert len(set(names)) == len(names)
    assert not set(names) & set(RESERVED)


def test_the_ceilings_of_the_mission_hold_in_code() -> None:
    """Not even Python code can build a Config above 80 % of the funds or $10,000 a position."""
    for wrong in ({"funds_fraction": Decimal("0.81")}, {"max_position_value": Decimal("10000.01")}, {"collar": 0.005}):
        with pytest.raises(ValidationError):
            Config.model_validate({"execution": wrong})


def test_without_a_file_the_yaml_reader_is_not_imported(tmp_path: Path) -> None:
    """Importing the configuration is cheap: ruamel waits until there is a file to read, the settings package never comes."""
    code = (
        "import sys, oms.config as c; c.load_config(None, {});"
        "sys.exit(bool({'ruamel.yaml', 'pydantic_settings', 'pandas', 'sqlalchemy'} & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": str(TOP)}
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=False).returncode == 0


# ---- properties ------------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.from_regex(r"\A-?[0-9]{1,6}(\.[0-9]{1,4})?(ms|s|m|h|%|)\Z"),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
)
KEYS = st.one_of(st.sampled_from(sorted(".".join(path) for path in leaves())), st.text(max_size=12))


def assert_within_the_law(loaded: LoadedConfig) -> None:
    config = loaded.config
    assert 0 < config.execution.funds_fraction <= Decimal("0.8")
    assert 0 < config.execution.max_position_value <= 10_000
    assert config.mode != "live" or config.broker.kind == "tiger"
    assert config_from_canonical(loaded.canonical) == config
    assert loaded.canonical == json.dumps(json.loads(loaded.canonical), sort_keys=True, separators=(",", ":"))


@pytest.mark.timeout(7_200)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_values_are_refused_or_within_the_law(overrides: dict[str, object]) -> None:
    """Whatever stands for a value: a UsageError, or a Config within every ceiling that survives being stored."""
    try:
        loaded = load_config(None, {}, overrides)
    except UsageError:
        return
    assert_within_the_law(loaded)


FRAGMENTS = st.sampled_from(
    ["account", "mode", "risk", "execution", ": ", ":\n", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!!str ",
     "#", "'", '"', "|", ">", "?", "%", "---\n", "null", "80%", "0.5%", "5s", "<<", "\t", "\\", "\ufeff", "é", "\x85", "@"]
)  # fmt: skip


@pytest.mark.timeout(7_200)
@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.one_of(st.binary(max_size=60), st.lists(FRAGMENTS, max_size=14).map(lambda parts: "".join(parts).encode())))
def test_any_bytes_are_refused_or_within_the_law(tmp_path: Path, data: bytes) -> None:
    """Whatever stands in the file: never another exception than UsageError."""
    try:
        loaded = load(tmp_path, data)
    except UsageError as error:
        said = str(error)
    else:
        assert_within_the_law(loaded)
        said = ""
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.timeout(7_200)
@settings(max_examples=examples(150), deadline=None)
@given(
    st.dictionaries(
        st.one_of(KEYS.map(lambda key: "OMS_" + key.replace(".", "__").upper())), st.text(max_size=20), max_size=4
    )
)
def test_any_environment_is_refused_or_within_the_law(env: dict[str, str]) -> None:
    """Whatever stands in the environment: never another exception than UsageError."""
    try:
        loaded = load_config(TOP / "config.yaml", env)
    except UsageError:
        return
    assert_within_the_law(loaded)
