import pytest

from service.negotiation import PARQUET, prefers_html, prefers_parquet

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["text/html", BROWSER, "TEXT/HTML", "application/json;q=0.5, text/html;q=0.6"])
def test_a_page(accept: str) -> None:
    assert prefers_html(accept)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "text/html, application/json", "text/html;q=0", "text/html;q=x", ",;=", "text/*"],
)
def test_json(accept: str) -> None:
    assert not prefers_html(accept)


@pytest.mark.parametrize("accept", [PARQUET, f"{PARQUET}, */*;q=0.1", f"application/json;q=0.5, {PARQUET}"])
def test_a_table(accept: str) -> None:
    assert prefers_parquet(accept)
    assert not prefers_html(accept)


@pytest.mark.parametrize(
    "accept", ["", "*/*", BROWSER, f"text/html, {PARQUET};q=0.9", f"{PARQUET}, application/json", f"{PARQUET};q=0"]
)
def test_no_table(accept: str) -> None:
    assert not prefers_parquet(accept)
