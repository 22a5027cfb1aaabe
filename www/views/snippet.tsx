/** A code snippet with a button that copies it. */
import { useState } from 'preact/hooks';

export function Snippet({ code }: { code: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <div class="hook">
      <pre tabIndex={0}>{code}</pre>
      <button
        type="button"
        class="button quiet"
        onClick={() => navigator.clipboard.writeText(code).then(() => setCopied(true), () => setCopied(false))}
      >
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
