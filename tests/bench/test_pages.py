"""The series that `bench.pages` fills in, and its open pages, which notice when one is closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.api_process import ApiProcess
from bench.long_series import bench_settings, fill_series, running_job
from bench.open_pages import Visit, cookie_of, cpu_share
from service.access import ALL_RIGHTS
from service.metric_summaries import SIZES
from service.tables import MetricSummary
from service.wiring import Services


def make_services(home: Path) -> Services:
    settings = bench_settings(home, f"sqlite:///{home / 'pages.db'}")
    settings.make_folders()
    services = Services.build(settings)
    services.database.migrate()
    return services


def test_a_long_series_has_its_summaries(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    lease = running_job(services)
    fill_series(services.database, lease.job_id, 12_000)
    series, last_seq = services.jobs.metric_series(lease.job_id)
    assert [record["step"] for record in series] == [*range(1, 12_001)]
    assert last_seq == 12_002
    with services.database.read() as session:
        written = session.query(MetricSummary).filter_by(job_id=lease.job_id, level=0).count()
    assert written == last_seq // SIZES[0]
    services.database.dispose()


def test_open_pages_are_followed_and_asked_for(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    leases = [running_job(services), running_job(services)]
    key = services.keys.create("bench", rights=ALL_RIGHTS)
    url = services.settings.url
    environment = {"CTRFAST_HOME": str(tmp_path), "CTRFAST_DATABASE_URL": url, "CTRFAST_REQUIRE_KEY": "1"}
    with ApiProcess(environment) as api:
        cookie = cookie_of(api.address, key)
        visits = [Visit.of_list(), *(Visit.of_job(lease.job_id) for lease in leases)]
        assert cpu_share(api, cookie, visits, services, leases, 4.0) >= 0
        with pytest.raises(SystemExit, match="closed"):
            cpu_share(api, cookie, [Visit(None, ("/v1/jobs/none",), 0.1)], services, [], 1.0)
        with pytest.raises(SystemExit, match="brought none"):
            cpu_share(api, cookie, [Visit.of_job(leases[0].job_id)], services, [], 1.0)  # nobody works on it
    services.database.dispose()
