// Pythons with the modules that the tests import, and the wheel.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Failure, ask, step } from "./run.mjs";

const IMPORTS = "import torch, safetensors";
const FOLDER = ".cache/torch-venv";

/**
 * Returns a Python that imports torch and safetensors: an installed one, or a virtual environment that adds safetensors to the system's
 * PyTorch. If there is no PyTorch, it returns any Python, and the script says what is missing.
 */
export async function pythonWithTorch() {
  const windows = process.platform === "win32";
  const pythons = windows ? ["python"] : ["python3", "/usr/bin/python3"];
  const ready = pythons.find((python) => ask(python, ["-c", IMPORTS]) !== null);
  if (ready) return ready;
  const withTorch = pythons.find((python) => ask(python, ["-c", "import torch"]) !== null);
  if (!withTorch) return pythons[0];
  const interpreter = interpreterIn(FOLDER);
  if (!existsSync(interpreter) || ask(interpreter, ["-c", IMPORTS]) === null) {
    try {
      await step("Python: a virtual environment with safetensors", withTorch, ["-m", "venv", "--system-site-packages", FOLDER]);
      await step("Python: installing safetensors", interpreter, ["-m", "pip", "install", "--quiet", "safetensors"], { minutes: 5 });
    } catch {
      return withTorch;
    }
  }
  return interpreter;
}

const interpreterIn = (folder) => join(folder, ...(process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"]));

const WHEELS = ".cache/wheels";

/** What the tests of the wheel import besides PyTorch. They skip what is missing. */
const TESTED_WITH = ["pytest", "pandas", "nbclient", "nbformat", "ipykernel"];

/**
 * Builds the wheel with pip, and installs it in two virtual environments: one with nothing else, and one with the modules of the tests
 * and the installed PyTorch. Returns both interpreters, the one of the tests first. The wheel has the profile and the features of the
 * other tests, so that cargo compiles the library only once.
 */
export async function pythonsWithWheel() {
  const windows = process.platform === "win32";
  const pythons = windows ? ["python"] : ["python3", "/usr/bin/python3"];
  const base = pythons.find((python) => ask(python, ["-c", "import torch, venv, ensurepip"]) !== null) ?? pythons[0];
  const [tested, clean] = [".cache/wheel-tests", ".cache/wheel-clean"];
  for (const folder of [tested, clean, WHEELS]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(WHEELS, { recursive: true });
  const venv = async (folder, ...options) => {
    await step(`Python: a virtual environment in ${folder}`, base, ["-m", "venv", ...options, folder], {
      otherwise: "Python has no venv or no pip: install python3-venv, then run this again.",
    });
    return interpreterIn(folder);
  };
  const [python, alone] = [await venv(tested, "--system-site-packages"), await venv(clean)];
  const pip = (label, interpreter, ...words) =>
    step(label, interpreter, ["-m", "pip", "--disable-pip-version-check", ...words], {
      minutes: 20,
      otherwise: `\`pip ${words.join(" ")}\` failed, see above.`,
    });
  const settings = ["--config-settings", "build-args=--profile dev --features gpu --locked"];
  await pip("Wheel: building", python, "wheel", "./python", "--no-deps", "--wheel-dir", WHEELS, ...settings);
  const wheel = readdirSync(WHEELS).find((name) => name.endsWith(".whl"));
  if (!wheel) throw new Failure("pip built no wheel.");
  await pip("Wheel: installing", alone, "install", "--quiet", join(WHEELS, wheel));
  // The last versions that work with PyTorch 1, which Debian 12 has.
  const torch = ask(python, ["-c", "import torch; print(torch.__version__)"]);
  const [numpy, transformers] = torch?.startsWith("1.") ? ["numpy<2", "transformers<4.47"] : ["numpy", "transformers"];
  await pip("Wheel: installing, with the modules of its tests", python, "install", "--quiet", join(WHEELS, wheel), ...TESTED_WITH, numpy);
  if (torch !== null) {
    await pip("Wheel: installing transformers", python, "install", "--quiet", numpy, transformers);
  }
  return { python, alone };
}
