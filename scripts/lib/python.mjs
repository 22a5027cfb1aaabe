// A Python with the modules that the tests of the hook import.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ask, step } from "./run.mjs";

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
  const interpreter = join(FOLDER, ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"]));
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
