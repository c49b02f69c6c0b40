"""``doctor``: every check finds what is amiss and says what mends it, changes nothing, and never hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oms.arming import arm, offer
from oms.config import load_config
from oms.doctor import machine
from oms.doctor.checks import Ailing, Check, Question, examine, question
from oms.errors import CredentialsError
from oms.gateways.system_clock import SystemClock
from oms.gateways.tiger import Finding
from tests.gateways.live_stage import Stage
from tests.gateways.test_tiger_properties import POSIX, leaks, write
from tests.tigerd.book import PAPER_ACCOUNT, PRIME_ACCOUNT

# pandas 3.1 warns of what exchange_calendars 4.13 still calls; nothing of ours calls it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]

PAPER = ("config", "database", "disk", "fsync", "clock", "calendar", "broker", "data source")
AT_TIGER = ("key file", "account kind", "broker login", "permissions")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    monkeypatch.setattr(machine, "IN_MEMORY", frozenset())  # where the tests keep their files is no finding
    with closing(Stage(tmp_path)) as stage:
        yield stage


def checked(stage: Stage, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and the checks by name."""
    code, said = stage.call("doctor", "--json", *words)
    answer = json.loads(said)
    assert answer["schema"] == "oms.doctor/1"
    assert leaks(said) == []
    return code, {check["name"]: check for check in answer["checks"]}


def files(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*")}


class TestWhole:
    """The whole command."""

    def test_paper_account_that_is_well(self, stage: Stage) -> None:
        """All defaults, nothing run yet: every check is well, exit 0, and not a file was made."""
        (stage.folder / "config.yaml").unlink()
        before = files(stage.folder)
        code, found = checked(stage)
        assert (code, tuple(found), [c["name"] for c in found.values() if not c["ok"]]) == (0, PAPER, [])
        assert files(stage.folder) == before

    def test_live_account_that_is_well(self, stage: Stage) -> None:
        """An armed account at Tiger: login, kind and permissions are seen, and no order is thought of."""
        loaded, clock = stage.configure(), SystemClock()
        until = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
        arm(loaded, offer(loaded, until, clock), "ada", clock)
        code, found = checked(stage)
        assert [each["found"] for each in found.values() if not each["ok"]] == []
        assert (code, tuple(found)[6:]) == (0, (*AT_TIGER, "data source", "live"))
        assert "yours alone, RSA" in found["key file"]["found"]
        assert "…2345 is a prime account" in found["account kind"]["found"]
        assert "the account is CASH" in found["broker login"]["found"]
        assert "by ada" in found["live"]["found"]
        assert PRIME_ACCOUNT not in json.dumps(found)
        assert stage.sent == 0

    def test_table(self, stage: Stage) -> None:
        """For a person: one line a check, the remedy below what failed, and the sum at the end; exit 3."""
        code, said = stage.call("doctor")
        assert code == 3
        lines = said.splitlines()
        assert lines[0].startswith("ok     config        config.yaml: mode live, 118 symbols")
        assert "FAILED live          live trading is not armed" in lines
        assert lines[-2].strip() == "mend it: oms live arm --until YYYY-MM-DD, at a terminal"
        assert lines[-1] == "1 of 12 checks failed: live"

    def test_configuration_that_cannot_be_read(self, stage: Stage) -> None:
        """Then that is the one check; its problem is named with its place."""
        (stage.folder / "config.yaml").write_text("mod: paper\n", "utf-8")
        code, found = checked(stage)
        assert (code, tuple(found)) == (3, ("config",))
        assert "did you mean mode?" in found["config"]["found"]


class TestAtTiger:
    """What can be amiss with an account there."""

    @POSIX
    def test_key_file_that_others_may_read(self, stage: Stage) -> None:
        """The remedy is the very command; what needs the key was not looked at, and says so."""
        file = stage.folder / "tiger_openapi_config.properties"
        file.chmod(0o640)
        code, found = checked(stage)
        assert (code, found["key file"]["remedy"]) == (3, f"chmod 600 {file}")
        assert {found[name]["ok"] for name in AT_TIGER} == {False}
        assert "not looked at" in found["permissions"]["found"]

    def test_mode_that_does_not_suit(self, stage: Stage) -> None:
        """Mode paper at a real account; in a dry run the same account is well."""
        stage.configure("paper")
        _, found = checked(stage)
        assert found["key file"]["ok"]
        assert "live Tiger account" in found["account kind"]["found"]
        assert checked(stage, "--dry-run")[1]["account kind"]["ok"]
        write(stage.folder, account=PAPER_ACCOUNT)
        assert checked(stage)[1]["account kind"]["ok"]

    @pytest.mark.parametrize(
        ("method", "reply", "name"),
        [
            ("accounts", {"code": 40013, "message": "sign check failed"}, "broker login"),
            ("quote_real_time", {"code": 4, "message": "permission denied"}, "permissions"),
        ],
    )
    def test_refusals(self, stage: Stage, method: str, reply: dict[str, Any], name: str) -> None:
        """A login that is refused, and quotes that are not allowed, each in its own check with its remedy."""
        stage.gateway.answer_with(method, *[reply] * 3)
        code, found = checked(stage)
        assert (code, found[name]["ok"]) == (3, False)
        assert found[name]["remedy"]
        assert reply["message"] in found[name]["found"]

    def test_gateway_that_is_down(self, stage: Stage) -> None:
        """Nobody answers: login and clock fail, the rest is looked at all the same."""
        stage.gateway.close()
        code, found = checked(stage)
        assert (code, found["broker login"]["ok"], found["clock"]["ok"], found["key file"]["ok"]) == (
            3,
            False,
            False,
            True,
        )

    @pytest.mark.parametrize(("ahead_s", "ok"), [(0, True), (60, False), (-60, False)])
    def test_clock(self, stage: Stage, ahead_s: float, ok: bool) -> None:
        """A clock that is a minute away from the broker's is told from one that is right."""
        stage.gateway.ahead_s = ahead_s
        check = checked(stage)[1]["clock"]
        assert check["ok"] is ok
        assert ok or "set-ntp" in check["remedy"]


class TestProbe:
    """``--probe`` tries the broker out once all is well; what it does is tested where it lives."""

    @pytest.fixture
    def paper(self, stage: Stage) -> Stage:
        """A paper account at the gateway."""
        stage.gateway.book.account = PAPER_ACCOUNT
        write(stage.folder, account=PAPER_ACCOUNT)
        stage.configure("paper")
        return stage

    def test_findings_stand_beside_the_checks(self, paper: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each finding of the trial is one check more, in the table and in the JSON."""
        asked: list[Any] = []

        def probe(loaded: Any, *, symbol: str | None, say: Any) -> tuple[Finding, ...]:
            asked.append((loaded.config.mode, symbol))
            say("trying")
            return (Finding("repeat", True, "refused", ""), Finding("mark", False, "not echoed", "nothing needs it"))

        monkeypatch.setattr("oms.probing.probe", probe)
        code, said = paper.call("doctor", "--probe", "--symbol", "MSFT")
        assert (code, asked) == (3, [("paper", "MSFT")])
        assert f"ok     {'repeat':<33} refused" in said
        assert "oms: trying" in said
        assert f"FAILED {'mark':<33} not echoed" in said

    def test_not_before_all_is_well(self, paper: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a check fails, nothing is placed."""
        monkeypatch.setattr("oms.probing.probe", lambda *_, **__: pytest.fail("it was tried"))
        paper.gateway.ahead_s = 60
        code, said = paper.call("doctor", "--probe")
        assert (code, "was not tried out, because a check failed" in said) == (3, True)

    def test_account_that_may_not_be_tried(self, stage: Stage) -> None:
        """A real account is never tried out, and a refusal keeps its exit code."""
        loaded, clock = stage.configure(), SystemClock()
        until = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
        arm(loaded, offer(loaded, until, clock), "ada", clock)
        code, said = stage.call("doctor", "--probe")
        assert (code, "for mode: paper only" in said) == (5, True)
        assert stage.sent == 0

    @pytest.mark.parametrize("words", [("--symbol", "MSFT"), ("--probe", "--dry-run")])
    def test_words_that_do_not_go_together(self, stage: Stage, words: tuple[str, ...]) -> None:
        """Exit 2, and a sentence why."""
        assert stage.call("doctor", *words)[0] == 2


class TestMachine:
    """Disk, sync and database."""

    def test_disk_that_is_nearly_full(self, tmp_path: Path) -> None:
        """Little room is found before trading finds it."""
        loaded = load_config(None, {"OMS_JOURNAL__URL": f"sqlite:///{tmp_path}/oms.db"})
        with pytest.raises(Ailing, match=r"400 MB free of 100\.0 GB"):
            machine.disk(loaded, lambda _: (100_000_000_000, 0, 400_000_000))

    def test_disk_in_memory(self, tmp_path: Path) -> None:
        """A journal that a power cut would take is no journal."""
        loaded = load_config(None, {"OMS_JOURNAL__URL": f"sqlite:///{tmp_path}/oms.db"})
        with pytest.raises(Ailing, match="power cut"):
            machine.fsync(loaded, lambda _: "tmpfs")
        assert "ms typically" in machine.fsync(loaded, lambda _: "ext4")

    def test_journal_of_another_mode(self, stage: Stage) -> None:
        """The database says whose it is, and the check who asks for it."""
        text = (stage.folder / "config.yaml").read_text("utf-8").replace("kind: tiger", "kind: paper")
        (stage.folder / "config.yaml").write_text(text.replace("mode: live", "mode: paper"), "utf-8")
        assert stage.call("run", "--signals", "plan.csv")[0] == 0
        assert checked(stage)[1]["database"]["ok"]
        stage.configure("live")
        check = checked(stage)[1]["database"]
        assert "made for account 'paper-main', mode 'paper'" in check["found"]
        assert "journal.url" in check["remedy"]

    def test_damaged_database(self, stage: Stage) -> None:
        """A file that is no database of ours is found, not crashed on."""
        (stage.folder / "var").mkdir()
        (stage.folder / "var" / "live.db").write_bytes(b"no database at all, but long enough to look at" * 100)
        check = checked(stage)[1]["database"]
        assert not check["ok"]
        assert check["remedy"]


class TestFrame:
    """One check cannot spoil the others."""

    def test_a_check_that_hangs(self) -> None:
        """It has failed at its limit, and so have those behind it; the others answer."""
        for_ever = threading.Event()

        def hang() -> Iterator[str]:
            yield "first"
            for_ever.wait()
            yield "never"

        slow = Question(names=("a", "b", "c"), ask=hang, remedy="look", limit_s=0.1)
        found = list(examine([slow, question("d", lambda: "fine", "")]))
        for_ever.set()
        assert [(c.name, c.ok) for c in found] == [("a", True), ("b", False), ("c", False), ("d", True)]
        assert found[1].found == "no answer in 0.1 s"

    def test_a_check_that_breaks(self) -> None:
        """A bug in one is named by its kind only, for its text may quote a secret."""

        def broken() -> str:
            raise RuntimeError("SECRET")

        def refused() -> str:
            raise CredentialsError("the file is open; mend it with: chmod 600 it")

        found = list(examine([question("a", broken, ""), question("b", refused, "never shown")]))
        assert found[0] == Check(
            name="a", ok=False, found="the check itself failed: RuntimeError", remedy="report it; it is a bug"
        )
        assert (found[1].found, found[1].remedy) == ("the file is open", "chmod 600 it")
