// Debian packages, for what npm, cargo and rustup cannot install.

import { ask, step } from "./run.mjs";

/** The command that can install packages without a password: apt-get, sudo -n apt-get, or null. */
function installer() {
  if (process.platform !== "linux" || ask("apt-get", ["--version"]) === null) return null;
  if (process.getuid() === 0) return ["apt-get"];
  return ask("sudo", ["-n", "true"]) === null ? null : ["sudo", "-n", "apt-get"];
}

/** Installs packages, if that needs no password. Returns whether it did. */
export async function aptInstall(...packages) {
  const apt = installer();
  if (!apt) return false;
  const [command, ...first] = apt;
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  try {
    await step("Debian packages: reading the list", command, [...first, "update"], { env, minutes: 10 });
    const install = [...first, "install", "--yes", "--no-install-recommends", ...packages];
    await step(`Debian packages: installing ${packages.join(", ")}`, command, install, { env, minutes: 30 });
    return true;
  } catch {
    return false;
  }
}
