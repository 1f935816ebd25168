"""report.html in a browser without a network: it plays, sorts, filters, opens by keyboard, and axe finds nothing."""

import base64
import re
import shutil
import subprocess
import tarfile

import pytest
from moving_glass import fill_with_tls
from steps import done

from pipeline.workspace import Workspace
from reporting.tls_pictures import update_pictures

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver")
Keys, Wait = webdriver.Keys, pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    at = Workspace(tmp_path_factory.mktemp("page")).at("0.1")
    update_pictures(at, fill_with_tls(at))
    done("report", at.workspace.root)
    return at.workspace.report


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(
            ["npm", "pack", "axe-core@4", "--silent"], cwd=folder, check=True, capture_output=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"axe-core can't be had from npm: {error}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if None in found:
        pytest.skip("there is no chromium and chromedriver to open the page in")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    folder = tmp_path_factory.mktemp("browser")
    for name in ("headless=new", "no-sandbox", "disable-gpu", "host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(f"--{name}")
    options.add_argument(f"--user-data-dir={folder}")
    started = webdriver.Chrome(options, webdriver.ChromeService(found[1]))
    yield started
    started.quit()


@pytest.fixture
def browser(driver, page):
    """The page, opened anew on a desktop."""
    show(driver, page)
    return driver


def show(driver, page, width=1400, **features):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = [{"name": f"prefers-{name}".replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    driver.get(page.as_uri())


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def marker(browser):
    return float(all_of(browser, ".stage > svg circle[r='8']")[0].get_attribute("cx"))


def test_a_tls_is_played_and_turned_by_keyboard(browser):
    (slider,), (canvas,) = all_of(browser, "input[type=range]"), all_of(browser, "canvas")
    start, pixels = marker(browser), "return document.querySelector('canvas').toDataURL()"
    play = next(one for one in all_of(browser, ".row button"))
    play.send_keys(Keys.ENTER)
    Wait(browser, 20, 0.05).until(lambda _: marker(browser) > start + 10)
    play.send_keys(Keys.ENTER)
    place, picture = marker(browser), browser.execute_script(pixels)
    slider.send_keys(Keys.ARROW_RIGHT)
    assert marker(browser) != place
    slider.send_keys(Keys.ARROW_LEFT)
    canvas.send_keys(Keys.ARROW_UP)
    assert browser.execute_script(pixels) != picture
    assert browser.get_log("browser") == []


def test_points_of_the_plane_and_rows_of_the_table_open_their_tls(browser):
    (choice,) = all_of(browser, "select")
    for links in (".plane a", "td a[data-opens]"):
        for link in all_of(browser, links)[:3]:
            conf = re.search(r"Cnf-\d+", link.get_attribute("aria-label"))[0]
            browser.execute_script("arguments[0].focus()", link)
            browser.switch_to.active_element.send_keys("\n")
            shown = all_of(browser, "select option")[int(choice.get_attribute("value"))]
            assert shown.text.startswith(f"{conf} ")


def glasses(browser):
    return [one.text for one in all_of(browser, "table:has(td a[data-opens]) td:nth-child(2)") if one.is_displayed()]


def test_tables_sort_and_filter_by_keyboard_and_their_header_stays(browser):
    names = [str(conf) for conf in range(3, 15)]
    assert sorted(glasses(browser), key=int) == names
    head = all_of(browser, "table:has(td a[data-opens]) th")[1]
    head.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert (head.get_attribute("aria-sort"), glasses(browser)) == ("ascending", names)
    head.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert (head.get_attribute("aria-sort"), glasses(browser)) == ("descending", names[::-1])
    field = all_of(browser, "input[type=search]")[0]
    field.send_keys("TLS 14")
    assert "14" in glasses(browser)
    assert len(glasses(browser)) < 12
    assert head.value_of_css_property("position") == "sticky"


def test_who_prefers_no_motion_and_paper_get_the_still_picture(browser, page):
    show(browser, page, reduced_motion="reduce")
    assert all_of(browser, ".still img")[0].is_displayed()
    assert not all_of(browser, "canvas")
    all_of(browser, ".plane a")[-1].click()
    assert any(one.is_displayed() for one in all_of(browser, "details figure img"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, page, axe, scheme):
    show(browser, page, color_scheme=scheme)
    browser.execute_script(axe)
    run = "const done = arguments[0]; axe.run().then(found => done(found.violations.map(one => [one.impact, one.id])))"
    found = browser.execute_async_script(run)
    assert not [one for one in found if one[0] in ("serious", "critical")]


def test_nothing_is_wider_than_a_phone_loaded_from_elsewhere_or_longer_than_ten_printed_pages(browser, page):
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) < 10
    show(browser, page, width=390)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
