/** Saves figures as SVG and PNG in the colours of the theme, tables, and the report. */

const SHARPNESS = 2;
const VARIABLE = /var\((--[\w-]+)\s*(?:,[^()]*(?:\([^()]*\)[^()]*)*)?\)/g;

/** Makes a file name from parts that may contain any character, such as tensor names. */
export function fileName(parts: (string | undefined)[], extension: string): string {
  const stem = parts
    .filter((part) => part)
    .join('-')
    .replace(/[^\p{L}\p{N}._-]+/gu, '_')
    .slice(0, 120);
  return `${stem || 'gammascope'}.${extension}`;
}

/** Downloads a blob. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function saveText(text: string, type: string, name: string): void {
  save(new Blob([text], { type: `${type};charset=utf-8` }), name);
}

/** The colour a CSS variable has in the current theme, as `rgb(…)`: the raw value may be `light-dark(…)`. */
function colourOf(variable: string, probe: HTMLElement): string {
  probe.style.color = `var(${variable})`;
  return getComputedStyle(probe).color;
}

/**
 * Returns the figure as a standalone SVG: every CSS variable is replaced by its colour in the current theme, and the background of the
 * page is included, so that light text is never on white.
 */
export function standalone(svg: SVGElement): string {
  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const copy = svg.cloneNode(true) as SVGElement;
  const sheet = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  sheet.setAttribute('width', '100%');
  sheet.setAttribute('height', '100%');
  sheet.setAttribute('fill', 'var(--plot-surface)');
  const title = document.createElementNS('http://www.w3.org/2000/svg', 'title');
  title.textContent = svg.getAttribute('aria-label');
  copy.prepend(title, sheet);
  for (const name of ['aria-label', 'data-width', 'data-height']) copy.removeAttribute(name);
  copy.setAttribute('width', String(sizeOf(svg).width));
  copy.setAttribute('height', String(sizeOf(svg).height));
  const text = new XMLSerializer()
    .serializeToString(copy)
    .replace(VARIABLE, (_, variable: string) => colourOf(variable, probe));
  probe.remove();
  return text;
}

/** The size of the figure in CSS pixels. The view stores it on the node. */
export function sizeOf(svg: SVGElement): { width: number; height: number } {
  return { width: Number(svg.dataset['width']), height: Number(svg.dataset['height']) };
}

/** Renders the figure as a PNG, at twice its size on the page. */
export async function rasterised(svg: SVGElement): Promise<Blob> {
  const { width, height } = sizeOf(svg);
  const url = URL.createObjectURL(new Blob([standalone(svg)], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = width * SHARPNESS;
    canvas.height = height * SHARPNESS;
    const context = canvas.getContext('2d');
    context?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new Error('The browser could not make the PNG.'))),
        'image/png',
      ),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}
