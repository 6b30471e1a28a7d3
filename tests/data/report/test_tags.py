from ctrfast.data.report.tags import LONGEST, details, plain, table, text


def test_text_is_escaped_and_shows_what_cannot_be_shown():
    assert text("<b a=\"1\" b='2'>&") == "&lt;b a=&quot;1&quot; b=&#x27;2&#x27;&gt;&amp;"
    assert text("a\x00b\n\u202ec") == "a\ufffdb\ufffd\ufffdc"
    assert text("\u5e7f\u544a, \u00e9") == "\u5e7f\u544a, \u00e9"


def test_a_table_has_caption_head_and_row_heads():
    html = table("T & T", ("name", "rows", "what"), [[plain("<a>"), "1", plain("x" * 99)]])
    assert "<caption>T &amp; T</caption>" in html
    assert '<th scope="col" class="text">name</th><th scope="col">rows</th>' in html
    assert '<th scope="row"><bdi>&lt;a&gt;</bdi></th><td>1</td><td class="text">' in html
    assert f"{'x' * (LONGEST - 1)}…</bdi>" in html


def test_details_escape_their_summary_alone():
    assert details("<s>", "<p>1</p>", "<p>2</p>") == ("<details><summary>&lt;s&gt;</summary><p>1</p><p>2</p></details>")
