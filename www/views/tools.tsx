/** What can be done with the open checkpoint: a card for each tool. What comes of it is shown above, among the results. */
import type { Opened } from '../state/opened';
import { Adapter } from './adapter';
import { Compare } from './compare';
import { ExportKernels } from './export';
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
      </div>
    </section>
  );
}
