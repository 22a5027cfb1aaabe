/** Explains what a report from a link is, and what it lacks. */
import { bytes } from '../format';
import type { Report } from '../report';

export function SharedNote({ report: { shared, checkpoint, tool_version } }: { report: Report }) {
  if (!shared) return null;
  const made = new Date(shared.made);
  const when = Number.isNaN(made.getTime()) ? shared.made : made.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  return (
    <div class="notice" id="shared">
      <p class="line">
        <strong>This report came in a link.</strong> It was made {when} by Gammascope {tool_version} from{' '}
        {shared.names ? <b>{checkpoint.name}</b> : 'a checkpoint whose names were left out'}, {bytes(checkpoint.bytes)}. Showing
        it needed no request to any host.
      </p>
      <p class="line muted small">
        It does not have the weights and the exact scales. Figures of scales are drawn from a summary, numbers have five digits,
        and measured spectra are left out. Open the checkpoint to see everything, to measure and to export.
      </p>
    </div>
  );
}
