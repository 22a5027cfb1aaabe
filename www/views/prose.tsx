import { plain, plainName } from './name';

/** A sentence from the report. Names between backticks become code; the rest stays plain text. */
export function Prose({ children }: { children: string }) {
  const parts = children.split(/`([^`]+)`/);
  return <>{parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{plainName(part)}</code> : plain(part)))}</>;
}
