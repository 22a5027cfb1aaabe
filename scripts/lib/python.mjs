// Python with what the tests of the hook import.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ask, step } from "./run.mjs";

const IMPORTS = "import torch, safetensors";
const FOLDER = ".cache/torch-venv";

/**
 * A Python that imports torch and safetensors: the one at hand, or a virtual environment that adds safetensors to a system's
 * PyTorch. Where there is neither, any Python, or the name of one: the script says what it misses.
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
