"""The page in a browser: what it shows, what its controls do, how it looks narrow, and as a file without a net."""

import json
import time

import pytest
from tests.viewers.chromium import Page
from tests.viewers.dashboard_run import (
    DEPTH,
    grey_of,
    make_old_run,
    make_run,
    write_history,
    write_record,
    write_slices,
    write_steps,
    write_worst,
)  # fmt: skip
from tests.viewers.neuroglancer_browser import CHROMIUM, NO_BROWSER

from scripts.viewers import DashboardServer, RunFolder, write_dashboard
from scripts.viewers.dashboard_page import MAX_EXPORTED

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

READY = (
    "document.getElementById('page').getAttribute('aria-busy') === 'false' && "
    "document.querySelectorAll('#panels > *').length > 0"
)


def text(page, selector):
    return page.value(f"document.querySelector({json.dumps(selector)}).innerText")


def grey(page, title):
    """Grey of a panel's middle as it is drawn."""
    return page.value(
        f"document.querySelector('#panels figure[data-title=\"{title}\"] canvas').getContext('2d')"
        ".getImageData(4, 4, 1, 1).data[0]"
    )


def move(page, slider, value):
    """As a person does with the mouse."""
    page.value(
        f"(() => {{ const it = document.getElementById('{slider}'); it.value = {value};"
        "it.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def is_visible(page, selector):
    return page.value(f"document.querySelector({json.dumps(selector)}).checkVisibility()")


def luminance(page):
    red, green, blue = page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("root") / "run", epochs=3)


@pytest.fixture(scope="module")
def served(folder):
    with DashboardServer(RunFolder(folder), refresh=0.5) as server, Page(server.url) as page:
        page.wait_for(READY)
        yield page
        assert page.errors == []


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """The page as a file, with the network switched off."""
    path = write_dashboard(RunFolder(folder), tmp_path_factory.mktemp("export") / "page.html")
    with Page(f"file://{path}", offline=True) as page:
        page.wait_for(READY)
        yield page
        assert page.errors == []
        assert [address for address in page.requests if not address.startswith(("file:", "data:"))] == []


@pytest.fixture(params=["served", "exported"])
def page(request):
    return request.getfixturevalue(request.param)


def test_state_progress_and_time_left(page):
    assert text(page, "#state") == "running"
    assert text(page, "#where") == "epoch 2 of 8, step 2 of 4, about 2 min 10 s left, 2 s a step"
    assert page.value("document.getElementById('progress').value") == pytest.approx(6 / 32)


def test_every_chart_has_its_curves_and_says_its_last_values(page):
    titles = page.value("[...document.querySelectorAll('#charts h3')].map((one) => one.textContent)")
    assert titles == ["Loss of each step (training)", "Loss terms (training)", "Learning rate", "Scores (validation)"]
    points = page.value(
        "[...document.querySelectorAll('#charts > div:nth-child(4) .curve')].map((one) => one.getAttribute('points'))"
    )
    (x1, y1), (x2, y2), (x3, y3) = (tuple(map(float, pair.split(","))) for pair in points[0].split())
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)  # scores 1/16, 2/16, 3/16 lie on a line that rises
    assert y2 < y1
    label = page.value("document.querySelector('#charts > div:nth-child(4) svg').getAttribute('aria-label')")
    assert label == "Scores (validation): epoch 3: score 0.1875"


def test_arrow_keys_read_a_chart(page):
    page.value("document.querySelector('#charts > div:nth-child(4) svg').focus()")
    page.press("ArrowLeft", 37)
    assert text(page, "#charts > div:nth-child(4) .readout") == "epoch 2: score 0.125"
    page.press("Home", 36)
    assert text(page, "#charts > div:nth-child(4) .readout") == "epoch 1: score 0.0625"
    page.value("document.activeElement.blur()")
    assert text(page, "#charts > div:nth-child(4) .readout") == "epoch 3: score 0.1875"


def test_sliders_choose_slice_and_epoch(page):
    for z in (0, DEPTH - 1, 2):
        move(page, "slice", z)
        assert text(page, "#slice-said") == f"z = {z}, of 0 to {DEPTH - 1}"
        for title in ("image", "sheet: truth", "sheet: prediction"):
            assert abs(grey(page, title) - grey_of(title, 3, z)) <= 2
    move(page, "epoch", 0)
    page.wait_for(f"Math.abs({grey_of('image', 1, 2)} - document.querySelector('#panels canvas')"
                  ".getContext('2d').getImageData(4, 4, 1, 1).data[0]) <= 2")  # fmt: skip
    assert text(page, "#epoch-said") == "1, of 1 to 3"
    assert text(page, "#slice-said") == f"z = 2, of 0 to {DEPTH - 1}"  # the slice stays
    move(page, "epoch", 2)
    page.wait_for(f"Math.abs({grey_of('image', 3, 2)} - document.querySelector('#panels canvas')"
                  ".getContext('2d').getImageData(4, 4, 1, 1).data[0]) <= 2")  # fmt: skip


def test_keys_move_a_slider(page):
    move(page, "slice", 2)
    page.value("document.getElementById('slice').focus()")
    page.press("ArrowRight", 39)
    assert abs(grey(page, "image") - grey_of("image", 3, 3)) <= 2
    assert page.value("document.getElementById('slice').getAttribute('aria-valuetext')") == "slice z = 3, of 0 to 5"


def test_a_toggle_hides_one_panel_here_and_among_the_worst_patches(page):
    boxes = page.value(
        "[...document.querySelectorAll('#toggles fieldset')].map((group) => [group.querySelector('legend').innerText, "
        "...[...group.querySelectorAll('label')].map((one) => one.innerText.trim())])"
    )
    assert boxes == [["scan", "image"], ["sheet", "truth", "prediction"]]
    click = "document.querySelectorAll('#toggles input')[1].click()"
    truth, worst = '#panels figure[data-title="sheet: truth"]', '#worst figure[data-title="sheet: truth"]'
    assert is_visible(page, truth)
    page.value(click)
    assert not is_visible(page, truth)
    assert not is_visible(page, worst)
    assert is_visible(page, '#panels figure[data-title="sheet: prediction"]')
    page.value(click)
    assert is_visible(page, truth)
    assert is_visible(page, worst)


def test_worst_patches_say_where_they_lie(page):
    cards = page.value("[...document.querySelectorAll('#worst > li')].map((one) => one.innerText)")
    assert len(cards) == 2
    assert " ".join(cards[0].split()).startswith(
        "loss 2.5, step 5 volume 0 image /data/<script>.zarr start 1 2 3 size 8 8 8 shown slice 4 of the patch"
    )
    said = "From the batches with the highest loss of epoch 3. The loss is of a whole batch."
    assert text(page, "#worst-said") == said


def search(page, words):
    page.value(
        f"(() => {{ const it = document.getElementById('search'); it.value = '{words}';"
        "it.dispatchEvent(new Event('input')); })()"
    )


def test_settings_are_searched_and_never_markup(page):
    page.value("document.getElementById('settings').open = true")
    rows = "[...document.querySelectorAll('#settings-table tr')].filter((row) => !row.hidden)"
    cells = f"{rows}.map((row) => [...row.cells].map((cell) => cell.textContent))"
    assert len(page.value(cells)) == 3
    search(page, "SHEET chan")
    assert page.value(cells) == [["targets", '{"sheet":{"channels":1}}']]
    assert text(page, "#found") == "1 of 3"
    search(page, "")
    assert page.value(cells)[0] == ["learning_rate", "0.004"]
    assert "<img src=x onerror=x()>" in text(page, "#settings-table")
    assert "a <b>fast</b> one" in text(page, "#machine-table")
    assert page.value("document.querySelectorAll('table img, table b').length") == 0
    assert "parameters" in text(page, "#network-table")
    assert "1,234,567" in text(page, "#network-table")


def test_everything_that_is_operated_has_a_name(page):
    unnamed = page.value(
        "[...document.querySelectorAll('input, svg, canvas, progress, table, section')].filter((one) => "
        "!one.getAttribute('aria-label') && !one.getAttribute('aria-labelledby') && !(one.labels && one.labels.length))"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    assert page.value("document.documentElement.lang") == "en"


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_needs_no_sideways_scrolling(page, width):
    page.resize(width, 844)
    try:
        page.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.value("document.getElementById('settings').open = true")
        assert page.value("document.documentElement.scrollWidth") <= width
        edges = page.value(
            "[...document.querySelectorAll('h1, h2, p, svg, canvas, input, fieldset, td, th')].filter((one) => "
            "one.checkVisibility()).map((one) => one.getBoundingClientRect()).filter((box) => box.width > 0)"
            ".map((box) => [box.left, box.right])"
        )
        assert min(left for left, _ in edges) >= 0
        assert max(right for _, right in edges) <= width
    finally:
        page.resize(1000, 800)


def test_dark_and_light_differ_and_can_be_read(folder):
    with DashboardServer(RunFolder(folder)) as server:
        seen = {}
        for dark in (False, True):
            with Page(server.url, dark=dark) as page:
                page.wait_for(READY)
                seen[dark] = luminance(page), page.picture(whole=False)
    assert seen[False][0] > 0.9
    assert seen[True][0] < 0.1
    assert seen[False][1] != seen[True][1]


def test_what_is_new_appears_without_a_reload_and_nothing_jumps(tmp_path):
    folder = make_run(tmp_path / "run", epochs=2)
    with DashboardServer(RunFolder(folder), refresh=0.5) as server, Page(server.url) as page:
        page.wait_for(READY)
        page.wait_for("document.querySelectorAll('#worst > li').length === 2")
        page.value("window.stays = true; window.shift = 0; new PerformanceObserver((list) => { for (const one of "
                   "list.getEntries()) window.shift += one.value; }).observe({type: 'layout-shift'}); 0")  # fmt: skip
        panels = write_slices(folder, 3)
        write_steps(folder, 12)
        write_history(folder, 3)
        write_worst(folder, 3, panels)
        write_record(folder, epoch=3, iteration=12, state="finished", seconds_left=0.0)
        page.wait_for("document.getElementById('state').innerText === 'finished'")
        page.wait_for("document.getElementById('epoch-said').innerText === '3, of 1 to 3'")
        page.wait_for("document.getElementById('worst-said').innerText.includes('epoch 3')")
        page.wait_for(f"Math.abs({grey_of('image', 3, 2)} - document.querySelector('#panels canvas')"
                      ".getContext('2d').getImageData(4, 4, 1, 1).data[0]) <= 4")  # fmt: skip
        label = "document.querySelector('#charts > div:nth-child(4) svg').getAttribute('aria-label')"
        assert page.value(label) == "Scores (validation): epoch 3: score 0.1875"
        assert page.value("window.stays")
        assert page.value("window.shift") < 0.01
        # who looks at an older epoch keeps it
        move(page, "epoch", 0)
        write_slices(folder, 4)
        page.wait_for("document.getElementById('epoch-said').innerText === '1, of 1 to 4'")


def test_a_training_begun_anew_shows_its_own_pictures(tmp_path):
    folder = make_run(tmp_path / "run", epochs=2)
    drawn = "document.querySelector('#panels canvas').getContext('2d').getImageData(4, 4, 1, 1).data[0]"
    with DashboardServer(RunFolder(folder), refresh=0.5) as server, Page(server.url) as page:
        page.wait_for(READY)
        move(page, "slice", 0)
        assert abs(page.value(drawn) - grey_of("image", 2, 0)) <= 2
        panels = write_slices(folder, 3)  # what will be epoch 2 of the next training
        (folder / "previews" / "epoch_0003_slices.json").replace(folder / "previews" / "epoch_0002_slices.json")
        write_record(folder, started=time.time())
        page.wait_for(f"Math.abs({drawn} - {panels[0].colours[0, 0, 0, 0]}) <= 2")
        assert text(page, "#slice-said") == f"z = 0, of 0 to {DEPTH - 1}"


def test_a_server_that_has_gone_is_told(folder):
    with DashboardServer(RunFolder(folder), refresh=0.5) as server, Page(server.url) as page:
        page.wait_for(READY)
        server.close()
        page.wait_for("document.getElementById('state').innerText === 'no answer'")
        assert "the dashboard's server has gone" in text(page, "#seen")
        assert is_visible(page, "#panels canvas")


def test_an_old_run_shows_its_pictures_and_no_more(tmp_path):
    folder = make_old_run(tmp_path / "run")
    with DashboardServer(RunFolder(folder)) as server, Page(server.url) as page:
        page.wait_for(READY)
        assert text(page, "#state") == "unknown"
        assert page.value("document.querySelector('#panels img').naturalWidth") == 40
        assert page.value("document.getElementById('slice').disabled")
        assert is_visible(page, "#no-settings")
        assert page.errors == []


def test_a_failed_run_says_why(tmp_path):
    folder = make_run(tmp_path / "run")
    write_record(folder, state="failed", error="ValueError: loss is <nan>")
    with DashboardServer(RunFolder(folder)) as server, Page(server.url) as page:
        page.wait_for(READY)
        assert (text(page, "#state"), text(page, "#error")) == ("failed", "ValueError: loss is <nan>")


def test_the_file_holds_all_it_needs_and_no_end_of_a_script(folder, tmp_path):
    write_record(folder, settings={"note": "</script><script>alert(1)</script>"})
    try:
        content = write_dashboard(RunFolder(folder), tmp_path / "new" / "page.html").read_text()
    finally:
        write_record(folder)
    assert content.count("</script>") == 2
    assert "alert(1)" in content
    assert "://" not in content.replace("http://www.w3.org/2000/svg", "")
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["page.html"]


def test_of_many_epochs_a_file_keeps_the_first_the_last_and_some_between(tmp_path):
    folder = make_run(tmp_path / "run", epochs=1)
    for epoch in range(2, 60):
        write_slices(folder, epoch)
    content = write_dashboard(RunFolder(folder), tmp_path / "page.html").read_text()
    kept = json.loads(content.split('id="data">')[1].split("</script>")[0])
    assert kept["summary"]["previews"] == sorted(map(int, kept["previews"]))
    assert len(kept["previews"]) == MAX_EXPORTED
    assert {"1", "59"} <= kept["previews"].keys()
    assert time.time() - kept["summary"]["now"] < 60
