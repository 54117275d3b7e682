"""Drivers by name: each loads its own library and no other; others' packages add theirs; a wrong name is one line."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from stoker_drivers import catalogue
from stoker_drivers.catalogue import DriverBroken, UnknownDriver

ROOT = Path(catalogue.__file__).parents[1]
COMMON = {"driver", "interval", "publish", "minimum", "maximum", "min_on", "min_off"}


@pytest.mark.parametrize("name", ["ds18b20", "kernel", "mock", "remote"])
def test_every_thermometer_has_options_of_its_own(name: str) -> None:
    assert_driver(catalogue.thermometer(name))


@pytest.mark.parametrize("name", ["gpio", "gpiochip", "mock"])
def test_every_heater_has_options_of_its_own(name: str) -> None:
    assert_driver(catalogue.heater(name))


def assert_driver(driver: catalogue.Driver[object]) -> None:
    options = driver.Options
    assert issubclass(options, Struct)
    assert options.__struct_config__.frozen
    assert options.__struct_config__.forbid_unknown_fields
    assert not COMMON.intersection(options.__struct_fields__)  # they share a table


def test_the_names_are_listed() -> None:
    assert catalogue.thermometers() == ["ds18b20", "kernel", "mock", "remote"]
    assert catalogue.heaters() == ["gpio", "gpiochip", "mock"]


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(UnknownDriver, match="no thermometer driver 'ds18b2'; there are: ds18b20, kernel, mo") as caught:
        catalogue.thermometer("ds18b2")
    assert caught.value.name == "ds18b2"
    assert "ds18b20" in caught.value.known


# --- what is loaded ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "loaded"),
    [
        ("catalogue.thermometer('remote'), catalogue.thermometer('kernel')", []),
        ("catalogue.thermometer('mock'), catalogue.heater('mock')", []),
        ("catalogue.thermometer('ds18b20').Options(), catalogue.heater('gpio').Options(pin=17)", []),
        ("(c := catalogue.thermometer('ds18b20'))(c.Options())", []),
        ("(c := catalogue.heater('gpio'))(c.Options(pin=17, pin_factory='mock'))", ["gpiozero"]),
    ],
)
def test_a_library_is_imported_only_when_its_device_is_used(choice: str, loaded: list[str]) -> None:
    code = (
        f"import sys; from stoker_drivers import catalogue; kept = {choice}\n"
        "print([m for m in ('gpiozero', 'lgpio', 'w1thermsensor') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (f"{loaded}\n", "")


def test_installed_packages_are_not_searched_for_a_built_in_name() -> None:
    code = (
        "import sys; from stoker_drivers import catalogue; catalogue.thermometer('remote')\n"
        "print('importlib.metadata' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    assert done.stdout == b"False\n"


# --- others' packages -------------------------------------------------------------------------------------------------

GOOD = """
from msgspec import Struct
class Thermometer:
    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        celsius: float = 21.0
    def __init__(self, options): self.options = options
    def read(self): return self.options.celsius
    def close(self): pass
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, package: str, source: str, point: str = "fridge = {module}:Thermometer") -> None:
    module = package.replace("-", "_")
    (site / f"{module}.py").write_text(source)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stoker.thermometers]\n{point.format(module=module)}\n")


def test_another_package_adds_a_driver(site: Path) -> None:
    install(site, "acme-cold", GOOD)
    driver = catalogue.thermometer("fridge")
    thermometer = driver(driver.Options(celsius=4.5))
    assert hasattr(thermometer, "read")
    assert thermometer.read() == 4.5
    assert "fridge" in catalogue.thermometers()


def test_a_built_in_driver_is_never_replaced(site: Path) -> None:
    install(site, "acme-cuckoo", GOOD, "mock = {module}:Thermometer")
    assert catalogue.thermometer("mock").__module__ == "stoker_drivers.mock"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import no_such_library", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_library'"),
        ("def Thermometer(", r"cannot be loaded: SyntaxError: '\(' was never closed"),
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
        ("", "cannot be loaded: AttributeError: .*'Thermometer'"),
        ("class Thermometer: pass", "is not a driver: acme_broken.*:Thermometer is no class with .* `Options`"),
    ],
)
def test_a_broken_package_is_named_in_one_line(site: Path, source: str, text: str) -> None:
    package = f"acme-broken-{abs(hash(source))}"  # Python keeps modules by name
    install(site, package, source)
    with pytest.raises(DriverBroken, match=f"^thermometer driver 'fridge' of the package {package} {text}") as caught:
        catalogue.thermometer("fridge")
    assert "\n" not in str(caught.value)


def test_two_packages_with_one_name_is_an_error_that_names_them(site: Path) -> None:
    install(site, "acme-one", GOOD)
    install(site, "acme-two", GOOD)
    with pytest.raises(DriverBroken, match="more than one package: acme-one, acme-two; keep one"):
        catalogue.thermometer("fridge")
