/** The claims of the paper: first those that the model differs from, with the reason, then the others. */
import type { Claim } from '../report';

export function Differences({ claims }: { claims: readonly Claim[] }) {
  const differ = claims.filter(({ agrees }) => !agrees);
  const agree = claims.filter(({ agrees }) => agrees);
  return (
    <div id="beside-paper">
      <List claims={differ} />
      {agree.length > 0 && differ.length > 0 && <h4>What it shares with the paper</h4>}
      <List claims={agree} />
    </div>
  );
}

function List({ claims }: { claims: readonly Claim[] }) {
  if (claims.length === 0) return null;
  return (
    <ul class="claims">
      {claims.map(({ paper, found, agrees, why }) => (
        <li key={paper}>
          {paper}. <strong>{agrees ? 'Here too' : 'Not here'}</strong>: {found}.
          {why && (
            <>
              {' '}
              <strong>Why</strong>: {why}.
            </>
          )}
        </li>
      ))}
    </ul>
  );
}
