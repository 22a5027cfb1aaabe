/** A tensor's or a module's name: plain text that may break after a dot, an underscore or a slash, and nowhere odd. */
export function Name({ children }: { children: string }) {
  const parts = children.split(/(?<=[._/])/);
  return <>{parts.flatMap((part, index) => (index === 0 ? [part] : [<wbr key={index} />, part]))}</>;
}
