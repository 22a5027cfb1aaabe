/** Exports kernel directions as a file, with Python code that reads it. */
import { useState } from 'preact/hooks';
import dropFromLora from '../../scripts/use/drop_from_lora.py?raw';
import projectOut from '../../scripts/use/project_out.py?raw';
import { fileName, save } from '../download';
import { count, counted } from '../format';
import type { Report } from '../report';
import { type Format, exportKernels } from '../together';
import { Heading } from './heading';
import { Prose } from './prose';
import { Snippet } from './snippet';

const FORMATS: readonly Format[] = ['safetensors', 'json'];
const LABELS: Record<Format, string> = { safetensors: 'safetensors', json: 'JSON' };

/** Buttons that save the kernels of these sites, or of all, and the error if that fails. */
function Files({ report, sites, of, what }: { report: Report; sites: string[] | undefined; of?: string; what: string }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const write = async (format: Format) => {
    setBusy(true);
    setProblem(null);
    try {
      save(await exportKernels(sites, format), fileName([report.checkpoint.name, of, 'kernels'], format));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {FORMATS.map((format) => (
        <button
          key={format}
          type="button"
          class="button"
          aria-label={`Export ${what} as ${LABELS[format]}`}
          disabled={busy}
          onClick={() => void write(format)}
        >
          {LABELS[format]}
        </button>
      ))}
      {problem !== null && (
        <p class="notice failure export-problem" role="alert">
          <span class="line">
            <strong>Not exported.</strong> <Prose>{problem}</Prose>
          </span>
        </p>
      )}
    </>
  );
}

/** Exports the kernels of all sites, or of those that match a filter. Shows nothing if the model has no kernel. */
export function ExportKernels({ report }: { report: Report }) {
  const [filter, setFilter] = useState('');
  if (!report.norms.some(({ kernel }) => kernel.form === 'inverse_scale' || kernel.form === 'coordinates')) return null;
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = report.norms.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const sites = words.length === 0 ? undefined : kept.map(({ name }) => name);
  return (
    <section class="card" id="export" aria-labelledby="export-heading">
      <Heading of="export" as="h3">Export the kernel directions</Heading>
      <p>
        A file holds <code>SITE.kernel</code>, unit vectors, and <code>SITE.constant</code>, what vᵀy is for every token, in float64.
      </p>
      <div class="buttons beside">
        <input
          type="search"
          class="pick-exported"
          aria-label="Sites to export: words in their names, or empty for all"
          placeholder="all sites, or words in their names"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        <span class="muted tally" role="status">
          {words.length === 0 ? `all ${count(kept.length)}` : `${count(kept.length)} of ${counted(report.norms.length, 'site')}`}
        </span>
        <Files report={report} sites={sites} what="their kernel directions" />
      </div>
      <details class="more">
        <summary>Remove them from the maps that read them, in PyTorch</summary>
        <Snippet code={projectOut} />
      </details>
      <details class="more">
        <summary>Remove them from a LoRA adapter of PEFT</summary>
        <Snippet code={dropFromLora} />
      </details>
    </section>
  );
}

/** Exports the kernel of one site, in its row. */
export function ExportSite({ report, site }: { report: Report; site: string }) {
  return (
    <div class="buttons small">
      <span class="muted">Export this kernel</span>
      <Files report={report} sites={[site]} of={site} what={`the kernel of ${site}`} />
    </div>
  );
}
