/** How the tool knows what it says, what it does not claim, and every word it uses. */
import { GLOSSARY } from '../glossary';

const PAPER = 'https://arxiv.org/abs/2606.19491';

export function HowItWorks() {
  return (
    <section id="how" class="how" aria-labelledby="how-heading">
      <h2 id="how-heading">How this works</h2>
      <div class="columns">
        <ol class="maths">
          <li>
            <span class="formula">y = γ ⊙ x̂ + β</span>
            <span>A norm scales its normalised input x̂, channel by channel, and may add a shift.</span>
          </li>
          <li>
            <span class="formula">1ᵀx̂ = 0</span>
            <span>LayerNorm subtracts the mean, so this holds for every input. RMSNorm does not.</span>
          </li>
          <li>
            <span class="formula">v = γ⁻¹ / ‖γ⁻¹‖</span>
            <span>Then y has no variance along v, whatever the data: v is read from the scale alone.</span>
          </li>
          <li>
            <span class="formula">{'Z = { i : γᵢ = 0 }'}</span>
            <span>Where scales are exactly zero, those channels are the kernel, and γ⁻¹ does not exist.</span>
          </li>
          <li>
            <span class="formula">W ← W + a vᵀ, b ← b − a vᵀβ</span>
            <span>A linear reader moved so computes the same function: one dead direction for each of its rows.</span>
          </li>
        </ol>
        <div class="prose">
          <h3>What it does not claim</h3>
          <ul>
            <li>
              A checkpoint stores scales, not code. Whether a site subtracts the mean is inferred from the configuration,
              names, shifts, values and what training left in the weights: evidence, not proof. Where it is thin, or
              contradicts itself, the kind is unknown.
            </li>
            <li>Given that a site is a LayerNorm, v is exact. Given that it is not, v means nothing.</li>
            <li>Nothing is run: no activation, no loss. Counts below τ are predictions for isotropic inputs.</li>
            <li>Dead parameters are free to move; that does not make them free to remove.</li>
          </ul>
          <p>
            The method:{' '}
            <a href={PAPER} rel="noreferrer">
              Algebraic Dead Directions in LayerNorm Transformers, arXiv 2606.19491
            </a>
            .
          </p>
        </div>
      </div>
      <details class="glossary">
        <summary>Every word on this page</summary>
        <dl>
          {Object.values(GLOSSARY).map(({ label, text }) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}
