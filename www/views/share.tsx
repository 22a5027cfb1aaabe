/** Shares the report: as a link that holds it, as a link to the address of the checkpoint, or as one HTML file. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { fileName, saveText } from '../download';
import { linkTo } from '../files';
import { bytes, counted } from '../format';
import { type Opened, pointedAt } from '../state/opened';
import { share } from '../state/sharing';
import '../styles/share.css';

type Form = 'link' | 'address' | 'html';

export function Share({ opened: { report, fragment }, onClose }: { opened: Opened; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const { checkpoint, norms, verification, shared } = report;
  const [form, setForm] = useState<Form>('link');
  const [names, setNames] = useState(true);
  const pointed = pointedAt.value ? norms[pointedAt.value.site]?.name : undefined;
  const [atSite, setAtSite] = useState(false);
  const [made, setMade] = useState<{ form: Form; text: string } | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  const [done, setDone] = useState('');
  const site = atSite && names ? (pointed ?? null) : null;

  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    const controller = new AbortController();
    setMade(null);
    setFailed(null);
    setDone('');
    const text = () => {
      // A report from a link is shared as the same link.
      if (shared) return Promise.resolve(location.href);
      if (form === 'address') return Promise.resolve(linkTo(fragment, site));
      return share({ as: form, names, site }, controller.signal);
    };
    text().then(
      (text) => !controller.signal.aborted && setMade({ form, text }),
      (error: unknown) => !controller.signal.aborted && setFailed(error instanceof Error ? error.message : String(error)),
    );
    return () => controller.abort();
  }, [form, names, site]);

  const copy = (text: string) =>
    navigator.clipboard.writeText(text).then(
      () => setDone('Copied.'),
      () => setDone('The browser does not let the page copy: select the link and copy it.'),
    );
  const save = (text: string) => {
    saveText(text, 'text/html', fileName([names ? checkpoint.name : 'checkpoint', 'gammascope'], 'html'));
    setDone('Saved.');
  };
  const ready = made?.form === form ? made.text : null;

  return (
    <dialog ref={dialog} class="share" aria-labelledby="share-heading" onClose={onClose}>
      <h2 id="share-heading">Share this report</h2>
      {shared ? (
        <p>This report came in a link. Pass that link on, or open the checkpoint to make a new one.</p>
      ) : (
        <fieldset>
          <legend>As</legend>
          <Option form="link" chosen={form} choose={setForm} label="A link that holds the report">
            It opens without the checkpoint. The report is in the part after the #, which browsers send to nobody.
          </Option>
          {checkpoint.remote && fragment !== '' && (
            <Option form="address" chosen={form} choose={setForm} label="A link to the checkpoint at its address">
              Short and complete: the page reads the checkpoint again from {checkpoint.remote.address}.
            </Option>
          )}
          <Option form="html" chosen={form} choose={setForm} label="One HTML file">
            Figures, tables and the report as JSON. It opens with a double click and loads nothing from any host.
          </Option>
        </fieldset>
      )}
      {!shared && form !== 'address' && (
        <>
          <p class="contents">
            It contains the verdict and its reasons, {counted(norms.length, 'norm site')} with kernels, evidence and readers,
            {verification ? ' what was measured,' : ''} the size of the checkpoint
            {names ? `, and the names of its files and tensors${checkpoint.remote ? ' and its address' : ''}` : '; no name'}.{' '}
            <strong>No weights.</strong>
          </p>
          <label class="choice">
            <input type="checkbox" checked={!names} onChange={(event) => setNames(!event.currentTarget.checked)} />
            Leave names out, and number sites, readers and writers
          </label>
        </>
      )}
      {!shared && form !== 'html' && pointed && names && (
        <label class="choice">
          <input type="checkbox" checked={atSite} onChange={(event) => setAtSite(event.currentTarget.checked)} />
          Open it at <span class="mono">{pointed}</span>
        </label>
      )}
      {failed !== null && (
        <p class="notice failure" role="alert">
          {failed}
        </p>
      )}
      {form !== 'html' && (
        <label class="field">
          The link{ready !== null && `, ${bytes(ready.length)}`}
          <input
            class="mono made"
            type="text"
            readOnly
            value={ready ?? ''}
            placeholder="Making it…"
            onFocus={(event) => event.currentTarget.select()}
          />
        </label>
      )}
      <div class="buttons">
        {form === 'html' ? (
          <button type="button" class="button strong" disabled={ready === null} onClick={() => ready !== null && save(ready)}>
            Save{ready !== null && `, ${bytes(ready.length)}`}
          </button>
        ) : (
          <button type="button" class="button strong" disabled={ready === null} onClick={() => ready !== null && void copy(ready)}>
            Copy link
          </button>
        )}
        <button type="button" class="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
        <span role="status" class="muted">
          {done}
        </span>
      </div>
    </dialog>
  );
}

type OptionProps = { form: Form; chosen: Form; choose: (form: Form) => void; label: string; children: preact.ComponentChildren };

function Option({ form, chosen, choose, label, children }: OptionProps) {
  return (
    <label class="choice">
      <input type="radio" name="share-as" checked={form === chosen} onChange={() => choose(form)} />
      <span>
        <b>{label}</b>
        <span class="muted small">{children}</span>
      </span>
    </label>
  );
}
