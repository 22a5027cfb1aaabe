// What is stored of a run at initialisation, what in it contradicts the claim, and that part of docs/paper.md.

export const SEED = 1;
export const SEQUENCE = 128;
/** The smallest |cos^| of a LayerNorm. */
const SAME_DIRECTION = 0.9999;
/** The largest depth^ of a LayerNorm: ten times the 1e-13 that the rounding of an f32 pass usually leaves at most. */
const FLOOR = 1e-12;
/** The largest |cos^| and the smallest depth^ of an RMSNorm. */
const [ANOTHER_DIRECTION, ALIVE] = [0.9, 1e-2];

/** Why a norm that the run reaches is not measured, by the input of the run. */
const NOT_MEASURED = {
  ids: (name) => `Not run in ${name}, because it belongs to a head that uniform ids do not need`,
  noise: (name) => `Not measured in ${name}, because it normalises each channel over time and has no kernel direction`,
};

/** What is stored of a report (schema gammascope.report/1) and of the `program` that made it. */
export function measuredOf(report, program) {
  const { pass, sites, seconds } = report.verification;
  const norm = ({ name }) => report.norms.find((norm) => norm.name === name);
  const predicted = (site) => norm(site)?.kernel.predicted_below_tau ?? null;
  const of = (field) => sites.map((site) => site[field]).filter((value) => value !== null);
  const range = (values) => (values.length > 0 ? [Math.min(...values), Math.max(...values)] : [null, null]);
  const layers = report.model.layers ?? 0;
  const blocks = layers - pass.left_out;
  const reached = ({ block }) => block === null || block < blocks;
  return {
    family: pass.family,
    told: pass.told,
    parameters: report.checkpoint.parameters,
    width: report.model.width,
    blocks,
    left_out: pass.left_out,
    tokens: pass.sequences * pass.length,
    sites: sites.length,
    cosine: range(of("cos_scale_free")),
    depth: range(of("depth_scale_free")),
    predicted_below_tau: sum(sites.map(predicted)),
    measured_below_tau: sum(sites.map((site) => site.below_tau)),
    unresolved: sites
      .filter((site) => site.cos_scale_free === null || site.depth_scale_free === null)
      .map((site) => ({ site: site.name, depth: site.depth_scale_free, below_tau: site.below_tau, predicted_below_tau: predicted(site) })),
    unreached: report.norms.filter((norm) => reached(norm) && !sites.some(({ name }) => name === norm.name)).map(({ name }) => name),
    seconds: Math.round(seconds),
    ...program,
  };
}

/** What in the row of a model contradicts the claim, each as a clause. */
export function faults({ parameters, apart = 0, measured }) {
  // A direction with variance is not dead, whichever direction is the bottom one.
  const isAlive = ({ depth }) => measured.told === "rmsnorm" && depth > ALIVE;
  const open = measured.unresolved.filter((site) => !isAlive(site));
  const against = open.map(({ site, depth, below_tau, predicted_below_tau }) => {
    const others = `${below_tau ?? "unknown"} directions lie below τ, and the scale predicts ${predicted_below_tau ?? "unknown"}`;
    return `at \`${site}\` several directions lie below rounding, so none is the bottom one (depth^ ${small(depth)}; ${others})`;
  });
  const hold = (fact, otherwise) => !fact && against.push(otherwise);
  hold(measured.parameters === parameters - apart, `${measured.parameters} parameters, not ${parameters - apart}`);
  const [[leastCosine, greatestCosine], [leastDepth, greatestDepth]] = [measured.cosine, measured.depth];
  if (measured.told === "layernorm") {
    hold(leastCosine >= SAME_DIRECTION, `a |cos^| of ${cosine(leastCosine)} is below ${SAME_DIRECTION}`);
    hold(greatestDepth <= FLOOR, `a depth^ of ${small(greatestDepth)} is above ${FLOOR}`);
  } else if (measured.told === "rmsnorm") {
    hold(greatestCosine < ANOTHER_DIRECTION, `a |cos^| of ${cosine(greatestCosine)} is not below ${ANOTHER_DIRECTION}`);
    hold(leastDepth > ALIVE, `a depth^ of ${small(leastDepth)} is not above ${ALIVE}`);
  } else hold(false, "the kind of its norms is not known");
  return against;
}

/** The part of docs/paper.md about models at their initialisation, each with its stored run if there is one. */
export function writtenInitial(models) {
  const rows = models.filter(({ measured }) => measured);
  const left = models.filter(({ measured }) => !measured);
  const of = (kind) => rows.filter(({ measured }) => measured.told === kind);
  const [layers, others] = [of("layernorm"), of("rmsnorm")];
  const sites = (rows) => sum(rows.map(({ measured }) => measured.sites));
  const wrong = rows.filter((row) => faults(row).length > 0);
  const agree =
    wrong.length === 0
      ? [`**All ${rows.length} rows agree with the claim.**`]
      : [`**${wrong.length} of ${rows.length} rows disagree with the claim:**`, "", ...wrong.flatMap((row) => [`- ${row.name}`, ...faults(row).map((fault) => `  - ${fault}`)])];
  const partial = rows.filter(({ measured }) => measured.left_out > 0);
  const unreached = rows.filter(({ measured }) => measured.unreached.length > 0);
  const cores = [...new Set(rows.map(({ measured }) => measured.cores))].join(" or ");
  const lines = [
    "## At random initialisation every LayerNorm has its kernel, and no RMSNorm has one",
    "",
    "`npm run paper -- random-init` writes this part from `docs/paper/NAME/measured.json`, where it keeps the result of each run.",
    "",
    "**The claim** (arXiv 2606.19491): at a model's random initialisation the bottom direction of a LayerNorm's output is the predicted one",
    "to four decimal places, and an RMSNorm has no such direction. Two tests check it:",
    "",
    `- At every LayerNorm site the direction 1/√d of the normalised input has |cos^| ≥ ${SAME_DIRECTION} with the measured bottom direction. Its variance is at`,
    `  the floor of an f32 pass: depth^ ≤ ${FLOOR}.`,
    `- At every RMSNorm site the direction is absent: |cos^| < ${ANOTHER_DIRECTION}, depth^ > ${ALIVE}.`,
    "",
    "If several directions lie below rounding, none of them is the bottom one, and |cos^| is *unresolved*. At a LayerNorm this counts against the claim.",
    "At an RMSNorm depth^ decides.",
    "",
    ...agree,
    "",
    `${layers.length} rows are LayerNorm models (${sites(layers)} sites), and ${others.length} are RMSNorm models (${sites(others)} sites).`,
    partial.length > 0
      ? `${rows.length - partial.length} models ran whole. ${partial.length} larger ones ran only the first blocks and the final norm, as the column *blocks* says.`
      : "All of them ran whole.",
    "",
    "**This is no evidence of the kind of a checkpoint's norms.** The run uses the kind that is set for each norm. A kernel shows that the norms of that",
    "architecture, as run here, do what LayerNorm does, down to rounding. The architectures are the published ones ([paper/README.md](paper/README.md)),",
    "and the weights are drawn here. Text models read uniform ids, the others noise with a 1/f spectrum.",
    "",
    `This command ran each model: \`gammascope verify docs/paper/NAME/config.json --random-init ${SEED} --uniform --sites all --sequence ${SEQUENCE} --json\`, without`,
    "`--uniform` for noise, and with `--blocks` if the column says so, on n = 4d tokens or a few more. *Below τ* counts directions with less than 10⁻⁶ of the mean variance, over all sites together:",
    `predicted from the scales alone, and measured. Seconds are wall time on ${cores} cores that may also have done other work. *Commit* is that of the program`,
    "that measured.",
    "",
    table(rows),
    "",
    ...unreached.map(({ name, input, measured }) => `${NOT_MEASURED[input](name)}: ${measured.unreached.map((norm) => `\`${norm}\``).join(", ")}.`),
    ...(unreached.length > 0 ? [""] : []),
    "### Not run",
    "",
    ...(left.length > 0 ? left.map(({ name, parameters }) => `- ${name} (${millions(parameters)})`) : ["Every model of docs/paper ran."]),
    "",
  ];
  return lines;
}

/** The table with one row per model. */
function table(rows) {
  const head = ["model", "family", "norms", "parameters", "d", "blocks", "n", "sites", "\\|cos^\\|", "depth^", "below τ predicted", "measured", "seconds", "commit", "agrees"];
  const cells = (row) => {
    const { name, parameters, measured } = row;
    const { told, blocks, left_out, unresolved } = measured;
    const absent = told === "rmsnorm";
    return [
      name,
      measured.family,
      { layernorm: "LayerNorm", rmsnorm: "RMSNorm" }[told] ?? told,
      millions(parameters),
      measured.width,
      left_out > 0 ? `${blocks} of ${blocks + left_out}` : blocks,
      measured.tokens,
      measured.sites,
      (absent ? `absent: ≤ ${cosine(measured.cosine[1])}` : measured.cosine.map(cosine).join(" … ")) + (unresolved.length > 0 ? `, unresolved at ${unresolved.length}` : ""),
      absent ? `absent: ≥ ${small(measured.depth[0])}` : measured.depth.map(small).join(" … "),
      measured.predicted_below_tau,
      measured.measured_below_tau,
      measured.seconds,
      measured.commit,
      faults(row).length === 0 ? "yes" : "**no**",
    ];
  };
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, at) => (at < 3 ? "---" : "--:"));
  return [head, rule, ...rows.map(cells)].map(line).join("\n");
}

/** A number of parameters, such as 135M or 1.3B. */
function millions(parameters) {
  return parameters < 1e9 ? `${Math.round(parameters / 1e6)}M` : `${(parameters / 1e9).toFixed(1)}B`;
}

/** The sum, or null if one of the numbers is unknown. */
function sum(numbers) {
  return numbers.includes(null) ? null : numbers.reduce((all, one) => all + one, 0);
}

function cosine(value) {
  if (value === null) return "unknown";
  return value.toFixed(6);
}

function small(value) {
  if (value === null) return "unknown";
  return value < 0.01 ? value.toExponential(1) : value.toPrecision(2);
}
