"""Settings come from the environment, and each is documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import service.settings
from service.settings import Settings


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CTRFAST_HOME", str(tmp_path))
    monkeypatch.setenv("CTRFAST_DATA_ROOTS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    monkeypatch.setenv("CTRFAST_LEASE_S", "7.5")
    settings = Settings()
    assert settings.home_dir == tmp_path.resolve()
    assert settings.roots == ((tmp_path / "a").resolve(), (tmp_path / "b").resolve())
    assert settings.lease_s == 7.5
    assert settings.url == f"sqlite:///{tmp_path / 'ctrfast.db'}"


def test_the_database_is_not_under_the_default_root(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    database = Path(settings.url.removeprefix("sqlite:///"))
    assert all(root not in database.parents for root in settings.roots)


@pytest.mark.parametrize("given", ["postgresql://u@h/d", "postgres://u@h/d"])
def test_postgresql_takes_psycopg(given: str) -> None:
    assert Settings(database_url=given).url == "postgresql+psycopg://u@h/d"


def test_the_log_level_in_any_case() -> None:
    assert Settings(log_level="debug").log_level == "DEBUG"  # type: ignore[arg-type]


def test_a_lease_shorter_than_two_heartbeats_is_refused() -> None:
    with pytest.raises(ValidationError, match="lease_s"):
        Settings(lease_s=1, heartbeat_s=0.9)


def test_a_longest_wait_below_the_first_is_refused() -> None:
    with pytest.raises(ValidationError, match="retry_most_s"):
        Settings(retry_first_s=9, retry_most_s=8)


def test_each_setting_is_documented() -> None:
    text = service.settings.__doc__ or ""
    assert [name for name in Settings.model_fields if f"CTRFAST_{name.upper()}" not in text] == []
