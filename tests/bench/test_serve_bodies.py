import json

from bench.prepare_work import IDS, NUMBERS
from bench.serve_bodies import FORMS, SIZES, body_file, last_rows, write_bodies

LINES = [
    "\t".join(["0", *([""] * 12), str(row), *([f"{row:08x}"] * 25), ""]) + "\n" for row in range(120)
]  # I13, and C1 to C25


def test_rows_leave_out_what_is_missing(tmp_path):
    raw = tmp_path / "raw.tsv"
    raw.write_text("".join(LINES))
    rows = last_rows(raw, 2)
    assert [row["I13"] for row in rows] == [118, 119]
    assert rows[0].keys() == {"I13", *IDS[:25]}
    assert rows[0]["C25"] == "00000076"


def test_each_form_holds_the_same_rows(tmp_path):
    raw = tmp_path / "raw.tsv"
    raw.write_text("".join(LINES))
    write_bodies(raw, 110, tmp_path)
    rows = last_rows(raw, 110)
    for size, count in SIZES.items():
        found = {
            form: [json.loads(line) for line in (tmp_path / body_file(form, size)).read_text().splitlines()]
            for form in FORMS
        }
        assert {len(bodies) for bodies in found.values()} == {count}
        assert found["instances"][0] == {"instances": rows[:size]}
        assert found["instances"][1] != found["instances"][0]
        context = found["context"][0]
        assert {**context["context"], **context["candidates"][0]} == rows[0]
        assert len(context["candidates"]) == size
        assert not context["context"].keys() & context["candidates"][0].keys()
        ids, numbers = found["v2"][0]["inputs"]
        assert ids["shape"] == [size, len(IDS)]
        assert numbers["shape"] == [size, len(NUMBERS)]
        assert ids["data"][: len(IDS)] == [rows[0].get(name) for name in IDS]
        assert numbers["data"][-len(NUMBERS) :] == [rows[size - 1].get(name) for name in NUMBERS]
