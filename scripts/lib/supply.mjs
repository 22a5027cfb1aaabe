// The bill of materials of the page and the package: the locked crates and npm packages, as CycloneDX.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { npm } from "./packages.mjs";
import { Failure } from "./run.mjs";

/** The path of the bill of materials. */
export const SBOM = "sbom/gammascope.cdx.json";

const run = (program, ...args) => execFileSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 });

/** The crates that the wasm of the page links, from Cargo.lock. */
function crates() {
  const metadata = JSON.parse(
    run("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "wasm32-unknown-unknown"),
  );
  const { packages, resolve, workspace_members: members } = metadata;
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const web = members.filter((id) => packages.some((entry) => entry.id === id && /^gammascope-(inspector|figures|verifier)$/.test(entry.name)));
  const linked = new Set();
  const waiting = [...web];
  while (waiting.length > 0) {
    const id = waiting.pop();
    if (linked.has(id)) continue;
    linked.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) if (kinds.some(({ kind }) => kind === null)) waiting.push(pkg);
  }
  const lock = readFileSync("Cargo.lock", "utf8");
  return packages
    .filter(({ id, source }) => linked.has(id) && source !== null)
    .map(({ name, version, license, repository }) => {
      const checksum = lock.match(new RegExp(`name = "${name}"\\r?\\nversion = "${version.replaceAll(".", "\\.").replaceAll("+", "\\+")}"\\r?\\nsource = .*\\r?\\nchecksum = "([0-9a-f]+)"`))?.[1];
      const purl = `pkg:cargo/${name}@${version}`;
      return {
        type: "library",
        "bom-ref": purl,
        name,
        version,
        purl,
        ...(license ? { licenses: [{ expression: license.replaceAll("/", " OR ") }] } : {}),
        ...(checksum ? { hashes: [{ alg: "SHA-256", content: checksum }] } : {}),
        ...(repository ? { externalReferences: [{ type: "vcs", url: repository }] } : {}),
      };
    });
}

/** Writes the bill of materials: that of npm, and the crates of the wasm. Equal lock files give equal bytes. */
export function writeSbom() {
  const [program, first] = npm();
  const bom = JSON.parse(run(program, ...first, "sbom", "--sbom-format", "cyclonedx", "--omit", "dev"));
  const libraries = crates();
  if (libraries.length === 0) throw new Failure("cargo metadata names no crate of the page, so there is no bill of materials.");
  bom.metadata.component.name = "gammascope";
  delete bom.metadata.timestamp;
  const order = (a, b) => (a["bom-ref"] < b["bom-ref"] ? -1 : 1);
  bom.components = [...bom.components, ...libraries].sort(order);
  const digest = createHash("sha256").update(JSON.stringify(bom.components)).digest("hex");
  bom.serialNumber = `urn:uuid:${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  mkdirSync("sbom", { recursive: true });
  writeFileSync(SBOM, `${JSON.stringify(bom, null, 2)}\n`);
  return bom.components.length;
}
