/** A card for each tool for the open checkpoint. The results are shown above. */
import '../styles/tools.css';
import type { Opened } from '../state/opened';
import { Adapter } from './adapter';
import { Compare } from './compare';
import { ExportKernels } from './export';
import { Fold } from './fold';
import { Heading } from './heading';
import { Measure } from './measure';
import { Verify } from './verify';

export function Tools({ opened }: { opened: Opened }) {
  return (
    <section id="tools" aria-labelledby="tools-heading">
      <Heading of="tools">What you can do next</Heading>
      <div class="toolbox">
        <Verify opened={opened} />
        <Measure opened={opened} />
        <Compare opened={opened} />
        <Adapter opened={opened} />
        <ExportKernels report={opened.report} />
        <Fold opened={opened} />
      </div>
    </section>
  );
}
